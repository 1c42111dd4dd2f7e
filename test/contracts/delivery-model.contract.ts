/**
 * Random histories of flushes, claims, retries and sweeps, against a model of the rules in a few lines: what the store
 * has must be what the model has, after every step, and whatever was flushed may be flushed again.
 */
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { DeliveryWrite } from "../../src/delivery/delivery-store.ts";
import type { Delivery, DeliveryStatus } from "../../src/domain/delivery.ts";
import type { Tenant } from "../../src/kernel/tenant.ts";
import {
  attempt,
  claim,
  delivery,
  event,
  first,
  type MakeStore,
  outcome,
  type StorePorts,
  type StoreUnderTest,
  T0,
} from "./rows.ts";

const LEASE_MS = 2_500;
const STEP_MS = 1_000;
const IDS = ["d1", "d2", "d3"] as const;

interface ModelRow {
  status: DeliveryStatus;
  run: number;
  fence: number;
  runAttempts: number;
  attempts: readonly string[];
  dueAtMs?: number;
  leaseUntilMs?: number;
}

const isTerminal = (status: DeliveryStatus): boolean => ["delivered", "failed", "cancelled"].includes(status);

/** What a row is after a move to `status` at `nowMs`; times of other states go. */
function moved(row: ModelRow, status: DeliveryStatus, atMs: number): ModelRow {
  const { dueAtMs: _due, leaseUntilMs: _lease, ...rest } = row;
  if (status === "waiting") return { ...rest, status, dueAtMs: atMs };
  if (status === "attempting") return { ...rest, status, leaseUntilMs: atMs };
  return { ...rest, status };
}

/** The rules of `DeliveryWrite`, as protocol.md has them. */
class Model {
  readonly rows = new Map<string, ModelRow>();

  write(write: DeliveryWrite): boolean {
    return write.kind === "first" ? this.#first(write.delivery) : this.#outcome(write);
  }

  #first(one: Delivery): boolean {
    const row = this.rows.get(one.id);
    const ids = one.attempts.map(({ id }) => id);
    const atMs = one.dueAtMs ?? one.leaseUntilMs ?? 0;
    if (row === undefined) {
      const made = { status: one.status, run: 1, fence: 0, runAttempts: ids.length, attempts: ids };
      this.rows.set(one.id, moved(made, one.status, atMs));
      return true;
    }
    const delivers = one.status === "delivered" && row.run === 1 && !isTerminal(row.status);
    if (!delivers) {
      this.#append(row, ids);
      return false;
    }
    const next = moved(row, one.status, atMs);
    next.fence += 1;
    next.runAttempts += this.#append(next, ids);
    this.rows.set(one.id, next);
    return true;
  }

  #outcome(write: Extract<DeliveryWrite, { kind: "outcome" }>): boolean {
    const row = this.rows.get(write.id);
    if (row === undefined) return false;
    const ids = write.attempt === undefined ? [] : [write.attempt.id];
    if (row.status !== "attempting" || row.fence !== write.fence || row.run !== write.run) {
      this.#append(row, ids);
      return false;
    }
    const next = moved(row, write.next.status, write.next.status === "waiting" ? write.next.dueAtMs : 0);
    next.runAttempts += this.#append(next, ids);
    this.rows.set(write.id, next);
    return true;
  }

  #append(row: ModelRow, ids: readonly string[]): number {
    const fresh = ids.filter((id) => !row.attempts.includes(id));
    row.attempts = [...row.attempts, ...fresh];
    return fresh.length;
  }

  claim(nowMs: number): readonly string[] {
    const due = [...this.rows].filter(
      ([, row]) => (row.dueAtMs ?? row.leaseUntilMs ?? Number.POSITIVE_INFINITY) <= nowMs,
    );
    for (const [id, row] of due) {
      this.rows.set(id, { ...moved(row, "attempting", nowMs + LEASE_MS), fence: row.fence + 1 });
    }
    return due.map(([id]) => id);
  }

  get nextDueAtMs(): number | undefined {
    const times = [...this.rows.values()].flatMap((row) => row.dueAtMs ?? row.leaseUntilMs ?? []);
    return times.length === 0 ? undefined : Math.min(...times);
  }

  retry(id: string, nowMs: number): void {
    const row = this.rows.get(id);
    if (row === undefined || row.status === "attempting" || row.status === "held") return;
    const next = moved(row, "waiting", nowMs);
    if (isTerminal(row.status)) Object.assign(next, { run: row.run + 1, fence: row.fence + 1, runAttempts: 0 });
    this.rows.set(id, next);
  }

  move(from: DeliveryStatus, to: DeliveryStatus, nowMs: number): void {
    for (const [id, row] of this.rows) {
      if (row.status === from) this.rows.set(id, { ...moved(row, to, nowMs), fence: row.fence + 1 });
    }
  }
}

