/**
 * What the demo knows of each webhook that must arrive, from three sides that have to agree: what it published, what
 * its receiver saw, and what passbus's delivery log says. The `webhook-id` header and the log's delivery id join them.
 */
import { type Interventions, NOBODY_MEDDLED } from "./demo-people.ts";
import type { Receipt } from "./demo-receiver.ts";

export type LoggedStatus = "waiting" | "attempting" | "held" | "delivered" | "failed" | "cancelled" | "unknown";

/** A delivery as the API's log has it. */
export interface LoggedDelivery {
  readonly id: string;
  readonly endpoint: string;
  readonly status: LoggedStatus;
  /** What each attempt came to: a status code, or the code of an error. */
  readonly answers: readonly string[];
  /** 1 until a person has it sent again. */
  readonly run: number;
}

/** One webhook that must arrive: an event at an endpoint that wants it. */
export interface Row {
  /** What happened, for people: "installed". */
  readonly what: string;
  readonly eventId: string;
  readonly endpoint: string;
  readonly format: string;
  /** Just before the call that published it; by the monotonic clock. */
  readonly publishedAtMs: number;
  /** Absent until the log has it. */
  readonly delivery?: LoggedDelivery;
  /** Requests with the delivery's id, in the order of their arrival. */
  readonly receipts: readonly Receipt[];
}

/** What is still missing or wrong about a row; undefined where all three sides agree that it arrived. */
export function flawOf(row: Row): string | undefined {
  const { delivery, receipts } = row;
  const bad = receipts.find((receipt) => !receipt.verdict.ok);
  if (bad !== undefined && !bad.verdict.ok) return `did not verify: ${bad.verdict.reason}`;
  if (delivery === undefined) return "is not in the delivery log";
  // Sent again by a person: what its attempts came to since then is no promise of the demo's.
  if (delivery.run > 1 && latencyOf(row) !== undefined) return undefined;
  const answers = delivery.answers.length === 0 ? "no attempt" : delivery.answers.join(", ");
  if (delivery.status !== "delivered") return `is ${delivery.status} in the delivery log (${answers})`;
  const seen = receipts.map((receipt) => String(receipt.answered));
  if (seen.at(-1) !== "200") return "is delivered in the delivery log, but the receiver never took it";
  if (seen.join() !== delivery.answers.join()) {
    return `has other attempts in the delivery log (${answers}) than the receiver saw (${seen.join(", ")})`;
  }
  return undefined;
}

/** A webhook that can't become right any more, however long one waits. */
export function isHopeless(row: Row): boolean {
  const status = row.delivery?.status;
  return row.receipts.some((receipt) => !receipt.verdict.ok) || status === "failed" || status === "cancelled";
}

/** Whether a person's doing may be what a row's flaw comes from. A signature is excused by a change of its endpoint alone. */
export function isExcused(row: Row, people: Interventions): boolean {
  if (people.endpoints.has(row.endpoint)) return true;
  if (row.receipts.some((receipt) => !receipt.verdict.ok)) return false;
  return people.everything || (row.delivery !== undefined && people.deliveries.has(row.delivery.id));
}

/** When it was published, or when its last request came, by the monotonic clock. */
export function lastNewsMs(row: Row): number {
  return row.receipts.at(-1)?.atMs ?? row.publishedAtMs;
}

/** From publishing to the request that was taken; undefined until one was. */
export function latencyOf(row: Row): number | undefined {
  const taken = row.receipts.find((receipt) => receipt.answered === 200);
  return taken === undefined ? undefined : taken.atMs - row.publishedAtMs;
}

/** From publishing to the first request, whatever it was answered. */
export function firstLatencyOf(row: Row): number | undefined {
  const first = row.receipts[0];
  return first === undefined ? undefined : first.atMs - row.publishedAtMs;
}

export interface PublishedEvent {
  readonly what: string;
  readonly eventId: string;
  readonly publishedAtMs: number;
}

/** All that the demo saw up to a moment: what it is judged by. */
export interface Evidence {
  readonly events: number;
  /** Requests received. */
  readonly requests: number;
  readonly rows: readonly Row[];
  /** Requests that belong to no row. */
  readonly unclaimed: readonly Receipt[];
  /** Rows that were right and have been forgotten since. */
  readonly forgotten: number;
  /** Rows that were excused and have been forgotten since. */
  readonly forgottenExcused: number;
  /** Requests that people brought about: replays, test sends, other subscriptions. They are in no row. */
  readonly others: number;
  readonly people: Interventions;
}

