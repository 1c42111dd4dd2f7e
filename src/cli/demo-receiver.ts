/** The demo's subscriber: endpoints on loopback that verify what comes, one of which fails at first. */
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { Clock } from "../kernel/clock.ts";
import { type ArrivedWebhook, type SigningTerms, type Verdict, verifyWebhook } from "./demo-verify.ts";

/** One request that came to an endpoint, and what it was answered. */
export interface Receipt {
  /** The endpoint's name, which is its path too. */
  readonly endpoint: string;
  readonly webhook: ArrivedWebhook;
  readonly verdict: Verdict;
  /** 200: taken. */
  readonly answered: number;
  /** By the monotonic clock. */
  readonly atMs: number;
}

export interface ReceivingEndpoint extends SigningTerms {
  readonly name: string;
  /**
   * How many requests of a webhook are answered 503 before one is taken. No more than three webhooks at a time are
   * treated so, and no replay or test send: refusing all of a backlog would keep the endpoint's breaker open.
   */
  readonly refusals: number;
}

/** Ten refusals in a row open a breaker; these, at two each, are six. */
const REFUSED_AT_ONCE = 3;
/** By then a refused webhook that didn't come again won't. */
const FORGET_REFUSED_AFTER_MS = 15_000;

export interface Receiver {
  /** Where the endpoint of this name is, or will be. */
  urlOf(name: string): string;
  /** From now on requests to the endpoint are verified; before, and elsewhere, they are answered 404. */
  open(endpoint: ReceivingEndpoint): void;
  stop(): Promise<void>;
}

/** Listens on a free port of 127.0.0.1. `onReceipt` is called before the answer leaves. */
export async function startReceiver(options: {
  readonly clock: Clock;
  readonly onReceipt: (receipt: Receipt) => void;
}): Promise<Receiver> {
  const { clock, onReceipt } = options;
  const endpoints = new Map<string, ReceivingEndpoint>();
  /** What was refused lately and not yet taken, by endpoint and webhook. */
  const refused = new Map<string, { readonly endpoint: string; readonly times: number; readonly sinceMs: number }>();

  /** What a careful subscriber answers: 401 to what does not verify, 503 while it is "down", else 200. */
  function answerTo(endpoint: ReceivingEndpoint, webhook: ArrivedWebhook, verdict: Verdict): number {
    if (!verdict.ok) return 401;
    const { headers } = webhook;
    const id = `${endpoint.name} ${headers["webhook-id"] ?? ""}`;
    const isByHand = headers["webhook-replay"] !== undefined || headers["webhook-test"] !== undefined;
    const before = refused.get(id);
    const times = before?.times ?? 0;
    if (isByHand || times >= endpoint.refusals || (before === undefined && !mayRefuseOneMore(endpoint.name))) {
      refused.delete(id);
      return 200;
    }
    refused.set(id, { endpoint: endpoint.name, times: times + 1, sinceMs: before?.sinceMs ?? clock.monotonic() });
    return 503;
  }

  function mayRefuseOneMore(endpoint: string): boolean {
    const oldest = clock.monotonic() - FORGET_REFUSED_AFTER_MS;
    for (const [id, { sinceMs }] of refused) if (sinceMs < oldest) refused.delete(id);
    return [...refused.values()].filter((each) => each.endpoint === endpoint).length < REFUSED_AT_ONCE;
  }

  async function receive(request: IncomingMessage): Promise<number> {
    const webhook = await read(request);
    const atMs = clock.monotonic();
    const endpoint = endpoints.get(webhook.path.slice(1));
    if (endpoint === undefined) return 404;
    const verdict = verifyWebhook(webhook, endpoint);
    const answered = answerTo(endpoint, webhook, verdict);
    onReceipt({ endpoint: endpoint.name, webhook, verdict, answered, atMs });
    return answered;
  }

  const server = createServer((request, response) => {
    receive(request).then(
      (status) => response.writeHead(status).end(),
      () => response.destroy(),
    );
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return {
    urlOf: (name) => `http://127.0.0.1:${port}/${name}`,
    open: (endpoint) => void endpoints.set(endpoint.name, endpoint),
    async stop() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function read(request: IncomingMessage): Promise<ArrivedWebhook> {
  const headers: Record<string, string> = {};
  for (let at = 0; at + 1 < request.rawHeaders.length; at += 2) {
    const name = (request.rawHeaders[at] ?? "").toLowerCase();
    const value = request.rawHeaders[at + 1] ?? "";
    headers[name] = headers[name] === undefined ? value : `${headers[name]}, ${value}`;
  }
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return { method: request.method ?? "", path: request.url ?? "", headers, body: Buffer.concat(chunks) };
}
