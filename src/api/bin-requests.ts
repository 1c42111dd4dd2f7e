/** `/bins/<id>` on the port: requests of anyone to a request bin, in any method, without a key. */
import { type BinAnswer, type Bins, binPath } from "../inspector/bins.ts";
import type { Clock } from "../kernel/clock.ts";
import { LIMITS } from "../kernel/limits.ts";
import type { HttpRequest, HttpResponse } from "./port.ts";

const PREFIX = "/bins/";
/** A body that trickles in, or goes on after its answer, is cut. */
const BODY_MS = 15_000;

/** Whether it was a bin's request, and is answered here. */
export type ServeBin = (request: HttpRequest, response: HttpResponse) => boolean;

export function serveBins(bins: Pick<Bins, "take">, clock: Clock): ServeBin {
  return (request, response) => {
    const { url = "" } = request;
    if (!url.startsWith(PREFIX)) return false;
    const { id, path } = binPath(url.slice(PREFIX.length));
    const cancel = clock.after(BODY_MS, () => cut(request));
    response.once("close", cancel);
    void answered(request, (body) => {
      const arrived = { method: request.method ?? "", headers: headersOf(request), body, path, fromPassbus: false };
      return bins.take(id, arrived);
    })
      .catch((): BinAnswer => ({ status: 503, headers: {}, body: '{"error":"the bin can take nothing now"}' }))
      .then((answer) => send(request, response, answer));
    return true;
  };
}

async function answered(request: HttpRequest, take: (body: Uint8Array) => Promise<BinAnswer>): Promise<BinAnswer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    chunks.push(chunk);
    bytes += chunk.length;
    // One byte too many says as much as all of them.
    if (bytes > LIMITS.binBodyBytes) break;
  }
  return take(Buffer.concat(chunks));
}

/** HTTP/2's own, which begin with a colon, are in the request line of HTTP/1.1. */
function headersOf(request: HttpRequest): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(request.headers)) {
    if (name.startsWith(":") || value === undefined) continue;
    headers[name] = Array.isArray(value) ? value.join(", ") : value;
  }
  const authority = request.headers[":authority"];
  if (typeof authority === "string") headers.host ??= authority;
  return headers;
}

function send(request: HttpRequest, response: HttpResponse, { status, headers, body }: BinAnswer): void {
  response.statusCode = status;
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  response.setHeader("content-length", Buffer.byteLength(body));
  response.setHeader("cache-control", "no-store");
  response.setHeader("x-content-type-options", "nosniff");
  if (!request.complete) request.resume();
  response.end(request.method === "HEAD" ? "" : body);
}

function cut(request: HttpRequest): void {
  if ("stream" in request) request.stream.close();
  else request.socket.destroy();
}