const id = fc.constantFrom(...IDS);
const write = fc.record({
  id,
  kind: fc.constantFrom("spill", "tried", "delivered", "failed", "cancelled", "outcome"),
  status: fc.constantFrom("waiting", "attempting", "held"),
  next: fc.constantFrom("delivered", "failed", "waiting", "held", "cancelled"),
  withAttempt: fc.boolean(),
  /** How far the fence that is named lies behind the newest one. */
  late: fc.constantFrom(0, 0, 0, 1, 2),
});
const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("flush" as const),
      writes: fc.array(write, { minLength: 1, maxLength: 3 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("claim" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("retry" as const), id }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("move" as const),
      from: fc.constantFrom("waiting", "held"),
      to: fc.constantFrom("waiting", "held", "cancelled"),
    }),
  },
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;
type Write = typeof write extends fc.Arbitrary<infer W> ? W : never;

/** One history: its own tenant and subscription, so that histories don't meet in one store. */
class History {
  readonly #store: StorePorts;
  readonly #tenant: Tenant;
  readonly #subscriptionId: string;
  readonly #model = new Model();
  #nowMs = T0;
  #attempts = 0;

  constructor(store: StorePorts, number: number) {
    this.#store = store;
    this.#tenant = { organisation: `org${number}`, environment: "production" };
    this.#subscriptionId = `sub_${number}`;
  }

  async run(steps: readonly Step[]): Promise<void> {
    await this.#store.deliveries.flush({ events: [event("evt_1", { tenant: this.#tenant })], deliveries: [] });
    for (const one of steps) {
      this.#nowMs += STEP_MS;
      await this.#do(one);
      await this.#compare();
    }
  }

