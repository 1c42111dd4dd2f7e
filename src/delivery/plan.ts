/**
 * From an event to its deliveries. A record that repeats an event is matched again: those of its deliveries that are
 * stored or in flight stop here, those that are missing go on, since a crash may have come between the event's row and
 * theirs.
 */
import { deliveryId } from "../domain/delivery.ts";
import type { StoredEvent } from "../domain/event.ts";
import type { Clock } from "../kernel/clock.ts";
import { type Tenant, tenantKey } from "../kernel/tenant.ts";
import type { Match, SubscriptionIndex, SubscriptionView } from "../matching/subscription-index.ts";
import type { DeliveryStore, KnownEvent } from "./delivery-store.ts";
import { type Arrival, eventKeyText, type InHand, Ticket } from "./in-hand.ts";
import type { Recorder } from "./recorder.ts";
import type { EventInHand, Work } from "./work.ts";

export interface PlannerDeps {
  readonly index: SubscriptionIndex;
  readonly store: Pick<DeliveryStore, "knownEvents" | "knownDeliveries">;
  readonly recorder: Recorder;
  readonly inHand: InHand;
  readonly clock: Clock;
  /** Puts new work where it belongs: into a lane, or aside because its subscription is disabled. */
  readonly place: (work: Work, match: Match) => void;
}

interface Candidate {
  readonly ticket: Ticket;
  readonly event: EventInHand;
  readonly match: Match;
  readonly id: string;
}

export class Planner {
  readonly #deps: PlannerDeps;

  constructor(deps: PlannerDeps) {
    this.#deps = deps;
  }

  /**
   * Plans a batch in its order. One batch at a time. Rejects where the store doesn't answer; the batch may then be
   * planned again: what the first try placed is joined, not placed twice.
   */
  async plan(arrivals: readonly Arrival[]): Promise<void> {
    // Before the store is asked: a row that becomes durable meanwhile is missing in the answer and in memory after it.
    const pending = arrivals.map((arrival) => this.#deps.inHand.events.get(eventKeyText(arrival.stored)));
    const [known, view] = await Promise.all([
      this.#deps.store.knownEvents(arrivals.map((arrival) => arrival.stored)),
      this.#deps.index.refresh(tenantsOf(arrivals)),
    ]);
    const repeated: Candidate[] = [];
    arrivals.forEach((arrival, at) => {
      const candidates = this.#planOne(arrival, pending[at]?.inHand.stored ?? known[at], view);
      if (candidates.length > 0) repeated.push(...candidates);
    });
    if (repeated.length > 0) await this.#planRepeated(repeated);
  }

  /** Deliveries that may be stored already are returned; the others are placed. */
  #planOne(arrival: Arrival, known: KnownEvent | undefined, view: SubscriptionView): readonly Candidate[] {
    const pending = this.#deps.inHand.events.get(eventKeyText(arrival.stored));
    const prior = pending?.inHand.stored ?? known;
    const ticket = new Ticket(arrival);
    if (prior !== undefined && prior.contentHash !== arrival.stored.contentHash) {
      ticket.conflict();
      return [];
    }
    const stored: StoredEvent =
      prior === undefined || prior.loggedAtMs >= arrival.stored.loggedAtMs
        ? arrival.stored
        : { ...arrival.stored, loggedAtMs: prior.loggedAtMs };
    const event: EventInHand = { stored, event: arrival.event, rendered: new Map(), conflicted: false };
    if (pending !== undefined) {
      pending.tickets.push(ticket);
      pending.waiters.push(ticket.hold());
    } else if (known === undefined) {
      this.#recordEvent(event, ticket);
    }
    const candidates: Candidate[] = [];
    for (const match of view.match(event)) {
      const id = deliveryId(stored, match.subscription.id);
      const joined = this.#deps.inHand.works.get(id);
      if (joined !== undefined) joined.waiters.push(ticket.hold());
      else if (prior === undefined) this.#place({ ticket, event, match, id });
      else candidates.push({ ticket, event, match, id });
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

  async #planRepeated(candidates: readonly Candidate[]): Promise<void> {
    const byTenant = new Map<string, { readonly tenant: Tenant; readonly ids: string[] }>();
    for (const { event, id } of candidates) {
      const { tenant } = event.stored;
      const group = byTenant.get(tenantKey(tenant)) ?? { tenant, ids: [] };
      group.ids.push(id);
      byTenant.set(tenantKey(tenant), group);
    }
    const groups = await Promise.all(
      [...byTenant.values()].map(({ tenant, ids }) => this.#deps.store.knownDeliveries(tenant, ids)),
    );
    const stored = new Set(groups.flatMap((ids) => [...ids]));
    const tickets = new Set<Ticket>();
    for (const candidate of candidates) {
      tickets.add(candidate.ticket);
      const joined = this.#deps.inHand.works.get(candidate.id);
      if (joined !== undefined) joined.waiters.push(candidate.ticket.hold());
      else if (!stored.has(candidate.id)) this.#place(candidate);
    }
    for (const ticket of tickets) ticket.planned();
  }

  #place({ ticket, event, match, id }: Candidate): void {
    const work: Work = {
      id,
      subscriptionId: match.subscription.id,
      event,
      workClass: "live",
      createdAtMs: this.#deps.clock.now(),
      runAttempts: 0,
      assignment: ticket.arrival.assignment,
      waiters: [ticket.hold()],
      row: "none",
      queuedAtMs: 0,
    };
    this.#deps.inHand.works.set(id, work);
    this.#deps.inHand.grip(work);
    this.#deps.place(work, match);
  }
}

function tenantsOf(arrivals: readonly Arrival[]): readonly Tenant[] {
  const tenants = new Map<string, Tenant>();
  for (const { stored } of arrivals) tenants.set(tenantKey(stored.tenant), stored.tenant);
  return [...tenants.values()];
}
