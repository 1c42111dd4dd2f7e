/**
 * What a portal session sees of what it may call: its own entity, and nothing else. Each method that access/roles.ts
 * opens to portal sessions has a rule here, which judges the request before the method's handler gets it, and may take
 * something out of the answer before it leaves. A method without a rule is not reached. Rows are not for a rule to take
 * out: where a page ends, and what was skipped, would tell of them. Handlers that list or watch events ask for those of
 * the principal's entity, as they ask for those of its tenant.
 *
 * Another entity's things, and the organisation's own, are not found, as if they were not there. A request that names
 * another entity itself is refused.
 */
import type { DescMessage, DescMethod, Message, MessageShape } from "@bufbuild/protobuf";
import { AccessService } from "../../gen/passbus/v1/access_service_pb.js";
import { DeliveryService } from "../../gen/passbus/v1/delivery_service_pb.js";
import { EventService } from "../../gen/passbus/v1/event_service_pb.js";
import type { Subscription as SubscriptionMessage } from "../../gen/passbus/v1/subscription_pb.js";
import { SubscriptionService } from "../../gen/passbus/v1/subscription_service_pb.js";
import type { Principal } from "../access/authenticate.ts";
import type { DeliveryLog } from "../delivery/delivery-store.ts";
import { CodedError, invalidField } from "../kernel/errors.ts";
import type { SubscriptionService as Subscriptions } from "../subscriptions/subscription-service.ts";
import { notFound } from "./fields.ts";

export interface PortalDeps {
  readonly subscriptions: Pick<Subscriptions, "get">;
  readonly deliveryLog: Pick<DeliveryLog, "getDelivery" | "getEvent">;
}

/** One call's view of what is the session's own. Every look-up throws `resource.not_found` where it isn't. */
interface Own {
  readonly entityId: string;
  subscription(id: string, field?: string): Promise<void>;
  delivery(id: string): Promise<void>;
  event(id: string, field?: string): Promise<void>;
  /** @throws CodedError `portal.entity` where another entity is named. */
  entity(named: string, field: string): void;
}

/** How one method is limited. */
export interface PortalRule {
  /** Throws where the request reaches beyond the entity; fills in the entity where it may be named and isn't. */
  readonly check: (request: Message, principal: Principal) => Promise<void>;
  /** Takes out of an answer what is the organisation's. */
  readonly narrow: (response: Message) => void;
}

type Check<I extends DescMessage> = (request: MessageShape<I>, own: Own) => Promise<void> | void;
type Narrow<O extends DescMessage> = (response: MessageShape<O>) => void;

export function portalRules(deps: PortalDeps): ReadonlyMap<string, PortalRule> {
  const rules = new Map<string, PortalRule>();
  const add = <I extends DescMessage, O extends DescMessage>(
    method: DescMethod & { readonly input: I; readonly output: O },
    check: Check<I>,
    narrow: Narrow<O> = () => {},
  ) => {
    rules.set(`${method.parent.typeName}/${method.name}`, {
      // The descriptor that the call was routed by is the one that the rule stands under.
      check: async (request, principal) => check(request as MessageShape<I>, ownOf(deps, principal)),
      narrow: (response) => narrow(response as MessageShape<O>),
    });
  };
  subscriptionRules(add);
  eventRules(add);
  deliveryRules(add);
  // Of the session itself: there is nothing in it to limit.
  add(AccessService.method.getCaller, () => {});
  return rules;
}

type Add = <I extends DescMessage, O extends DescMessage>(
  method: DescMethod & { readonly input: I; readonly output: O },
  check: Check<I>,
  narrow?: Narrow<O>,
) => void;

