/** What is in memory and not yet durable: the reason why an offset must wait. */
import type { StoredEvent } from "../domain/event.ts";
import { LIMITS } from "../kernel/limits.ts";
import { tenantKey } from "../kernel/tenant.ts";
import type { EventInHand, Waiter, Work, WorkAssignment } from "./work.ts";

/** What the engine needs of an event that came from the log. Intake's IncomingEvent is one. */
export interface Arrival {
  readonly stored: StoredEvent;
  readonly event: EventInHand["event"];
  readonly assignment: WorkAssignment;
  /** Of its record, in the assignment's partition. */
  readonly offset: number;
  done(): void;
  conflict(): void;
}

/** A record of the log, until all that it asked for is durable. */
export class Ticket {
  readonly arrival: Arrival;
  #open = 1;
  #conflicted = false;

  constructor(arrival: Arrival) {
    this.arrival = arrival;
  }

  /** One thing more that must become durable. */
  hold(): Waiter {
    this.#open++;
    let released = false;
    const release = () => {
      if (released) return;
      released = true;
      this.#release();
    };
    return { assignment: this.arrival.assignment, release };
  }

  /** All that the record asks for is held. */
  planned(): void {
    this.#release();
  }

  /** The record becomes a dead letter instead. */
  conflict(): void {
    if (this.#conflicted) return;
    this.#conflicted = true;
    this.arrival.conflict();
  }

  #release(): void {
    this.#open--;
    if (this.#open === 0 && !this.#conflicted) this.arrival.done();
  }
}

/** An event whose row is being written. */
export interface PendingEvent {
  readonly inHand: EventInHand;
  readonly tickets: Ticket[];
  readonly waiters: Waiter[];
}

export class InHand {
  /** Events whose rows are being written, by tenant and id. */
  readonly events = new Map<string, PendingEvent>();
  /** Deliveries from the log whose rows are not durable, by id. */
  readonly works = new Map<string, Work>();
  /** Of those that `eventBytes` counts, by organisation. */
  readonly #worksOf = new Map<string, number>();
  #firstWorks = 0;
  #bytes = 0;
  #slowBytes = 0;
  #emptied: PromiseWithResolvers<void> | undefined;

  /** Bytes of the events that deliveries in memory hold, less those of slow requests; an event of several counts for each. */
  get eventBytes(): number {
    return this.#bytes - this.#slowBytes;
  }

  /** Bytes that slow requests hold, counted alike. */
  get slowEventBytes(): number {
    return this.#slowBytes;
  }

  /** Nothing of the log is open: every row that its records asked for is durable. */
  get isEmpty(): boolean {
    return this.events.size === 0 && this.works.size === 0;
  }

  /** Resolves when that was so at a look, from now on. */
  emptied(): Promise<void> {
    this.#emptied ??= Promise.withResolvers();
    return this.#emptied.promise;
  }

  /** A look whether it is empty. */
  look(): void {
    if (this.isEmpty) this.letGoOf();
  }

  /** Whoever waits for it to be empty waits no longer. */
  letGoOf(): void {
    this.#emptied?.resolve();
    this.#emptied = undefined;
  }

  /** Deliveries of this organisation in memory, until they are durable, less slow requests. */
  worksOf(organisation: string): number {
    return this.#worksOf.get(organisation) ?? 0;
  }

  /** The same of all organisations, of each no more than `LIMITS.ownDeliveries`. */
  get firstWorks(): number {
    return this.#firstWorks;
  }

  grip(work: Work): void {
    this.#bytes += work.event.stored.value.length;
    this.#count(work, 1);
  }

  noteSlow(work: Work): void {
    this.#slowBytes += work.event.stored.value.length;
    this.#count(work, -1);
  }

  letGo(work: Work): void {
    this.#bytes -= work.event.stored.value.length;
    if (work.isSlow === true) this.#slowBytes -= work.event.stored.value.length;
    else this.#count(work, -1);
  }

  #count({ event }: Work, by: 1 | -1): void {
    const { organisation } = event.stored.tenant;
    const before = this.worksOf(organisation);
    const count = before + by;
    if (Math.max(before, count) <= LIMITS.ownDeliveries) this.#firstWorks += by;
    if (count === 0) this.#worksOf.delete(organisation);
    else this.#worksOf.set(organisation, count);
  }
}

export function eventKeyText(event: Pick<StoredEvent, "tenant" | "id">): string {
  return `${tenantKey(event.tenant)}/${event.id}`;
}
