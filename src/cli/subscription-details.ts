/** A subscription in words, for people. */
import { type Duration, durationMs } from "@bufbuild/protobuf/wkt";
import { ActionMethod, CouponEventId, MembershipEventId } from "../../gen/io/integrations_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import {
  CloudEventsMode,
  type DeliveryPolicy,
  DisabledReason,
  EndpointCondition,
  type EndpointHealth,
  Format,
  Ordering,
  PassKitUninstalledEventName,
  State,
  type Subscription,
  WhileDisabled,
} from "../../gen/passbus/v1/subscription_pb.js";
import { passProtocolName } from "../domain/pass-protocol.ts";
import { operationalWord } from "./event-kinds.ts";
import { COUPON, MEMBERSHIP, METHOD, OWN } from "./subscription-options.ts";
import { momentOf, shown, wordOf } from "./table.ts";

type Detail = readonly [name: string, value: string];

export function stateOf({ state, disabledReason }: Subscription): string {
  const word = wordOf(State, state);
  return disabledReason === 0 ? word : `${word} (${wordOf(DisabledReason, disabledReason)})`;
}

export function scopeOf({ entityId }: Subscription): string {
  return entityId === "" ? "organisation" : shown(entityId);
}

export function typesOf({ eventTypes, operationalEvents, membershipEvents, couponEvents }: Subscription): string {
  const words = [...eventTypes.map((type) => wordOf(PassEventType, type)), ...operationalEvents.map(operationalWord)];
  if (words.length > 0) return words.join(",");
  return membershipEvents.length + couponEvents.length > 0 ? "of the protocol" : "all";
}

function rateOf(policy: DeliveryPolicy | undefined): string {
  if (policy === undefined || policy.ratePerSecond === 0) return "";
  return `${policy.ratePerSecond} a second${policy.burst === 0 ? "" : `, ${policy.burst} at once after a rest`}`;
}

function healthOf(health: EndpointHealth | undefined): string {
  if (health === undefined) return "";
  const { condition, failingSince, consecutiveFailures, lastError, nextProbeAt } = health;
  const word = wordOf(EndpointCondition, condition);
  if (failingSince === undefined) return word;
  const next = nextProbeAt === undefined ? "" : `; tried again at ${momentOf(nextProbeAt)}`;
  return `${word} since ${momentOf(failingSince)}, failures: ${consecutiveFailures}, the last: ${lastError}${next}`;
}

/** What there is to say of one, a line each. */
export function detailsOf(subscription: Subscription): readonly Detail[] {
  const { policy, secrets } = subscription;
  return [
    ["id", subscription.id],
    ["state", stateOf(subscription)],
    ["scope", scopeOf(subscription)],
    ["endpoint", shown(subscription.url)],
    ["format", wordOf(Format, subscription.format)],
    ["types", typesOf(subscription)],
    [
      "memberships",
      subscription.membershipEvents.map((event) => wordOf(MembershipEventId, event).slice(MEMBERSHIP.length)).join(","),
    ],
    ["coupons", subscription.couponEvents.map((event) => wordOf(CouponEventId, event).slice(COUPON.length)).join(",")],
    ["protocol", subscription.protocol === 0 ? "" : passProtocolName(subscription.protocol)],
    ...formatDetails(subscription),
    ["ed25519", subscription.ed25519Signature ? "yes" : ""],
    ["filter", shown(subscription.filter)],
    ["description", shown(subscription.description)],
    ["labels", pairsOf(subscription.labels)],
    ["headers", pairsOf(subscription.headers)],
    ...policyDetails(policy),
    ["health", healthOf(subscription.health)],
    ["created", momentOf(subscription.createdAt)],
    ["updated", momentOf(subscription.updatedAt)],
    ["version", String(subscription.version)],
    ...secrets.map(
      ({ id, expiresAt }): Detail => ["secret", expiresAt === undefined ? id : `${id} until ${momentOf(expiresAt)}`],
    ),
  ];
}

function pairsOf(map: Readonly<Record<string, string>>): string {
  return Object.entries(map)
    .map(([name, value]) => shown(`${name}=${value}`))
    .join(", ");
}

/** Of the format that it has; the others' options lie idle. */
function formatDetails({ format, formatOptions: options }: Subscription): readonly Detail[] {
  if (options === undefined) return [];
  if (format === Format.CLOUDEVENTS) {
    return [["cloudevents mode", wordOf(CloudEventsMode, options.cloudeventsMode)]];
  }
  if (format !== Format.PASSKIT) return [];
  const { passkitMethod: method, passkitUninstalledEventName: name, passkitFieldMapping: field } = options;
  return [
    ["passkit method", method === 0 ? OWN : wordOf(ActionMethod, method).slice(METHOD.length)],
    ["passkit uninstalled", wordOf(PassKitUninstalledEventName, name)],
    ["passkit field", field === undefined ? "" : shown(`${field.sourceFieldUniqueName}=${field.destinationFieldKey}`)],
  ];
}

function policyDetails(policy: DeliveryPolicy | undefined): readonly Detail[] {
  if (policy === undefined) return [];
  return [
    ["while disabled", wordOf(WhileDisabled, policy.whileDisabled)],
    ["ordering", wordOf(Ordering, policy.ordering)],
    ["conflate", policy.conflate ? "yes" : "no"],
    ["max in flight", String(policy.maxInFlight)],
    ["rate", rateOf(policy)],
    ["retries after", policy.retrySchedule.map(lengthOf).join(",")],
    ["attempt timeout", policy.attemptTimeout === undefined ? "" : lengthOf(policy.attemptTimeout)],
  ];
}

const UNITS = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1_000],
] as const;

/** As `--retry-schedule` takes it. */
function lengthOf(duration: Duration): string {
  const ms = durationMs(duration);
  const [unit, unitMs] = UNITS.find(([, size]) => ms >= size && ms % size === 0) ?? ["ms", 1];
  return `${ms / unitMs}${unit}`;
}
