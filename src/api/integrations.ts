/**
 * io.Integrations: PassKit's sink subscriptions, as its published SDKs call them. A SinkSubscription is a subscription of
 * FORMAT_PASSKIT, made here or in passbus.v1; what maps to what is in src/subscriptions/passkit.ts and docs/passkit.md.
 */
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import type { Integrations, SinkSubscription } from "../../gen/io/integrations_pb.js";
import { type PassProtocol, PassProtocolSchema } from "../../gen/io/pass_pb.js";
import { Format } from "../../gen/passbus/v1/subscription_pb.js";
import { ListSubscriptionsRequestSchema } from "../../gen/passbus/v1/subscription_service_pb.js";
import type { Principal } from "../access/authenticate.ts";
import { mayCall } from "../access/roles.ts";
import { isPassProtocol, passProtocolName } from "../domain/pass-protocol.ts";
import type { Subscription } from "../domain/subscription.ts";
import type { Clock } from "../kernel/clock.ts";
import { CodedError, invalidField } from "../kernel/errors.ts";
import { LIMITS } from "../kernel/limits.ts";
import type { Log } from "../kernel/log.ts";
import { tokenFromCursor } from "../kernel/page.ts";
import type { Tenant } from "../kernel/tenant.ts";
import { changeOf, draftOf, sinkOf } from "../subscriptions/passkit.ts";
import { readDeprecatedListRequest, readListRequest, type SinkQuery } from "../subscriptions/passkit-list.ts";
import { sampleSinkOf } from "../subscriptions/passkit-sample.ts";
import type { SubscriptionService as Subscriptions } from "../subscriptions/subscription-service.ts";
import { notFound, requiredId } from "./fields.ts";
import { principalOf } from "./gate.ts";
import { inPassKitsWords } from "./integrations-errors.ts";
import type { Streams } from "./streams.ts";

export type IntegrationCalls = "create" | "get" | "list" | "update" | "delete" | "currentSecret";

export interface IntegrationsDeps {
  readonly subscriptions: Pick<Subscriptions, IntegrationCalls>;
  /** A list is read as fast as its client reads; one that stops has a page in memory. */
  readonly streams: Streams;
  readonly clock: Clock;
  readonly log: Log;
}

export function integrationsService(deps: IntegrationsDeps): ServiceImpl<typeof Integrations> {
  const { subscriptions, clock, streams } = deps;
  return {
    async createSinkSubscription(sink, context) {
      const { tenant } = principalOf(context);
      const { subscription } = await inPassKitsWords(subscriptions.create(tenant, draftOf(sink), "passkit"));
      return { id: subscription.id };
    },

    async getSinkSubscription({ protocol, subscriptionId }, context) {
      const principal = principalOf(context);
      const subscription = await lookUp(deps, principal.tenant, subscriptionId, protocol);
      return mayManage(principal) ? showWithSecret(deps, principal, subscription) : sinkOf(subscription);
    },

    async *listSinkSubscriptions(request, context) {
      const query = readListRequest(request);
      yield* streams.run(context, () => answers(deps, principalOf(context).tenant, query));
    },

    async *listSinkSubscriptionsDeprecated(request, context) {
      const query = readDeprecatedListRequest(request);
      yield* streams.run(context, () => answers(deps, principalOf(context).tenant, query));
    },

    async updateSinkSubscription(sink, context) {
      const { tenant } = principalOf(context);
      const current = await lookUp(deps, tenant, sink.id, 0, "id");
      const { change, paths } = changeOf(sink, current, () => subscriptions.currentSecret(current).text);
      const { id } = await inPassKitsWords(subscriptions.update(tenant, change, paths));
      return { id };
    },

    async deleteSinkSubscription({ protocol, subscriptionId }, context) {
      const { tenant } = principalOf(context);
      const { id } = await lookUp(deps, tenant, subscriptionId, protocol);
      await subscriptions.delete(tenant, id);
      return {};
    },

    async getSampleSubscriptionEvent({ id }, context) {
      return sampleSinkOf(await lookUp(deps, principalOf(context).tenant, id, 0, "id"), clock.now());
    },

    createIntegrations: notServed,
    getIntegrations: notServed,
    updateIntegrations: notServed,
    deleteIntegrations: notServed,
    callDynamicApi() {
      const instead = "have createSinkSubscription send webhooks to a service of yours that makes the call";
      throw new CodedError("feature.unavailable", `passbus calls nobody's API; ${instead}`);
    },
  };
}

