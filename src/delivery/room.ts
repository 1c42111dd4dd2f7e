/**
 * How much of what was read may be planned, and so what bounds the memory of deliveries. One organisation may fill it
 * as long as it is alone. Even then the events of those that have little in it are planned, up to a bound that counts
 * every organisation alike: one that fans out widely uses up no more of it than another.
 */
import { LIMITS } from "../kernel/limits.ts";
import type { Chains } from "./chains.ts";
import type { InHand } from "./in-hand.ts";
import type { Lanes } from "./lanes.ts";
import type { Recorder } from "./recorder.ts";

export interface RoomDeps {
  readonly lanes: Pick<Lanes, "count" | "hasFullLaneOf">;
  readonly chains: Pick<Chains, "waiting">;
  readonly inHand: Pick<InHand, "eventBytes" | "slowEventBytes" | "worksOf" | "firstWorks">;
  readonly recorder: Pick<Recorder, "takesMore">;
}

export class Room {
  readonly #deps: RoomDeps;

  constructor(deps: RoomDeps) {
    this.#deps = deps;
  }

  /** False while nothing more may be planned, whoever's it is. */
  get isOpen(): boolean {
    const { inHand, recorder } = this.#deps;
    if (!recorder.takesMore || inHand.slowEventBytes >= LIMITS.slowEventBytes) return false;
    return this.#isFree || inHand.firstWorks < LIMITS.sharedDeliveries;
  }

  /** How many of this organisation's events, while it is open. */
  of(organisation: string): number {
    const { inHand, lanes } = this.#deps;
    if (lanes.hasFullLaneOf(organisation)) return 0;
    return this.#isFree ? Number.POSITIVE_INFINITY : Math.max(0, LIMITS.ownDeliveries - inHand.worksOf(organisation));
  }

  /**
   * Whether a batch that is being planned goes on. It began when there was room, and may take as much again.
   * @param unplaced deliveries of it that nobody counts yet.
   */
  mayGoOn(unplaced: number): boolean {
    return this.#isBelow(2, unplaced);
  }

  get #isFree(): boolean {
    return this.#isBelow(1, 0);
  }

  #isBelow(times: number, unplaced: number): boolean {
    const { lanes, chains, inHand } = this.#deps;
    const pending = lanes.count + chains.waiting + unplaced;
    return pending < times * LIMITS.pendingDeliveries && inHand.eventBytes < times * LIMITS.pendingEventBytes;
  }
}
