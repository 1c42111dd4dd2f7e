/** Which fields of a subscription an update changes (google/protobuf/field_mask.proto, AIP-134). */
import { clone, create, type DescMessage } from "@bufbuild/protobuf";
import {
  DeliveryPolicySchema,
  EndpointTlsSchema,
  FormatOptionsSchema,
  type Subscription as SubscriptionMessage,
  SubscriptionSchema,
} from "../../gen/passbus/v1/subscription_pb.js";
import { type FieldViolation, invalidFields } from "../kernel/errors.ts";

/** Fields that a person may change, by their names in the API. */
const CHANGEABLE = [
  "url",
  "event_types",
  "format",
  "state",
  "description",
  "labels",
  "filter",
  "policy",
  "protocol",
  "format_options",
  "headers",
  "operational_events",
  "membership_events",
  "coupon_events",
  "ed25519_signature",
  "tls",
] as const;

/** Messages whose fields can be named one by one. */
const NESTED: ReadonlyMap<string, DescMessage> = new Map<string, DescMessage>([
  ["policy", DeliveryPolicySchema],
  ["format_options", FormatOptionsSchema],
  ["tls", EndpointTlsSchema],
]);

type Fields = Record<string, unknown>;

/**
 * `stored` with the fields of `change` that the paths name; one that is unset in `change` becomes its default. Without
 * paths, those fields that are set in `change`, inside `policy`, `format_options` and `tls` too. The scope may be named only
 * as it is. Throws a `request.invalid` that names each path that is unknown or can't be changed.
 */
export function applyMask(
  stored: SubscriptionMessage,
  change: SubscriptionMessage,
  paths: readonly string[] | undefined,
): SubscriptionMessage {
  const wrong: FieldViolation[] = [];
  const named = hasPaths(paths) ? paths : setPaths(change);
  const scopeNamed = named.includes("entity_id") || change.entityId !== "";
  if (scopeNamed && change.entityId !== stored.entityId) {
    wrong.push({ field: "subscription.entity_id", description: "is fixed at creation" });
  }
  const next = clone(SubscriptionSchema, stored);
  for (const [at, path] of named.entries()) {
    if (path === "entity_id") continue;
    const flaw = flawOf(path);
    if (flaw !== undefined) wrong.push({ field: `update_mask.paths[${at}]`, description: flaw });
    else copy(change, next, path);
  }
  if (wrong.length > 0) throw invalidFields(wrong);
  return next;
}

/** Whether an update looks at this field, which may be unset in its message. */
export function isFieldNamed(name: string, paths: readonly string[] | undefined): boolean {
  return !hasPaths(paths) || paths.includes(name);
}

function hasPaths(paths: readonly string[] | undefined): paths is readonly string[] {
  return paths !== undefined && paths.length > 0;
}

function flawOf(path: string): string | undefined {
  const [first = "", second, ...rest] = path.split(".");
  const quoted = JSON.stringify(path);
  const changeable: readonly string[] = CHANGEABLE;
  if (changeable.includes(first)) {
    if (second === undefined) return undefined;
    const nested = NESTED.get(first)?.fields.some((field) => field.name === second);
    return nested === true && rest.length === 0 ? undefined : `${quoted} is not a field of a subscription`;
  }
  const exists = SubscriptionSchema.fields.some((field) => field.name === first);
  return exists ? `${quoted} is set by passbus` : `${quoted} is not a field of a subscription`;
}

/** What is set in a message, by the names of the API. */
function setPaths(change: SubscriptionMessage): readonly string[] {
  return CHANGEABLE.flatMap((name) => {
    const nested = NESTED.get(name);
    if (nested === undefined) return isSet(SubscriptionSchema, change, name) ? [name] : [];
    const inner = (change as unknown as Fields)[localName(SubscriptionSchema, name)];
    if (inner === undefined) return [];
    return nested.fields
      .filter((field) => isSet(nested, inner as object, field.name))
      .map((field) => `${name}.${field.name}`);
  });
}

/** Set is what isn't the default: proto3 tells no more of scalars, lists and maps. */
function isSet(type: DescMessage, message: object, name: string): boolean {
  const value = (message as Fields)[localName(type, name)];
  if (Array.isArray(value)) return value.length > 0;
  if (typeof value === "object" && value !== null && !("$typeName" in value)) return Object.keys(value).length > 0;
  return value !== undefined && value !== "" && value !== 0 && value !== false;
}

function copy(from: SubscriptionMessage, to: SubscriptionMessage, path: string): void {
  const [first = "", second] = path.split(".");
  const outer = localName(SubscriptionSchema, first);
  const nested = NESTED.get(first);
  const source = from as unknown as Fields;
  const target = to as unknown as Fields;
  if (second === undefined || nested === undefined) {
    target[outer] = source[outer];
    return;
  }
  const inner = localName(nested, second);
  const value = ((source[outer] ?? create(nested)) as Fields)[inner];
  const changed = (target[outer] ?? create(nested)) as Fields;
  changed[inner] = value;
  target[outer] = changed;
}

function localName(type: DescMessage, name: string): string {
  return type.fields.find((field) => field.name === name)?.localName ?? name;
}
