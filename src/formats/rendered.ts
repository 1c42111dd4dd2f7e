import { hash } from "node:crypto";
import { CodedError } from "../kernel/errors.ts";
import { LIMITS } from "../kernel/limits.ts";
import type { Rendered } from "./format.ts";

const JSON_HEADERS: Readonly<Record<string, string>> = { "content-type": "application/json" };

/**
 * A JSON text as the body of a webhook. RFC 8259 §8.1: UTF-8, and no charset parameter. `headers` are all that the
 * format sends of its own.
 * @throws CodedError `format.failed` for a body of more than `LIMITS.webhookBytes`.
 */
export function jsonBody(method: Rendered["method"], json: string, headers = JSON_HEADERS): Rendered {
  const body = Buffer.from(json, "utf8");
  if (body.length > LIMITS.webhookBytes) {
    throw new CodedError("format.failed", `the body has ${body.length} bytes; at most ${LIMITS.webhookBytes} are sent`);
  }
  return { method, headers, body, bodySha256: hash("sha256", body, "hex") };
}
