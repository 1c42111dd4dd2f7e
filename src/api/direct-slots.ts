import { CodedError } from "../kernel/errors.ts";
import { LIMITS } from "../kernel/limits.ts";

/**
 * Test sends and challenges skip the caps of the endpoints; so they have one of their own, for the whole process, and a
 * share of it for each organisation.
 */
export class DirectSlots {
  readonly #limit: number;
  readonly #share: number;
  readonly #takenBy = new Map<string, number>();
  #taken = 0;

  constructor(limit: number = LIMITS.directSends, share: number = LIMITS.directSendsPerOrganisation) {
    this.#limit = limit;
    this.#share = share;
  }

  /** `limit.direct_sends` where all are taken, or the organisation's. */
  async run<T>(organisation: string, send: () => Promise<T>): Promise<T> {
    const own = this.#takenBy.get(organisation) ?? 0;
    if (own >= this.#share) throw taken(`${own} test sends and challenges of the organisation`);
    if (this.#taken >= this.#limit) throw taken(`${this.#taken} test sends and challenges`);
    this.#takenBy.set(organisation, own + 1);
    this.#taken++;
    try {
      return await send();
    } finally {
      this.#release(organisation);
    }
  }

  #release(organisation: string): void {
    const left = (this.#takenBy.get(organisation) ?? 0) - 1;
    if (left > 0) this.#takenBy.set(organisation, left);
    else this.#takenBy.delete(organisation);
    this.#taken--;
  }
}

function taken(what: string): CodedError {
  return new CodedError("limit.direct_sends", `${what} are in flight, which is as many as may be; try again`);
}
