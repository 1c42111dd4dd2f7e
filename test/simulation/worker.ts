/** A worker process: the engine and the intake as they are, on simulated ends. */
import { Engine } from "../../src/delivery/engine.ts";
import { Heartbeat } from "../../src/delivery/heartbeat.ts";
import { KillSwitch } from "../../src/delivery/kill-switch.ts";
import { ReplayRunner } from "../../src/delivery/replay-runner.ts";
import { formatOf } from "../../src/formats/registry.ts";
import { Intake } from "../../src/intake/consume.ts";
import { recordDecoder } from "../../src/intake/decode.ts";
import type { Log } from "../../src/kernel/log.ts";
import { SubscriptionIndex } from "../../src/matching/subscription-index.ts";
import { attemptIds } from "./attempt-ids.ts";
import type { Customers } from "./customers.ts";
import type { SimulatedHeartbeats } from "./heartbeats.ts";
import type { Judge } from "./judge.ts";
import type { SimulatedLog } from "./log.ts";
import { FINE, type Network, type Weather } from "./network.ts";
import { SimulatedReader } from "./reader.ts";
import { type Receivers, simulatedSender } from "./receivers.ts";
import type { SimulatedStore } from "./store.ts";
import { ProcessClock } from "./virtual-clock.ts";
import type { World } from "./world.ts";

/** What all workers of a history share. */
export interface Surroundings {
  readonly world: World;
  readonly store: SimulatedStore;
  readonly heartbeats: SimulatedHeartbeats;
  /** Between the workers and the store. */
  readonly network: Network;
  readonly log: SimulatedLog;
  readonly receivers: Receivers;
  readonly customers: Customers;
  readonly judge: Judge;
}

const DRAIN_MS = 2_000;
const SKEW_MS = 300;

export const decode = recordDecoder(
  { fallback: () => ({ organisation: "o0", environment: "production" }), allows: () => true },
  { isOwnLog: true },
);

export class SimulatedWorker {
  readonly name: string;
  readonly process: ProcessClock;
  /** Between this worker and the log. */
  readonly weather: Weather = { ...FINE };
  readonly #around: Surroundings;
  readonly #engine: Engine;
  readonly #intake: Intake;
  readonly #reader: SimulatedReader;
  readonly #killSwitch: KillSwitch;
  readonly #heartbeat: Heartbeat;
  readonly #replays: ReplayRunner;
  #leaving: Promise<void> | undefined;
  #hasLeft = false;
  #isReady = false;

