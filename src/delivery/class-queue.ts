import type { WorkClass } from "../domain/delivery.ts";
import type { Work } from "./work.ts";

/** What has waited for so long behind more urgent work gets one start in `OTHERS_TURN`, or its lease would end here. */
const PASSED_OVER_MS = 10_000;
const OTHERS_TURN = 10;

/** What waits in one lane: live work before retries before replays, and in its order within a class. */
export class ClassQueue {
  readonly #classes: Readonly<Record<WorkClass, Fifo>> = { live: new Fifo(), retry: new Fifo(), replay: new Fifo() };
  /** Live starts since another class had one. */
  #liveStarts = 0;

  get length(): number {
    const { live, retry, replay } = this.#classes;
    return live.length + retry.length + replay.length;
  }

  /** What stands before live work that joins now. */
  get live(): number {
    return this.#classes.live.length;
  }

  /** That of the most urgent class that waits. */
  get oldest(): Work | undefined {
    const { live, retry, replay } = this.#classes;
    return live.first ?? retry.first ?? replay.first;
  }

  push(work: Work): void {
    this.#classes[work.workClass].push(work);
  }

  /** The next to start. */
  shift(nowMs: number): Work | undefined {
    const { live, retry, replay } = this.#classes;
    const isLate = ({ first }: Fifo) => first !== undefined && nowMs - first.queuedAtMs > PASSED_OVER_MS;
    const late = this.#liveStarts >= OTHERS_TURN - 1 ? [retry, replay].find(isLate) : undefined;
    if (late === undefined && live.length > 0) {
      this.#liveStarts++;
      return live.shift();
    }
    this.#liveStarts = 0;
    return late?.shift() ?? retry.shift() ?? replay.shift();
  }

  /** Takes out what `which` says. */
  take(which: (work: Work) => boolean): Work[] {
    const { live, retry, replay } = this.#classes;
    return [live, retry, replay].flatMap((fifo) => fifo.take(which));
  }
}

class Fifo {
  #works: Work[] = [];
  #head = 0;

  get length(): number {
    return this.#works.length - this.#head;
  }

  get first(): Work | undefined {
    return this.#works[this.#head];
  }

  push(work: Work): void {
    this.#works.push(work);
  }

  shift(): Work | undefined {
    const work = this.#works[this.#head];
    if (work === undefined) return undefined;
    this.#head++;
    if (this.#head > 256 && this.#head * 2 > this.#works.length) {
      this.#works = this.#works.slice(this.#head);
      this.#head = 0;
    }
    return work;
  }

  take(which: (work: Work) => boolean): Work[] {
    const waiting = this.#works.slice(this.#head);
    const taken = waiting.filter(which);
    if (taken.length > 0) {
      this.#works = waiting.filter((work) => !which(work));
      this.#head = 0;
    }
    return taken;
  }
}
