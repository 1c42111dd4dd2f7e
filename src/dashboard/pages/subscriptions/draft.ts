/** A subscription as a form holds it, and the way to and from the API's message. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  ActionMethod,
  type CouponEventId,
  DataType,
  type MembershipEventId,
} from "../../../../gen/io/integrations_pb.js";
import { PassProtocol } from "../../../../gen/io/pass_pb.js";
import type { OperationalEventType } from "../../../../gen/passbus/v1/operational_event_pb.js";
import type { PassEventType } from "../../../../gen/passbus/v1/pass_event_pb.js";
import {
  CloudEventsMode,
  Format,
  type FormatOptions,
  Ordering,
  PassKitUninstalledEventName,
  type Subscription,
  type SubscriptionSchema,
  WhileDisabled,
} from "../../../../gen/passbus/v1/subscription_pb.js";
import { numberFlaws, refuseFlaws } from "../../flaws.ts";
import { durationToMs } from "../../numbers.ts";

/** A name and its value, in the order in which they were typed; of equal names the last counts. */
export type Pair = readonly [name: string, value: string];

/** A field of the pass, and what it is called in the webhook. */
interface Mapping {
  readonly source: string;
  readonly destination: string;
  readonly dataType: DataType;
  readonly isRequired: boolean;
}

const NO_MAPPING: Mapping = { source: "", destination: "", dataType: DataType.DATA_TYPE_NONE, isRequired: false };

export interface Draft {
  readonly url: string;
  readonly entityId: string;
  readonly format: Format;
  readonly eventTypes: readonly PassEventType[];
  readonly operationalEvents: readonly OperationalEventType[];
  readonly membershipEvents: readonly MembershipEventId[];
  readonly couponEvents: readonly CouponEventId[];
  readonly protocol: PassProtocol;
  readonly description: string;
  readonly filter: string;
  readonly headers: readonly Pair[];
  readonly labels: readonly Pair[];
  readonly ed25519Signature: boolean;
  readonly ethpassAuthorization: string;
  readonly cloudeventsMode: CloudEventsMode;
  readonly uninstalledName: PassKitUninstalledEventName;
  readonly passkitMethod: ActionMethod;
  /** None where neither name is there. */
  readonly mapping: Mapping;
  readonly ordering: Ordering;
  readonly whileDisabled: WhileDisabled;
  readonly conflate: boolean;
  /** Texts of numbers; empty is the default. */
  readonly ratePerSecond: string;
  readonly burst: string;
  readonly maxInFlight: string;
  readonly timeoutSeconds: string;
  /** "5s, 1m, 2h"; empty is the default. */
  readonly retrySchedule: string;
}

export const NEW_DRAFT: Draft = {
  url: "",
  entityId: "",
  format: Format.STANDARD,
  eventTypes: [],
  operationalEvents: [],
  membershipEvents: [],
  couponEvents: [],
  protocol: PassProtocol.PASS_PROTOCOL_DO_NOT_USE,
  description: "",
  filter: "",
  headers: [],
  labels: [],
  ed25519Signature: false,
  ethpassAuthorization: "",
  cloudeventsMode: CloudEventsMode.STRUCTURED,
  uninstalledName: PassKitUninstalledEventName.DOCUMENTED,
  passkitMethod: ActionMethod.METHOD_NONE,
  mapping: NO_MAPPING,
  ordering: Ordering.NONE,
  whileDisabled: WhileDisabled.DROP,
  conflate: false,
  ratePerSecond: "",
  burst: "",
  maxInFlight: "",
  timeoutSeconds: "",
  retrySchedule: "",
};

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** "5s, 1m" in ms; undefined where an entry is no duration. */
export function parseSchedule(text: string): readonly number[] | undefined {
  const entries = text.split(/[\s,]+/).filter((entry) => entry !== "");
  const durations = entries.map((entry) => {
    const found = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(entry);
    return found === null ? undefined : Number(found[1]) * (UNIT_MS[found[2] ?? ""] ?? Number.NaN);
  });
  return durations.every((ms) => ms !== undefined) ? durations : undefined;
}

