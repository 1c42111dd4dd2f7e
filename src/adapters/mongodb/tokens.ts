import { randomUUID } from "node:crypto";

/** Names for writes. What a connection leases bears its own name in them, and so is found when its holder has died. */
export class Tokens {
  #holder: string = randomUUID();
  #named = 0;
  #life = 1;

  /** What every token begins with, before a dot. */
  get holder(): string {
    return this.#holder;
  }

  /** A name that no other write or claim has, of this or any other process. */
  next(): string {
    this.#named += 1;
    return `${this.#holder}.${this.#named}`;
  }

  /** Names that it has had, this one with them. */
  get life(): number {
    return this.#life;
  }

  rename(): void {
    this.#holder = randomUUID();
    this.#life += 1;
  }
}
