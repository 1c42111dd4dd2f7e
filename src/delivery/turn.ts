/** One delivery's turn in its lane: the last look, the attempt, and what follows from its outcome. */
import type { Subscription } from "../domain/subscription.ts";
import { sleep } from "../kernel/clock.ts";
import type { Log } from "../kernel/log.ts";
import type { Random } from "../kernel/random.ts";
import type { Tenant } from "../kernel/tenant.ts";
import type { SubscriptionIndex } from "../matching/subscription-index.ts";
import { type AttemptDeps, attempt } from "./attempt.ts";
import { decide } from "./classify.ts";
import type { NextState } from "./delivery-store.ts";
import type { Outcomes } from "./outcomes.ts";
import { isFromLog, type Work, type WorkAssignment } from "./work.ts";

/** Turns a subscription off on the receiver's word. */
export interface EndpointSwitch {
  disable(tenant: Tenant, subscriptionId: string, reason: "gone"): Promise<unknown>;
}

export interface TurnDeps extends AttemptDeps {
  readonly index: SubscriptionIndex;
  readonly endpointSwitch: EndpointSwitch;
  readonly random: Random;
  readonly log: Log;
  /** False once a partition is, or may be, another's (protocol, rule 2). */
  readonly isFresh: (assignment: WorkAssignment) => boolean;
}

/** How a turn ends where nothing is to be recorded of it. */
export interface TurnEnds {
  readonly outcomes: Outcomes;
  readonly stopping: AbortSignal;
  /** Nothing was sent: what is from the log stays there, what was claimed is due again at once. */
  readonly putBack: (work: Work) => void;
  /** Neither sent nor recorded: it is another's. */
  readonly giveUp: (work: Work) => void;
}

const RETRY_MS = 1_000;
const RUN_FAILED_WAIT_MS = 60_000;

export class Turns {
  readonly #deps: TurnDeps;
  readonly #ends: TurnEnds;

  constructor(deps: TurnDeps, ends: TurnEnds) {
    this.#deps = deps;
    this.#ends = ends;
  }

  /** Whether the endpoint said anything; true where it wasn't asked. */
  async run(work: Work): Promise<boolean> {
    try {
      const subscription = await this.#subscriptionOf(work);
      if (subscription === "stopped") this.#ends.putBack(work);
      else if (work.event.conflicted || !this.#mayStillSend(work, subscription)) this.#ends.giveUp(work);
      else if (subscription?.state === "enabled") return await this.#attempt(work, subscription);
      else this.#setAside(work, subscription);
    } catch (err) {
      // A mistake of ours must not wedge the log or spin: the delivery waits in the store.
      this.#deps.log.error("delivery.run_failed", { err, deliveryId: work.id });
      const dueAtMs = this.#deps.clock.now() + RUN_FAILED_WAIT_MS;
      this.#ends.outcomes.finish(work, { next: { status: "waiting", dueAtMs, workClass: "retry" } });
    }
    return true;
  }

  /** What an attempt uses is read when it starts. */
  async #subscriptionOf(work: Work): Promise<Subscription | undefined | "stopped"> {
    const { index } = this.#deps;
    const { tenant } = work.event.stored;
    if (index.holds(tenant)) return index.find(tenant, work.subscriptionId);
    while (!this.#ends.stopping.aborted) {
      try {
        return (await index.refresh([tenant])).find(tenant, work.subscriptionId);
      } catch (err) {
        this.#deps.log.error("delivery.index_failed", { err });
        await sleep(this.#deps.clock, RETRY_MS, this.#ends.stopping);
      }
    }
    return "stopped";
  }

  /** Nothing is to be sent after all: its subscription was deleted, or is disabled. */
  #setAside(work: Work, subscription: Subscription | undefined): void {
    const next: NextState =
      subscription === undefined ? { status: "cancelled", finishedAtMs: this.#deps.clock.now() } : { status: "held" };
    this.#ends.outcomes.finish(work, { next });
  }

  /** The last look before sending: the partition is still ours, or the lease outlasts the attempt. */
  #mayStillSend(work: Work, subscription: Subscription | undefined): boolean {
    if (work.claim !== undefined) {
      return this.#deps.clock.now() + (subscription?.policy.attemptTimeoutMs ?? 0) < work.claim.leaseUntilMs;
    }
    return !isFromLog(work) || this.#deps.isFresh(work.assignment);
  }

  async #attempt(work: Work, subscription: Subscription): Promise<boolean> {
    const result = await attempt(this.#deps, work.event, subscription, work.id);
    const nowMs = this.#deps.clock.now();
    if (result.outcome.kind === "cancelled") {
      this.#ends.putBack(work);
      return true;
    }
    const { next, gone } = decide(result.outcome, subscription.policy, work.runAttempts + 1, nowMs, this.#deps.random);
    this.#deps.log.debug("delivery.attempted", {
      deliveryId: work.id,
      subscriptionId: work.subscriptionId,
      outcome: result.outcome.kind,
      next: next.status,
      durationMs: result.attempt.durationMs,
    });
    this.#ends.outcomes.finish(work, { attempt: result.attempt, next });
    if (gone) await this.#disable(subscription);
    return result.outcome.kind !== "unreachable";
  }

  async #disable(subscription: Subscription): Promise<void> {
    try {
      await this.#deps.endpointSwitch.disable(subscription.tenant, subscription.id, "gone");
      this.#deps.log.warn("subscription.disabled", { subscriptionId: subscription.id, reason: "gone" });
    } catch (err) {
      // The next 410 tries again.
      this.#deps.log.error("subscription.disable_failed", { err, subscriptionId: subscription.id });
    }
  }
}
