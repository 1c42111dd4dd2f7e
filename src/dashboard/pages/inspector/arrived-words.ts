/** What tells one arrived request from another. Anyone may have sent it: its words are taken where they are there. */
import type { BinRequest } from "../../../../gen/passbus/v1/inspector_service_pb.js";

export interface ArrivedWords {
  /** What it says has happened, in its format's word: "pass.updated", "PASS_EVENT_INSTALLED"; "" where it says nothing. */
  readonly type: string;
  readonly webhookId: string;
  readonly isTest: boolean;
  readonly isReplay: boolean;
}

/** Characters of a type that are shown, and of an id. */
const SHOWN = 80;
/** Larger bodies are not searched for their type. */
const READ_BYTES = 64 * 1_024;

export function wordsOf({ headers, body }: Pick<BinRequest, "headers" | "body">): ArrivedWords {
  return {
    type: cut(headers["ce-type"] ?? typeIn(body)),
    webhookId: cut(headers["webhook-id"] ?? ""),
    isTest: headers["webhook-test"] === "true",
    isReplay: headers["webhook-replay"] === "true",
  };
}

/** Standard Webhooks and CloudEvents have a `type`, PassKit and ethpass an `event`, PassEntry a `webhookType`. */
function typeIn(body: Uint8Array): string {
  if (body.length > READ_BYTES) return "";
  const whole = parsed(new TextDecoder().decode(body));
  const webhookType = memberOf(memberOf(memberOf(whole, "data"), "attributes"), "webhookType");
  const said = [memberOf(whole, "type"), memberOf(whole, "event"), webhookType];
  return said.find((each) => typeof each === "string") ?? "";
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function memberOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}

function cut(text: string): string {
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text;
}
