/** Choices by chance that can be made again: a case is its run's seed and its own number, whatever came before it. */
import { hash } from "node:crypto";
import { type Random, seededRandom } from "../../../src/kernel/random.ts";

export class Chance {
  readonly #random: Random;

  constructor(seed: number, number: number, what: string) {
    const digest = hash("sha256", `${what} ${seed} ${number}`, "buffer");
    this.#random = seededRandom(digest.readUInt32BE(0));
  }

  /** From 0 to less than `end`. */
  below(end: number): number {
    return Math.floor(this.#random.next() * end);
  }

  /** True once in `n`. */
  oneIn(n: number): boolean {
    return this.below(n) === 0;
  }

  of<T>(choices: readonly T[]): T {
    if (choices.length === 0) throw new Error("there is nothing to choose from");
    return choices[this.below(choices.length)] as T;
  }

  bytes(count: number): Buffer {
    return Buffer.from(this.#random.bytes(count));
  }

  /** Small ones mostly. */
  count(most: number): number {
    return Math.min(most, this.oneIn(10) ? this.below(most + 1) : this.below(3));
  }
}
