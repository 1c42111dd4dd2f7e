/** Calls over HTTP: hands each request to the RPC that its path names, and to `otherwise` where it names none. */
import { constants } from "node:http2";
import { Code, ConnectError, type ConnectRouter, type ContextValues, createContextValues } from "@connectrpc/connect";
import type { UniversalHandler } from "@connectrpc/connect/protocol";
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from "@connectrpc/connect-node";
import { peerNetwork } from "../access/peer.ts";
import { isOpenToAnyone } from "../access/roles.ts";
import type { Clock } from "../kernel/clock.ts";
import { CodedError } from "../kernel/errors.ts";
import { LIMITS } from "../kernel/limits.ts";
import type { Log } from "../kernel/log.ts";
import { addressOf, connectionKey, rememberPeer } from "./access-peer.ts";
import { type BodyBudget, Envelopes, mostBytesOf } from "./bodies.ts";
import { rememberCertificate } from "./client-certificate.ts";
import type { Connection } from "./connections.ts";
import { connectError } from "./errors.ts";
import { organisationOf, principalOf } from "./gate.ts";
import { isJsonOverGrpc, readJson } from "./json-body.ts";
import { KeylessBeginnings } from "./keyless.ts";
import type { HttpRequest, HttpResponse } from "./port.ts";

/** After a call's deadline, what the answer itself may still take before the call is cut. */
const ANSWER_MS = 5_000;

/** How long, and how much of it, the rest of a body is read after its call was answered. */
interface Linger {
  readonly forMs: number;
  readonly mostBytes: number;
}

const LINGER: Linger = { forMs: 2_000, mostBytes: Number.POSITIVE_INFINITY };
/**
 * Where the call needs no key nobody has a reason to send more; and what is only dropped has to be collected all the
 * same, in pauses that everybody feels.
 */
const KEYLESS_LINGER: Linger = { forMs: 100, mostBytes: 64 * 1_024 };

export interface CallDeps {
  readonly router: ConnectRouter;
  readonly clock: Clock;
  readonly log: Log;
  readonly bodies: BodyBudget;
  readonly otherwise: (request: HttpRequest, response: HttpResponse) => Promise<void>;
}

export function serveCalls(
  deps: CallDeps,
): (request: HttpRequest, response: HttpResponse, connection: Connection) => void {
  const handlers = new Map(deps.router.handlers.map((handler) => [handler.requestPath, handler]));
  const keyless = new KeylessBeginnings(deps.clock);
  return (request, response, connection) => {
    const path = request.url?.split("?", 1)[0] ?? "";
    const handler = handlers.get(path);
    if (handler === undefined) response.once("finish", () => creditBody(request, connection));
    else if (isKeylessStream(handler) && !keyless.take(peerNetwork(addressOf(connection)))) {
      refuseStream({ request, response, connection }, deps.clock);
      return;
    }
    const answered =
      handler === undefined
        ? deps.otherwise(request, response)
        : call(handler, { request, response, connection }, deps);
    answered.catch((reason: unknown) => {
      // A caller that went away is no mistake of ours.
      if (ConnectError.from(reason).code !== Code.Aborted) deps.log.error("api.answer_failed", { path, err: reason });
      if (!response.headersSent) response.statusCode = 500;
      response.end();
    });
  };
}

/** Before it is a call: nothing of it was looked at but its path. */
function refuseStream(exchange: Exchange, clock: Clock): void {
  const { response } = exchange;
  if ("stream" in response) {
    response.stream.close(constants.NGHTTP2_REFUSED_STREAM);
    return;
  }
  response.once("finish", () => dropRest(exchange, clock, KEYLESS_LINGER));
  response.statusCode = 429;
  response.end();
}

function isKeylessStream(handler: UniversalHandler): boolean {
  return handler.method.methodKind !== "unary" && isOpenToAnyone(nameOf(handler));
}

interface Exchange {
  readonly request: HttpRequest;
  readonly response: HttpResponse;
  readonly connection: Connection;
}

async function call(handler: UniversalHandler, exchange: Exchange, deps: CallDeps) {
  const { request, response } = exchange;
  const sending = "stream" in response ? response.stream : response;
  const needsKey = !isOpenToAnyone(nameOf(handler));
  const linger = needsKey ? LINGER : KEYLESS_LINGER;
  sending.once("finish", () => dropRest(exchange, deps.clock, linger));
  const universal = isJsonOverGrpc(request.headers["content-type"]) ? 415 : universalRequest(handler, exchange, deps);
  if (typeof universal === "number") {
    response.statusCode = universal;
    response.end();
    return;
  }
  // A body that trickles in has no deadline of the protocol's: it is cut here.
  if (handler.method.methodKind === "unary") {
    const timeoutMs = needsKey ? LIMITS.requestDeadlineMs + ANSWER_MS : LIMITS.keylessTimeoutMs;
    const cancel = deps.clock.after(timeoutMs, () => cut(request));
    response.once("close", cancel);
  }
  const answer = await handler(universal);
  if (answer.trailer !== undefined) spellMessage(answer.trailer);
  await universalResponseToNodeResponse(answer, response);
}

