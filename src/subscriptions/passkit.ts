/**
 * PassKit's SinkSubscription and the one Subscription, both ways. A SinkSubscription is a subscription of FORMAT_PASSKIT
 * whose scope is a class. Pure; what can't be said in the other's words is refused with a reason. docs/passkit.md.
 *
 * Times, and the id at creation, are the server's: times that come with a request are those that were read earlier.
 */
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  ConfigurationType,
  ConfigurationTypeSchema,
  IntegrationStatus,
  IntegrationStatusSchema,
  type SinkSubscription,
  SinkSubscriptionSchema,
  type WebhookConfig,
} from "../../gen/io/integrations_pb.js";
import { PassProtocolSchema } from "../../gen/io/pass_pb.js";
import {
  Format,
  State,
  type Subscription as SubscriptionMessage,
  SubscriptionSchema,
} from "../../gen/passbus/v1/subscription_pb.js";
import { isPassProtocol } from "../domain/pass-protocol.ts";
import type { Subscription } from "../domain/subscription.ts";
import { CodedError, type FieldViolation, invalidFields } from "../kernel/errors.ts";
import { configurationOf, readConfiguration } from "./passkit-config.ts";
import { namedEventsOf, sinkEventsOf, wrongValue } from "./passkit-events.ts";

/**
 * `signingSecret` is left out of the configuration where it is empty.
 * @throws CodedError `subscription.not_passkit`.
 */
export function sinkOf(subscription: Subscription, signingSecret = ""): SinkSubscription {
  if (subscription.format !== "PASSKIT") {
    const { id, format } = subscription;
    const message = `subscription ${id} is in FORMAT_${format}; use passbus.v1.SubscriptionService for it`;
    throw new CodedError("subscription.not_passkit", message);
  }
  return create(SinkSubscriptionSchema, {
    id: subscription.id,
    classId: subscription.entityId,
    protocol: subscription.protocol,
    ...sinkEventsOf(subscription),
    status: statusOf(subscription),
    configType: ConfigurationType.WEBHOOK,
    configuration: configurationOf(subscription, signingSecret),
    createdAt: timestampFromMs(subscription.createdAtMs),
    updatedAt: timestampFromMs(subscription.updatedAtMs),
  });
}

/** SUSPENDED is what passbus did by itself: the endpoint answered 410, or failed for days. */
function statusOf({ state, disabledReason }: Subscription): IntegrationStatus {
  if (state === "enabled") return IntegrationStatus.INTEGRATION_ACTIVE;
  return disabledReason === "requested"
    ? IntegrationStatus.INTEGRATION_DISABLED
    : IntegrationStatus.INTEGRATION_SUSPENDED;
}

/** A new subscription, for `SubscriptionService.create` with the origin "passkit". @throws CodedError `request.invalid`. */
export function draftOf(sink: SinkSubscription): SubscriptionMessage {
  const wrong: FieldViolation[] = [];
  if (sink.id !== "") wrong.push({ field: "id", description: "is made by passbus; leave it empty" });
  if (sink.classId === "") wrong.push({ field: "classId", description: "is required" });
  judgeProtocol(sink, wrong);
  judgeConfigType(sink, wrong);
  const events = namedEventsOf(sink, sink.protocol, wrong);
  const state = stateAsked(sink.status, IntegrationStatus.INTEGRATION_STATUS_NONE, wrong) ?? State.ENABLED;
  const config = readConfiguration(sink.configuration, wrong);
  if ((config?.signingSecret ?? "") !== "") {
    wrong.push({ field: "configuration.signingSecret", description: "is made by passbus; leave it out" });
  }
  if (wrong.length > 0) throw invalidFields(wrong);
  return create(SubscriptionSchema, {
    entityId: sink.classId,
    protocol: sink.protocol,
    format: Format.PASSKIT,
    state,
    ...configured(config),
    ...listed(events),
  });
}

/** What `SubscriptionService.update` is asked. */
export interface SinkChange {
  readonly change: SubscriptionMessage;
  /** Empty: nothing changes. */
  readonly paths: readonly string[];
}

/**
 * PassKit's update carries the whole subscription: it changes what differs from what `current` shows, so that what is
 * written back as it was read changes nothing. `readSecret` is asked only where a secret came along.
 * @throws CodedError `request.invalid`, `subscription.not_passkit`.
 */
