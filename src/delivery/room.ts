/**
 * How much of what was read may be planned, and so what bounds the memory of deliveries. One organisation may fill it
 * as long as it is alone; the events of those that have little in it are planned even then, up to a bound over all.
 */
import { LIMITS } from "../kernel/limits.ts";
import type { Chains } from "./chains.ts";
import type { InHand } from "./in-hand.ts";
import type { Lanes } from "./lanes.ts";
import type { Recorder } from "./recorder.ts";

export interface RoomDeps {
  readonly lanes: Pick<Lanes, "count" | "hasFullLaneOf">;
  readonly chains: Pick<Chains, "waiting">;
  readonly inHand: Pick<InHand, "eventBytes" | "slowEventBytes" | "worksOf">;
  readonly recorder: Pick<Recorder, "takesMore">;
}

/** What those that have little may take beyond the limits, all of them together. */
const OVERDRAFT = { deliveries: LIMITS.overdraftDeliveries, bytes: LIMITS.overdraftEventBytes } as const;
const NO_OVERDRAFT = { deliveries: 0, bytes: 0 } as const;

export class Room {
  readonly #deps: RoomDeps;

  constructor(deps: RoomDeps) {
    this.#deps = deps;
  }

  /** False while nothing more may be planned, whoever's it is. */
  get isOpen(): boolean {
    return this.#deps.recorder.takesMore && this.#fits(OVERDRAFT);
  }

  /** Of this organisation's events, while it is open. */
  of(organisation: string): number {
    if (this.#deps.lanes.hasFullLaneOf(organisation)) return 0;
    if (this.#fits(NO_OVERDRAFT)) return Number.POSITIVE_INFINITY;
    return Math.max(0, LIMITS.ownDeliveries - this.#deps.inHand.worksOf(organisation));
  }

  #fits(overdraft: { readonly deliveries: number; readonly bytes: number }): boolean {
    const { lanes, chains, inHand } = this.#deps;
    return (
      lanes.count + chains.waiting < LIMITS.pendingDeliveries + overdraft.deliveries &&
      inHand.eventBytes < LIMITS.pendingEventBytes + overdraft.bytes &&
      inHand.slowEventBytes < LIMITS.slowEventBytes + overdraft.bytes
    );
  }
}
