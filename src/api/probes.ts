/** What is on the port besides RPCs: the probes of load balancers and Kubernetes, and the public keys of signatures. */

import type { JsonWebKeySet } from "../signing/ed25519.ts";
import { KEY_SET_PATH, keySets, type PublicKeys } from "./key-set.ts";
import type { HttpRequest, HttpResponse } from "./port.ts";
import type { ReadReadiness } from "./readiness.ts";

interface Page {
  readonly status: number;
  readonly body: unknown;
  readonly type?: string;
  readonly cacheControl?: string;
}

type ReadPage = (query: URLSearchParams) => Page | Promise<Page>;

/**
 * Answers `/healthz` (200 while the process lives), `/readyz` (200, or 503 with the reasons) and, where there are keys
 * to publish, `/.well-known/jwks.json`; 404 for the rest.
 */
export function probes(
  readiness: ReadReadiness,
  keys?: PublicKeys,
): (request: HttpRequest, response: HttpResponse) => Promise<void> {
  const pages = new Map<string, ReadPage>([
    ["/healthz", () => ({ status: 200, body: { status: "alive" } })],
    [
      "/readyz",
      async () => {
        const { ready, reasons, notes = [] } = await readiness();
        return { status: ready ? 200 : 503, body: { ready, reasons, ...(notes.length > 0 && { notes }) } };
      },
    ],
  ]);
  if (keys !== undefined) {
    const keySetFor = keySets(keys);
    pages.set(KEY_SET_PATH, (query) => keySetPage(keySetFor(query)));
  }
  return async (request, response) => {
    const [path = "", query = ""] = request.url?.split("?", 2) ?? [];
    const read = pages.get(path);
    if (read === undefined) return answer(request, response, { status: 404, body: { error: "not found" } });
    if (request.method !== "GET" && request.method !== "HEAD") {
      response.setHeader("allow", "GET, HEAD");
      return answer(request, response, { status: 405, body: { error: "use GET" } });
    }
    answer(request, response, await read(new URLSearchParams(query)));
  };
}

/** RFC 7517 §8.5.2. Kept by receivers for as long as a rotation has to wait at least. */
function keySetPage(body: JsonWebKeySet | undefined): Page {
  if (body === undefined) return { status: 400, body: { error: "organisation and environment must be names of such" } };
  return { status: 200, body, type: "application/jwk-set+json", cacheControl: "public, max-age=300" };
}

function answer(request: HttpRequest, response: HttpResponse, page: Page): void {
  const { status, body, type = "application/json", cacheControl = "no-store" } = page;
  const text = JSON.stringify(body);
  response.statusCode = status;
  response.setHeader("content-type", type);
  response.setHeader("content-length", Buffer.byteLength(text));
  response.setHeader("cache-control", cacheControl);
  response.end(request.method === "HEAD" ? "" : text);
}
