/** The rules of the design's section 6, as far as they can be told from what was accepted, what left and what is stored. */
import type { StatementSync } from "node:sqlite";
import { OperationalEventType } from "../../gen/passbus/v1/operational_event_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { operationalEvent } from "../../src/delivery/operational-event.ts";
import { deliveryId, isTerminal } from "../../src/domain/delivery.ts";
import type { StoredEvent } from "../../src/domain/event.ts";
import { deadLetterId } from "../../src/intake/dead-letters.ts";
import type { LogRecord } from "../../src/intake/event-log.ts";
import type { Customer, Customers, Due } from "./customers.ts";
import { Ledger, type Sent } from "./ledger.ts";
import { Rows, type SeenRow } from "./rows.ts";
import type { SimulatedStore } from "./store.ts";
import type { World } from "./world.ts";

/** A record that the log took. */
export interface Accepted {
  readonly record: LogRecord;
  readonly event: StoredEvent;
}

export class Judge {
  readonly rows: Rows;
  readonly ledger: Ledger;
  readonly #world: World;
  readonly #customers: Customers;
  readonly #ownerOf: (partition: number) => string | undefined;
  readonly #accepted: Accepted[] = [];
  /** By event id, in the order of acceptance. */
  readonly #byEvent = new Map<string, Accepted[]>();
  /** Passes whose events stand in two partitions, which have no order between them. */
  readonly #strayed = new Set<string>();
  readonly #hashOf: StatementSync;
  readonly #dead: StatementSync;

  /** Deliveries that a person cancelled. */
  readonly cancelledByHand = new Set<string>();
  readonly #openReplays: StatementSync;

