/** Our own bins are delivered to in-process, and not over the network: they would not pass the guard, nor need to. */
import type { DirectSender, Exchange, OutboundRequest, Sender } from "../delivery/sender.ts";
import type { Clock } from "../kernel/clock.ts";
import type { BinAnswer, Bins } from "./bins.ts";

export interface BinSenderDeps {
  readonly bins: Pick<Bins, "targetOf" | "take">;
  readonly clock: Clock;
}

/** Hands over what goes to a bin; `sender` sends the rest. */
export function withBins(sender: Sender, deps: BinSenderDeps): Sender {
  return {
    send: (request) => handedOver(request, deps) ?? sender.send(request),
    close: () => sender.close(),
  };
}

/** The same of single requests. */
export function withBinsDirectly(sender: DirectSender, deps: BinSenderDeps): DirectSender {
  return {
    async send(request) {
      const exchange = await handedOver(request, deps);
      return exchange === undefined ? sender.send(request) : { exchange, phases: { totalMs: exchange.durationMs } };
    },
    close: () => sender.close(),
  };
}

/** undefined where the URL is no bin's. */
function handedOver({ method, url, headers, body }: OutboundRequest, { bins, clock }: BinSenderDeps) {
  const target = bins.targetOf(url);
  if (target === undefined) return undefined;
  const beganMs = clock.monotonic();
  const sent = { ...headers, "content-length": String(body.length) };
  return bins.take(target.id, { method, headers: sent, body, path: target.path, fromPassbus: true }).then(
    (answer) => exchangeOf(answer, Math.round(clock.monotonic() - beganMs)),
    // A store that does not take it now may take it later.
    () => exchangeOf(UNAVAILABLE, Math.round(clock.monotonic() - beganMs)),
  );
}

const UNAVAILABLE: BinAnswer = { status: 503, headers: {}, body: '{"error":"the bin can take nothing now"}' };

function exchangeOf({ status, headers, body }: BinAnswer, durationMs: number): Exchange {
  return { kind: "response", status, headers, excerpt: Buffer.from(body), durationMs };
}
