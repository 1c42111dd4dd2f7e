/**
 * PassKit's own message, `io.SinkSubscriptionPayload`: what its webhooks carry (seed 003), as protobuf or as the JSON that
 * its Go server writes. It names an event, and has no place for an id or a time.
 */
import {
  create,
  type DescField,
  type DescMessage,
  fromBinary,
  fromJson,
  type JsonObject,
  type JsonValue,
  toJson,
} from "@bufbuild/protobuf";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import {
  CouponEventId,
  CouponEventIdSchema,
  MembershipEventId,
  MembershipEventIdSchema,
  PassEventId,
  PassEventIdSchema,
  type SinkSubscriptionPayload,
  SinkSubscriptionPayloadSchema,
} from "../../../gen/io/integrations_pb.js";
import { Status } from "../../../gen/io/pass_pb.js";
import {
  type PassEvent,
  PassEventSchema,
  PassEventType,
  PassEventTypeSchema,
} from "../../../gen/passbus/v1/pass_event_pb.js";
import { agreedType, hintedType, type TypeHint, typeName } from "./event-type.ts";
import { isObject, STANDS_TWICE } from "./json.ts";
import { invalid, unreadable } from "./refusals.ts";

export function payloadFromBinary(bytes: Uint8Array): SinkSubscriptionPayload {
  return fromBinary(SinkSubscriptionPayloadSchema, bytes);
}

/** Reads protojson as well: it differs in what no JSON of PassKit's has, names of enums and times as text. */
export function payloadFromJson(json: JsonObject): SinkSubscriptionPayload {
  return fromJson(SinkSubscriptionPayloadSchema, protoJsonOf(SinkSubscriptionPayloadSchema, json, ""));
}

/** @throws CodedError `event.invalid` for an event that PassKit doesn't have, or that `hint` contradicts. */
export function eventOfPayload({ event, pass }: SinkSubscriptionPayload, hint: TypeHint): PassEvent {
  const happened = happening(event, pass?.metadata?.status, hintedType(hint));
  return create(PassEventSchema, { ...happened, ...(pass !== undefined && { pass }) });
}

type Happening = Pick<PassEvent, "type"> & Partial<Pick<PassEvent, "protocolEvent">>;

function happening(name: string, status: Status | undefined, hinted: PassEventType | undefined): Happening {
  if (name === "") {
    if (hinted === undefined) throw invalid("event: is required, or the header event-type");
    return { type: hinted };
  }
  const pass = numberOf(PassEventIdSchema.values, name);
  if (pass === PassEventId.PASS_EVENT_RECORD_UPDATED) return { type: updateType(status, hinted) };
  const type = pass === undefined ? undefined : TYPES.get(pass);
  if (type !== undefined) return { type: hinted === undefined ? type : agreedType(type, hinted) };
  const membership = numberOf(MembershipEventIdSchema.values, name);
  if (membership !== undefined) {
    const protocolEvent = { case: "membershipEvent", value: membership } as const;
    return { type: hinted ?? membershipType(membership), protocolEvent };
  }
  const coupon = numberOf(CouponEventIdSchema.values, name);
  if (coupon === undefined) throw invalid("event: is no event of PassKit's");
  return { type: hinted ?? couponType(coupon), protocolEvent: { case: "couponEvent", value: coupon } };
}

/** Not of the value 0, which stands for no event. */
function numberOf(
  values: readonly { readonly name: string; readonly number: number }[],
  name: string,
): number | undefined {
  return values.find((value) => value.name === name && value.number !== 0)?.number;
}

/** PassKit's names are ours, but for `RECORD`: PASS_EVENT_RECORD_CREATED is PASS_EVENT_TYPE_CREATED. */
const TYPES: ReadonlyMap<number, PassEventType> = new Map(
  PassEventIdSchema.values.flatMap(({ name, number }) => {
    const ours = name.replace(/^PASS_EVENT_(RECORD_)?/, "PASS_EVENT_TYPE_");
    const type = PassEventTypeSchema.values.find((each) => each.name === ours)?.number;
    return type === undefined ? [] : [[number, type] as const];
  }),
);

/** Seed 003's sample of "uninstalled" says PASS_EVENT_RECORD_UPDATED with status 2: an update of such a pass must say so. */
function updateType(status: Status | undefined, hinted: PassEventType | undefined): PassEventType {
  switch (hinted) {
    case PassEventType.UPDATED:
    case PassEventType.UNINSTALLED:
      return hinted;
    case undefined:
      return status === Status.PASS_UNINSTALLED ? PassEventType.UNINSTALLED : PassEventType.UPDATED;
    default:
      throw invalid(`type: the value says PASS_EVENT_RECORD_UPDATED, what stands beside it ${typeName(hinted)}`);
  }
}

function membershipType(id: MembershipEventId): PassEventType {
  return id === MembershipEventId.MEMBER_EVENT_ENROLLED ? PassEventType.CREATED : PassEventType.UPDATED;
}

function couponType(id: CouponEventId): PassEventType {
  if (id === CouponEventId.COUPON_EVENT_CREATED) return PassEventType.CREATED;
  return id === CouponEventId.COUPON_EVENT_DELETED ? PassEventType.DELETED : PassEventType.UPDATED;
}

/**
 * Go's `encoding/json` as protojson: times are `{seconds, nanos}` there, and the case of a name is no matter (seed 003
 * writes `metadata` and `metaData`).
 */
function protoJsonOf(type: DescMessage, json: JsonValue, path: string): JsonValue {
  // What is no object, protobuf-es refuses better than we can.
  if (!isObject(json)) return json;
  if (type.typeName === TimestampSchema.typeName) return timeOf(json, path);
  const members = new Map<string, JsonValue>();
  for (const [key, value] of Object.entries(json)) {
    const field = fieldOf(type, key);
    const name = field?.jsonName ?? key;
    if (members.has(name)) throw unreadable(field === undefined ? STANDS_TWICE : `${path}${name}: stands twice`);
    const inner = field?.fieldKind === "message" ? field.message : undefined;
    members.set(name, inner === undefined ? value : protoJsonOf(inner, value, `${path}${name}.`));
  }
  return Object.fromEntries(members);
}

function fieldOf({ fields }: DescMessage, key: string): DescField | undefined {
  const exact = fields.find(({ name, jsonName }) => name === key || jsonName === key);
  return exact ?? fields.find(({ jsonName }) => jsonName.toLowerCase() === key.toLowerCase());
}

/** `path` ends with a full stop. */
function timeOf({ seconds = 0, nanos = 0, ...others }: JsonObject, path: string): JsonValue {
  const isTime = isCount(seconds) && isCount(nanos);
  try {
    if (isTime && Object.keys(others).length === 0) {
      return toJson(TimestampSchema, create(TimestampSchema, { seconds: BigInt(seconds), nanos }));
    }
  } catch {
    // Text can't say it.
  }
  throw unreadable(`${path.slice(0, -1)}: must be {"seconds", "nanos"} within the years 1 to 9999`);
}

function isCount(value: JsonValue): value is number {
  return typeof value === "number" && Number.isSafeInteger(value);
}
