/** The customers' endpoints, and the worker's way to them. */
import type { Exchange, OutboundRequest, Sender } from "../../src/delivery/sender.ts";
import type { AttemptIds } from "./attempt-ids.ts";
import type { Ledger } from "./ledger.ts";
import type { ProcessClock } from "./virtual-clock.ts";
import type { World } from "./world.ts";

export const MODES = ["accept", "refuse", "slow", "hang", "gone", "busy", "flaky", "closed"] as const;
export type Mode = (typeof MODES)[number];

/** What becomes of one request. */
interface Fate {
  /** Absent: no answer, ever. */
  readonly status?: number;
  readonly retryAfter?: string;
  /** From the request's arrival. */
  readonly afterMs: number;
}

/** Endpoints by their subscriptions' ids. */
export class Receivers {
  readonly #world: World;
  readonly #modes = new Map<string, Mode>();

  constructor(world: World) {
    this.#world = world;
  }

  set(subscriptionId: string, mode: Mode): void {
    this.#modes.set(subscriptionId, mode);
    this.#world.trace(() => `the endpoint of ${subscriptionId}: ${mode}`);
  }

  modeOf(subscriptionId: string): Mode {
    return this.#modes.get(subscriptionId) ?? "accept";
  }

  get all(): IterableIterator<string> {
    return this.#modes.keys();
  }

  fateOf(subscriptionId: string): Fate {
    const world = this.#world;
    const mode = this.modeOf(subscriptionId);
    const soonMs = world.between(0, 30);
    switch (mode === "flaky" ? world.pick(["accept", "accept", "refuse", "slow", "hang", "closed"] as const) : mode) {
      case "accept":
        return { status: 200, afterMs: soonMs };
      case "refuse":
        return { status: world.pick([400, 404, 500, 503]), afterMs: soonMs };
      case "slow":
        return { status: 200, afterMs: world.between(500, 4_000) };
      case "gone":
        return { status: 410, afterMs: soonMs };
      case "busy":
        return { status: 429, retryAfter: String(world.between(1, 2)), afterMs: soonMs };
      default:
        return { afterMs: 0 };
    }
  }
}

export interface SenderOptions {
  readonly world: World;
  readonly receivers: Receivers;
  readonly ledger: Ledger;
  readonly process: ProcessClock;
  readonly worker: string;
  readonly ids: AttemptIds;
}

/** One worker's sender: a request takes its time, its answer too, and a timeout is the worker's own. */
export function simulatedSender(options: SenderOptions): Sender {
  const { world, receivers, ledger, process, worker, ids } = options;
  const open = new Set<(exchange: Exchange) => void>();
  return {
    send(request: OutboundRequest) {
      const subscriptionId = new URL(request.url).hostname.split(".", 1)[0] ?? "";
      const attemptId = ids.lastAttempt;
      const deliveryId = request.headers["webhook-id"] ?? "";
      const sent = ledger.began({ attemptId, deliveryId, subscriptionId, worker });
      return new Promise((resolve) => {
        const beganMs = process.monotonic();
        const end = (exchange: Exchange) => {
          if (!open.delete(end)) return;
          cancelTimeout();
          ledger.ended(sent, exchange);
          resolve({ ...exchange, durationMs: process.monotonic() - beganMs });
        };
        open.add(end);
        const cancelTimeout = process.after(request.timeoutMs, () => end(failure("attempt.timeout")));
        // A request on its way arrives, or not, whatever becomes of its sender.
        world.clock.after(world.between(0, 20), () => {
          if (process.isDead && world.chance(0.5)) return;
          const isClosed = receivers.modeOf(subscriptionId) === "closed";
          if (isClosed) return process.deliver(() => end(failure("connect.refused")));
          const fate = receivers.fateOf(subscriptionId);
          world.clock.after(fate.afterMs, () => {
            if (fate.status === undefined) return;
            ledger.answered(sent, fate.status);
            const headers: Record<string, string> =
              fate.retryAfter === undefined ? {} : { "retry-after": fate.retryAfter };
            const { status } = fate;
            const excerpt = new Uint8Array();
            const exchange: Exchange = { kind: "response", status, headers, excerpt, durationMs: 0 };
            world.clock.after(world.between(0, 20), () => process.deliver(() => end(exchange)));
          });
        });
      });
    },
    async close() {
      for (const end of [...open]) end(failure("attempt.cancelled"));
    },
  };
}

function failure(reason: "attempt.timeout" | "attempt.cancelled" | "connect.refused"): Exchange {
  return { kind: "failure", reason, message: "simulated", durationMs: 0 };
}
