/** Whose turn it is: organisations take turns, and within each its endpoints, so that many endpoints get no more turns than one. */
import type { Lane } from "./lane.ts";

export class Round {
  /** In the order of their turns. */
  readonly #organisations = new Map<string, Set<Lane>>();

  /** At the end of its organisation's turns. */
  add(lane: Lane): void {
    const lanes = this.#organisations.get(lane.organisation);
    if (lanes === undefined) this.#organisations.set(lane.organisation, new Set([lane]));
    else lanes.add(lane);
  }

  delete(lane: Lane): void {
    const lanes = this.#organisations.get(lane.organisation);
    if (lanes?.delete(lane) === true && lanes.size === 0) this.#organisations.delete(lane.organisation);
  }

  /** The next lane of the next organisation that may have a turn; this organisation is the last then. */
  next(may: (organisation: string) => boolean): Lane | undefined {
    for (const [organisation, lanes] of this.#organisations) {
      if (!may(organisation)) continue;
      this.#organisations.delete(organisation);
      this.#organisations.set(organisation, lanes);
      return lanes.values().next().value;
    }
    return undefined;
  }
}
