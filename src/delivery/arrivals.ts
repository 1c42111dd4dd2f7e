/**
 * Events that were read and not planned yet: each organisation's wait by themselves, in the order of the log, and the
 * organisations take turns, so that one's backlog doesn't stand in front of another's event.
 */
import type { Arrival } from "./in-hand.ts";

/** How many events of an organisation may be planned now. */
export type RoomOf = (organisation: string) => number;

/** A queue that has its turn, and the most that it may give. */
interface Party {
  readonly organisation: string;
  readonly queue: Arrival[];
  readonly most: number;
}

export class Arrivals {
  /** In the order of their turns; none is empty. */
  readonly #queues = new Map<string, Arrival[]>();
  #size = 0;
  #bytes = 0;

  get size(): number {
    return this.#size;
  }

  /** Of the events, as they stand in the log. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Behind what is there of their organisations. */
  push(arrivals: readonly Arrival[]): void {
    for (const arrival of arrivals) {
      this.#queueOf(arrival).push(arrival);
      this.#count(arrival, 1);
    }
  }

  /** In front of what is there of their organisations: they were taken, and not planned. */
  putBack(arrivals: readonly Arrival[]): void {
    for (const arrival of arrivals.toReversed()) {
      this.#queueOf(arrival).unshift(arrival);
      this.#count(arrival, 1);
    }
  }

  /** Whether one of the organisations has room. */
  someHas(roomOf: RoomOf): boolean {
    for (const organisation of this.#queues.keys()) if (roomOf(organisation) > 0) return true;
    return false;
  }

  /**
   * Takes the next `most` events: of all organisations in turn that have room the same number, and what one does not have,
   * or has no room for, of the others.
   */
  take(most: number, roomOf: RoomOf): Arrival[] {
    const parties = this.#inTurn(most, roomOf);
    for (const { organisation, queue } of parties) {
      this.#queues.delete(organisation);
      this.#queues.set(organisation, queue);
    }
    // Those with the least first: what they leave of their shares is known when the others' turn comes.
    parties.sort((left, right) => left.most - right.most);
    const taken: Arrival[] = [];
    parties.forEach(({ organisation, queue, most: mostOfIt }, at) => {
      const share = Math.ceil((most - taken.length) / (parties.length - at));
      for (const arrival of queue.splice(0, Math.min(mostOfIt, share))) {
        this.#count(arrival, -1);
        taken.push(arrival);
      }
      if (queue.length === 0) this.#queues.delete(organisation);
    });
    return taken;
  }

  drop(isLost: (arrival: Arrival) => boolean): void {
    for (const [organisation, queue] of [...this.#queues]) {
      const kept = queue.filter((arrival) => !isLost(arrival));
      for (const arrival of queue) if (isLost(arrival)) this.#count(arrival, -1);
      if (kept.length > 0) this.#queues.set(organisation, kept);
      else this.#queues.delete(organisation);
    }
  }

  /** As many as get one event at least. */
  #inTurn(most: number, roomOf: RoomOf): Party[] {
    const parties: Party[] = [];
    for (const [organisation, queue] of this.#queues) {
      if (parties.length === most) break;
      const room = roomOf(organisation);
      if (room > 0) parties.push({ organisation, queue, most: Math.min(room, queue.length) });
    }
    return parties;
  }

  #queueOf({ stored }: Arrival): Arrival[] {
    const { organisation } = stored.tenant;
    const known = this.#queues.get(organisation);
    if (known !== undefined) return known;
    const queue: Arrival[] = [];
    this.#queues.set(organisation, queue);
    return queue;
  }

  #count({ stored }: Arrival, by: 1 | -1): void {
    this.#size += by;
    this.#bytes += by * stored.value.length;
  }
}
