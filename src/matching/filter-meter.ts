import { CodedError } from "../kernel/errors.ts";

/**
 * What one evaluation of a filter may cost. It counts work and not time, so that a filter says the same of an event on
 * every machine and in every try. A unit is about a microsecond at worst (filter-cost.test.ts measures it).
 */
export class CostMeter {
  readonly #budget: number;
  #left = 0;

  constructor(budget: number) {
    this.#budget = budget;
  }

  /** At the start of an evaluation. */
  refill(): void {
    this.#left = this.#budget;
  }

  /** Before the work is done. Throws a `filter.cost` once there is no more to spend, and from then on at every call. */
  charge(units: number): void {
    this.#left -= units;
    if (this.#left < 0) throw new CodedError("filter.cost", "costs too much");
  }

  /** Charges for one pass over so many characters, of which `perUnit` come to a unit. */
  chargeText(characters: number, perUnit: number): void {
    this.charge(Math.ceil(characters / perUnit));
  }

  /** Since the last refill. */
  get spent(): number {
    return this.#budget - this.#left;
  }

  /** A refusal may be swallowed on its way, as CEL's `||` swallows an error; it counts all the same. */
  get isOver(): boolean {
    return this.#left < 0;
  }
}
