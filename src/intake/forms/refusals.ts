/** Why a value does not become an event, thrown from wherever that is found out; decode.ts makes a dead letter of it. */
import { createRegistry, type DescFile } from "@bufbuild/protobuf";
import { type FieldError, isFieldError } from "@bufbuild/protobuf/reflect";
import { SinkSubscriptionPayloadSchema } from "../../../gen/io/integrations_pb.js";
import { PassEventSchema } from "../../../gen/passbus/v1/pass_event_pb.js";
import { CodedError } from "../../kernel/errors.ts";

/** It does not decode. */
export function unreadable(message: string, cause?: unknown): CodedError {
  return new CodedError("event.unreadable", message, { cause });
}

/** It decodes, and says what can't be: the message names the field. */
export function invalid(message: string, cause?: unknown): CodedError {
  return new CodedError("event.invalid", message, { cause });
}

/** The types that values are made of, by their names. */
const TYPES = createRegistry(...filesOf(PassEventSchema.file), ...filesOf(SinkSubscriptionPayloadSchema.file));

function filesOf(file: DescFile): readonly DescFile[] {
  return [file, ...file.dependencies.flatMap(filesOf)];
}

/**
 * What is wrong with a value, as dead letters and logs say it: nothing of what the record says, which may be somebody's
 * data, stands in it. Messages of ours hold none (this room's refusals are written so); of another's only what is looked
 * up here is said again, names of our own types and fields, so a parser that changes its words tells no more.
 */
export function reasonIn(error: unknown): string {
  if (error instanceof CodedError) return error.message;
  if (!(error instanceof Error)) return UNDECODABLE;
  const { cause, message } = error;
  if (isFieldError(cause)) return fieldReason(cause.field());
  if (isFieldError(error)) return fieldReason(error.field());
  if (error instanceof SyntaxError || cause instanceof SyntaxError) return "the value is no JSON";
  const type = TYPES.get(/^cannot decode (?:message|enum) ([\w.]+)/u.exec(message)?.[1] ?? "");
  if (type === undefined) return UNDECODABLE;
  if (type.kind === "enum") return `a value of ${type.typeName} is none of its names or numbers`;
  // The words only choose among ours.
  if (/: key ".*" is unknown$/su.test(message)) return `a key in ${type.typeName} is none of its fields`;
  if (/: duplicate object key "/u.test(message)) return "a key stands twice in one object of the JSON";
  if (message.includes(": maximum recursion depth of ")) return `${type.typeName}: the value is nested too deep`;
  return `what stands for ${type.typeName} is none`;
}

const UNDECODABLE = "the value does not decode";

function fieldReason({ parent, name }: ReturnType<FieldError["field"]>): string {
  return TYPES.get(parent.typeName) === undefined ? UNDECODABLE : `${parent.typeName}.${name} does not decode`;
}