  async #do(one: Step): Promise<void> {
    const { deliveries } = this.#store;
    switch (one.do) {
      case "flush": {
        const batch = { events: [], deliveries: one.writes.map((each) => this.#writeOf(each)) };
        const expected = batch.deliveries.map((each) => this.#model.write(each));
        expect((await deliveries.flush(batch)).applied).toEqual(expected);
        await this.#compare();
        await deliveries.flush(batch); // The answer was lost.
        return;
      }
      case "claim": {
        const only = new Map([[this.#subscriptionId, 100]]);
        const slots = { slots: only, defaultSlots: 0, nowMs: this.#nowMs, leaseMs: LEASE_MS };
        const { claimed } = await claim(this.#store, slots);
        const expected = this.#model.claim(this.#nowMs);
        expect(new Set(claimed.map((each) => each.delivery.id))).toEqual(new Set(expected));
        for (const each of claimed) {
          expect(each.delivery.fence).toBe(this.#model.rows.get(each.delivery.id)?.fence);
        }
        return;
      }
      case "retry":
        await deliveries.retry(this.#tenant, one.id, this.#nowMs);
        return this.#model.retry(one.id, this.#nowMs);
      case "move": {
        const { from, to } = one;
        const asked = { tenant: this.#tenant, subscriptionId: this.#subscriptionId, from, to };
        await deliveries.moveOpen({ ...asked, nowMs: this.#nowMs, limit: 100 });
        return this.#model.move(from, to, this.#nowMs);
      }
    }
  }

  #writeOf(one: Write): DeliveryWrite {
    const nowMs = this.#nowMs;
    const row = this.#model.rows.get(one.id);
    this.#attempts += 1;
    const attemptId = `a${this.#attempts}`;
    const base = delivery(one.id, { tenant: this.#tenant, subscriptionId: this.#subscriptionId });
    // Only what has a row was ever claimed.
    if (one.kind === "outcome" && row !== undefined) {
      const target = { ...base, fence: row.fence - one.late, run: row.run };
      const states = {
        waiting: { status: "waiting", dueAtMs: nowMs + STEP_MS, workClass: "retry" },
        held: { status: "held" },
        delivered: { status: "delivered", finishedAtMs: nowMs },
        failed: { status: "failed", finishedAtMs: nowMs },
        cancelled: { status: "cancelled", finishedAtMs: nowMs },
      } as const;
      return outcome(target, states[one.next], one.withAttempt ? attemptId : undefined);
    }
    const tried = { attempts: [attempt(attemptId)], attemptCount: 1, runAttempts: 1 };
    if (one.kind === "tried") return first({ ...base, ...tried, status: "waiting", dueAtMs: nowMs + STEP_MS });
    if (one.kind !== "spill" && one.kind !== "outcome")
      return first({ ...base, ...tried, status: one.kind, finishedAtMs: nowMs });
    if (one.status === "waiting") return first({ ...base, status: "waiting", dueAtMs: nowMs });
    if (one.status === "attempting") return first({ ...base, status: "attempting", leaseUntilMs: nowMs + LEASE_MS });
    return first({ ...base, status: "held" });
  }

  async #compare(): Promise<void> {
    for (const each of IDS) {
      const found = await this.#store.deliveries.getDelivery(this.#tenant, each);
      const row = this.#model.rows.get(each);
      const seen: ModelRow | undefined = found && {
        status: found.status,
        run: found.run,
        fence: found.fence,
        runAttempts: found.runAttempts,
        attempts: found.attempts.map((one) => one.id),
        ...(found.dueAtMs === undefined ? {} : { dueAtMs: found.dueAtMs }),
        ...(found.leaseUntilMs === undefined ? {} : { leaseUntilMs: found.leaseUntilMs }),
      };
      expect(seen).toEqual(row);
      expect(found?.attemptCount).toBe(row?.attempts.length);
      expect(found?.finishedAtMs !== undefined).toBe(row !== undefined && isTerminal(row.status));
    }
  }

  /** What the store says is next, where this history's rows are all that is open. */
  async compareNextDue(): Promise<void> {
    const { nextDueAtMs } = await claim(this.#store, { nowMs: T0, limit: 0 });
    expect(nextDueAtMs).toBe(this.#model.nextDueAtMs);
  }

  /** Leaves nothing open behind, whatever state it is in: the next history looks at what is due. */
  async end(): Promise<void> {
    const mine = { slots: new Map([[this.#subscriptionId, 100]]), defaultSlots: 0 };
    const { claimed } = await claim(this.#store, { nowMs: T0 + 1e9, ...mine });
    const cancelled = { status: "cancelled", finishedAtMs: T0 } as const;
    const deliveries = claimed.map((each) => outcome(each.delivery, cancelled));
    await this.#store.deliveries.flush({ events: [], deliveries });
  }
}

export function deliveryModelContract(name: string, make: MakeStore): void {
  let store: StoreUnderTest;
  beforeEach(async () => {
    store = await make();
  });
  afterEach(() => store.close());

  describe(`${name}: histories`, () => {
    test("every history leaves what the rules say, also where each flush is sent twice", {
      timeout: 120_000,
    }, async () => {
      let number = 0;
      const property = fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 18 }), async (steps) => {
        number += 1;
        const history = new History(store, number);
        try {
          await history.run(steps);
          await history.compareNextDue();
        } finally {
          await history.end();
        }
      });
      await fc.assert(property, { numRuns: 150 });
    });
  });
}