  constructor(name: string, around: Surroundings) {
    const { world, store, heartbeats, network, log, receivers, customers, judge } = around;
    this.name = name;
    this.#around = around;
    this.process = new ProcessClock(world.clock, world.between(-SKEW_MS, SKEW_MS));
    const clock = this.process;
    const random = world.fork();
    const ids = attemptIds(clock, random);
    const far = <T extends object>(port: T): T => network.over(port, clock, name);
    const quiet = this.#logOf();
    const onLost = () => judge.ledger.disturbed(name, "lost");
    this.#reader = new SimulatedReader({ world, log, process: clock, name, weather: this.weather, onLost });
    this.#killSwitch = new KillSwitch({
      store: far(store.ports.switches),
      clock,
      log: quiet,
      onStarted: () => this.#engine.wake(),
    });
    const held = heartbeats.worker(() => judge.ledger.disturbed(name, "lost"));
    const wake = () => this.#engine.wake();
    this.#heartbeat = new Heartbeat({ store: far(held.beats), clock, log: quiet, wake });
    const index = new SubscriptionIndex({
      feed: far(store.ports.feed),
      clock,
      typesOf: (format) => formatOf(format).types,
    });
    this.#engine = new Engine({
      store: far(held.deliveries),
      endpoints: far(store.ports.endpoints),
      disableAfterMs: 5 * 24 * 3_600_000,
      index,
      sender: simulatedSender({ world, receivers, ledger: judge.ledger, process: clock, worker: name, ids }),
      signer: { tlsOf: () => undefined, sign: (_subscription, _format, id) => ({ "webhook-id": id }) },
      endpointSwitch: far({
        disable: async (_tenant: unknown, id: string, reason: "gone" | "failing") => {
          await customers.disable(id, reason);
          return undefined;
        },
      }),
      isFresh: (assignment) => this.#reader.isFresh(assignment),
      stopped: this.#killSwitch,
      holder: this.#heartbeat,
      userAgent: "passbus/simulated",
      load: { sample: () => (world.chance(0.02) ? 1 : 0) },
      clock,
      random,
      ids,
      log: quiet,
    });
    this.#replays = new ReplayRunner({
      jobs: far(store.ports.replays),
      store: far(store.ports.replays),
      index,
      stopped: this.#killSwitch,
      clock,
      log: quiet,
      onDue: () => this.#engine.wake(),
    });
    this.#intake = new Intake({
      reader: this.#reader,
      decode,
      deadLetters: far(store.ports.deadLetters),
      taker: this.#engine,
      clock,
      log: quiet,
    });
  }

  async start(): Promise<void> {
    const { world } = this.#around;
    world.trace(() => `${this.name} starts`);
    for (;;) {
      try {
        await this.#killSwitch.start();
        break;
      } catch {
        // As a supervisor starts a process again that could not start.
        await new Promise<void>((resolve) => void this.process.after(500, resolve));
      }
    }
    this.#heartbeat.start();
    this.#engine.start();
    this.#replays.start();
    await this.#intake.start();
    this.#isReady = true;
  }

  /** It has joined the group; one that hasn't ends at once when it is told to. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /** SIGKILL. */
  kill(): void {
    this.#around.world.trace(() => `${this.name} is killed`);
    this.#around.judge.ledger.disturbed(this.name, "killed");
    this.process.kill();
    this.#reader.close();
  }

  /** SIGSTOP. */
  stop(): void {
    this.#around.world.trace(() => `${this.name} is stopped`);
    this.#around.judge.ledger.disturbed(this.name, "stopped");
    this.process.stop();
  }

  /** SIGCONT. */
  resume(): void {
    this.#around.world.trace(() => `${this.name} goes on`);
    this.process.resume();
  }

  /** SIGTERM: as compose/worker.ts stops. */
  leave(): Promise<void> {
    this.#leaving ??= this.#leave();
    return this.#leaving;
  }

  get hasLeft(): boolean {
    return this.#hasLeft;
  }

  get isLeaving(): boolean {
    return this.#leaving !== undefined;
  }

  /** Nothing in memory, and nothing of the log open. */
  get isIdle(): boolean {
    const { inFlight, pending, unflushed } = this.#engine.state;
    return inFlight + pending + unflushed + this.#intake.openRecords === 0;
  }

  async #leave(): Promise<void> {
    const { world, network, judge } = this.#around;
    world.trace(() => `${this.name} is to leave`);
    const troubles = network.troubles;
    this.#intake.pause();
    await this.#replays.stop();
    await this.#killSwitch.stop();
    await this.#engine.stop(DRAIN_MS, () => this.#intake.finish());
    await this.#heartbeat.stop();
    // Where the store didn't take its last flush in time, it has ended as if it were killed.
    if (network.troubles !== troubles) judge.ledger.disturbed(this.name, "killed");
    this.#hasLeft = true;
    world.trace(() => `${this.name} has left`);
  }

  #logOf(): Log {
    const { world } = this.#around;
    const say = (event: string, fields: Readonly<Record<string, unknown>> = {}) => {
      if (event === "delivery.run_failed") world.violated("mistake", `${this.name}: ${String(fields.err)}`);
      world.trace(() => `${this.name} ${event}${fields.err === undefined ? "" : `: ${String(fields.err)}`}`);
    };
    return { debug() {}, info() {}, warn: say, error: say };
  }
}
