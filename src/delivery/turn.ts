/** One delivery's turn in its lane: the last look, the attempt, and what follows from its outcome. */
import type { Attempt } from "../domain/delivery.ts";
import type { Subscription } from "../domain/subscription.ts";
import { sleep } from "../kernel/clock.ts";
import type { Log } from "../kernel/log.ts";
import type { Random } from "../kernel/random.ts";
import type { Tenant } from "../kernel/tenant.ts";
import type { SubscriptionIndex } from "../matching/subscription-index.ts";
import { type AttemptDeps, type AttemptResult, attempt } from "./attempt.ts";
import { type Decision, decide } from "./classify.ts";
import type { NextState } from "./delivery-store.ts";
import type { Admission, EndpointHealth } from "./endpoint-health.ts";
import type { Stopped } from "./kill-switch.ts";
import type { Holder } from "./lease.ts";
import type { OperationalEvents } from "./operational-events.ts";
import type { Outcomes } from "./outcomes.ts";
import { asReplay, replayMarks } from "./replay.ts";
import { isFromLog, type Work, type WorkAssignment } from "./work.ts";

/** Turns a subscription off: on the receiver's word, or for want of one. */
export interface EndpointSwitch {
  /**
   * `urlKey` is that of the endpoint which gave the reason: a subscription that has another by now stays as it is. The
   * subscription as it then is; undefined where there is none any more.
   */
  disable(
    tenant: Tenant,
    subscriptionId: string,
    reason: "gone" | "failing",
    urlKey: string,
  ): Promise<Pick<Subscription, "state"> | undefined>;
}

export interface TurnDeps extends AttemptDeps {
  readonly index: SubscriptionIndex;
  readonly endpointSwitch: EndpointSwitch;
  readonly random: Random;
  readonly log: Log;
  /** False once a partition is, or may be, another's (protocol, rule 2). */
  readonly isFresh: (assignment: WorkAssignment) => boolean;
  readonly stopped: Stopped;
  readonly holder: Holder;
}

/** How a turn ends where nothing is to be recorded of it. */
export interface TurnEnds {
  readonly outcomes: Outcomes;
  readonly operational: OperationalEvents;
  readonly endpoints: EndpointHealth;
  readonly stopping: AbortSignal;
  /** Nothing was sent: what is from the log stays there, what was claimed is due again at once. */
  readonly putBack: (work: Work) => void;
  /** Neither sent nor recorded: it is another's. */
  readonly giveUp: (work: Work) => void;
  /** Nothing was sent, and nothing may be for now: it waits in the store. */
  readonly suspend: (work: Work) => void;
  /** The same, since the endpoint's breaker is open. */
  readonly wait: (work: Work) => void;
}

