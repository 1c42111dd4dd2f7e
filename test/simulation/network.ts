/**
 * The way between a worker and what it talks to. Every call takes time, and may fail before it arrives, fail after it
 * was done, be done long after its caller gave it up, or (a flush) be done in part.
 */
import type { DeliveryWrite, FlushBatch, FlushResult } from "../../src/delivery/delivery-store.ts";
import { CodedError } from "../../src/kernel/errors.ts";
import type { ProcessClock } from "./virtual-clock.ts";
import type { World } from "./world.ts";

/** How a network is doing; changed while a history runs. */
export interface Weather {
  /** Nothing arrives. */
  isDown: boolean;
  /** Each way. */
  latencyMs: readonly [least: number, most: number];
  /** Of calls: never arrives. */
  lostRequests: number;
  /** Is done, and its caller hears of a failure. */
  lostAnswers: number;
  /** Fails, and is done afterwards all the same. */
  lateRequests: number;
  /** Of flushes: some rows are written, then it fails. */
  partialFlushes: number;
}

export const FINE: Weather = {
  isDown: false,
  latencyMs: [0, 3],
  lostRequests: 0,
  lostAnswers: 0,
  lateRequests: 0,
  partialFlushes: 0,
};

const LATE_MS = 3_000;

type Fate = "done" | "lostRequest" | "lostAnswer" | "late" | "partial";
type Method = (...args: readonly unknown[]) => Promise<unknown>;

/** What happened on the store's side of a call. */
export interface Effect {
  readonly method: string;
  readonly args: readonly unknown[];
  readonly by: string;
}

export class Network {
  readonly weather: Weather;
  readonly #world: World;
  readonly #seen: (effect: Effect) => void;
  readonly #own: OwnWrites | undefined;
  /** Workers of whom nothing arrives, while the others' calls do. */
  readonly cut = new Set<string>();
  /** Calls that failed so far. */
  troubles = 0;

  /** `seen` is called after each call has had its effect; `own`, if there, changes what flushes answer. */
  constructor(world: World, seen: (effect: Effect) => void, own?: OwnWrites) {
    this.#world = world;
    this.weather = { ...FINE };
    this.#seen = seen;
    this.#own = own;
  }

  /** `target` as the worker sees it. Every method of it must be a call that answers with a promise. */
  over<T extends object>(target: T, process: ProcessClock, worker: string): T {
    return new Proxy(target, {
      get: (of, name) => {
        const method: unknown = Reflect.get(of, name);
        if (typeof method !== "function" || typeof name !== "string") return method;
        const act: Method = (...args) => Reflect.apply(method, of, args);
        return (...args: readonly unknown[]) => this.#call({ method: name, args, by: worker }, act, process);
      },
    });
  }

  #fateOf({ method, by }: Effect): Fate {
    const { weather } = this;
    const world = this.#world;
    if (weather.isDown || this.cut.has(by)) return "lostRequest";
    if (method === "flush" && world.chance(weather.partialFlushes)) return "partial";
    if (world.chance(weather.lostRequests)) return "lostRequest";
    if (world.chance(weather.lostAnswers)) return "lostAnswer";
    return world.chance(weather.lateRequests) ? "late" : "done";
  }

  #call(effect: Effect, act: Method, process: ProcessClock): Promise<unknown> {
    const world = this.#world;
    // A process that was killed asks nothing more.
    if (process.isDead) return new Promise(() => {});
    const fate = this.#fateOf(effect);
    const [least, most] = this.weather.latencyMs;
    const therMs = world.between(least, most);
    const backMs = world.between(least, most);
    if (fate !== "done") {
      this.troubles++;
      world.count(`call ${fate}`);
      world.trace(() => `${effect.by} ${effect.method}: ${fate}`);
    }
    return new Promise((resolve, reject) => {
      const answer = (settle: () => void) => world.clock.after(backMs, () => process.deliver(settle));
      const fail = () => answer(() => reject(new CodedError("store.unavailable", `simulated: ${fate}`)));
      const happen = async () => {
        const args = fate === "partial" ? [this.#part(effect.args[0] as FlushBatch)] : effect.args;
        const result = await act(...args);
        this.#seen(effect);
        if (effect.method !== "flush" || this.#own === undefined) return result;
        return this.#own.judge(args[0] as FlushBatch, result as FlushResult);
      };
      world.clock.after(therMs, () => {
        if (fate === "lostRequest") fail();
        else if (fate === "late") {
          fail();
          world.clock.after(world.between(0, LATE_MS), () => void happen());
        } else {
          happen().then(
            (value) => (fate === "done" ? answer(() => resolve(value)) : fail()),
            (error: unknown) => answer(() => reject(error)),
          );
        }
      });
    });
  }

  /**
   * What an unordered bulk leaves behind that failed half-way: some of the events; or all of them and some of the
   * deliveries, of which those with a sequence that aren't delivered are written in their order (DeliveryStore.flush).
   */
  #part({ events, deliveries }: FlushBatch): FlushBatch {
    const world = this.#world;
    if (world.chance(0.3)) return { events: events.filter(() => world.chance(0.5)), deliveries: [] };
    let isCut = false;
    return {
      events,
      deliveries: deliveries.filter((write) => {
        const isIn = world.chance(0.5);
        if (!keepsOrder(write)) return isIn;
        isCut ||= !isIn;
        return !isCut;
      }),
    };
  }
}

function keepsOrder(write: DeliveryWrite): boolean {
  return write.kind === "first" && write.delivery.sequence !== undefined && write.delivery.status !== "delivered";
}

/**
 * MongoDB tells a flush that is repeated of a write that it did itself the first time "applied", where SQLite says
 * "refused". Both are within the contract, so the simulation has both.
 */
export class OwnWrites {
  readonly #applied = new WeakMap<DeliveryWrite, string>();
  readonly #stateOf: (deliveryId: string) => string;

  /** `stateOf` a row: a text that every change of its state changes. */
  constructor(stateOf: (deliveryId: string) => string) {
    this.#stateOf = stateOf;
  }

  judge(batch: FlushBatch, result: FlushResult): FlushResult {
    const applied = batch.deliveries.map((write, place) => {
      const state = this.#stateOf(write.kind === "first" ? write.delivery.id : write.id);
      if (result.applied[place] === true) this.#applied.set(write, state);
      return this.#applied.get(write) === state;
    });
    return { conflicts: result.conflicts, applied };
  }
}
