/**
 * From an event to its deliveries. A record that repeats an event is matched again: those of its deliveries that are
 * stored or in flight stop here, those that are missing go on, since a crash may have come between the event's row and
 * theirs.
 */
import { decodeStored } from "../domain/decoded-event.ts";
import { deliveryId } from "../domain/delivery.ts";
import { type DecodedEvent, isSameContent } from "../domain/event.ts";
import type { Clock } from "../kernel/clock.ts";
import { type Tenant, tenantKey } from "../kernel/tenant.ts";
import type { Match, SubscriptionIndex, SubscriptionView } from "../matching/subscription-index.ts";
import { ANY_OPEN, type Chains, chainOf, NONE_OPEN } from "./chains.ts";
import type { Chain } from "./chains-store.ts";
import type { DeliveryStore, KnownEvent } from "./delivery-store.ts";
import { type Arrival, eventKeyText, type InHand, Ticket } from "./in-hand.ts";
import type { Recorder } from "./recorder.ts";
import type { Room } from "./room.ts";
import type { EventInHand, Work } from "./work.ts";

export interface PlannerDeps {
  readonly index: SubscriptionIndex;
  readonly store: Pick<DeliveryStore, "knownEvents" | "knownDeliveries" | "openInChains">;
  readonly recorder: Recorder;
  readonly inHand: InHand;
  readonly chains: Pick<Chains, "knows" | "holds">;
  readonly clock: Clock;
  readonly room: Pick<Room, "mayGoOn">;
  /**
   * Puts new work where it belongs: into a lane, aside because its subscription is disabled, or behind others of its pass.
   * `openFrom`: the lowest open sequence of its chain in the store, where it is ordered.
   */
  readonly place: (work: Work, match: Match, openFrom: number) => void;
}

interface Candidate {
  readonly ticket: Ticket;
  readonly event: EventInHand;
  readonly match: Match;
  readonly id: string;
  /** It may be stored already. */
  readonly isRepeated: boolean;
  readonly isOrdered: boolean;
}

/** How long a batch may hold the thread before it ends with the event that it is at. */
const TURN_MS = 10;

export class Planner {
  readonly #deps: PlannerDeps;

  constructor(deps: PlannerDeps) {
    this.#deps = deps;
  }

  /**
   * Plans a batch in its order, one batch at a time, and answers what it left: what would hold the thread for too long,
   * or fill memory, is for another batch. The first event is planned, however many get it. Rejects where the store doesn't
   * answer; the batch may then be planned again: what the first try placed is joined, not placed twice.
   */
  async plan(arrivals: readonly Arrival[]): Promise<readonly Arrival[]> {
    // Before the store is asked: a row that becomes durable meanwhile is missing in the answer and in memory after it.
    const pending = arrivals.map((arrival) => this.#deps.inHand.events.get(eventKeyText(arrival.stored)));
    const [known, view] = await Promise.all([
      this.#deps.store.knownEvents(arrivals.map((arrival) => arrival.stored)),
      this.#deps.index.refresh(tenantsOf(arrivals)),
    ]);
    const { clock, room } = this.#deps;
    const fromMs = clock.monotonic();
    const open: Candidate[] = [];
    let planned = 0;
    for (const [at, arrival] of arrivals.entries()) {
      if (at > 0 && (clock.monotonic() - fromMs >= TURN_MS || !room.mayGoOn(open.length))) break;
      const first = pending[at]?.inHand;
      // The store had another content under its id: that is what counts, and where it isn't known, is asked for again.
      if (first?.conflicted === true && known[at] === undefined) break;
      const prior = first === undefined || first.conflicted ? known[at] : first.stored;
      for (const candidate of this.#planOne(arrival, prior, view)) open.push(candidate);
      planned = at + 1;
    }
    if (open.length > 0) await this.#planOpen(open);
    return arrivals.slice(planned);
  }

  /** Deliveries of which the store must be asked more are returned; the others are placed. */
  #planOne(arrival: Arrival, known: KnownEvent | undefined, view: SubscriptionView): readonly Candidate[] {
    const pending = this.#deps.inHand.events.get(eventKeyText(arrival.stored));
    const prior = pending?.inHand.stored ?? known;
    const ticket = new Ticket(arrival);
    if (prior !== undefined && !isSameContent(prior.contentHash, arrival.stored.contentHash)) {
      ticket.conflict();
      return [];
    }
    const { stored, event: message } = asFirstRead(arrival, prior);
    const event: EventInHand = { stored, event: message, rendered: new Map(), conflicted: false };
    if (pending !== undefined) {
      pending.tickets.push(ticket);
      pending.waiters.push(ticket.hold());
    } else if (known === undefined || known.payloadDropped === true) {
      this.#recordEvent(event, ticket);
    }
    const candidates: Candidate[] = [];
    for (const match of view.match(event)) {
      const id = deliveryId(stored, match.subscription.id);
      const joined = this.#deps.inHand.works.get(id);
      const isRepeated = prior !== undefined;
      const isOrdered = match.subscription.policy.ordering === "perPass" && stored.passId !== "";
      const candidate: Candidate = { ticket, event, match, id, isRepeated, isOrdered };
      if (joined !== undefined) joined.waiters.push(ticket.hold());
      else if (isRepeated || isOrdered) candidates.push(candidate);
      else this.#place(candidate, NONE_OPEN);
    }
    if (candidates.length === 0) ticket.planned();
    return candidates;
  }

  #recordEvent(event: EventInHand, ticket: Ticket): void {
    const { inHand, recorder } = this.#deps;
    const key = eventKeyText(event.stored);
    const pending = { inHand: event, tickets: [ticket], waiters: [ticket.hold()] };
    inHand.events.set(key, pending);
    recorder.addEvent(event.stored, (result) => {
      inHand.events.delete(key);
      if (result === "conflict") {
        event.conflicted = true;
        for (const waiting of pending.tickets) waiting.conflict();
      }
      for (const waiter of pending.waiters) waiter.release();
    });
  }

