import { CodedError } from "../kernel/errors.ts";
import { LIMITS } from "../kernel/limits.ts";

/** Test sends and challenges skip the caps of the endpoints; so they have one of their own, for the whole process. */
export class DirectSlots {
  readonly #limit: number;
  #taken = 0;

  constructor(limit: number = LIMITS.directSends) {
    this.#limit = limit;
  }

  /** `limit.direct_sends` where all are taken. */
  async run<T>(send: () => Promise<T>): Promise<T> {
    if (this.#taken >= this.#limit) {
      const message = `${this.#limit} test sends and challenges are in flight, which is as many as may be; try again`;
      throw new CodedError("limit.direct_sends", message);
    }
    this.#taken++;
    try {
      return await send();
    } finally {
      this.#taken--;
    }
  }
}