const RETRY_MS = 1_000;
const RUN_FAILED_WAIT_MS = 60_000;
/** Of a lease, for the outcome to become durable, and for workers' clocks that differ: who sent later would be overtaken. */
const LEASE_SPARE_MS = 5_000;

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
      if (subscription === "stopped" || !this.#isHeld(work)) this.#ends.putBack(work);
      else if (this.#deps.stopped.isStopped(work.event.stored.tenant.organisation)) this.#ends.suspend(work);
      else if (work.event.conflicted || !this.#mayStillSend(work, subscription)) this.#ends.giveUp(work);
      else if (subscription?.state === "enabled") return await this.#admit(work, subscription);
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

  /** The last look before sending: the partition is still ours, or the lease outlasts the attempt and its record. */
  #mayStillSend(work: Work, subscription: Subscription | undefined): boolean {
    if (work.claim !== undefined) {
      const neededMs = (subscription?.policy.attemptTimeoutMs ?? 0) + LEASE_SPARE_MS;
      return this.#deps.clock.now() + neededMs < work.claim.leaseUntilMs;
    }
    return !isFromLog(work) || this.#deps.isFresh(work.assignment);
  }

  /** What we claimed is ours. Where it may not be it isn't sent; whether it is, its fence decides when it is put back. */
  #isHeld({ claim }: Work): boolean {
    const { holder } = this.#deps;
    return claim === undefined || (holder.isSure && claim.life === holder.life);
  }

  async #admit(work: Work, subscription: Subscription): Promise<boolean> {
    const { endpoints } = this.#ends;
    if (!endpoints.isOpen(subscription.id)) return this.#attempt(work, subscription, "yes");
    const admission = await endpoints.admit(subscription);
    if (admission === "no") {
      this.#ends.wait(work);
      return true;
    }
    const isHeld = this.#isHeld(work);
    if (isHeld && this.#mayStillSend(work, subscription)) return this.#attempt(work, subscription, admission);
    endpoints.note(subscription, { kind: "cancelled" }, admission);
    if (isHeld) this.#ends.giveUp(work);
    else this.#ends.putBack(work);
    return true;
  }

  async #attempt(work: Work, subscription: Subscription, admission: Admission): Promise<boolean> {
    const result = await attempt(this.#deps, work.event, subscription, work.id, replayMarks(work.replayId));
    const nowMs = this.#deps.clock.now();
    // What a URL did that has been replaced meanwhile says nothing of the one in its place.
    const isOld = isReplaced(subscription, this.#deps.index.find(subscription.tenant, subscription.id));
    this.#ends.endpoints.note(subscription, isOld ? { kind: "cancelled" } : result.outcome, admission);
    if (result.outcome.kind === "cancelled") {
      this.#ends.putBack(work);
      return true;
    }
    const decided = decide(result.outcome, subscription.policy, work.runAttempts + 1, nowMs, this.#deps.random);
    const concluded =
      decided.next.status === "failed" ? await this.#fail(work, subscription, result, decided) : decided.next;
    const next = work.replayId === undefined ? concluded : asReplay(concluded);
    this.#deps.log.debug("delivery.attempted", {
      deliveryId: work.id,
      subscriptionId: work.subscriptionId,
      outcome: result.outcome.kind,
      next: next.status,
      durationMs: result.attempt.durationMs,
    });
    this.#ends.outcomes.finish(work, { attempt: result.attempt, next });
    return result.outcome.kind !== "unreachable";
  }

  /**
   * What follows from a failure, which may be made durable once this has: told that it is to be disabled, disabled, told
   * that the delivery failed. Whatever of it does not succeed, the delivery waits with the attempt that was made, and all
   * of it happens again. The same where the URL was replaced meanwhile: the new one has not refused anything.
   */
  async #fail(
    work: Work,
    subscription: Subscription,
    { attempt }: AttemptResult,
    { next, gone }: Decision,
  ): Promise<NextState> {
    const { clock, log } = this.#deps;
    try {
      if (await this.#isReplacedByNow(subscription, gone)) {
        return { status: "waiting", dueAtMs: clock.now(), workClass: "retry" };
      }
      // What passbus says of itself gives rise to nothing more.
      const isTold = work.event.stored.operationalType === undefined;
      if (gone) {
        if (isTold) await this.#ends.operational.disabledAsGone(subscription);
        await this.#disable(subscription);
      }
      if (isTold) await this.#tellFailed(work, subscription, attempt);
      return next;
    } catch (err) {
      log.error("delivery.failure_unfinished", { err, deliveryId: work.id, subscriptionId: subscription.id });
      return { status: "waiting", dueAtMs: clock.now() + RUN_FAILED_WAIT_MS, workClass: "retry" };
    }
  }

  /** A 410 has so much in its train that the store is asked. */
  async #isReplacedByNow(subscription: Subscription, gone: boolean): Promise<boolean> {
    const { index } = this.#deps;
    const { tenant, id } = subscription;
    return isReplaced(subscription, (gone ? await index.refresh([tenant]) : index).find(tenant, id));
  }

  async #tellFailed(work: Work, subscription: Subscription, attempt: Attempt): Promise<void> {
    const { id, createdAtMs, claim, runAttempts, event } = work;
    const run = claim?.run ?? 1;
    const failed = { id, eventId: event.stored.id, run, createdAtMs, runAttempts: runAttempts + 1, attempt };
    await this.#ends.operational.deliveryFailed(subscription, failed);
  }

  async #disable({ tenant, id, urlKey }: Subscription): Promise<void> {
    const now = await this.#deps.endpointSwitch.disable(tenant, id, "gone", urlKey);
    if (now?.state === "disabled") this.#deps.log.warn("subscription.disabled", { subscriptionId: id, reason: "gone" });
  }
}

function isReplaced(tried: Subscription, now: Subscription | undefined): boolean {
  return now !== undefined && now.urlKey !== tried.urlKey;
}
