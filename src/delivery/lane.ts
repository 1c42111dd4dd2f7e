import { LIMITS } from "../kernel/limits.ts";
import { ClassQueue } from "./class-queue.ts";
import type { Pace } from "./rate-pace.ts";
import type { Work } from "./work.ts";

/** Over how long the lane's rate is measured: as short as shows a hang soon, longer than a pause of our own thread. */
const WINDOW_MS = 250;
/** Where this process is the limit, an endpoint gets as many requests in flight as its rate asks for, times this. */
const HEADROOM = 2;
/** Requests in flight to an endpoint that has ceased to answer: enough to notice when it is well again. */
const HANGING_IN_FLIGHT = 8;
const REMEMBERED_MS = 10 * 60_000;
/** Claims that a lane takes however much waits for it: retries must not starve behind an endless stream. */
const CLAIMS_RESERVED = 4;
/** How often it is looked how long a request takes when few are in flight. */
const PROBE_EVERY_MS = 2_000;
/** So long a look lasts at most, for what was in flight to end and one of the few to be answered. */
const PROBE_MS = 300;
/** Where none was by then, the endpoint takes long by itself, and is looked at less often: a look costs it throughput. */
const PROBE_SLOW_EVERY_MS = 10_000;
/** An endpoint that is well again begins with so few requests at the same time; each that is answered makes room for one more. */
const RAMP_FROM = 1;
/** It begins so though its work comes only now. */
const RAMP_KEPT_MS = 10_000;
/** How much work may be fetched ahead from the store: what the lane finishes in this time. */
export const AHEAD_MS = 250;

/**
 * The way to one endpoint: what waits for it in memory and what is in flight. It tells how long something that joins
 * now would wait; whoever would wait too long goes to the store instead, so that memory and the log stay free.
 */
export class Lane {
  readonly subscriptionId: string;
  readonly organisation: string;
  /** Requests at the same time. Follows the subscription's policy. */
  cap: number;
  /** Requests at the same time for now: the cap, or fewer (`adapt`). */
  #limit = Number.POSITIVE_INFINITY;
  /** It had ceased to answer when last looked at. */
  #hangs = false;
  #probedAtMs = Number.NEGATIVE_INFINITY;
  /** The shortest duration since the last probe. */
  #shortestMs = Number.POSITIVE_INFINITY;
  /** Present where its requests have a rate. */
  pace: Pace | undefined;
  /** Requests at the same time while it comes back to its cap. */
  #ramp = Number.POSITIVE_INFINITY;
  #rampFromMs = Number.NEGATIVE_INFINITY;
  /** True while work of this endpoint was spilled and may still wait in the store: newer work queues behind it there. */
  behind = false;
  /** The organisation whose stop left work of this endpoint in the store: while it lasts, no claim says what is left. */
  stoppedWith: string | undefined;
  /** True while the store may have more due work for it than the last claim could take: a free slot is worth a claim. */
  moreDue = false;
  readonly #inFlight = new Set<Work>();
  /** Of those in flight, how many have taken long. */
  #slow = 0;
  /** Claims, queued or in flight. */
  #claims = 0;
  /** When a request last took long and got no answer, with none answered since. */
  #unansweredAtMs: number | undefined;
  readonly #queue = new ClassQueue();
  /** What finished in the current window, and in the one before it. */
  #finished = 0;
  #finishedBefore = 0;
  #windowFromMs: number | undefined;
  /** Since when it has had work without a break, */
  #busySinceMs = 0;
  /** whether it has answered since, */
  #hasAnswered = false;
  /** and how many requests all endpoints had answered by then. */
  #answersBefore = 0;

  constructor(subscriptionId: string, cap: number, organisation = "") {
    this.subscriptionId = subscriptionId;
    this.cap = cap;
    this.organisation = organisation;
  }

  get queued(): number {
    return this.#queue.length;
  }

  get inFlight(): number {
    return this.#inFlight.size;
  }

  get isIdle(): boolean {
    return this.queued === 0 && this.#inFlight.size === 0;
  }