  constructor(
    world: World,
    store: SimulatedStore,
    customers: Customers,
    ownerOf: (partition: number) => string | undefined,
  ) {
    this.#world = world;
    this.#ownerOf = ownerOf;
    this.#customers = customers;
    this.rows = new Rows(world, store.database, (row, by) => this.#inserted(row, by));
    this.ledger = new Ledger(world, this.rows, (sent) => this.#judgeOrder(sent));
    this.#hashOf = store.database.prepare("SELECT content_hash FROM events WHERE id = ?");
    this.#openReplays = store.database.prepare("SELECT 1 FROM replays WHERE state = 'running' OR state = 'paused'");
    this.#dead = store.database.prepare("SELECT 1 FROM dead_letters WHERE id = ?");
  }

  /** Everything is through: no delivery waits, and no replay runs. */
  get isThrough(): boolean {
    const isOpen = [...this.rows.all.values()].some(({ status }) => !isTerminal(status));
    return !isOpen && this.#openReplays.get() === undefined;
  }

  get accepted(): readonly Accepted[] {
    return this.#accepted;
  }

  accept(one: Accepted): void {
    this.#accepted.push(one);
    const same = this.#byEvent.get(one.event.id) ?? [];
    same.push(one);
    this.#byEvent.set(one.event.id, same);
    if (new Set(same.map(({ record }) => record.partition)).size < 2) return;
    this.ledger.exempt(one.event);
    this.#strayed.add(one.event.passId);
  }

  /** Rule 2: a position passes a record only when all that it asks for is durable. */
  committed(partition: number, from: number, to: number, by: string): void {
    if (to < from) this.#world.violated("position", `${by} set partition ${partition} back from ${from} to ${to}`);
    for (const one of this.#accepted) {
      const { record } = one;
      if (record.partition !== partition || record.offset < from || record.offset >= to) continue;
      const missing = this.#missing(one);
      if (missing === undefined) continue;
      const place = `${partition}/${record.offset}`;
      this.#world.violated("commit before durable", `${by} committed ${place} (${one.event.id}) without ${missing}`);
    }
  }

  /** After everything has healed and come to rest. */
  ended(): void {
    for (const one of this.#accepted) {
      const missing = this.#missing(one);
      if (missing !== undefined)
        this.#world.violated("lost", `${one.event.id} was accepted, and there is no ${missing}`);
    }
    for (const [eventId, accepted] of this.#byEvent) {
      for (const customer of this.#customers.all.values()) this.#judgeUndue(eventId, accepted, customer);
    }
    for (const row of this.rows.all.values()) {
      const { id, status } = row;
      if (!isTerminal(status)) this.#world.violated("stuck", `${id} of ${row.subscriptionId} is still ${status}`);
      if (status === "delivered" && !this.ledger.isAccepted(id))
        this.#world.violated("invented", `${id} is stored as delivered, and its receiver took none`);
      if (status === "failed") this.#judgeFailed(row);
      if (status === "cancelled") this.#judgeCancelled(row);
    }
    for (const sent of this.ledger.sent.values()) for (const one of sent) this.#judgeRecorded(one);
  }

  #inserted({ id, eventId, attemptCount }: SeenRow, by: string): void {
    const [first] = this.#byEvent.get(eventId) ?? [];
    if (attemptCount === 0 && first !== undefined && this.#ownerOf(first.record.partition) !== by)
      this.ledger.spiltLate(id);
  }

  /** What isn't durable of a record; undefined where nothing is missing. */
  #missing({ record, event }: Accepted): string | undefined {
    const stored = this.#hashOf.get(event.id);
    if (this.#dead.get(deadLetterId(record)) !== undefined) {
      return stored !== undefined && stored.content_hash !== event.contentHash
        ? undefined
        : "reason to be a dead letter";
    }
    if (stored === undefined) return "event";
    if (stored.content_hash !== event.contentHash) return "dead letter";
    for (const customer of this.#customers.living) {
      if (this.#due(event.id, customer) !== "yes") continue;
      const id = deliveryId(event, customer.now.id);
      if (!this.rows.all.has(id)) return `delivery ${id} to ${customer.now.id}`;
    }
    return undefined;
  }

  /** By all records of the event; which of them is known first decides where they differ. */
  #due(eventId: string, customer: Customer): Due {
    const verdicts = new Set(
      (this.#byEvent.get(eventId) ?? []).map(({ event, record }) =>
        this.#customers.due(customer, event.tenant.organisation, record.appendedAtMs),
      ),
    );
    const [only = "maybe"] = verdicts;
    return verdicts.size === 1 ? only : "maybe";
  }

  #judgeUndue(eventId: string, accepted: readonly Accepted[], customer: Customer): void {
    const [first] = accepted;
    if (first === undefined || this.#due(eventId, customer) !== "no") return;
    const id = deliveryId(first.event, customer.now.id);
    if (this.rows.all.has(id) || this.ledger.sent.has(id))
      this.#world.violated("undue", `${eventId} went to ${customer.now.id}, which was not to get it`);
  }

  /** A delivery that failed used up its schedule, and whoever asked to hear of that was told. */
  #judgeFailed({ id, subscriptionId, run, runAttempts, attempts }: SeenRow): void {
    const about = this.#customers.all.get(subscriptionId)?.now;
    const policy = about?.policy;
    const last = (JSON.parse(attempts) as readonly { readonly statusCode?: number }[]).at(-1);
    const isSpent = policy !== undefined && runAttempts > policy.retryScheduleMs.length;
    if (!isSpent && last?.statusCode !== 410 && !attempts.includes('"statusCode":410'))
      this.#world.violated("given up", `${id} failed after ${runAttempts} attempts`);
    const told = this.#customers.all.get("ops");
    if (told === undefined || about === undefined || told.deletedAtMs !== undefined || told.now.id === about.id) return;
    if (told.now.tenant.organisation !== about.tenant.organisation) return;
    const type = OperationalEventType.DELIVERY_FAILED;
    const news = operationalEvent({ type, about, occasion: [id, String(run)], says: { message: "" } }, 0).stored;
    if (!this.rows.all.has(deliveryId(news, told.now.id)))
      this.#world.violated("untold", `${id} failed in run ${run}, and nobody was told`);
  }

  /** By a person, with its subscription, or folded into a newer one, with everything between, all of it UPDATED. */
  #judgeCancelled({ id, subscriptionId, foldedInto }: SeenRow): void {
    const customer = this.#customers.all.get(subscriptionId);
    if (this.cancelledByHand.has(id) || customer?.deletedAtMs !== undefined) return;
    const placeOf = (wanted: string) =>
      this.#accepted.findIndex(({ event }) => deliveryId(event, subscriptionId) === wanted);
    const [from, to] = [placeOf(id), placeOf(foldedInto ?? "")];
    const older = this.#accepted[from];
    const newer = this.#accepted[to];
    if (older === undefined || newer === undefined) {
      this.#world.violated("given up", `${id} was cancelled by nobody`);
      return;
    }
    const between = this.#accepted
      .slice(Math.min(from, to), Math.max(from, to) + 1)
      .filter(({ event, record }) => event.passId === older.event.passId && record.partition === older.record.partition)
      // What a person cancelled stands between no two any more.
      .filter(({ event }) => !this.cancelledByHand.has(deliveryId(event, subscriptionId)))
      .filter((one) => this.#isPlain(one) && customer !== undefined && this.#due(one.event.id, customer) === "yes");
    // Without order, one of another type between the two may have been delivered before either.
    const isOrdered = customer?.now.policy.ordering === "perPass";
    const isOver = isOrdered && between.some(({ event }) => event.type !== PassEventType.UPDATED);
    const isWrong = to < from || isOver;
    // The place of one that came twice is that of the record by which its delivery was made.
    if (isWrong && this.#isPlain(older) && this.#isPlain(newer) && !this.#strayed.has(older.event.passId)) {
      const list = between.map(({ event }) => event.id).join(", ");
      this.#world.violated("folded", `${id} was folded into ${foldedInto} over ${list}`);
    }
  }

  /** Rule 6: the log has each attempt, unless its worker was killed before that was durable, or its event lost a conflict. */
  #judgeRecorded(sent: Sent): void {
    const row = this.rows.all.get(sent.deliveryId);
    if (row === undefined || sent.outcome === undefined || sent.outcome === "cut" || this.ledger.isLost(sent)) return;
    const rivals = new Set((this.#byEvent.get(row.eventId) ?? []).map(({ event }) => event.contentHash));
    if (rivals.size > 1 || row.attemptCount > 20 || row.attempts.includes(sent.attemptId)) return;
    this.#world.violated("unrecorded", `${sent.worker} sent ${sent.attemptId} of ${sent.deliveryId}; no row has it`);
  }

  /** An event of a pass leaves, at a subscription that asks for order, only after those before it are through. */
  #judgeOrder(sent: Sent): void {
    const customer = this.#customers.all.get(sent.subscriptionId);
    if (customer?.now.policy.ordering !== "perPass" || sent.run !== 1) return;
    const mine = this.#accepted.find(({ event }) => deliveryId(event, sent.subscriptionId) === sent.deliveryId);
    if (mine === undefined || !this.#isPlain(mine) || this.#strayed.has(mine.event.passId)) return;
    for (const one of this.#accepted) {
      if (one.record.partition !== mine.record.partition || one.record.offset >= mine.record.offset) continue;
      if (one.event.passId !== mine.event.passId || !this.#isPlain(one)) continue;
      if (this.#due(one.event.id, customer) !== "yes") continue;
      const id = deliveryId(one.event, sent.subscriptionId);
      const row = this.rows.all.get(id);
      const isThrough = row !== undefined && (isTerminal(row.status) || row.run > 1);
      if (isThrough || this.ledger.isDelivered(id)) continue;
      const state = row?.status ?? "not stored";
      this.#world.violated(
        "order",
        `${sent.worker} sends ${mine.event.id} of ${mine.event.passId} to ${sent.subscriptionId} while ${one.event.id} before it is ${state}`,
      );
    }
  }

  /** The only record of its event. */
  #isPlain({ event }: Accepted): boolean {
    return this.#byEvent.get(event.id)?.length === 1;
  }
}