function subscriptionRules(add: Add): void {
  const { method } = SubscriptionService;
  const byId = ({ id }: { readonly id: string }, own: Own) => own.subscription(id);
  add(method.createSubscription, ({ subscription }, own) => drafted(subscription, own));
  add(method.getSubscription, byId);
  add(method.listSubscriptions, (request, own) => {
    own.entity(request.entityId, "entity_id");
    request.entityId = own.entityId;
  });
  add(method.updateSubscription, ({ subscription }, own) =>
    own.subscription(subscription?.id ?? "", "subscription.id"),
  );
  add(method.deleteSubscription, byId);
  add(method.rotateSecret, byId);
  add(method.testSubscription, byId);
  add(method.previewPayload, async ({ subscription, source }, own) => {
    if (source.case === "eventId") await own.event(source.value, "event_id");
    if (subscription !== undefined && subscription.id !== "")
      await own.subscription(subscription.id, "subscription.id");
    else drafted(subscription, own);
  });
}

/** A subscription that is to be made. One that is missing is the handler's to refuse. */
function drafted(subscription: SubscriptionMessage | undefined, own: Own): void {
  if (subscription === undefined) return;
  own.entity(subscription.entityId, "subscription.entity_id");
  subscription.entityId = own.entityId;
}

function eventRules(add: Add): void {
  const { method } = EventService;
  add(method.getEvent, ({ id }, own) => own.event(id));
  add(method.listEvents, ({ passId }) => {
    // No index begins with an entity: without a pass the store would look through all of the organisation's events.
    if (passId === "") throw invalidField("pass_id", "is required of a portal session");
  });
  add(method.tailEvents, () => {});
  add(method.explainEvent, async ({ eventId, subscriptionId }, own) => {
    if (subscriptionId === "") throw invalidField("subscription_id", "is required of a portal session");
    await own.event(eventId, "event_id");
    await own.subscription(subscriptionId, "subscription_id");
  });
}

function deliveryRules(add: Add): void {
  const { method } = DeliveryService;
  const byId = ({ id }: { readonly id: string }, own: Own) => own.delivery(id);
  const bySubscription = async ({ subscriptionId }: { readonly subscriptionId: string }, own: Own) => {
    if (subscriptionId === "") throw invalidField("subscription_id", "is required of a portal session");
    await own.subscription(subscriptionId, "subscription_id");
  };
  add(method.getDelivery, byId);
  add(method.listDeliveries, bySubscription);
  add(method.retryDelivery, byId);
  add(method.cancelDelivery, byId);
  add(method.watchDeliveries, bySubscription);
  add(method.watchChanges, (request, own) => {
    own.entity(request.entityId, "entity_id");
    request.entityId = own.entityId;
  });
  add(method.getDeliveryStats, bySubscription, (response) => {
    // Events are counted for the organisation.
    for (const point of [...response.points, response.total]) if (point !== undefined) point.events = 0n;
  });
}

function entityOf({ entityId }: Principal): string {
  // An empty one would be the organisation's own.
  if (entityId === undefined || entityId === "") throw new CodedError("internal", "a portal session without an entity");
  return entityId;
}

/** An empty id is the handler's to refuse: it names nothing. */
function ownOf({ subscriptions, deliveryLog }: PortalDeps, principal: Principal): Own {
  const { tenant } = principal;
  const entityId = entityOf(principal);
  const isOwn = async (id: string) => {
    const found = await subscriptions.get(tenant, id).catch((error: unknown) => {
      if (error instanceof CodedError && error.code === "resource.not_found") return undefined;
      throw error;
    });
    return found?.entityId === entityId;
  };
  return {
    entityId,
    async subscription(id, field = "id") {
      if (id !== "" && !(await isOwn(id))) throw notFound("subscription", id, field);
    },
    async delivery(id) {
      if (id === "") return;
      const found = await deliveryLog.getDelivery(tenant, id);
      if (found === undefined || !(await isOwn(found.subscriptionId))) throw notFound("delivery", id);
    },
    async event(id, field = "id") {
      if (id === "") return;
      const found = await deliveryLog.getEvent({ tenant, id });
      if (found?.entityId !== entityId) throw notFound("event", id, field);
    },
    entity(named, field) {
      if (named === "" || named === entityId) return;
      throw new CodedError("portal.entity", `${field}: a portal session is limited to its own entity`);
    },
  };
}
