import type { WorkClass } from "../domain/delivery.ts";
import type { Work } from "./work.ts";

/** While live work waits, one start in so many is another class's, or an endless stream would let their leases end. */
const OTHERS_TURN = 10;

/** What waits in one lane: live work before retries before replays, and in its order within a class. */
export class ClassQueue {
  readonly #classes: Readonly<Record<WorkClass, Fifo>> = { live: new Fifo(), retry: new Fifo(), replay: new Fifo() };
  /** Starts in a row that others waited through. */
  #passedOver = 0;

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

  shift(): Work | undefined {
    const { live, retry, replay } = this.#classes;
    const isOthersTurn = live.length === 0 || this.#passedOver >= OTHERS_TURN - 1;
    const other = isOthersTurn ? (retry.shift() ?? replay.shift()) : undefined;
    if (other !== undefined || retry.length + replay.length === 0) this.#passedOver = 0;
    else this.#passedOver++;
    return other ?? live.shift();
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
