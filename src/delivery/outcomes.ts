/** From what was decided about a delivery to the write that makes it durable, and back to those who wait for it. */
import type { Delivery, DeliveryStatus } from "../domain/delivery.ts";
import type { Clock } from "../kernel/clock.ts";
import type { Chains } from "./chains.ts";
import type { DeliveryWrite } from "./delivery-store.ts";
import type { InHand } from "./in-hand.ts";
import type { Recorder, WriteResult } from "./recorder.ts";
import type { Counting } from "./stats.ts";
import { isFromLog, type Work, type WorkResult } from "./work.ts";

/** How long a claimed delivery is one worker's (design, section 8). */
export const LEASE_MS = 60_000;

export interface OutcomesDeps {
  readonly recorder: Recorder;
  readonly inHand: InHand;
  readonly clock: Clock;
  readonly chains: Pick<Chains, "writing" | "written">;
  /** A row is durable that the retry scheduler should look at now. */
  readonly onDue: () => void;
  /** Told of what is durable. Left out: nothing is counted. */
  readonly counting?: Pick<Counting, "attempted"> | undefined;
}

export class Outcomes {
  readonly #deps: OutcomesDeps;

  constructor(deps: OutcomesDeps) {
    this.#deps = deps;
  }

  /** Work that has not started leaves memory for the store, and its record leaves the log. */
  spill(work: Work): void {
    const nowMs = this.#deps.clock.now();
    this.#write(work, this.#first(work, "waiting", { workClass: work.workClass, dueAtMs: nowMs }), () => {
      this.#forget(work);
      this.#deps.onDue();
    });
  }

  /** Work in flight that takes long: its record leaves the log, the request goes on under a lease. */
  lease(work: Work): void {
    const leaseUntilMs = this.#deps.clock.now() + LEASE_MS;
    work.row = "writing";
    this.#write(work, this.#first(work, "attempting", { leaseUntilMs }), (result) => {
      work.row = result === "applied" ? "leased" : "refused";
      this.#releaseWaiters(work);
      if (work.late !== undefined) this.finish(work, work.late);
    });
  }

  /** What came of it: an attempt's outcome, or a decision without one. */
  finish(work: Work, result: WorkResult): void {
    if (work.row === "writing") {
      work.late = result;
      return;
    }
    this.#write(work, this.#finalWrite(work, result), (written) => {
      this.#deps.counting?.attempted(work, result, written === "applied");
      this.#forget(work);
      if (result.next.status === "waiting") this.#deps.onDue();
    });
  }

  /** Lets go of work that was neither sent nor recorded. Its record stays in the log for whoever has the partition. */
  drop(work: Work): void {
    if (isFromLog(work)) this.#deps.inHand.works.delete(work.id);
    this.#deps.inHand.letGo(work);
  }

  #finalWrite(work: Work, result: WorkResult): DeliveryWrite {
    const { next, attempt } = result;
    const claim = work.claim ?? (work.row === "leased" ? { fence: 0, run: 1 } : undefined);
    if (claim !== undefined) {
      const { fence, run } = claim;
      const attempted = attempt === undefined ? {} : { attempt };
      return { kind: "outcome", tenant: work.event.stored.tenant, id: work.id, fence, run, ...attempted, next };
    }
    const { status, ...rest } = next;
    return this.#first(work, status, {
      ...rest,
      ...(attempt === undefined ? {} : { attempts: [attempt], attemptCount: 1, runAttempts: 1 }),
    });
  }

  #first(work: Work, status: DeliveryStatus, rest: Partial<Delivery>): DeliveryWrite {
    const { stored } = work.event;
    return {
      kind: "first",
      delivery: {
        id: work.id,
        tenant: stored.tenant,
        eventId: stored.id,
        eventType: stored.type,
        passId: stored.passId,
        subscriptionId: work.subscriptionId,
        status,
        workClass: work.workClass,
        run: 1,
        fence: 0,
        runAttempts: 0,
        attemptCount: 0,
        attempts: [],
        createdAtMs: work.createdAtMs,
        ...placeOf(work),
        ...rest,
      },
    };
  }

  #write(work: Work, write: DeliveryWrite, then: (result: WriteResult) => void): void {
    const { recorder, chains } = this.#deps;
    const { status } = write.kind === "first" ? write.delivery : write.next;
    if (work.event.conflicted) {
      this.#forget(work);
      chains.written(work, status, "void");
      return;
    }
    recorder.addDelivery(write, work.event.stored.id, (result) => {
      if (result === "void") this.#forget(work);
      else then(result);
      chains.written(work, status, result);
    });
    // Behind it in the same group commit: those that follow it into the store.
    chains.writing(work, status);
  }

  #forget(work: Work): void {
    this.#releaseWaiters(work);
    this.#deps.inHand.letGo(work);
  }

  /** The row is durable (or void): nobody has to wait for this delivery any more. */
  #releaseWaiters(work: Work): void {
    this.#deps.inHand.works.delete(work.id);
    for (const waiter of work.waiters.splice(0)) waiter.release();
  }
}

/** Its place in its chain, and what is to be known of it there. */
function placeOf({ sequence, event }: Work): Pick<Delivery, "sequence" | "protocolEvent"> {
  if (sequence === undefined) return {};
  return event.event.protocolEvent.case === undefined ? { sequence } : { sequence, protocolEvent: true };
}
