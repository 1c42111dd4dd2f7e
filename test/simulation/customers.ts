/** The API's side: subscriptions as people make, switch and delete them, and what follows for who gets what. */
import type { Subscription } from "../../src/domain/subscription.ts";
import { CLOCK_SKEW_MS } from "../../src/matching/subscription-index.ts";
import { standingAsAsked, standingDisabledByUs } from "../../src/subscriptions/transitions.ts";
import type { SimulatedStore } from "./store.ts";
import type { World } from "./world.ts";

/** One subscription over its life. */
export interface Customer {
  now: Subscription;
  deletedAtMs?: number;
}

/** Whether a record of the log asks for a delivery at a subscription; "maybe" where two moments are one. */
export type Due = "yes" | "no" | "maybe";

export class Customers {
  readonly all = new Map<string, Customer>();
  readonly #world: World;
  readonly #store: SimulatedStore;

  constructor(world: World, store: SimulatedStore) {
    this.#world = world;
    this.#store = store;
  }

  async create(subscription: Subscription): Promise<void> {
    const result = await this.#store.ports.subscriptions.insert(subscription, 1_000);
    if (result !== "inserted") throw new Error(`subscription ${subscription.id}: ${result}`);
    this.all.set(subscription.id, { now: subscription });
    const { policy } = subscription;
    this.#world.trace(() => `${subscription.id} is created: ${JSON.stringify(policy)}`);
  }

  /** As a person does. */
  async switch(id: string, state: Subscription["state"]): Promise<void> {
    const nowMs = this.#world.clock.now();
    await this.#change(id, (current) => ({ ...without(current), ...standingAsAsked(current, state, nowMs) }));
    this.#world.trace(() => `${id} is ${state}`);
  }

  /** As passbus does on a 410. */
  async disable(id: string, reason: "gone" | "failing"): Promise<void> {
    await this.#change(id, (current) => ({ ...without(current), ...standingDisabledByUs(current, reason) }));
    this.#world.count(`disabled as ${reason}`);
    this.#world.trace(() => `${id} is disabled: ${reason}`);
  }

  async remove(id: string): Promise<void> {
    const customer = this.all.get(id);
    if (customer === undefined || customer.deletedAtMs !== undefined) return;
    customer.deletedAtMs = this.#world.clock.now();
    await this.#store.ports.subscriptions.remove(customer.now.tenant, id);
    this.#world.trace(() => `${id} is deleted`);
  }

  get living(): readonly Customer[] {
    return [...this.all.values()].filter(({ deletedAtMs }) => deletedAtMs === undefined);
  }

  /** Protocol, rules 9 and 10, for a record that the log took at `loggedAtMs`. */
  due({ now }: Customer, organisation: string, loggedAtMs: number): Due {
    if (now.tenant.organisation !== organisation || now.operationalEvents !== undefined) return "no";
    if (now.createdAtMs > loggedAtMs + CLOCK_SKEW_MS) return "no";
    if (now.createdAtMs > loggedAtMs) return "maybe";
    if (now.policy.whileDisabled === "hold") return "yes";
    for (const { fromMs, toMs = Number.POSITIVE_INFINITY } of now.disabledSpans) {
      if (loggedAtMs === fromMs || loggedAtMs === toMs) return "maybe";
      if (loggedAtMs > fromMs && loggedAtMs < toMs) return "no";
    }
    return "yes";
  }

  async #change(id: string, change: (current: Subscription) => Subscription): Promise<void> {
    const customer = this.all.get(id);
    if (customer === undefined || customer.deletedAtMs !== undefined) return;
    const { now } = customer;
    const next = { ...change(now), version: now.version + 1, updatedAtMs: this.#world.clock.now() };
    // In this order: what is durable is known to the judge.
    customer.now = next;
    const result = await this.#store.ports.subscriptions.replace(next);
    if (result !== "replaced") throw new Error(`subscription ${id}: ${result}`);
  }
}

function without({ disabledReason: _, ...rest }: Subscription): Subscription {
  return rest;
}
