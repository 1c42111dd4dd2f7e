/**
 * The receiver, in a process of its own: a plain node:http server that reads each webhook to its end, knows it by its
 * `webhook-id`, and answers 200 with two bytes. Bare undici and passbus send to the same one.
 */
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import { serveBench, sharedNowMs } from "./process-call.ts";

/** One webhook as it came. */
export interface Received {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** What is waited for from now on. */
export interface Expectation {
  /** Webhooks with ids that were not seen before. */
  readonly count: number;
  /** Keeps when each came, by the event's id in the body. */
  readonly keepTimes: boolean;
}

export interface Reached {
  /** When the first and the last of the expected had come, on the shared clock. */
  readonly firstMs: number;
  readonly lastMs: number;
}

export interface SinkCounts {
  readonly distinct: number;
  /** Webhooks whose id was seen before in this run. */
  readonly repeats: number;
  /** The latest webhook of the expectation. */
  readonly sample?: Received;
}

export interface SinkCalls {
  /** `lose`: so many of the first webhooks are left out of the count, to show that the bench notices. */
  start(settings: { readonly lose: number }): Promise<{ readonly port: number }>;
  expect(expectation: Expectation): void;
  /** Answers as soon as all that is expected has come. */
  reached(): Promise<Reached>;
  counts(): SinkCounts;
  /** Event id and time of receipt on the shared clock. */
  times(): readonly (readonly [eventId: string, receivedMs: number])[];
}

const seen = new Set<string>();
let expected: Expectation = { count: 0, keepTimes: false };
let reached = Promise.withResolvers<Reached>();
let distinct = 0;
let repeats = 0;
let firstMs = 0;
let lose = 0;
let sample: Received | undefined;
let times: [eventId: string, receivedMs: number][] = [];

/** Requests to it are read and never answered. */
export const HANGING_PATH = "/hanging";

function receive(request: IncomingMessage, body: Buffer): void {
  const id = request.headers["webhook-id"];
  if (typeof id !== "string") return;
  if (lose > 0) {
    lose -= 1;
    return;
  }
  const before = seen.size;
  seen.add(id);
  if (seen.size === before) {
    repeats += 1;
    return;
  }
  distinct += 1;
  if (expected.keepTimes) times.push([eventIdIn(body), sharedNowMs()]);
  if (distinct === 1) firstMs = sharedNowMs();
  if (distinct !== expected.count) return;
  reached.resolve({ firstMs, lastMs: sharedNowMs() });
  sample = { headers: plainHeaders(request), body };
}

/** The bench's own events have no other `id` that begins like this. */
function eventIdIn(body: Buffer): string {
  return /"id":"(bench-[^"]*)"/.exec(body.toString("latin1"))?.[1] ?? "";
}

function plainHeaders(request: IncomingMessage): Record<string, string> {
  return Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]));
}

const server = createServer((request, response) => {
  let body: Buffer | undefined;
  request.on("data", (chunk: Buffer) => {
    body = body === undefined ? chunk : Buffer.concat([body, chunk]);
  });
  request.on("end", () => {
    if (request.url === HANGING_PATH) return;
    receive(request, body ?? Buffer.alloc(0));
    response.writeHead(200, { "content-type": "text/plain", "content-length": "2" }).end("ok");
  });
});
server.keepAliveTimeout = 120_000;

serveBench<SinkCalls>(
  {
    async start(settings) {
      lose = settings.lose;
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      const address = server.address();
      if (address === null || typeof address === "string") throw new Error("the sink has no port");
      return { port: address.port };
    },
    expect(expectation) {
      expected = expectation;
      reached = Promise.withResolvers();
      distinct = 0;
      sample = undefined;
      times = [];
    },
    reached: () => reached.promise,
    counts: () => ({ distinct, repeats, ...(sample === undefined ? {} : { sample }) }),
    times: () => times,
  },
  () => {
    server.close();
    server.closeAllConnections();
  },
);
