import { LIMITS } from "../kernel/limits.ts";
import type { Work } from "./work.ts";

/** Weight of the newest duration in the running mean. */
const MEAN_WEIGHT = 0.1;

/**
 * The way to one endpoint: what waits for it in memory and what is in flight. It tells how long something that joins
 * now would wait; whoever would wait too long goes to the store instead, so that memory and the log stay free.
 */
export class Lane {
  readonly subscriptionId: string;
  /** Requests at the same time. Follows the subscription's policy. */
  cap: number;
  /** True while work of this endpoint was spilled and may still wait in the store: newer work queues behind it there. */
  behind = false;
  readonly #inFlight = new Set<Work>();
  #queue: Work[] = [];
  #head = 0;
  #meanMs = 0;

  constructor(subscriptionId: string, cap: number) {
    this.subscriptionId = subscriptionId;
    this.cap = cap;
  }

  get queued(): number {
    return this.#queue.length - this.#head;
  }

  get inFlight(): number {
    return this.#inFlight.size;
  }

  get isIdle(): boolean {
    return this.queued === 0 && this.#inFlight.size === 0;
  }

  /** Claims that it could start at once. */
  get freeSlots(): number {
    return Math.max(0, this.cap - this.#inFlight.size - this.queued);
  }

  get canStart(): boolean {
    return this.queued > 0 && this.#inFlight.size < this.cap;
  }

  /** The queue is as long as may be: the log waits for it as long as it is quick. */
  get isFull(): boolean {
    return this.queued >= LIMITS.laneQueue;
  }

  /**
   * How long the last of the queue will wait: by the mean duration, or by the age of the oldest request in flight where
   * that is longer (an endpoint that begins to hang shows it before anything finishes).
   */
  expectedWaitMs(nowMs: number): number {
    const oldest = this.oldestInFlight?.startedAtMs;
    const ageMs = oldest === undefined ? 0 : nowMs - oldest;
    return (this.queued * Math.max(this.#meanMs, ageMs)) / this.cap;
  }

  get oldestInFlight(): Work | undefined {
    return this.#inFlight.values().next().value;
  }

  get oldestQueued(): Work | undefined {
    return this.#queue[this.#head];
  }

  inFlightWorks(): IterableIterator<Work> {
    return this.#inFlight.values();
  }

  push(work: Work): void {
    this.#queue.push(work);
  }

  /** Takes the next of the queue into flight. */
  start(nowMs: number): Work | undefined {
    const work = this.#queue[this.#head];
    if (work === undefined) return undefined;
    this.#head++;
    if (this.#head > 256 && this.#head * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
    work.startedAtMs = nowMs;
    this.#inFlight.add(work);
    return work;
  }

  finish(work: Work, nowMs: number): void {
    if (!this.#inFlight.delete(work)) return;
    const tookMs = nowMs - (work.startedAtMs ?? nowMs);
    this.#meanMs += (tookMs - this.#meanMs) * MEAN_WEIGHT;
  }

  /** Takes out of the queue what `which` says. */
  takeQueued(which: (work: Work) => boolean): Work[] {
    const waiting = this.#queue.slice(this.#head);
    const taken = waiting.filter(which);
    if (taken.length > 0) {
      this.#queue = waiting.filter((work) => !which(work));
      this.#head = 0;
    }
    return taken;
  }
}
