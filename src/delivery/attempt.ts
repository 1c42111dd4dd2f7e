/** One attempt: render (once per event and format), sign, send, and write down what came of it. */
import type { Attempt, AttemptRequest } from "../domain/delivery.ts";
import type { Outcome } from "../domain/outcome.ts";
import type { Subscription } from "../domain/subscription.ts";
import { type Format, type Rendered, renderOptions } from "../formats/format.ts";
import { formatOf } from "../formats/registry.ts";
import type { Clock } from "../kernel/clock.ts";
import { CodedError } from "../kernel/errors.ts";
import type { IdSource } from "../kernel/ids.ts";
import type { Signer } from "../signing/signer.ts";
import { classify, errorCodeOf } from "./classify.ts";
import type { Exchange, OutboundRequest, Sender } from "./sender.ts";
import type { EventInHand } from "./work.ts";

export interface AttemptDeps {
  readonly sender: Sender;
  readonly signer: Signer;
  readonly clock: Clock;
  readonly ids: IdSource;
  readonly userAgent: string;
}

export interface AttemptResult {
  readonly outcome: Outcome;
  readonly attempt: Attempt;
}

/**
 * Sends one event to one subscription. Never rejects: what goes wrong on our side is an outcome too. `marks` are headers
 * that say what sort of delivery it is.
 */
export async function attempt(
  deps: Omit<AttemptDeps, "sender"> & { readonly sender: Pick<Sender, "send"> },
  event: EventInHand,
  subscription: Subscription,
  deliveryId: string,
  marks: Readonly<Record<string, string>> = {},
): Promise<AttemptResult> {
  const startedAtMs = deps.clock.now();
  const id = deps.ids.next("att");
  let sent: Prepared;
  try {
    sent = prepare(deps, event, subscription, deliveryId, startedAtMs, marks);
  } catch (error) {
    const coded =
      error instanceof CodedError ? error : new CodedError("format.failed", messageOf(error), { cause: error });
    const outcome: Outcome = { kind: "ourFault", error: coded };
    return { outcome, attempt: { id, startedAtMs, durationMs: 0, errorCode: coded.code, errorMessage: coded.message } };
  }
  const exchange = await deps.sender.send(sent.request);
  const outcome = classify(exchange, deps.clock.now());
  return { outcome, attempt: { id, startedAtMs, ...recordOf(sent.request, sent.rendered, exchange, outcome) } };
}

/** A webhook as it would leave. */
interface Prepared {
  readonly rendered: Rendered;
  readonly request: OutboundRequest;
}

/** Renders and signs. @throws CodedError `format.failed`, or as the signer does. */
export function prepare(
  deps: Pick<AttemptDeps, "signer" | "userAgent">,
  event: EventInHand,
  subscription: Subscription,
  deliveryId: string,
  nowMs: number,
  marks: Readonly<Record<string, string>> = {},
): Prepared {
  const format = formatOf(subscription.format);
  const rendered = renderOnce(format, event, subscription);
  const headers = {
    ...subscription.headers,
    "user-agent": deps.userAgent,
    ...rendered.headers,
    ...marks,
    ...deps.signer.sign(subscription, format, deliveryId, nowMs, rendered.body),
  };
  const { url, policy } = subscription;
  const tls = deps.signer.tlsOf(subscription);
  const request: OutboundRequest = {
    ...{ method: rendered.method, url, headers, body: rendered.body, timeoutMs: policy.attemptTimeoutMs },
    ...(tls === undefined ? {} : { tls }),
  };
  return { rendered, request };
}

function renderOnce(format: Format, event: EventInHand, subscription: Subscription): Rendered {
  const options = renderOptions(subscription);
  const key = `${format.name}/${format.renderKey(options)}`;
  let rendered = event.rendered.get(key);
  if (rendered === undefined) {
    rendered = format.render(event, options);
    event.rendered.set(key, rendered);
  }
  return rendered;
}

function recordOf(
  request: OutboundRequest,
  rendered: Rendered,
  exchange: Exchange,
  outcome: Outcome,
): Omit<Attempt, "id" | "startedAtMs"> {
  const errorCode = errorCodeOf(outcome);
  const failed = errorCode === undefined ? {} : { errorCode };
  const { durationMs, sentAfterMs, firstByteAfterMs, connection } = exchange;
  const moments = {
    ...(sentAfterMs === undefined ? {} : { sentAfterMs }),
    ...(firstByteAfterMs === undefined ? {} : { firstByteAfterMs }),
    ...(connection === undefined ? {} : { connection }),
  };
  const sent = { durationMs, ...moments, request: requestRecord(request, rendered), ...failed };
  if (exchange.kind === "failure") return { ...sent, errorMessage: exchange.message };
  return {
    ...sent,
    statusCode: exchange.status,
    responseHeaders: exchange.headers,
    ...(exchange.excerpt.length === 0 ? {} : { responseExcerpt: Buffer.from(exchange.excerpt).toString("utf8") }),
  };
}

/** Values that hold neither a secret nor what could be one; CloudEvents' attributes are none either. */
const SAFE_VALUES = new Set([
  "content-type",
  "user-agent",
  "webhook-id",
  "webhook-timestamp",
  "webhook-test",
  "webhook-replay",
]);

function isSafe(name: string): boolean {
  return SAFE_VALUES.has(name) || name.startsWith("ce-");
}

function requestRecord(request: OutboundRequest, rendered: Rendered): AttemptRequest {
  const headers: Record<string, string> = {};
  for (const name in request.headers) headers[name] = isSafe(name) ? (request.headers[name] ?? "") : "";
  return {
    method: request.method,
    url: request.url,
    headers,
    bodySha256: rendered.bodySha256,
    bodyBytes: rendered.body.length,
  };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
