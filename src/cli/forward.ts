/** Sends a request that arrived elsewhere to a server of this machine, as it came. */
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import type { BinRequest } from "../../gen/passbus/v1/inspector_service_pb.js";
import { type Clock, systemClock } from "../kernel/clock.ts";

/** What the local server answered, or why it didn't. */
export type Forwarded =
  | { readonly statusCode: number; readonly durationMs: number }
  | { readonly error: string; readonly durationMs: number };

const TIMEOUT_MS = 30_000;

/** RFC 9110 §7.6.1: of one connection alone. The host is that of where it goes. */
const OF_THE_CONNECTION = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "host",
  "content-length",
]);

/** Never rejects. Headers and body are as they came, but for what is of the connection. */
export function forward(to: URL, arrived: BinRequest, clock: Clock = systemClock): Promise<Forwarded> {
  const { method, body } = arrived;
  const headers = Object.entries(arrived.headers).filter(([name]) => !OF_THE_CONNECTION.has(name));
  const beganMs = clock.monotonic();
  const passed = () => Math.round(clock.monotonic() - beganMs);
  const send = to.protocol === "https:" ? httpsRequest : httpRequest;
  return new Promise((resolve) => {
    const failed = (error: Error) => resolve({ error: error.message, durationMs: passed() });
    const url = withPath(to, arrived.path);
    if (url === undefined) return failed(new Error(`its path leads out of ${to.pathname}: not forwarded`));
    const request = send(url, {
      method,
      headers: { ...Object.fromEntries(headers), "content-length": String(body.length) },
      timeout: TIMEOUT_MS,
    });
    request.on("timeout", () => request.destroy(new Error(`no answer within ${TIMEOUT_MS / 1_000} s`)));
    request.on("error", failed);
    request.on("response", (response) => {
      response.resume();
      response.on("error", failed);
      response.on("end", () => resolve({ statusCode: response.statusCode ?? 0, durationMs: passed() }));
    });
    request.end(body);
  });
}

/**
 * What stood behind the bin's URL stands behind this one. Undefined where it leads out of it: who knows the bin's URL is
 * not to reach whatever else the developer's machine serves.
 */
function withPath(to: URL, path: string): URL | undefined {
  if (path === "") return to;
  const [, way = "", query = ""] = /^([^?]*)(.*)$/s.exec(path) ?? [];
  const url = new URL(to);
  const base = url.pathname.replace(/\/$/, "");
  url.pathname = `${base}${way}`;
  if (url.pathname !== base && !url.pathname.startsWith(`${base}/`)) return undefined;
  if (query !== "") url.search = query;
  return url;
}