/** The largest unit that says it in whole numbers. */
export function scheduleText(entriesMs: readonly number[]): string {
  return entriesMs
    .map((ms) => {
      const [unit, size] = Object.entries(UNIT_MS)
        .reverse()
        .find(([, each]) => ms % each === 0) ?? ["ms", 1];
      return `${ms / size}${unit}`;
    })
    .join(", ");
}

/** What the form can see by itself; by the path of the field, as passbus names it. */
export function flawsOf(draft: Draft): ReadonlyMap<string, string> {
  const flaws = numberFlaws([
    ["subscription.policy.rate_per_second", draft.ratePerSecond, "number"],
    ["subscription.policy.burst", draft.burst, "whole number"],
    ["subscription.policy.max_in_flight", draft.maxInFlight, "whole number"],
    ["subscription.policy.attempt_timeout", draft.timeoutSeconds, "number"],
  ]);
  if (parseSchedule(draft.retrySchedule) === undefined) {
    return new Map([
      ["subscription.policy.retry_schedule", "write waits with their units, as in 5s, 1m, 2h, 1d"],
      ...flaws,
    ]);
  }
  return flaws;
}

/** The message of a draft that is to be kept; throws a refusal where it can't be read. */
export function keptMessageOf(draft: Draft): SubscriptionInit {
  refuseFlaws(flawsOf(draft));
  return messageOf(draft);
}

type SubscriptionInit = MessageInitShape<typeof SubscriptionSchema>;

/** Without the events that its format can't say: they stay in the form, in case it is changed back. */
function sayable(draft: Draft): Draft {
  const { format } = draft;
  return {
    ...draft,
    ...(format === Format.ETHPASS && { eventTypes: [] }),
    ...(!saysOperational(format) && { operationalEvents: [] }),
    ...(format !== Format.PASSKIT && { membershipEvents: [], couponEvents: [] }),
  };
}

function mappingOf({ source, destination, dataType, isRequired }: Mapping) {
  if (source.trim() === "" && destination.trim() === "") return {};
  const names = { sourceFieldUniqueName: source.trim(), destinationFieldKey: destination.trim() };
  return { passkitFieldMapping: { ...names, destinationFieldDataType: dataType, isRequired } };
}

/** The whole draft as a message, to be looked at; fields that only other formats know are left out. */
export function messageOf(draft: Draft): SubscriptionInit {
  const { format } = draft;
  const { eventTypes, operationalEvents, membershipEvents, couponEvents } = sayable(draft);
  return {
    url: draft.url.trim(),
    entityId: draft.entityId.trim(),
    format,
    eventTypes: [...eventTypes],
    operationalEvents: [...operationalEvents],
    membershipEvents: [...membershipEvents],
    couponEvents: [...couponEvents],
    protocol: draft.protocol,
    description: draft.description,
    filter: draft.filter,
    headers: recordOf(draft.headers),
    labels: recordOf(draft.labels),
    ed25519Signature: draft.ed25519Signature,
    formatOptions: {
      ...(format === Format.ETHPASS && { ethpassAuthorization: draft.ethpassAuthorization }),
      ...(format === Format.CLOUDEVENTS && { cloudeventsMode: draft.cloudeventsMode }),
      ...(format === Format.PASSKIT && {
        passkitUninstalledEventName: draft.uninstalledName,
        passkitMethod: draft.passkitMethod,
        ...mappingOf(draft.mapping),
      }),
    },
    policy: {
      ordering: draft.ordering,
      whileDisabled: draft.whileDisabled,
      conflate: draft.conflate,
      ratePerSecond: Number(draft.ratePerSecond),
      burst: Math.trunc(Number(draft.burst)) || 0,
      maxInFlight: Math.trunc(Number(draft.maxInFlight)) || 0,
      retrySchedule: (parseSchedule(draft.retrySchedule) ?? []).map((ms) => durationFromMs(ms)),
      ...(draft.timeoutSeconds !== "" && { attemptTimeout: durationFromMs(Number(draft.timeoutSeconds) * 1_000) }),
    },
  };
}

export function saysOperational(format: Format): boolean {
  return format === Format.STANDARD || format === Format.CLOUDEVENTS;
}

