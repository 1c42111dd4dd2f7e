/** `/bins/<id>` on the port: requests of anyone to a request bin, in any method, without a key. */
import { type BinAnswer, type Bins, binPath } from "../inspector/bins.ts";
import type { Clock } from "../kernel/clock.ts";
import { LIMITS } from "../kernel/limits.ts";
import type { BodyBudget, HeldBody } from "./bodies.ts";
import type { HttpRequest, HttpResponse } from "./port.ts";

const PREFIX = "/bins/";
/** A body that trickles in, or goes on after its answer, is cut. */
const BODY_MS = 15_000;

/** Whether it was a bin's request, and is answered here. */
export type ServeBin = (request: HttpRequest, response: HttpResponse) => boolean;

export function serveBins(bins: Pick<Bins, "receive">, clock: Clock, bodies: BodyBudget): ServeBin {
  return (request, response) => {
    const { url = "" } = request;
    if (!url.startsWith(PREFIX)) return false;
    const { id, path } = binPath(url.slice(PREFIX.length));
    const cancel = clock.after(BODY_MS, () => cut(request));
    response.once("close", cancel);
    const read = async () => {
      const body = await readBody(request, bodies.open(undefined));
      return { method: request.method ?? "", headers: headersOf(request), body, path, fromPassbus: false };
    };
    void bins
      .receive(id, read)
      .catch((): BinAnswer => ({ status: 503, headers: {}, body: '{"error":"the bin can take nothing now"}' }))
      .then((answer) => send(request, response, answer));
    return true;
  };
}

const TOO_LARGE = Buffer.alloc(LIMITS.binBodyBytes + 1);

/** Not all of one that is too large: a byte too many says as much. */
async function readBody(request: HttpRequest, held: HeldBody): Promise<Buffer> {
  if (Number(request.headers["content-length"] ?? 0) > LIMITS.binBodyBytes) return TOO_LARGE;
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of request.iterator({ destroyOnReturn: false })) {
      chunks.push(chunk);
      bytes += chunk.length;
      held.hold(bytes);
      if (bytes > LIMITS.binBodyBytes) break;
    }
    return Buffer.concat(chunks);
  } finally {
    held.hold(0);
  }
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