function notServed(): never {
  const instead = "create a webhook with createSinkSubscription, configType WEBHOOK";
  throw new CodedError("feature.unavailable", `passbus keeps no configurations of other integrations; ${instead}`);
}

/**
 * `protocol` 0 is any. A subscription of another protocol is not found, as PassKit's path has the protocol before the
 * id; one for any protocol (made in passbus.v1) is found under each.
 */
async function lookUp(
  { subscriptions }: IntegrationsDeps,
  tenant: Tenant,
  id: string,
  protocol: PassProtocol,
  field = "subscriptionId",
): Promise<Subscription> {
  if (!isPassProtocol(protocol)) {
    throw invalidField("protocol", `${protocol} is not a value of ${PassProtocolSchema.typeName}`);
  }
  const found = await subscriptions.get(tenant, requiredId(id, field)).catch((error: unknown) => {
    const isMissing = error instanceof CodedError && error.code === "resource.not_found";
    throw isMissing ? notFound("subscription", id, field) : error;
  });
  const isOther = protocol !== 0 && found.protocol !== 0 && found.protocol !== protocol;
  if (isOther) throw notFound(`subscription of the protocol ${passProtocolName(protocol)}`, id, field);
  // Refuses what PassKit's API has no words for, before anything is done to it.
  sinkOf(found);
  return found;
}

function mayManage({ role }: Principal): boolean {
  return mayCall(role, "io.Integrations/updateSinkSubscription");
}

/** The one answer that shows a secret a second time, since PassKit's create answers no more than an id; audited. */
function showWithSecret(deps: IntegrationsDeps, principal: Principal, subscription: Subscription): SinkSubscription {
  const { id, text } = deps.subscriptions.currentSecret(subscription);
  const { tenant, role, keyId } = principal;
  const shown = { subscriptionId: subscription.id, secretId: id };
  deps.log.info("audit.secret_shown", { ...tenant, role, keyId, ...shown });
  return sinkOf(subscription, text);
}

async function* answers(deps: IntegrationsDeps, tenant: Tenant, query: SinkQuery): AsyncGenerator<SinkSubscription> {
  const { compare, offset, limit } = query;
  let place = 0;
  const found = compare === undefined ? matching(deps, tenant, query) : await sorted(deps, tenant, query, compare);
  for await (const sink of found) {
    if (place >= offset) yield sink;
    place += 1;
    if (place >= offset + limit) return;
  }
}

/** Newest first; a page at a time is in memory. */
async function* matching(
  { subscriptions }: IntegrationsDeps,
  tenant: Tenant,
  { classId = "", matches }: SinkQuery,
): AsyncGenerator<SinkSubscription> {
  const request = { entityId: classId, format: Format.PASSKIT, pageSize: LIMITS.pageSize };
  let pageToken = "";
  do {
    const page = await subscriptions.list(tenant, create(ListSubscriptionsRequestSchema, { ...request, pageToken }));
    for (const subscription of page.items) {
      const sink = sinkOf(subscription);
      if (matches(sink)) yield sink;
    }
    pageToken = tokenFromCursor(page.next);
  } while (pageToken !== "");
}

/** An order that the store hasn't: all of them are in memory. */
async function sorted(
  deps: IntegrationsDeps,
  tenant: Tenant,
  query: SinkQuery,
  compare: NonNullable<SinkQuery["compare"]>,
): Promise<readonly SinkSubscription[]> {
  const found: SinkSubscription[] = [];
  for await (const sink of matching(deps, tenant, query)) {
    found.push(sink);
    if (found.length > LIMITS.passkitSortedSubscriptions) {
      const most = LIMITS.passkitSortedSubscriptions;
      throw invalidField(
        "filters.orderBy",
        `puts at most ${most} subscriptions in order; name a class, or leave it out`,
      );
    }
  }
  return found.sort(compare);
}
