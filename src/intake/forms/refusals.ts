/** Why a value does not become an event, thrown from wherever that is found out; decode.ts makes a dead letter of it. */
import { CodedError } from "../../kernel/errors.ts";

/** It does not decode. */
export function unreadable(message: string, cause?: unknown): CodedError {
  return new CodedError("event.unreadable", message, { cause });
}

/** It decodes, and says what can't be: the message names the field. */
export function invalid(message: string, cause?: unknown): CodedError {
  return new CodedError("event.invalid", message, { cause });
}

/** A producer's text in a message that people read: in quotes, and no longer than they care for. */
export function shown(text: string): string {
  return JSON.stringify(text.length <= 100 ? text : `${text.slice(0, 100)}…`);
}
