/**
 * A producer as they are in the field: events at a steady pace, in small batches, with ids of its own, so that it may
 * repeat a call that broke. It knows which events were accepted, and when it first asked for each.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { PassProtocol } from "../../gen/io/pass_pb.js";
import { type PassEventSchema, PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import type { Clients } from "./passbus.ts";

export type NewEvent = MessageInitShape<typeof PassEventSchema> & { readonly id: string };

export interface Pace {
  readonly batch: number;
  readonly everyMs: number;
}

export interface Accepted {
  readonly eventId: string;
  /** When the first call with this event was made, by the wall clock. */
  readonly askedAtMs: number;
  /** When a call with it was answered OK. */
  readonly acceptedAtMs: number;
}

/** Types that both STANDARD and PASSKIT can say. */
const TYPES = [PassEventType.CREATED, PassEventType.INSTALLED, PassEventType.UPDATED] as const;

/** Event number `at`: the pass's id says which event it was, since PASSKIT bodies carry no event id. */
export function numberedEvent(at: number, entity = "class-1"): NewEvent {
  const name = String(at).padStart(5, "0");
  return {
    id: `${entity}-event-${name}`,
    type: TYPES[at % TYPES.length] ?? PassEventType.CREATED,
    pass: {
      id: `${entity}-pass-${name}`,
      classId: entity,
      protocol: PassProtocol.MEMBERSHIP,
      personDetails: { forename: "Percy", surname: "PassKit", emailAddress: "percy@example.com" },
      recordData: { "members.member.points": String(at), "members.tier.name": "Gold" },
      externalId: `ext-${name}`,
    },
  };
}

export function numberedEvents(count: number, entity = "class-1"): readonly NewEvent[] {
  return Array.from({ length: count }, (_, at) => numberedEvent(at, entity));
}

/** The pass of each event, by which the receiver knows it. */
export function passIdOf(event: NewEvent): string {
  const id = event.pass?.id;
  if (id === undefined) throw new Error(`event ${event.id} has no pass`);
  return id;
}

export class PacedPublisher {
  /** By pass id. */
  readonly accepted = new Map<string, Accepted>();
  /** Calls that broke and were repeated. */
  repeats = 0;
  /** Calls that were answered UNAVAILABLE, where that was expected, and repeated. */
  refused = 0;
  readonly #batches: readonly (readonly NewEvent[])[];
  readonly #everyMs: number;
  #clients: Promise<Clients>;
  #resume: (clients: Clients) => void = () => {};
  /** Counts outages: a call that breaks without one is a failure of passbus. */
  #outages = 0;
  /** Batches that go out without waiting for their time. */
  #hurried = 0;
  #underWay = 0;
  #mayBeRefused = false;
  #isEnough = false;
  #waiting: { readonly isReached: () => boolean; readonly resolve: () => void }[] = [];

  constructor(events: readonly NewEvent[], pace: Pace, clients: Clients) {
    this.#batches = Array.from({ length: Math.ceil(events.length / pace.batch) }, (_, at) =>
      events.slice(at * pace.batch, (at + 1) * pace.batch),
    );
    this.#everyMs = pace.everyMs;
    this.#clients = Promise.resolve(clients);
  }

  /** From the next line on there is no server: the pace stops until `resume`. */
  interrupt(): void {
    this.#outages += 1;
    this.#clients = new Promise((resolve) => {
      this.#resume = resolve;
    });
  }

  resume(clients: Clients): void {
    this.#resume(clients);
  }

  /** Sends the next so many batches at once, so that many calls are under way together. */
  hurry(batches: number): void {
    this.#hurried = batches;
  }

  /** From now on passbus may answer UNAVAILABLE, as long as the log is away: the call is repeated. */
  expectRefusals(): void {
    this.#mayBeRefused = true;
  }

  /** Makes no more calls; what was asked for already is repeated until it is accepted. */
  enough(): void {
    this.#isEnough = true;
  }

  /** Publishes all of it. Resolves when every event was accepted; rejects where passbus refuses one. */
  async run(): Promise<void> {
    const calls: Promise<void>[] = [];
    let nextMs = performance.now();
    let outages = this.#outages;
    for (const batch of this.#batches) {
      if (this.#isEnough) break;
      await this.#clients;
      if (outages !== this.#outages) {
        // What was missed is not made up for: a burst after each outage would be no steady pace.
        nextMs = performance.now();
        outages = this.#outages;
      }
      const call = this.#publish(batch);
      // It is judged at the end, with all the others; until then nobody else looks at it.
      call.catch(() => {});
      calls.push(call);
      if (this.#hurried > 0) {
        this.#hurried -= 1;
        nextMs = performance.now();
        continue;
      }
      nextMs += this.#everyMs;
      await delay(Math.max(0, nextMs - performance.now()));
    }
    await Promise.all(calls);
  }

  /** Resolves when so many events were accepted. */
  whenAccepted(count: number): Promise<void> {
    return this.#when(() => this.accepted.size >= count);
  }

  /** Resolves when so many calls are made and not answered. */
  whenUnderWay(calls: number): Promise<void> {
    return this.#when(() => this.#underWay >= calls);
  }

  #when(isReached: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push({ isReached, resolve });
      this.#settle();
    });
  }

  async #publish(batch: readonly NewEvent[]): Promise<void> {
    const askedAtMs = Date.now();
    for (;;) {
      // Before the clients: an outage that begins in between breaks a call of the old ones.
      const outages = this.#outages;
      const clients = await this.#clients;
      try {
        const call = clients.events.publishEvents({ events: [...batch] });
        this.#underWay += 1;
        this.#settle();
        await call;
        break;
      } catch (error) {
        if (this.#mayBeRefused && ConnectError.from(error).code === Code.Unavailable) this.refused += 1;
        else if (outages === this.#outages) throw error;
        else this.repeats += 1;
      } finally {
        this.#underWay -= 1;
      }
    }
    const acceptedAtMs = Date.now();
    for (const event of batch) this.accepted.set(passIdOf(event), { eventId: event.id, askedAtMs, acceptedAtMs });
    this.#settle();
  }

  #settle(): void {
    const reached = this.#waiting.filter(({ isReached }) => isReached());
    this.#waiting = this.#waiting.filter((one) => !reached.includes(one));
    for (const { resolve } of reached) resolve();
  }
}