/**
 * gRPC's status message is percent-encoded where it isn't printable ASCII (gRPC over HTTP/2, "Status-Message"). The
 * library encodes colons, commas and brackets besides, which @grpc/grpc-js leaves standing: `subscription.url%3A`.
 */
function spellMessage(trailer: Headers): void {
  const encoded = trailer.get("grpc-message");
  if (encoded === null) return;
  const message = decodeURIComponent(encoded);
  trailer.set("grpc-message", message.replace(/[^\x20-\x24\x26-\x7e]+/g, encodeURIComponent));
}

function nameOf({ service, method }: UniversalHandler): string {
  return `${service.typeName}/${method.name}`;
}

/** 400 where the authority is missing or is none: the request has no URL. */
function universalRequest(handler: UniversalHandler, exchange: Exchange, { bodies }: CallDeps) {
  const { request, response, connection } = exchange;
  try {
    const values = createContextValues();
    rememberPeer(connection, values);
    values.set(connectionKey, connection);
    rememberCertificate(request, connection, values);
    const universal = universalRequestFromNodeRequest(request, response, undefined, values);
    // A handler that stops reading early must not take the connection with it: the answer would be lost.
    const counted = creditedBody(request.iterator({ destroyOnReturn: false }), connection);
    const body = isOpenToAnyone(nameOf(handler)) ? counted : heldBody(counted, { handler, response, values, bodies });
    const { header } = universal;
    return { ...universal, body: readJson(body, { header, values, mostBytes: mostBytesOf(handler.service) }) };
  } catch {
    return 400;
  }
}

/** Of what is no call: a body that came whole was as long as it said (RFC 9113 §8.1.1, which node:http2 holds it to). */
function creditBody(request: HttpRequest, connection: Connection): void {
  const length = Number(request.headers["content-length"] ?? 0);
  if (request.complete && Number.isSafeInteger(length)) connection.took(length);
}

interface Holding {
  readonly handler: UniversalHandler;
  readonly response: HttpResponse;
  readonly values: ContextValues;
  readonly bodies: BodyBudget;
}

/**
 * Counts what is read and not whole: of a stream the message that is under way; of a call with one message all, which
 * waits for the body's end however whole the message is. Read behind the gate, so it is known whose it is.
 */
async function* heldBody(body: AsyncIterable<Buffer>, holding: Holding): AsyncIterable<Buffer> {
  const { handler, response, values, bodies } = holding;
  const held = bodies.open(organisationOf(values) === undefined ? undefined : principalOf({ values }));
  const { methodKind } = handler.method;
  const envelopes = methodKind === "unary" || methodKind === "server_streaming" ? undefined : new Envelopes();
  let bytes = 0;
  // Also where nobody reads on.
  response.once("close", () => held.hold(0));
  try {
    for await (const chunk of body) {
      bytes = envelopes === undefined ? bytes + chunk.length : envelopes.read(chunk);
      held.hold(bytes);
      yield chunk;
    }
  } catch (error) {
    throw error instanceof CodedError ? connectError(error) : error;
  } finally {
    held.hold(0);
  }
}

async function* creditedBody(body: AsyncIterable<Buffer>, connection: Connection): AsyncIterable<Buffer> {
  for await (const chunk of body) {
    connection.took(chunk.length);
    yield chunk;
  }
}

/**
 * What the answer did not wait for of the body (it was too large, say) is read and dropped for a while: to close at once
 * could take the answer along, and to read on for ever would keep a caller's connection that stopped half-way.
 */
function dropRest({ request, connection }: Exchange, clock: Clock, { forMs, mostBytes }: Linger): void {
  if (request.complete) return;
  let bytes = 0;
  request.on("data", (chunk: Buffer) => {
    // It is we who take it: a caller whose body was too large once is not one who floods.
    connection.took(chunk.length);
    bytes += chunk.length;
    if (bytes >= mostBytes) request.pause();
  });
  const cancel = clock.after(forMs, () => cut(request));
  request.once("close", cancel);
  request.resume();
}

function cut(request: HttpRequest): void {
  if ("stream" in request) request.stream.close();
  else request.socket.destroy();
}
