/**
 * No list or map of a request is longer than LIMITS.requestItems: packed, four million numbers travel in four kilobytes,
 * and what looks at each of them holds up everybody. Events have rules of their own (intake/validate.ts).
 */
import type { DescField, DescMessage, Message } from "@bufbuild/protobuf";
import type { Interceptor } from "@connectrpc/connect";
import { PassEventSchema } from "../../gen/passbus/v1/pass_event_pb.js";
import { invalidField } from "../kernel/errors.ts";
import { LIMITS } from "../kernel/limits.ts";

/** Fields that are lists or maps, or messages that may have some. */
const lookedAt = new Map<DescMessage, readonly DescField[]>();

export const boundedLists: Interceptor = (next) => (request) => {
  const { input } = request.method;
  if (request.stream) return next({ ...request, message: eachBounded(request.message, input) });
  bounded(request.message, input);
  return next(request);
};

async function* eachBounded<T extends Message>(messages: AsyncIterable<T>, type: DescMessage): AsyncIterable<T> {
  for await (const message of messages) {
    bounded(message, type);
    yield message;
  }
}

function bounded(message: Message, type: DescMessage): void {
  refuseLongLists(type, message, "");
  // Of no use to anybody, and a stream holds its request as long as it lasts. Those of an event are the event's.
  delete message.$unknown;
}

/** @throws CodedError `request.invalid` that names the first list that is too long. */
function refuseLongLists(type: DescMessage, message: object, prefix: string): void {
  const values = message as Readonly<Record<string, unknown>>;
  for (const field of fieldsOf(type)) {
    const value = field.oneof === undefined ? values[field.localName] : chosen(values[field.oneof.localName], field);
    if (typeof value !== "object" || value === null) continue;
    const path = `${prefix}${field.name}`;
    if (field.fieldKind === "message") {
      refuseLongLists(field.message, value, `${path}.`);
      continue;
    }
    const items = Array.isArray(value) ? value : Object.values(value);
    if (items.length > LIMITS.requestItems) throw invalidField(path, `must have at most ${LIMITS.requestItems} items`);
    if (field.message === undefined) continue;
    for (const [at, item] of items.entries()) refuseLongLists(field.message, item, `${path}[${at}].`);
  }
}

function fieldsOf(type: DescMessage) {
  const known = lookedAt.get(type);
  if (known !== undefined) return known;
  const fields = type.fields.filter((field) => field.fieldKind !== "scalar" && field.fieldKind !== "enum");
  const own = fields.filter(({ message }) => message?.typeName !== PassEventSchema.typeName);
  lookedAt.set(type, own);
  return own;
}

/** What of a oneof is this field's. */
function chosen(oneof: unknown, field: DescField): unknown {
  const choice = oneof as { readonly case: string | undefined; readonly value?: unknown };
  return choice.case === field.localName ? choice.value : undefined;
}
