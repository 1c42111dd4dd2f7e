/** Cross-origin calls from browsers: by an allow list, none by default. */
import { cors } from "@connectrpc/connect";
import type { HttpRequest, HttpResponse } from "./port.ts";

/** How long a browser may remember a preflight's answer; Chromium caps it at two hours. */
const PREFLIGHT_SECONDS = 7_200;

const ALLOWED_METHODS = cors.allowedMethods.join(", ");
const ALLOWED_HEADERS = [...cors.allowedHeaders, "authorization"].join(", ");
const EXPOSED_HEADERS = cors.exposedHeaders.join(", ");

/**
 * Sets the headers that let the origin's scripts read the answer; true where the request was a preflight, which is then
 * answered. `origins` are exact, or `*` for any. Keys come in the `authorization` header, never as cookies, so
 * credentials are not allowed along.
 */
export function crossOrigin(origins: readonly string[]): (request: HttpRequest, response: HttpResponse) => boolean {
  const any = origins.includes("*");
  const allowed = new Set(origins);
  return (request, response) => {
    const { origin } = request.headers;
    const isPreflight = request.method === "OPTIONS" && request.headers["access-control-request-method"] !== undefined;
    // What is answered depends on the origin, whether it is allowed or not.
    if (!any && allowed.size > 0) response.setHeader("vary", "origin");
    if (typeof origin === "string" && (any || allowed.has(origin))) {
      response.setHeader("access-control-allow-origin", any ? "*" : origin);
      response.setHeader("access-control-expose-headers", EXPOSED_HEADERS);
      if (isPreflight) {
        response.setHeader("access-control-allow-methods", ALLOWED_METHODS);
        response.setHeader("access-control-allow-headers", ALLOWED_HEADERS);
        response.setHeader("access-control-max-age", PREFLIGHT_SECONDS);
      }
    }
    if (!isPreflight) return false;
    response.statusCode = 204;
    response.end();
    return true;
  };
}
