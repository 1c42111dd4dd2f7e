import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodedEvent } from "../../test/support/events.ts";
import { type DeliveryStatus, isTerminal } from "../domain/delivery.ts";
import { seededRandom } from "../kernel/random.ts";
import { ANY_OPEN, Chains, chainOf, NONE_OPEN } from "./chains.ts";
import type { Work } from "./work.ts";

const ASSIGNMENT = { topic: "pass.events", partition: 0, generation: 1 };

function work(sequence: number, passId = "pass-1", over: Partial<Work> = {}): Work {
  return {
    id: `${passId}/${sequence}`,
    subscriptionId: "sub_1",
    event: { ...decodedEvent({ id: `evt_${sequence}`, pass: { id: passId } }), rendered: new Map(), conflicted: false },
    workClass: "live",
    createdAtMs: 0,
    sequence,
    ordered: true,
    runAttempts: 0,
    assignment: ASSIGNMENT,
    waiters: [],
    row: "none",
    queuedAtMs: 0,
    ...over,
  };
}

function setup() {
  const did: string[] = [];
  const say = (what: string) => (one: Work) => void did.push(`${what} ${one.sequence}`);
  const chains = new Chains({
    go: say("go"),
    hold: say("hold"),
    giveUp: say("giveUp"),
    ...{ follow: say("follow"), promote: say("promote") },
  });
  const add = (one: Work, openFrom = NONE_OPEN) => chains.add(one, { nowMs: 0, openFrom });
  const said = () => did.splice(0);
  return { chains, add, said };
}

describe("one chain", () => {
  test("the next goes on a delivery that is not durable yet", () => {
    const { chains, add, said } = setup();
    const [one, two] = [work(1), work(2)];
    add(one);
    add(two);
    expect(said()).toEqual(["go 1"]);
    expect(chains.waiting).toBe(1);
    chains.writing(one, "delivered");
    expect(said()).toEqual(["go 2"]);
    chains.written(one, "delivered", "applied");
    chains.writing(two, "delivered");
    expect(said()).toEqual([]);
    expect(chains.knows(chainOf(one), ASSIGNMENT)).toBe(false);
  });

  test.each(["failed", "cancelled"] as const)("the next goes on %s only when that is durable", (status) => {
    const { chains, add, said } = setup();
    const [one, two] = [work(1), work(2)];
    add(one);
    add(two);
    said();
    chains.writing(one, status);
    expect(said()).toEqual([]);
    chains.written(one, status, "applied");
    expect(said()).toEqual(["go 2"]);
  });

  test.each(["waiting", "held", "attempting"] as const)("those behind one that is %s follow it as held", (status) => {
    const { chains, add, said } = setup();
    const [one, two, three] = [work(1), work(2), work(3)];
    for (const each of [one, two, three]) add(each);
    said();
    chains.writing(one, status);
    expect(said()).toEqual(["hold 2", "hold 3"]);
    expect(chains.waiting).toBe(0);
    chains.written(one, status, "applied");
    expect(said()).toEqual(status === "held" ? ["promote 1"] : []);
    add(work(4));
    expect(said()).toEqual(["hold 4"]);
    // Whoever was in front of it may have ended before its row was there.
    chains.written(two, "held", "applied");
    expect(said()).toEqual(["promote 2"]);
  });

  test("one behind an open row in the store is held; an older one that was delivered before goes again", () => {
    const { add, said } = setup();
    add(work(5), 3);
    expect(said()).toEqual(["hold 5"]);
    const again = setup();
    again.add(work(1), 3);
    again.add(work(5), 3);
    expect(again.said()).toEqual(["go 1"]);
  });

  test("however many are behind one that leaves, each is held after the one before it", () => {
    const held: Work[] = [];
    const nobody = () => {};
    const chains: Chains = new Chains({
      ...{ go: nobody, giveUp: nobody, follow: nobody, promote: nobody },
      hold(one) {
        held.push(one);
        chains.writing(one, "held");
      },
    });
    const works = Array.from({ length: 6_000 }, (_, at) => work(at));
    for (const one of works) chains.add(one, { nowMs: 0, openFrom: NONE_OPEN });
    const [first, ...others] = works;
    if (first === undefined) throw new Error("no work");
    chains.writing(first, "waiting");
    expect(held.map(({ sequence }) => sequence)).toEqual(others.map(({ sequence }) => sequence));
    expect(chains.waiting).toBe(0);
    chains.written(first, "waiting", "applied");
    for (const one of held) chains.written(one, "held", "applied");
    expect(chains.holds(chainOf(first))).toBe(false);
  });

  test("an end that met a row says nothing of the chain: the next is held, and the store is asked", () => {
    const { chains, add, said } = setup();
    const [one, two] = [work(1), work(2)];
    add(one);
    add(two);
    chains.writing(one, "failed");
    said();
    chains.written(one, "failed", "refused");
    expect(said()).toEqual(["promote 1", "hold 2"]);
  });

  test("the end of one from the store asks for its next", () => {
    const { chains, said } = setup();
    const claimed = work(1, "pass-1", { claim: { fence: 1, run: 1, leaseUntilMs: 1, life: 1 }, row: "leased" });
    chains.writing(claimed, "waiting");
    chains.written(claimed, "waiting", "applied");
    expect(said()).toEqual([]);
    chains.writing(claimed, "delivered");
    expect(said()).toEqual(["follow 1"]);
    chains.written(claimed, "delivered", "applied");
    expect(said()).toEqual(["promote 1"]);
  });

  test("with one that is dropped go those behind it of the same partition's time", () => {
    const { chains, add, said } = setup();
    const [one, two, other] = [work(1), work(2), work(3, "pass-1", { assignment: { ...ASSIGNMENT, generation: 2 } })];
    for (const each of [one, two, other]) add(each);
    said();
    chains.dropped(one, false);
    expect(said()).toEqual(["giveUp 2", "go 3"]);
  });

  test("what another inherits keeps its place", () => {
    const { chains, add, said } = setup();
    const next = { assignment: { ...ASSIGNMENT, generation: 2 } };
    const [one, two] = [work(1), work(2, "pass-1", next)];
    add(one);
    add(two);
    said();
    chains.dropped(one, true);
    expect(said()).toEqual([]);
    expect(chains.replaced(one, work(1, "pass-1", next))).toBe(true);
    expect(said()).toEqual(["go 1"]);
    const stored = setup();
    stored.add(one);
    stored.add(two);
    stored.chains.dropped(one, true);
    stored.chains.foundStored(one);
    expect(stored.said()).toEqual(["go 1", "hold 2"]);
  });

  test("one whose event turned out to be another's makes way for the next", () => {
    const { chains, add, said } = setup();
    const [one, two] = [work(1), work(2)];
    add(one);
    add(two);
    one.event.conflicted = true;
    chains.dropped(one, false);
    expect(said()).toEqual(["go 1", "go 2"]);
  });

  test("what is left of an earlier time with the partition says nothing of what the store has", () => {
    const { chains, add } = setup();
    add(work(1));
    expect(chains.knows(chainOf(work(1)), ASSIGNMENT)).toBe(true);
    expect(chains.knows(chainOf(work(1)), { ...ASSIGNMENT, generation: 2 })).toBe(false);
  });

  test("whoever keeps another waiting for too long is named", () => {
    const { chains, add } = setup();
    const one = work(1);
    add(one);
    expect(chains.overdue(1)).toEqual([]);
    add(work(2));
    expect(chains.overdue(0)).toEqual([]);
    expect(chains.overdue(1)).toEqual([one]);
    chains.writing(one, "failed");
    expect(chains.overdue(1)).toEqual([]);
  });
});

