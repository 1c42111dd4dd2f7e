import { hash } from "node:crypto";
import type { Rendered } from "./format.ts";

const JSON_HEADERS: Readonly<Record<string, string>> = { "content-type": "application/json" };

/** A JSON text as the body of a webhook. RFC 8259 §8.1: UTF-8, and no charset parameter. */
export function jsonBody(method: Rendered["method"], json: string): Rendered {
  const body = Buffer.from(json, "utf8");
  return { method, headers: JSON_HEADERS, body, bodySha256: hash("sha256", body, "hex") };
}