/** Keeps every open row, and the settled ones as long as there is room. */
export class Ledger {
  readonly #keep: number;
  #rows: Row[] = [];
  #events = 0;
  #requests = 0;
  #forgotten = 0;
  #forgottenExcused = 0;
  #others = 0;
  #people = NOBODY_MEDDLED;
  /** Requests by their webhook-id, until the log says which row they belong to. */
  readonly #unclaimed = new Map<string, Receipt[]>();
  readonly #onChange: (row: Row) => void;

  /** `keep`: rows that are kept even when they are settled. `onChange` is told of every row that is new or says something new. */
  constructor(options: { readonly keep: number; readonly onChange: (row: Row) => void }) {
    this.#keep = options.keep;
    this.#onChange = options.onChange;
  }

  get evidence(): Evidence {
    return {
      events: this.#events,
      requests: this.#requests,
      rows: this.#rows,
      unclaimed: [...this.#unclaimed.values()].flat(),
      forgotten: this.#forgotten,
      forgottenExcused: this.#forgottenExcused,
      others: this.#others,
      people: this.#people,
    };
  }

  /** An event was published that these endpoints want. */
  published(event: PublishedEvent, endpoints: readonly { readonly name: string; readonly format: string }[]): void {
    this.#events++;
    for (const { name, format } of endpoints) {
      const row: Row = { ...event, endpoint: name, format, receipts: [] };
      this.#rows.push(row);
      this.#onChange(row);
    }
    this.#forgetOldest();
  }

  received(receipt: Receipt): void {
    this.#requests++;
    const { headers } = receipt.webhook;
    // A test send that does not verify may be another subscription's to the same URL: it has no delivery that would tell.
    if (headers["webhook-test"] !== undefined || (headers["webhook-replay"] !== undefined && receipt.verdict.ok)) {
      this.#others++;
      return;
    }
    const id = headers["webhook-id"] ?? "";
    const at = this.#rows.findIndex((row) => row.delivery?.id === id && row.endpoint === receipt.endpoint);
    const row = this.#rows[at];
    if (row !== undefined) this.#replace(at, { ...row, receipts: [...row.receipts, receipt] });
    else this.#unclaimed.set(id, [...(this.#unclaimed.get(id) ?? []), receipt]);
  }

  /** What the log says of an event's deliveries now. */
  logged(eventId: string, deliveries: readonly LoggedDelivery[]): void {
    for (const delivery of deliveries) {
      const at = this.#rows.findIndex((row) => row.eventId === eventId && row.endpoint === delivery.endpoint);
      const row = this.#rows[at];
      if (row === undefined) continue;
      const found = this.#unclaimed.get(delivery.id) ?? [];
      const ours = found.filter((receipt) => receipt.endpoint === row.endpoint);
      // What came to another endpoint under this id stays unclaimed, and is told.
      if (ours.length > 0 && ours.length === found.length) this.#unclaimed.delete(delivery.id);
      else if (ours.length > 0)
        this.#unclaimed.set(
          delivery.id,
          found.filter((receipt) => !ours.includes(receipt)),
        );
      if (ours.length === 0 && saysSame(row.delivery, delivery)) continue;
      this.#replace(at, { ...row, delivery, receipts: [...row.receipts, ...ours] });
    }
  }

  /** What people have done up to now. */
  intervened(people: Interventions): void {
    this.#people = people;
  }

  /** Ids of requests that belong to no row, of those that came at `latestMs` at the latest, by the monotonic clock. */
  strangers(latestMs: number): readonly string[] {
    return [...this.#unclaimed].filter(([, [first]]) => (first?.atMs ?? 0) <= latestMs).map(([id]) => id);
  }

  /** The requests with this id, which belong to no row, are of somebody else's making. */
  disown(id: string): void {
    this.#others += this.#unclaimed.get(id)?.length ?? 0;
    this.#unclaimed.delete(id);
  }

  #replace(at: number, row: Row): void {
    this.#rows[at] = row;
    this.#onChange(row);
  }

  #forgetOldest(): void {
    let extra = this.#rows.length - this.#keep;
    if (extra <= 0) return;
    this.#rows = this.#rows.filter((row) => {
      if (extra <= 0) return true;
      const isRight = flawOf(row) === undefined;
      if (!isRight && !isExcused(row, this.#people)) return true;
      extra--;
      if (isRight) this.#forgotten++;
      else this.#forgottenExcused++;
      return false;
    });
  }
}

function saysSame(known: LoggedDelivery | undefined, now: LoggedDelivery): boolean {
  return (
    known !== undefined &&
    known.status === now.status &&
    known.run === now.run &&
    known.answers.join() === now.answers.join()
  );
}