type Row = { status: DeliveryStatus; readonly sequence: number; readonly passId: string };

/** A worker with its chains and unflushed writes, and a store whose flushes may get part of the way before a crash. */
class World {
  readonly rows = new Map<string, Row>();
  readonly accepted = new Set<string>();
  readonly #random: () => number;
  readonly #records: readonly { readonly passId: string; readonly sequence: number }[];
  #chains = this.#newChains();
  #planned = 0;
  #flying: Work[] = [];
  #unflushed: { readonly work: Work; readonly status: DeliveryStatus }[] = [];
  #promotions = new Set<string>();
  #claimed: Row[] = [];

  constructor(passes: readonly number[], random: () => number) {
    this.#random = random;
    this.#records = passes.map((pass, sequence) => ({ passId: `pass-${pass}`, sequence }));
  }

  #newChains(): Chains {
    return new Chains({
      go: (one) => this.#fly(one),
      hold: (one) => this.#write(one, "held"),
      giveUp: () => {},
      follow: () => {},
      promote: (one) => void this.#promotions.add(one.event.stored.passId),
    });
  }

  get isDone(): boolean {
    return this.#records.every(({ passId, sequence }) => {
      const row = this.rows.get(`${passId}/${sequence}`);
      return row !== undefined && isTerminal(row.status);
    });
  }

  #fly(one: Work): void {
    this.#mayGo(one.event.stored.passId, one.sequence ?? 0);
    this.#flying.push(one);
  }

  /** Order: every earlier one of the pass was accepted, or is durably at its end. */
  #mayGo(passId: string, sequence: number): void {
    const early = this.#records.filter((one) => one.passId === passId && one.sequence < sequence);
    const open = early.filter((one) => {
      const id = `${passId}/${one.sequence}`;
      return !this.accepted.has(id) && !isTerminal(this.rows.get(id)?.status ?? "waiting");
    });
    expect(open, `in front of ${passId}/${sequence}`).toEqual([]);
  }

  #write(one: Work, status: DeliveryStatus): void {
    if (status === "delivered") this.accepted.add(one.id);
    this.#unflushed.push({ work: one, status });
    this.#chains.writing(one, status);
  }

  /** The next record, as the planner does it: what has a row stops, the store is asked about the rest. */
  plan(): void {
    const record = this.#records[this.#planned];
    if (record === undefined) return;
    this.#planned++;
    const { passId, sequence } = record;
    const one = work(sequence, passId);
    if (this.rows.has(one.id)) return;
    const openFrom = this.#chains.knows(chainOf(one), ASSIGNMENT) ? NONE_OPEN : this.#lowestOpen(passId);
    this.#chains.add(one, { nowMs: 0, openFrom: this.#random() < 0.05 ? ANY_OPEN : openFrom });
  }

  #open(passId: string): readonly Row[] {
    const rows = [...this.rows.values()].filter((row) => row.passId === passId && !isTerminal(row.status));
    return rows.sort((a, b) => a.sequence - b.sequence);
  }

  #lowestOpen(passId: string): number {
    return this.#open(passId)[0]?.sequence ?? NONE_OPEN;
  }

  /** An attempt ends, or what waits is spilled. */
  answer(): void {
    const [one] = this.#flying.splice(Math.floor(this.#random() * this.#flying.length), 1);
    const status = this.#pick(["delivered", "delivered", "failed", "waiting", "cancelled", "held"] as const);
    if (one !== undefined) this.#write(one, status);
  }

  /** A flush in its order; `part` of it, where a crash comes. */
  flush(part = 1): void {
    const batch = this.#unflushed.splice(0);
    const reached = batch.slice(0, Math.floor(batch.length * part));
    for (const { work: one, status } of reached) {
      const { passId } = one.event.stored;
      this.rows.set(one.id, { status, passId, sequence: one.sequence ?? 0 });
    }
    if (part < 1) return;
    for (const { work: one, status } of reached) this.#chains.written(one, status, "applied");
  }

  /** What the store's side does: promotions, a claim, and what comes of one. */
  serve(): void {
    for (const passId of this.#promotions) this.#promote(passId);
    this.#promotions.clear();
    for (const row of this.rows.values()) {
      if (row.status !== "waiting") continue;
      this.#mayGo(row.passId, row.sequence);
      row.status = "attempting";
      this.#claimed.push(row);
    }
    const [row] = this.#claimed.splice(Math.floor(this.#random() * this.#claimed.length), 1);
    if (row === undefined) return;
    row.status = this.#pick(["delivered", "failed", "waiting"] as const);
    if (row.status === "delivered") this.accepted.add(`${row.passId}/${row.sequence}`);
    if (isTerminal(row.status)) this.#promotions.add(row.passId);
  }

  #promote(passId: string): void {
    const [head] = this.#open(passId);
    if (head?.status === "held") head.status = "waiting";
  }

  sweep(): void {
    for (const passId of new Set(this.#records.map((one) => one.passId))) this.#promote(passId);
  }

  /** kill -9: memory is gone, the last flush got as far as it got, and the log is read again. */
  crash(): void {
    this.flush(this.#random() * 0.99);
    this.#flying = [];
    this.#promotions.clear();
    for (const row of this.#claimed.splice(0)) row.status = "waiting";
    this.#chains = this.#newChains();
    this.#planned = 0;
  }

  #pick<T>(of: readonly T[]): T {
    return of[Math.floor(this.#random() * of.length)] as T;
  }

  step(sort: number): void {
    if (sort < 40) this.plan();
    else if (sort < 65) this.answer();
    else if (sort < 80) this.flush();
    else if (sort < 98) this.serve();
    else this.crash();
  }

  /** Nothing fails any more, and the sweep comes by only at the end: does all of it get through? */
  settle(withSweep: boolean): void {
    for (let round = 0; round < 400 && !this.isDone; round++) {
      for (let at = 0; at < 5; at++) this.plan();
      this.answer();
      this.flush();
      this.serve();
      if (withSweep) this.sweep();
    }
  }
}

describe("random histories", () => {
  const passes = fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 4, maxLength: 14 });
  const steps = fc.array(fc.integer({ min: 0, max: 99 }), { minLength: 10, maxLength: 120 });
  const seed = fc.integer();

  test("none leaves before an earlier one of its pass, over crashes at any moment, and all get through", () => {
    fc.assert(
      fc.property(passes, steps, seed, (of, sorts, from) => {
        const world = new World(of, seededRandom(from).next);
        for (const sort of sorts) world.step(sort);
        world.settle(true);
        expect(world.isDone).toBe(true);
      }),
      { numRuns: 400 },
    );
  });

  test("without a crash no sweep is needed", () => {
    fc.assert(
      fc.property(passes, steps, seed, (of, sorts, from) => {
        const world = new World(of, seededRandom(from).next);
        for (const sort of sorts) world.step(sort % 98);
        world.settle(false);
        expect(world.isDone).toBe(true);
      }),
      { numRuns: 400 },
    );
  });
});
