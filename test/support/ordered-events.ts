/**
 * Events whose order per pass is to be kept: one producer that repeats what broke, and the judgement of a receiver's
 * records.
 */
import { PassProtocol } from "../../gen/io/pass_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { deliveryId } from "../../src/domain/delivery.ts";
import type { NewEvent } from "./paced-publisher.ts";
import type { Clients } from "./passbus.ts";
import type { Receipt } from "./sink-wire.ts";

const TENANT = { organisation: "default", environment: "production" };

export interface Verdict {
  readonly requests: number;
  readonly refused: number;
  readonly lost: number;
  /** First acceptances that came after one of a later event of the pass. */
  readonly inversions: number;
  /** Requests that came before an earlier event of the pass was accepted. */
  readonly overtaking: number;
  /** Acceptances beyond an event's first. */
  readonly repeats: number;
}

/** Number `at` is of pass `at % passes`. */
export class OrderedEvents {
  readonly count: number;
  readonly passes: number;

  constructor(count: number, passes: number) {
    this.count = count;
    this.passes = passes;
  }

  #idOf(at: number): string {
    return `event-${String(at).padStart(7, "0")}`;
  }

  #eventOf(at: number): NewEvent {
    const pass = { id: `pass-${at % this.passes}`, classId: "class-1", protocol: PassProtocol.MEMBERSHIP };
    return { id: this.#idOf(at), type: PassEventType.UPDATED, pass };
  }

  /** Each call after the one before it; one that broke is made again where `mayRepeat` says so. */
  async publish(batch: number, clients: () => Promise<Clients>, mayRepeat: () => boolean): Promise<void> {
    for (let from = 0; from < this.count; from += batch) {
      const size = Math.min(batch, this.count - from);
      const events = Array.from({ length: size }, (_, at) => this.#eventOf(from + at));
      for (let isThrough = false; !isThrough; ) {
        const { events: service } = await clients();
        try {
          await service.publishEvents({ events });
          isThrough = true;
        } catch (error) {
          if (!mayRepeat()) throw error;
        }
      }
    }
  }

  /** Where none fails for good, each may leave only after all before it were accepted. */
  judge(subscriptionId: string, receipts: readonly Receipt[]): Verdict {
    const { count, passes } = this;
    const places = new Map<string, number>();
    for (let at = 0; at < count; at++)
      places.set(deliveryId({ tenant: TENANT, id: this.#idOf(at) }, subscriptionId), at);
    const accepted = new Set<number>();
    /** By pass, the last event of which it and all before it were accepted; and the last that was at all. */
    const reached = new Map<number, number>();
    const highest = new Map<number, number>();
    let [refused, inversions, overtaking, repeats] = [0, 0, 0, 0];
    for (const { webhookId, status } of receipts) {
      const at = places.get(webhookId);
      if (at === undefined) throw new Error(`nobody published what ${webhookId} was sent for`);
      const pass = at % passes;
      let upTo = reached.get(pass) ?? pass - passes;
      if (at > upTo + passes) overtaking++;
      if (status !== 200) {
        refused++;
        continue;
      }
      if (accepted.has(at)) repeats++;
      else if (at < (highest.get(pass) ?? -1)) inversions++;
      accepted.add(at);
      highest.set(pass, Math.max(at, highest.get(pass) ?? at));
      while (accepted.has(upTo + passes)) upTo += passes;
      reached.set(pass, upTo);
    }
    return { requests: receipts.length, refused, lost: count - accepted.size, inversions, overtaking, repeats };
  }
}