export function draftOf(subscription: Subscription): Draft {
  const { policy, formatOptions } = subscription;
  return {
    ...NEW_DRAFT,
    url: subscription.url,
    entityId: subscription.entityId,
    format: subscription.format,
    eventTypes: subscription.eventTypes,
    operationalEvents: subscription.operationalEvents,
    membershipEvents: subscription.membershipEvents,
    couponEvents: subscription.couponEvents,
    protocol: subscription.protocol,
    description: subscription.description,
    filter: subscription.filter,
    headers: Object.entries(subscription.headers),
    labels: Object.entries(subscription.labels),
    ed25519Signature: subscription.ed25519Signature,
    cloudeventsMode: formatOptions?.cloudeventsMode || NEW_DRAFT.cloudeventsMode,
    uninstalledName: formatOptions?.passkitUninstalledEventName || NEW_DRAFT.uninstalledName,
    passkitMethod: formatOptions?.passkitMethod ?? NEW_DRAFT.passkitMethod,
    mapping: mappingIn(formatOptions),
    ordering: policy?.ordering || NEW_DRAFT.ordering,
    whileDisabled: policy?.whileDisabled || NEW_DRAFT.whileDisabled,
    conflate: policy?.conflate ?? false,
    ratePerSecond: textOf(policy?.ratePerSecond),
    burst: textOf(policy?.burst),
    maxInFlight: textOf(policy?.maxInFlight),
    timeoutSeconds: policy?.attemptTimeout === undefined ? "" : String(durationToMs(policy.attemptTimeout) / 1_000),
    retrySchedule: scheduleText((policy?.retrySchedule ?? []).map(durationToMs)),
  };
}

function mappingIn(options: FormatOptions | undefined): Mapping {
  const mapping = options?.passkitFieldMapping;
  if (mapping === undefined) return NO_MAPPING;
  const { sourceFieldUniqueName, destinationFieldKey, destinationFieldDataType, isRequired } = mapping;
  return {
    source: sourceFieldUniqueName,
    destination: destinationFieldKey,
    dataType: destinationFieldDataType,
    isRequired,
  };
}

/** The paths whose values differ, for an update's mask. A secret that was not typed anew stays. */
export function changedPaths(before: Draft, after: Draft): readonly string[] {
  const paths: readonly (readonly [path: string, ...of: (keyof Draft)[]])[] = [
    ["url", "url"],
    ["format", "format"],
    ["event_types", "eventTypes"],
    ["operational_events", "operationalEvents"],
    ["membership_events", "membershipEvents"],
    ["coupon_events", "couponEvents"],
    ["protocol", "protocol"],
    ["description", "description"],
    ["filter", "filter"],
    ["headers", "headers"],
    ["labels", "labels"],
    ["ed25519_signature", "ed25519Signature"],
    ["format_options.ethpass_authorization", "ethpassAuthorization"],
    ["format_options.cloudevents_mode", "cloudeventsMode"],
    ["format_options.passkit_uninstalled_event_name", "uninstalledName"],
    ["format_options.passkit_method", "passkitMethod"],
    ["format_options.passkit_field_mapping", "mapping"],
    ["policy.ordering", "ordering"],
    ["policy.while_disabled", "whileDisabled"],
    ["policy.conflate", "conflate"],
    ["policy.rate_per_second", "ratePerSecond"],
    ["policy.burst", "burst"],
    ["policy.max_in_flight", "maxInFlight"],
    ["policy.attempt_timeout", "timeoutSeconds"],
    ["policy.retry_schedule", "retrySchedule"],
  ];
  const [was, is] = [sayable(before), sayable(after)];
  const differs = (key: keyof Draft) => JSON.stringify(was[key]) !== JSON.stringify(is[key]);
  return paths.filter(([, ...keys]) => keys.some(differs)).map(([path]) => path);
}

function recordOf(pairs: readonly Pair[]): Record<string, string> {
  return Object.fromEntries(pairs.map(([name, value]) => [name.trim(), value]).filter(([name]) => name !== ""));
}

function textOf(value: number | undefined): string {
  return value === undefined || value === 0 ? "" : String(value);
}
