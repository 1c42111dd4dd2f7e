/** Time that stands still until nothing is left to do, and then jumps to the next timer. */
import type { Clock } from "../../src/kernel/clock.ts";

interface Timer {
  readonly atMs: number;
  readonly order: number;
  task: (() => void) | undefined;
}

const before = (left: Timer, right: Timer): boolean =>
  left.atMs < right.atMs || (left.atMs === right.atMs && left.order < right.order);

/** Of the whole simulated world. Timers run by their time, then in the order of their making. */
export class VirtualClock {
  #nowMs: number;
  #order = 0;
  /** A binary heap; a cancelled timer stays in it without its task. */
  readonly #heap: Timer[] = [];

  constructor(startMs: number) {
    this.#nowMs = startMs;
  }

  now(): number {
    return this.#nowMs;
  }

  /** The returned function cancels. */
  after(delayMs: number, task: () => void): () => void {
    const timer: Timer = { atMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, task };
    this.#push(timer);
    return () => {
      timer.task = undefined;
    };
  }

  /** Jumps to the next timer and runs it; false where that lies behind `untilMs`, to which the clock then jumps. */
  step(untilMs: number): boolean {
    for (;;) {
      const next = this.#heap[0];
      if (next === undefined || next.atMs > untilMs) {
        this.#nowMs = Math.max(this.#nowMs, untilMs);
        return false;
      }
      this.#pop();
      const { task } = next;
      if (task === undefined) continue;
      next.task = undefined;
      this.#nowMs = next.atMs;
      task();
      return true;
    }
  }

  #push(timer: Timer): void {
    const heap = this.#heap;
    let at = heap.push(timer) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = heap[above];
      if (parent === undefined || before(parent, timer)) break;
      heap[at] = parent;
      at = above;
    }
    heap[at] = timer;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      const left = heap[2 * at + 1];
      const right = heap[2 * at + 2];
      const isRight = left !== undefined && right !== undefined && before(right, left);
      const least = isRight ? right : left;
      if (least === undefined || before(last, least)) break;
      heap[at] = least;
      at = 2 * at + (isRight ? 2 : 1);
    }
    heap[at] = last;
  }
}

/**
 * One worker process as time sees it: its clock may differ from the others', and it can be stopped (SIGSTOP), when
 * nothing reaches it until it goes on, or killed, when nothing ever does.
 */
export class ProcessClock implements Clock {
  readonly #world: VirtualClock;
  readonly #skewMs: number;
  #state: "running" | "stopped" | "dead" = "running";
  /** What came while it was stopped, in its order. */
  #missed: (() => void)[] = [];
  #timers = 0;

  constructor(world: VirtualClock, skewMs: number) {
    this.#world = world;
    this.#skewMs = skewMs;
  }

  now(): number {
    return this.#world.now() + this.#skewMs;
  }

  /** Counts while it is stopped, as the port asks. */
  monotonic(): number {
    return this.#world.now();
  }

  after(delayMs: number, task: () => void): () => void {
    let isOpen = true;
    this.#timers++;
    const close = () => {
      if (isOpen) this.#timers--;
      isOpen = false;
    };
    const cancel = this.#world.after(delayMs, () =>
      this.deliver(() => {
        if (!isOpen) return;
        close();
        task();
      }),
    );
    return () => {
      close();
      cancel();
    };
  }

  /** Something from outside: it reaches a stopped process when that goes on, and a dead one never. */
  deliver(task: () => void): void {
    if (this.#state === "running") task();
    else if (this.#state === "stopped") this.#missed.push(task);
  }

  get isRunning(): boolean {
    return this.#state === "running";
  }

  get isDead(): boolean {
    return this.#state === "dead";
  }

  /** Timers that have neither run nor been cancelled. */
  get timers(): number {
    return this.#timers;
  }

  stop(): void {
    if (this.#state === "running") this.#state = "stopped";
  }

  resume(): void {
    if (this.#state !== "stopped") return;
    this.#state = "running";
    // Each by itself, and all at this moment: promises settle in between, as they do between two tasks of a process.
    for (const task of this.#missed.splice(0)) this.#world.after(0, () => this.deliver(task));
  }

  kill(): void {
    this.#state = "dead";
    this.#missed = [];
  }
}