export function changeOf(sink: SinkSubscription, current: Subscription, readSecret: () => string): SinkChange {
  const shown = sinkOf(current);
  const wrong: FieldViolation[] = [];
  const paths: string[] = [];
  if (sink.classId !== shown.classId) {
    wrong.push({ field: "classId", description: `is fixed at creation: ${JSON.stringify(shown.classId)}` });
  }
  if (sink.protocol !== shown.protocol) {
    judgeProtocol(sink, wrong);
    paths.push("protocol");
  }
  judgeConfigType(sink, wrong);
  const isSame = sink.protocol === shown.protocol && sameEvents(sink, shown);
  const events = isSame ? undefined : namedEventsOf(sink, sink.protocol, wrong);
  if (events !== undefined) paths.push("event_types", "membership_events", "coupon_events");
  const state = stateAsked(sink.status, shown.status, wrong);
  if (state !== undefined) paths.push("state");
  const config = readConfiguration(sink.configuration, wrong);
  const secret = config?.signingSecret ?? "";
  if (secret !== "" && secret !== readSecret()) {
    const description =
      "is made by passbus; leave it out, or rotate it with passbus.v1.SubscriptionService/RotateSecret";
    wrong.push({ field: "configuration.signingSecret", description });
  }
  if (wrong.length > 0) throw invalidFields(wrong);
  paths.push("url", "format_options.passkit_method", "format_options.passkit_field_mapping");
  const change = create(SubscriptionSchema, {
    id: current.id,
    protocol: sink.protocol,
    ...(state === undefined ? {} : { state }),
    ...configured(config),
    ...(events === undefined ? {} : listed(events)),
  });
  return { change, paths };
}

function configured(config: WebhookConfig | undefined) {
  const { targetUrl = "", actionMethod = 0, fieldMapping } = config ?? {};
  const mapping = fieldMapping === undefined ? {} : { passkitFieldMapping: fieldMapping };
  return { url: targetUrl, formatOptions: { passkitMethod: actionMethod, ...mapping } };
}

function listed({ eventTypes, membershipEvents = [], couponEvents = [] }: ReturnType<typeof namedEventsOf>) {
  return {
    eventTypes: [...eventTypes],
    membershipEvents: [...membershipEvents],
    couponEvents: [...couponEvents],
  };
}

function sameEvents(left: SinkSubscription, right: SinkSubscription): boolean {
  const text = ({ passEventId, protocolEventId }: SinkSubscription) => {
    const ids = protocolEventId.value?.ids ?? [];
    return JSON.stringify([passEventId, ids.length === 0 ? "" : protocolEventId.case, ids]);
  };
  return text(left) === text(right);
}

function judgeProtocol({ protocol }: SinkSubscription, wrong: FieldViolation[]): void {
  if (protocol !== 0 && isPassProtocol(protocol)) return;
  wrong.push({ field: "protocol", description: wrongValue(PassProtocolSchema, protocol) });
}

/** Unset is WEBHOOK: PassKit doesn't require it. */
function judgeConfigType({ configType }: SinkSubscription, wrong: FieldViolation[]): void {
  if (configType === ConfigurationType.CONFIGURATION_NONE || configType === ConfigurationType.WEBHOOK) return;
  const name = ConfigurationTypeSchema.value[configType]?.name;
  const what = name === undefined ? `${configType} is not a value of io.ConfigurationType` : `${name} is no webhook`;
  wrong.push({ field: "configType", description: `${what}; passbus sends webhooks alone: use WEBHOOK (1)` });
}

/** Undefined: it stays as it is. `shown` is how it stands; INTEGRATION_STATUS_NONE where it is new. */
function stateAsked(asked: IntegrationStatus, shown: IntegrationStatus, wrong: FieldViolation[]): State | undefined {
  if (asked === shown) return undefined;
  switch (asked) {
    case IntegrationStatus.INTEGRATION_STATUS_NONE:
      return undefined;
    case IntegrationStatus.INTEGRATION_ACTIVE:
      return State.ENABLED;
    case IntegrationStatus.INTEGRATION_DISABLED:
      return State.DISABLED;
    case IntegrationStatus.INTEGRATION_SUSPENDED:
      wrong.push({
        field: "status",
        description: "only passbus suspends a subscription; use INTEGRATION_DISABLED (1)",
      });
      return undefined;
    default:
      wrong.push({ field: "status", description: wrongValue(IntegrationStatusSchema, asked) });
      return undefined;
  }
}
