/**
 * The log of one history: partitions, their committed positions, and a consumer group that gives them to its members as
 * Kafka's does. A rebalance waits until every member has given back what it had; one that is silent for longer than its
 * session is no member any more.
 */
import type { LogRecord, Position } from "../../src/intake/event-log.ts";
import type { World } from "./world.ts";

export const TOPIC = "pass.events";
export const SESSION_MS = 6_000;
const CHECK_EVERY_MS = 500;
/** How long the group waits for a member that is alive and doesn't come back. */
const REBALANCE_MS = 10_000;

export interface Partition {
  readonly number: number;
  readonly records: LogRecord[];
  /** The next offset to read. */
  committed: number;
}

export interface Membership {
  readonly name: string;
  /** What it is given, and since when, by the world's clock. */
  assign(given: readonly Given[], atMs: number): void;
}

/** A partition, and the position to begin from. */
export interface Given {
  readonly partition: number;
  readonly offset: number;
}

export type Heard = "member" | "rebalancing" | "unknown";

export class SimulatedLog {
  readonly partitions: readonly Partition[];
  readonly #world: World;
  readonly #members = new Map<Membership, { heardAtMs: number; generation: number; partitions: readonly number[] }>();
  readonly #appended = new Set<() => void>();
  readonly #owners = new Map<number, string>();
  #generation = 0;
  /** While it rebalances: who has come back, and until when the others may. */
  #rebalance: { readonly back: Set<Membership>; readonly endsAtMs: number } | undefined;
  #onCommit: (partition: Partition, from: number, to: number, by: string) => void = () => {};

  constructor(world: World, partitions: number) {
    this.#world = world;
    this.partitions = Array.from({ length: partitions }, (_, number) => ({ number, records: [], committed: 0 }));
    this.#check();
  }

  /** Called at the moment in which a position moves. */
  onCommit(listener: (partition: Partition, from: number, to: number, by: string) => void): void {
    this.#onCommit = listener;
  }

  append(partition: number, record: Pick<LogRecord, "key" | "value" | "headers">): LogRecord {
    const { records } = this.#partition(partition);
    const appendedAtMs = this.#world.clock.now();
    const appended: LogRecord = { topic: TOPIC, partition, offset: records.length, appendedAtMs, ...record };
    records.push(appended);
    for (const listener of this.#appended) listener();
    return appended;
  }

  /** `listener` is called after each record. The returned function ends that. */
  onAppend(listener: () => void): () => void {
    this.#appended.add(listener);
    return () => this.#appended.delete(listener);
  }

  read(partition: number, offset: number, limit: number): readonly LogRecord[] {
    return this.#partition(partition).records.slice(offset, offset + limit);
  }

  // ---- the group ----

  join(member: Membership): void {
    this.#members.set(member, { heardAtMs: this.#world.clock.now(), generation: -1, partitions: [] });
    this.rebalance("a member joined");
    this.#comeBack(member);
  }

  leave(member: Membership): void {
    if (this.#members.delete(member)) this.rebalance("a member left");
  }

  heartbeat(member: Membership): Heard {
    const state = this.#members.get(member);
    if (state === undefined) return "unknown";
    state.heardAtMs = this.#world.clock.now();
    return this.#rebalance === undefined || this.#rebalance.back.has(member) ? "member" : "rebalancing";
  }

  /**
   * It has given back what it had. Where the rebalance that it was told of is over by now, it is given the same again, as
   * Kafka's coordinator answers a member that joins a stable group as it was.
   */
  rejoin(member: Membership): void {
    const state = this.#members.get(member);
    if (state === undefined) return;
    const nowMs = this.#world.clock.now();
    state.heardAtMs = nowMs;
    if (this.#rebalance !== undefined || state.generation !== this.#generation) {
      this.#comeBack(member);
      return;
    }
    const own = this.partitions.filter(({ number }) => state.partitions.includes(number));
    member.assign(
      own.map(({ number, committed }) => ({ partition: number, offset: committed })),
      nowMs,
    );
  }

  /** Partitions go round anew; a rebalance that is under way goes on. */
  rebalance(why: string): void {
    this.#world.count("rebalance");
    this.#world.trace(() => `the group rebalances: ${why}`);
    const endsAtMs = this.#world.clock.now() + REBALANCE_MS;
    this.#rebalance = { back: this.#rebalance?.back ?? new Set(), endsAtMs };
    this.#complete();
  }

  /** False: the member's generation has passed, or it is none. */
  commit(member: Membership, positions: readonly Position[]): boolean {
    if (this.#members.get(member)?.generation !== this.#generation) return false;
    for (const { partition: number, offset } of positions) {
      const partition = this.#partition(number);
      const from = partition.committed;
      partition.committed = offset;
      this.#world.trace(() => `${member.name} commits partition ${number}: ${from} to ${offset}`);
      this.#onCommit(partition, from, offset, member.name);
    }
    return true;
  }

  /** The member to which the partition was given last. */
  ownerOf(partition: number): string | undefined {
    return this.#owners.get(partition);
  }

  #comeBack(member: Membership): void {
    this.#rebalance?.back.add(member);
    this.#complete();
  }

  #complete(): void {
    const rebalance = this.#rebalance;
    const members = [...this.#members.keys()];
    if (rebalance === undefined || members.length === 0 || !members.every((one) => rebalance.back.has(one))) return;
    this.#rebalance = undefined;
    this.#generation++;
    const given = new Map(members.map((member) => [member, [] as Given[]]));
    for (const { number, committed } of this.partitions) {
      const owner = this.#world.pick(members);
      this.#owners.set(number, owner.name);
      given.get(owner)?.push({ partition: number, offset: committed });
    }
    for (const [member, partitions] of given) {
      const state = this.#members.get(member);
      if (state !== undefined)
        Object.assign(state, {
          generation: this.#generation,
          heardAtMs: this.#world.clock.now(),
          partitions: partitions.map(({ partition }) => partition),
        });
      member.assign(partitions, this.#world.clock.now());
    }
  }

  #check(): void {
    const nowMs = this.#world.clock.now();
    const isLate = this.#rebalance !== undefined && nowMs > this.#rebalance.endsAtMs;
    for (const [member, { heardAtMs }] of this.#members) {
      const isSilent = nowMs - heardAtMs > SESSION_MS;
      if (isSilent || (isLate && this.#rebalance?.back.has(member) === false)) {
        this.#world.trace(() => `the group drops ${member.name}`);
        this.leave(member);
      }
    }
    this.#complete();
    this.#world.clock.after(CHECK_EVERY_MS, () => this.#check());
  }

  #partition(number: number): Partition {
    const partition = this.partitions[number];
    if (partition === undefined) throw new Error(`there is no partition ${number}`);
    return partition;
  }
}
