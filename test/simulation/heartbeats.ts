/**
 * Workers' beats over the store of one history, and whose leases are whose: what MongoDB's adapter reads from a row's
 * token (src/adapters/mongodb/heartbeats.ts), kept beside the rows. The embedded store, whose statements the simulation
 * runs on, has one process and knows no holders.
 */
import { ATTEMPTING } from "../../src/adapters/sqlite/calls.ts";
import type { ClaimedDelivery, DeliveryLog, DeliveryStore } from "../../src/delivery/delivery-store.ts";
import type { HeartbeatStore, Pulse } from "../../src/delivery/heartbeat-store.ts";
import type { Delivery } from "../../src/domain/delivery.ts";
import type { SimulatedStore } from "./store.ts";
import type { World } from "./world.ts";

/** Under which name a row was leased, with which fence: of a later lease it says nothing. */
interface Held {
  readonly holder: string;
  readonly fence: number;
}

/** A worker, under the name that it has at this time. */
interface Named {
  holder: string;
  life: number;
}

interface Beats {
  beats: number;
  isDead: boolean;
  /** Nothing of it is left to end. */
  isForgotten: boolean;
  readonly onDead: () => void;
}

export interface HeldPorts {
  readonly beats: HeartbeatStore;
  readonly deliveries: DeliveryStore & DeliveryLog;
}

export class SimulatedHeartbeats {
  readonly #world: World;
  readonly #store: SimulatedStore;
  readonly #all = new Map<string, Beats>();
  readonly #leases = new Map<string, Held>();
  #names = 0;

  constructor(world: World, store: SimulatedStore) {
    this.#world = world;
    this.#store = store;
  }

  /** One worker's connection; `onDead` is called when another takes it for dead. */
  worker(onDead: () => void): HeldPorts {
    const named: Named = { holder: this.#newName(), life: 1 };
    return { beats: this.#beatsOf(named, onDead), deliveries: this.#deliveriesOf(named) };
  }

  #newName(): string {
    return `holder-${++this.#names}`;
  }

  #beatsOf(named: Named, onDead: () => void): HeartbeatStore {
    return {
      beat: async () => {
        if (this.#all.get(named.holder)?.isDead === true) {
          named.holder = this.#newName();
          named.life++;
        }
        const mine = this.#all.get(named.holder) ?? { beats: 0, isDead: false, isForgotten: false, onDead };
        mine.beats++;
        this.#all.set(named.holder, mine);
        return named.life;
      },
      pulses: async () =>
        [...this.#all]
          .filter(([holder, { isForgotten }]) => holder !== named.holder && !isForgotten)
          .map(([holder, { beats, isDead }]): Pulse => ({ holder, beats, isDead })),
      bury: async ({ holder, beats }, nowMs) => {
        const found = this.#all.get(holder);
        if (found === undefined || found.beats !== beats) return 0;
        if (!found.isDead) found.onDead();
        const ended = this.#end(holder, found, nowMs);
        this.#world.count("lease of a silent worker ended", ended);
        return ended;
      },
      leave: async (nowMs) => {
        const mine = this.#all.get(named.holder);
        if (mine === undefined) return 0;
        const ended = this.#end(named.holder, mine, nowMs);
        mine.isForgotten = true;
        return ended;
      },
    };
  }

  #end(holder: string, worker: Beats, nowMs: number): number {
    worker.isDead = true;
    const end = this.#store.database.prepare(
      `UPDATE deliveries SET work_at = ? WHERE id = ? AND fence = ? AND status = ${ATTEMPTING} AND work_at > ?`,
    );
    let ended = 0;
    for (const [id, held] of this.#leases) {
      if (held.holder === holder) ended += Number(end.run(nowMs, id, held.fence, nowMs).changes);
    }
    if (ended === 0) worker.isForgotten = true;
    return ended;
  }

  /** The store's, with a note of what is leased. */
  #deliveriesOf(named: Named): DeliveryStore & DeliveryLog {
    const { deliveries } = this.#store.ports;
    const note = ({ id, fence }: Delivery) => this.#leases.set(id, { holder: named.holder, fence });
    const noted = (claimed: readonly ClaimedDelivery[]) => {
      for (const { delivery } of claimed) note(delivery);
      return claimed;
    };
    return {
      ...deliveries,
      claim: async (request) => {
        const result = await deliveries.claim(request);
        return { ...result, claimed: noted(result.claimed) };
      },
      fold: async (request) => noted(await deliveries.fold(request)),
      flush: async (batch) => {
        const result = await deliveries.flush(batch);
        batch.deliveries.forEach((write, at) => {
          const isLease = write.kind === "first" && write.delivery.status === "attempting";
          if (isLease && result.applied[at] === true) note(write.delivery);
        });
        return result;
      },
    };
  }
}