  /** In the order of the log, so that each finds those of its pass in memory that came before it. */
  async #planOpen(candidates: readonly Candidate[]): Promise<void> {
    const [stored, openFrom] = await Promise.all([this.#storedAmong(candidates), this.#openFrom(candidates)]);
    const tickets = new Set<Ticket>();
    for (const candidate of candidates) {
      tickets.add(candidate.ticket);
      const joined = this.#deps.inHand.works.get(candidate.id);
      if (joined !== undefined) joined.waiters.push(candidate.ticket.hold());
      else if (!stored.has(candidate.id)) this.#place(candidate, this.#openBefore(candidate, openFrom));
    }
    for (const ticket of tickets) ticket.planned();
  }

  async #storedAmong(candidates: readonly Candidate[]): Promise<ReadonlySet<string>> {
    const byTenant = new Map<string, { readonly tenant: Tenant; readonly ids: string[] }>();
    for (const { event, id, isRepeated } of candidates) {
      if (!isRepeated) continue;
      const { tenant } = event.stored;
      const group = byTenant.get(tenantKey(tenant)) ?? { tenant, ids: [] };
      group.ids.push(id);
      byTenant.set(tenantKey(tenant), group);
    }
    const groups = await Promise.all(
      [...byTenant.values()].map(({ tenant, ids }) => this.#deps.store.knownDeliveries(tenant, ids)),
    );
    return new Set(groups.flatMap((ids) => [...ids]));
  }

  /** By chain, the lowest sequence that is open in the store, of those chains that memory doesn't know. */
  async #openFrom(candidates: readonly Candidate[]): Promise<ReadonlyMap<string, number>> {
    const asked = new Map<string, Chain>();
    // Their rows may become durable while the store looks: then they are missing in its answer and in memory after it.
    const left = new Set<string>();
    for (const { event, match, ticket, isOrdered } of candidates) {
      if (!isOrdered) continue;
      const subscriptionId = match.subscription.id;
      const key = chainOf({ subscriptionId, event });
      if (this.#deps.chains.knows(key, ticket.arrival.assignment)) continue;
      if (this.#deps.chains.holds(key)) left.add(key);
      asked.set(key, { tenant: event.stored.tenant, subscriptionId, passId: event.stored.passId });
    }
    if (asked.size === 0) return new Map();
    const heads = await this.#deps.store.openInChains([...asked.values()], 1);
    return new Map(
      [...asked.keys()].map((key, at) => [key, heads[at]?.[0]?.sequence ?? (left.has(key) ? ANY_OPEN : NONE_OPEN)]),
    );
  }

  /** A chain that memory knew when the store was asked, and doesn't any more, may have anything there. */
  #openBefore({ event, match, ticket, isOrdered }: Candidate, openFrom: ReadonlyMap<string, number>): number {
    if (!isOrdered) return NONE_OPEN;
    const key = chainOf({ subscriptionId: match.subscription.id, event });
    return openFrom.get(key) ?? (this.#deps.chains.knows(key, ticket.arrival.assignment) ? NONE_OPEN : ANY_OPEN);
  }

  #place({ ticket, event, match, id, isOrdered }: Candidate, openFrom: number): void {
    const { policy } = match.subscription;
    const work: Work = {
      id,
      subscriptionId: match.subscription.id,
      event,
      workClass: "live",
      createdAtMs: this.#deps.clock.now(),
      ...(isOrdered || policy.conflate ? { sequence: ticket.arrival.offset } : {}),
      ...(isOrdered ? { ordered: true } : {}),
      runAttempts: 0,
      assignment: ticket.arrival.assignment,
      waiters: [ticket.hold()],
      row: "none",
      queuedAtMs: 0,
    };
    this.#deps.inHand.works.set(id, work);
    this.#deps.inHand.grip(work);
    this.#deps.place(work, match, openFrom);
  }
}

/**
 * A repeat is as old as what was logged first, in its message too, which says that time where its producer gave none:
 * every webhook of an event has the same body.
 */
function asFirstRead({ stored, event }: Arrival, prior: Pick<KnownEvent, "loggedAtMs"> | undefined): DecodedEvent {
  if (prior === undefined || prior.loggedAtMs >= stored.loggedAtMs) return { stored, event };
  return decodeStored({ ...stored, loggedAtMs: prior.loggedAtMs });
}

function tenantsOf(arrivals: readonly Arrival[]): readonly Tenant[] {
  const tenants = new Map<string, Tenant>();
  for (const { stored } of arrivals) tenants.set(tenantKey(stored.tenant), stored.tenant);
  return [...tenants.values()];
}
