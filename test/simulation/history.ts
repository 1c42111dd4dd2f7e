/**
 * One history: some workers, subscriptions and events, some trouble while they are at it, then peace until everything
 * has come to rest, and the judgement. All of it follows from the seed.
 */
import { Customers } from "./customers.ts";
import { SimulatedHeartbeats } from "./heartbeats.ts";
import { Incidents } from "./incidents.ts";
import { Judge } from "./judge.ts";
import { SimulatedLog } from "./log.ts";
import { FINE, Network, OwnWrites } from "./network.ts";
import { Receivers } from "./receivers.ts";
import { type Plan, planOf } from "./scenario.ts";
import { emptyDatabase, type SimulatedStore, simulatedStore } from "./store.ts";
import { SimulatedWorker, type Surroundings } from "./worker.ts";
import { type Violation, World } from "./world.ts";

export interface HistoryResult {
  readonly seed: number;
  readonly violations: readonly Violation[];
  readonly counts: ReadonlyMap<string, number>;
  readonly virtualMs: number;
}

/** Longest time to come to rest: leases of 60 s end one after the other, and an open breaker waits for minutes. */
const PEACE_MS = 20 * 60_000;
/** How long nothing may be left to do before it is believed. */
const REST_MS = 1_500;
const STOP_LIMIT_MS = 30_000;

/** `database`: to be used again from history to history. Nothing of an earlier one is left in it. */
export async function runHistory(
  seed: number,
  print?: (line: string) => void,
  database = emptyDatabase(),
): Promise<HistoryResult> {
  const world = new World(seed, print);
  const plan = planOf(world);
  world.trace(() => `seed ${seed}: ${JSON.stringify(plan)}`);
  try {
    await new History(world, plan, simulatedStore(database)).run();
  } catch (error) {
    world.violated("mistake", error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
  return { seed, violations: world.violations, counts: world.counts, virtualMs: world.elapsedMs };
}

class History {
  readonly #world: World;
  readonly #plan: Plan;
  readonly #around: Surroundings;
  readonly #workers: SimulatedWorker[] = [];
  readonly #incidents: Incidents;
  #started = 0;

  constructor(world: World, plan: Plan, store: SimulatedStore) {
    this.#world = world;
    this.#plan = plan;
    const customers = new Customers(world, store);
    const log = new SimulatedLog(world, plan.partitions);
    const judge = new Judge(world, store, customers, (partition) => log.ownerOf(partition));
    const own = plan.knowsOwnWrites ? new OwnWrites((id) => judge.rows.stateOf(id)) : undefined;
    const network = new Network(world, (effect) => judge.rows.observe(effect), own);
    log.onCommit((partition, from, to, by) => judge.committed(partition.number, from, to, by));
    const heartbeats = new SimulatedHeartbeats(world, store);
    this.#around = { world, store, heartbeats, network, log, receivers: new Receivers(world), customers, judge };
    const startWorker = () => this.#startWorker();
    this.#incidents = new Incidents({ plan, around: this.#around, workers: this.#workers, startWorker });
  }

  async run(): Promise<void> {
    const { activeMs } = this.#plan;
    await this.#incidents.begin();
    for (let count = 0; count < this.#plan.workers; count++) this.#startWorker();
    this.#incidents.schedule();
    await this.#pass(activeMs);
    await this.#incidents.heal();
    await this.#rest();
    this.#around.judge.ended();
    await this.#stopAll();
  }

  #startWorker(): void {
    const worker = new SimulatedWorker(`w${++this.#started}`, this.#around);
    this.#workers.push(worker);
    worker.start().catch((error: unknown) => this.#world.violated("mistake", `${worker.name}: ${String(error)}`));
  }

  /** Lets time pass: whatever can run runs before the clock moves on. */
  async #pass(ms: number): Promise<void> {
    const endMs = this.#world.clock.now() + ms;
    await settled();
    while (this.#world.clock.step(endMs)) await settled();
  }

  async #rest(): Promise<void> {
    const { clock } = this.#world;
    const endMs = clock.now() + PEACE_MS;
    let quietSinceMs: number | undefined;
    while (clock.now() < endMs) {
      await this.#pass(500);
      if (!this.#isQuiet()) quietSinceMs = undefined;
      else quietSinceMs ??= clock.now();
      if (quietSinceMs !== undefined && clock.now() - quietSinceMs >= REST_MS) return;
      await this.#incidents.keepPeace();
    }
    const { log } = this.#around;
    const lag = log.partitions.map(({ records, committed }) => records.length - committed);
    const living = this.#workers.filter(({ process, hasLeft }) => !process.isDead && !hasLeft);
    const busy = living.filter((worker) => !worker.isIdle).map(({ name }) => name);
    this.#world.violated(
      "stuck",
      `no rest after ${PEACE_MS} ms: behind by ${lag.join(", ")}, busy: ${busy.join(", ")}`,
    );
  }

  #isQuiet(): boolean {
    const { log, judge } = this.#around;
    return (
      this.#incidents.isOver &&
      log.partitions.every(({ records, committed }) => committed === records.length) &&
      // One that has left may have given up what the store didn't take.
      this.#workers.every((worker) => worker.process.isDead || worker.hasLeft || worker.isIdle) &&
      judge.isThrough
    );
  }

  /** A worker that stops leaves nothing behind: no timer, and no promise that somebody waits for. */
  async #stopAll(): Promise<void> {
    // One that isn't ready ends at once.
    for (const worker of this.#workers) if (!worker.isReady) worker.kill();
    const living = this.#workers.filter((worker) => worker.process.isRunning);
    for (const worker of living) void worker.leave();
    for (let waitedMs = 0; waitedMs < STOP_LIMIT_MS && !living.every((one) => one.hasLeft); waitedMs += 500) {
      await this.#pass(500);
    }
    // Calls that were under way when it left come back to nobody.
    await this.#pass(FINE.latencyMs[1] * 4);
    for (const { name, hasLeft, process } of living) {
      if (!hasLeft) this.#world.violated("no stop", `${name} has not stopped after ${STOP_LIMIT_MS} ms`);
      else if (process.timers > 0) this.#world.violated("timers", `${name} has left ${process.timers} timers behind`);
    }
  }
}

/** Everything that is ready runs: promises are, to the last, before an immediate is. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