  /**
   * How many claims it can take: what it could start at once, or, where it is quicker than its cap, what it finishes in
   * a moment. A lease lasts many times longer.
   * @param aheadMs until the claim after the next is likely to be back.
   */
  freeSlots(nowMs: number, aheadMs = AHEAD_MS): number {
    if (this.#isHanging(nowMs))
      return Math.max(0, Math.min(this.cap, HANGING_IN_FLIGHT) - this.#inFlight.size - this.queued);
    if (this.pace !== undefined) {
      // No more than may go: what waits for its turn waits in the store, where the more urgent can overtake it.
      return Math.max(0, Math.min(this.pace.held(nowMs), this.startable - this.#inFlight.size) - this.queued);
    }
    if (this.#ramp < this.cap) return Math.max(0, this.#ramp - this.#inFlight.size - this.queued);
    const rate = this.#ratePerMs(nowMs);
    const wanted = Math.max(this.cap, Math.min(LIMITS.laneQueue, rate * aheadMs));
    const reserved = rate > 0 ? Math.min(this.cap, CLAIMS_RESERVED) - this.#claims : 0;
    return Math.max(0, reserved, Math.floor(wanted) - this.#inFlight.size - this.queued);
  }

  get canStart(): boolean {
    return this.queued > 0 && this.#inFlight.size < this.startable;
  }

  /** As `canStart`, and its rate allows it now. */
  mayStart(nowMs: number): boolean {
    return this.canStart && (this.pace === undefined || this.pace.ready(nowMs) > 0);
  }

  /** Requests at the same time for now. */
  get startable(): number {
    return Math.min(this.cap, this.#hangs ? HANGING_IN_FLIGHT : this.#limit, this.#ramp);
  }

  /** It is well again: what waits for it goes few at a time first. */
  beginSlowly(nowMs: number): void {
    this.#ramp = RAMP_FROM;
    this.#rampFromMs = nowMs;
    this.#unansweredAtMs = undefined;
  }

  /**
   * How many turns of its rate it could use beyond those that it holds, where few are left.
   * @param hasMore whether work waits for it in the store.
   */
  turnsWanted(nowMs: number, hasMore: boolean): number {
    if (this.pace === undefined) return 0;
    const ahead = hasMore ? this.pace.ahead : 0;
    const held = this.pace.held(nowMs);
    const wanted = this.queued + ahead;
    return held * 2 > wanted ? 0 : wanted - held;
  }

  /**
   * Where this process is the limit, more requests in flight than an endpoint's rate and its shortest duration ask for
   * only wait for each other, each on a connection of its own that costs. Twice what is asked for lets the rate double
   * from one look to the next. What a request takes by itself shows only when few are in flight, so every now and then
   * few are, for one look (as BBR probes a path's round trip). An endpoint that is slow by itself keeps its cap.
   * @param fewest in flight, however little is asked for.
   */
  adapt(nowMs: number, saturated: boolean, fewest: number): void {
    this.#hangs = this.#isHanging(nowMs);
    if (this.#hangs) return;
    if (!saturated) {
      // By doubling: one calm look amid many busy ones doesn't let everything go at the same time.
      this.#limit = this.#limit * 2 < this.cap ? this.#limit * 2 : Number.POSITIVE_INFINITY;
      return;
    }
    const isKnown = Number.isFinite(this.#shortestMs);
    const sinceProbeMs = nowMs - this.#probedAtMs;
    if (this.#limit > 2 * fewest && sinceProbeMs > (isKnown ? PROBE_EVERY_MS : PROBE_SLOW_EVERY_MS)) {
      this.#probedAtMs = nowMs;
      this.#shortestMs = Number.POSITIVE_INFINITY;
      this.#limit = fewest;
    } else if (isKnown) {
      this.#limit = Math.max(fewest, HEADROOM * this.#ratePerMs(nowMs) * this.#shortestMs);
    } else if (sinceProbeMs >= PROBE_MS) {
      this.#limit = Number.POSITIVE_INFINITY;
    }
  }

  /**
   * How long live work that joins now will wait, at the rate at which work has been finishing. 0 of a lane that has been at
   * work for less than `graceMs`: nothing is known of it yet.
   */
  expectedWaitMs(nowMs: number, graceMs = WINDOW_MS): number {
    const ahead = this.#queue.live;
    if (ahead === 0 || nowMs - this.#busySinceMs < graceMs) return 0;
    return ahead / this.#ratePerMs(nowMs);
  }

  get oldestQueued(): Work | undefined {
    return this.#queue.oldest;
  }

  inFlightWorks(): IterableIterator<Work> {
    return this.#inFlight.values();
  }

  /** That the endpoint did not answer, or has only just begun to again, is worth knowing when it is tried again. */
  remembers(nowMs: number): boolean {
    return this.#hasBeenSilent(nowMs) || nowMs - this.#rampFromMs < RAMP_KEPT_MS;
  }

  #hasBeenSilent(nowMs: number): boolean {
    return this.#unansweredAtMs !== undefined && nowMs - this.#unansweredAtMs < REMEMBERED_MS;
  }

  /** The request has taken long already. False where that was known. */
  noteSlow(work: Work): boolean {
    if (work.isSlow === true || !this.#inFlight.has(work)) return false;
    work.isSlow = true;
    this.#slow++;
    return true;
  }

  /**
   * Nothing has come of it since it has had work, though the others have answered so often meanwhile.
   * @param answers of all endpoints so far.
   */
  isOutpaced(answers: number, by: number): boolean {
    return !this.#hasAnswered && answers - this.#answersBefore >= by;
  }

  /** @param answers of all endpoints so far. */
  push(work: Work, answers = 0): void {
    if (work.claim !== undefined) this.#claims++;
    // What happened before it was idle says nothing of now.
    if (this.isIdle) {
      this.#busySinceMs = work.queuedAtMs;
      this.#hasAnswered = false;
      this.#answersBefore = answers;
      this.#openWindow(work.queuedAtMs, 0);
    }
    this.#queue.push(work);
  }

  /** Takes the next of the queue into flight. */
  start(nowMs: number): Work | undefined {
    if (this.queued === 0 || this.pace?.take(nowMs) === false) return undefined;
    const work = this.#queue.shift(nowMs);
    if (work === undefined) return undefined;
    work.startedAtMs = nowMs;
    this.#inFlight.add(work);
    return work;
  }

  /** @param answered whether the endpoint said anything, be it no. */
  finish(work: Work, nowMs: number, answered: boolean): void {
    if (!this.#inFlight.delete(work)) return;
    if (answered) {
      this.#hasAnswered = true;
      this.#unansweredAtMs = undefined;
      this.#ramp = this.#ramp < this.cap ? this.#ramp + 1 : Number.POSITIVE_INFINITY;
    }
    if (!answered && work.isSlow === true) this.#unansweredAtMs = nowMs;
    if (work.isSlow === true) this.#slow--;
    if (work.claim !== undefined) this.#claims--;
    this.#turnWindow(nowMs);
    if (answered || work.isSlow !== true) this.#finished++;
    const startedAtMs = work.startedAtMs ?? nowMs;
    // What was in flight before the probe waited for all the others.
    if (startedAtMs >= this.#probedAtMs) this.#shortestMs = Math.min(this.#shortestMs, nowMs - startedAtMs);
  }

  /** Takes out of the queue what `which` says. */
  takeQueued(which: (work: Work) => boolean): Work[] {
    const taken = this.#queue.take(which);
    for (const work of taken) if (work.claim !== undefined) this.#claims--;
    return taken;
  }

  /** Requests take long, and none has been answered of late. */
  #isHanging(nowMs: number): boolean {
    return this.#hasBeenSilent(nowMs) || (this.#slow > 0 && this.#ratePerMs(nowMs) === 0);
  }

  #ratePerMs(nowMs: number): number {
    this.#turnWindow(nowMs);
    const sinceMs = nowMs - (this.#windowFromMs ?? nowMs) + (this.#finishedBefore > 0 ? WINDOW_MS : 0);
    return sinceMs === 0 ? 0 : (this.#finished + this.#finishedBefore) / sinceMs;
  }

  #turnWindow(nowMs: number): void {
    const ageMs = nowMs - (this.#windowFromMs ?? nowMs);
    if (ageMs >= 2 * WINDOW_MS) this.#openWindow(nowMs - WINDOW_MS, 0);
    else if (ageMs >= WINDOW_MS) this.#openWindow(nowMs, this.#finished);
  }

  #openWindow(fromMs: number, finishedBefore: number): void {
    this.#windowFromMs = fromMs;
    this.#finished = 0;
    this.#finishedBefore = finishedBefore;
  }
}
