/** Lanes whose requests have a rate: they get turns as they need them, and go on when one comes. */
import type { Clock } from "../kernel/clock.ts";
import type { Log } from "../kernel/log.ts";
import type { EndpointHealth } from "./endpoint-health.ts";
import type { RateStore } from "./endpoint-store.ts";
import type { Lane } from "./lane.ts";
import type { Lanes } from "./lanes.ts";
import { type Pace, Paces } from "./rate-pace.ts";
import { isFromLog, type Work } from "./work.ts";

/** How long claimed work may wait in memory for its turn. */
const LATE_MS = 2_000;

export interface RatedLanesDeps {
  readonly store: RateStore;
  readonly endpoints: Pick<EndpointHealth, "isOpen">;
  readonly lanes: () => Lanes;
  readonly clock: Clock;
  readonly log: Log;
  /** Something that waits in the store may go. */
  readonly onDue: () => void;
}

export class RatedLanes {
  readonly #deps: RatedLanesDeps;
  readonly #paces: Paces;

  constructor(deps: RatedLanesDeps) {
    this.#deps = deps;
    const { store, clock, log } = deps;
    this.#paces = new Paces({ store, clock, log, onTurn: (pace) => this.#onTurn(pace) });
  }

  stop(): void {
    this.#paces.stop();
  }

  /** Reserves turns for what waits in the lane, and for what it can fetch from the store. */
  serve(lane: Lane): void {
    const { pace } = lane;
    if (pace === undefined) return;
    const hasMore = this.#hasMore(lane);
    if (!hasMore && lane.queued === 0) return;
    this.#paces.want(pace, lane.turnsWanted(this.#deps.clock.monotonic(), hasMore));
    this.#paces.expect(pace);
  }

  /** Claimed work that has waited long for its turn leaves the lane: its lease is not for waiting in. */
  takeLate(lane: Lane): readonly Work[] {
    if (lane.pace === undefined) return [];
    const nowMs = this.#deps.clock.monotonic();
    return this.#deps.lanes().take(lane, (work) => !isFromLog(work) && nowMs - work.queuedAtMs > LATE_MS);
  }

  #onTurn(pace: Pace): void {
    const lanes = this.#deps.lanes();
    const lane = lanes.find(pace.key.subscriptionId);
    if (lane?.pace !== pace) return;
    lanes.refresh(lane);
    this.serve(lane);
    if (this.#hasMore(lane) && lane.freeSlots(this.#deps.clock.monotonic()) > 0) this.#deps.onDue();
  }

  #hasMore(lane: Lane): boolean {
    return (lane.behind || lane.moreDue) && !this.#deps.endpoints.isOpen(lane.subscriptionId);
  }
}
