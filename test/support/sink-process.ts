/**
 * A receiver of webhooks in a process of its own, so that neither the test nor the passbus under test starves it. It
 * verifies with the npm package standardwebhooks, records every request and does what sink.ts tells it.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { Webhook } from "standardwebhooks";
import type { Answer, Receipt, SinkCall, SinkCommand, SinkMessage } from "./sink-wire.ts";

interface Place {
  answer: Answer;
  secrets: readonly { readonly text: string; readonly webhook: Webhook }[];
  readonly webhookIds: Set<string>;
  readonly accepted: Set<string>;
  requests: number;
  readonly held: Reply[];
}

interface Reply {
  readonly receipt: Receipt;
  readonly response: ServerResponse;
}

interface Waiting {
  readonly call: number;
  readonly isReached: () => boolean;
}

const OK: Answer = { status: 200 };
const places = new Map<string, Place>();
const receipts: Receipt[] = [];
let waiting: Waiting[] = [];
const connections = new Set<Socket>();

function placeOf(path: string): Place {
  let place = places.get(path);
  if (place === undefined) {
    place = { answer: OK, secrets: [], webhookIds: new Set(), accepted: new Set(), requests: 0, held: [] };
    places.set(path, place);
  }
  return place;
}

function receive(request: IncomingMessage, response: ServerResponse): void {
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  // A sender that is killed cuts its connections: that is no failure of the receiver.
  request.on("error", () => {});
  response.on("error", () => {});
  request.on("end", () => {
    const place = placeOf(request.url ?? "/");
    const receipt = receiptOf(place, request, Buffer.concat(chunks));
    receipts.push(receipt);
    place.webhookIds.add(receipt.webhookId);
    place.requests += 1;
    reply(place, { receipt, response });
    settle();
  });
}

function reply(place: Place, reply: Reply): void {
  const { answer } = place;
  if (answer === "hang") return;
  if (answer === "hold") {
    place.held.push(reply);
    return;
  }
  const { headers, afterMs, failing = 0 } = answer;
  const status = Math.random() < failing ? 503 : answer.status;
  const respond = () => {
    reply.receipt.status = status;
    if (status >= 200 && status < 300) place.accepted.add(reply.receipt.webhookId);
    reply.response.writeHead(status, { "content-length": 0, ...headers }).end();
  };
  if (afterMs === undefined) {
    respond();
    return;
  }
  setTimeout(() => {
    respond();
    settle();
  }, afterMs);
}

function receiptOf(place: Place, request: IncomingMessage, body: Buffer): Receipt {
  const webhookId = String(request.headers["webhook-id"] ?? "");
  const signature = String(request.headers["webhook-signature"] ?? "");
  const headers = {
    "webhook-id": webhookId,
    "webhook-timestamp": String(request.headers["webhook-timestamp"] ?? ""),
    "webhook-signature": signature,
  };
  const verifies = (webhook: Webhook): boolean => {
    try {
      webhook.verify(body, headers, { jsonParse: false });
      return true;
    } catch {
      return false;
    }
  };
  const bodySignature = request.headers["x-passkit-signature"];
  const [first] = place.secrets;
  const judged =
    typeof bodySignature === "string" && first !== undefined
      ? { bodySignatureHolds: isBodySignature(bodySignature, first.text, body) }
      : {};
  return {
    path: request.url ?? "/",
    method: request.method ?? "",
    webhookId,
    isReplay: request.headers["webhook-replay"] === "true",
    passId: passIdOf(body),
    atMs: Date.now(),
    status: 0,
    signatures: signature === "" ? 0 : signature.split(" ").length,
    verifiedBy: [...place.secrets.keys()].filter((at) => {
      const secret = place.secrets[at];
      return secret !== undefined && verifies(secret.webhook);
    }),
    ...judged,
  };
}

/** PassKit's: hex HMAC-SHA256 of the body, keyed with the secret's text as the subscriber sees it. */
function isBodySignature(given: string, secret: string, body: Buffer): boolean {
  const right = createHmac("sha256", secret).update(body).digest();
  const other = Buffer.from(given, "hex");
  return other.length === right.length && timingSafeEqual(other, right);
}

/** STANDARD has the pass under `data`, PASSKIT at the top. */
function passIdOf(body: Buffer): string {
  const { pass, data } = JSON.parse(body.toString("utf8")) as {
    readonly pass?: { readonly id?: string };
    readonly data?: { readonly pass?: { readonly id?: string } };
  };
  return (data?.pass ?? pass)?.id ?? "";
}

/** Answers the calls whose condition holds now. */
function settle(): void {
  const reached = waiting.filter(({ isReached }) => isReached());
  if (reached.length === 0) return;
  waiting = waiting.filter((one) => !reached.includes(one));
  for (const { call } of reached) tell({ call, receipts: [] });
}

function obey(call: number, command: SinkCommand): void {
  switch (command.kind) {
    case "answer":
      placeOf(command.path).answer = command.answer;
      tell({ call, receipts: [] });
      break;
    case "secrets":
      placeOf(command.path).secrets = command.secrets.map((text) => ({ text, webhook: new Webhook(text) }));
      tell({ call, receipts: [] });
      break;
    case "release": {
      const place = placeOf(command.path);
      place.answer = OK;
      for (const held of place.held.splice(0)) reply(place, held);
      tell({ call, receipts: [] });
      break;
    }
    case "receipts":
      tell({ call, receipts: receipts.slice(command.from) });
      break;
    case "left":
      waiting.push({ call, isReached: () => connections.size === 0 });
      settle();
      break;
    case "reach": {
      const { paths, webhooks } = command;
      waiting.push({ call, isReached: () => paths.every((path) => placeOf(path).webhookIds.size >= webhooks) });
      settle();
      break;
    }
    case "accepted": {
      const { path, webhooks } = command;
      waiting.push({ call, isReached: () => placeOf(path).accepted.size >= webhooks });
      settle();
      break;
    }
    case "requests": {
      const { path, requests } = command;
      waiting.push({ call, isReached: () => placeOf(path).requests >= requests });
      settle();
      break;
    }
  }
}

function tell(message: SinkMessage): void {
  process.send?.(message);
}

process.on("message", ({ call, command }: SinkCall) => obey(call, command));
// The owner is gone: nobody will ask any more.
process.on("disconnect", () => process.exit(0));

const server = createServer({ keepAliveTimeout: 60_000 }, receive);
server.on("connection", (socket) => {
  connections.add(socket);
  socket.once("close", () => {
    connections.delete(socket);
    settle();
  });
});
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the sink has no port");
  tell({ port: address.port });
});
