/** What comes to pass in a history, each at its moment, and the peace after it. */
import type { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { SILENT_MS } from "../../src/delivery/heartbeat.ts";
import { LEASE_MS } from "../../src/delivery/outcomes.ts";
import { Replays } from "../../src/delivery/replays.ts";
import { isTerminal } from "../../src/domain/delivery.ts";
import { idSource } from "../../src/kernel/ids.ts";
import { FINE } from "./network.ts";
import {
  EVENT_TYPES,
  modeOf,
  operationsOf,
  organisationName,
  type Plan,
  recordOf,
  subscriptionOf,
  type Trouble,
} from "./scenario.ts";
import { ProcessClock } from "./virtual-clock.ts";
import { decode, type SimulatedWorker, type Surroundings } from "./worker.ts";
import type { World } from "./world.ts";

export interface IncidentsDeps {
  readonly plan: Plan;
  readonly around: Surroundings;
  /** Grows as workers are started. */
  readonly workers: readonly SimulatedWorker[];
  readonly startWorker: () => void;
}

interface Published {
  readonly organisation: string;
  readonly id: string;
  readonly passId: string;
  readonly type: PassEventType;
  readonly partition: number;
}

export class Incidents {
  readonly #deps: IncidentsDeps;
  readonly #world: World;
  readonly #published: Published[] = [];
  readonly #replays: Replays;
  #subscriptions = 0;
  #isPeace = false;
  readonly #stopped = new Set<SimulatedWorker>();
  #longStops = 0;

  constructor(deps: IncidentsDeps) {
    this.#deps = deps;
    this.#world = deps.around.world;
    const { store, world } = deps.around;
    const clock = new ProcessClock(world.clock, 0);
    const ids = idSource(clock, world.fork());
    const { replays, feed } = store.ports;
    this.#replays = new Replays({ store: replays, feed, clock, ids, wakeWorkers: () => {} });
  }

  async begin(): Promise<void> {
    const { plan, around } = this.#deps;
    for (let count = 0; count < plan.subscriptions; count++) await this.#subscribe();
    if (!this.#world.chance(0.4)) return;
    const organisation = organisationName(this.#world.between(0, plan.organisations - 1));
    await around.customers.create(operationsOf(this.#world, "ops", organisation));
    around.receivers.set("ops", "accept");
  }

  /** Everything that happens in the active time, each at its own moment. */
  schedule(): void {
    const { plan } = this.#deps;
    const world = this.#world;
    for (let number = 0; number < plan.events; number++) this.#at(() => this.#publish(`e${number}`));
    if (plan.troubles.length === 0) return;
    for (let number = 0; number < plan.incidents; number++) {
      const trouble = world.pick(plan.troubles);
      this.#at(() => this.#happen(trouble));
    }
  }

  /** Everything is mended: what was broken works, what was disabled is enabled, and somebody is at work. */
  async heal(): Promise<void> {
    const { around, workers, startWorker } = this.#deps;
    const { network, receivers, customers, store } = around;
    this.#world.trace(() => "peace");
    this.#isPeace = true;
    Object.assign(network.weather, FINE);
    // Where a worker is still to go on late, others are at work on what it had.
    for (const id of receivers.all) receivers.set(id, this.#longStops > 0 ? "slow" : "accept");
    for (const { now } of customers.living) await customers.switch(now.id, "enabled");
    for (const stop of await store.ports.switches.stops()) await store.ports.switches.start(stop.organisation);
    for (const worker of workers) {
      Object.assign(worker.weather, FINE);
      if (this.#stopped.has(worker)) this.#resume(worker);
    }
    if (!workers.some(({ process, isLeaving }) => process.isRunning && !isLeaving)) startWorker();
  }

  /** Nobody is still to go on late. */
  get isOver(): boolean {
    return this.#longStops === 0;
  }

  /** A 410 that was on its way may still disable one. */
  async keepPeace(): Promise<void> {
    const { customers, receivers } = this.#deps.around;
    if (this.isOver) for (const id of receivers.all) if (receivers.modeOf(id) !== "accept") receivers.set(id, "accept");
    for (const { now } of customers.living) {
      if (now.state === "disabled") await customers.switch(now.id, "enabled");
    }
  }

  #at(act: () => void | Promise<void>): void {
    const world = this.#world;
    world.clock.after(world.between(0, this.#deps.plan.activeMs), () => {
      Promise.resolve()
        .then(act)
        .catch((error: unknown) => world.violated("mistake", String(error)));
    });
  }

  async #subscribe(): Promise<void> {
    const { plan, around } = this.#deps;
    const id = `s${this.#subscriptions++}`;
    const organisation = organisationName(this.#world.between(0, plan.organisations - 1));
    await around.customers.create(subscriptionOf(this.#world, id, organisation));
    around.receivers.set(id, plan.troubles.includes("endpoints") ? modeOf(this.#world) : "accept");
  }

  #publish(id: string): void {
    const { plan } = this.#deps;
    const world = this.#world;
    const organisation = organisationName(world.between(0, plan.organisations - 1));
    const pass = world.between(0, plan.passes - 1);
    const type = world.pick(EVENT_TYPES);
    const published = { organisation, id, passId: `p${pass}`, type, partition: pass % plan.partitions };
    this.#published.push(published);
    this.#append(published);
    // While the first is under way.
    const again = (["repeat", "elsewhere", "conflict"] as const).filter((trouble) => plan.troubles.includes(trouble));
    if (again.length > 0 && world.chance(0.2)) {
      const trouble = world.pick(again);
      this.#later(300, () => this.#comeAgain(trouble, published));
    }
  }

  #append({ organisation, id, passId, type, partition }: Published): void {
    const { log, judge } = this.#deps.around;
    const made = recordOf(organisation, id, passId, type);
    // Read before it is there: whoever hears of it may commit it at once.
    const record = log.append(partition, made);
    const decoded = decode(record);
    if (decoded.kind === "dead") throw new Error(decoded.letter.message);
    judge.accept({ record, event: decoded.event.stored });
    this.#world.trace(() => `${id} of ${passId}, ${organisation}, is accepted at ${partition}/${record.offset}`);
  }

  async #happen(trouble: Trouble): Promise<void> {
    const { plan, around } = this.#deps;
    const world = this.#world;
    world.count(trouble);
    switch (trouble) {
      case "kill":
      case "stop":
      case "longStop":
      case "leave":
      case "cutOff":
      case "storeCut":
        return this.#strike(trouble);
      case "rebalance":
        return around.log.rebalance("somebody asked for it");
      case "storeDown":
      case "storeFlaky":
      case "partialFlushes":
      case "slowStore":
        return this.#spoil(trouble);
      case "repeat":
      case "elsewhere":
      case "conflict":
        return this.#again(trouble);
      case "endpoints":
        return around.receivers.set(`s${world.between(0, this.#subscriptions - 1)}`, modeOf(world));
      case "create":
        if (this.#subscriptions < plan.subscriptions + 2) await this.#subscribe();
        return;
      case "switch":
      case "remove":
        return this.#change(trouble);
      case "retry":
        return this.#retry();
      case "cancel":
        return this.#cancel();
      case "replay":
        return this.#replay();
      case "killSwitch":
        return this.#stopDeliveries();
    }
  }

  #resume(worker: SimulatedWorker): void {
    if (this.#stopped.delete(worker)) worker.resume();
  }

  #later(mostMs: number, act: () => void | Promise<void>): void {
    const world = this.#world;
    world.clock.after(world.between(50, mostMs), () => {
      if (!this.#isPeace) void act();
    });
  }

  #strike(trouble: "kill" | "stop" | "longStop" | "leave" | "cutOff" | "storeCut"): void {
    const world = this.#world;
    const { startWorker, workers } = this.#deps;
    const living = workers.filter(({ process, isLeaving }) => process.isRunning && !isLeaving);
    if (living.length === 0) return;
    const busy = living.filter(({ isIdle }) => !isIdle);
    const worker = world.pick(busy.length > 0 && world.chance(0.7) ? busy : living);
    if (trouble === "kill" || (trouble === "leave" && !worker.isReady)) {
      worker.kill();
      this.#later(2_000, startWorker);
    } else if (trouble === "leave") {
      void worker.leave();
      this.#later(2_000, startWorker);
    } else if (trouble === "longStop") {
      // It goes on about when another may have taken over what it had under a lease, peace or not.
      this.#longStops++;
      worker.stop();
      world.clock.after(world.pick([SILENT_MS, LEASE_MS]) + world.between(-2_000, 4_000), () => {
        worker.resume();
        this.#longStops--;
      });
    } else if (trouble === "stop") {
      this.#stopped.add(worker);
      worker.stop();
      this.#later(world.pick([200, 5_000, 15_000]), () => this.#resume(worker));
    } else if (trouble === "storeCut") {
      // Until about when the others take it for dead.
      const { cut } = this.#deps.around.network;
      cut.add(worker.name);
      world.clock.after(world.pick([500, SILENT_MS]) + world.between(0, 4_000), () => cut.delete(worker.name));
    } else {
      worker.weather.isDown = true;
      this.#later(world.pick([1_000, 10_000]), () => {
        worker.weather.isDown = false;
      });
    }
  }

  #spoil(trouble: "storeDown" | "storeFlaky" | "partialFlushes" | "slowStore"): void {
    const world = this.#world;
    const { weather } = this.#deps.around.network;
    const spoilt = {
      storeDown: { isDown: true },
      storeFlaky: { lostRequests: 0.1, lostAnswers: 0.15, lateRequests: 0.1 },
      partialFlushes: { partialFlushes: 0.5 },
      slowStore: { latencyMs: world.pick([[0, 300] as const, [200, 1_500] as const]) },
    }[trouble];
    Object.assign(weather, spoilt);
    world.trace(() => `${trouble} begins`);
    this.#later(world.pick([300, 2_000, 8_000]), () => {
      Object.assign(weather, FINE);
      world.trace(() => `${trouble} ends`);
    });
  }

  /** An event that was accepted comes again: the same, in another partition, or with other content. */
  #again(trouble: "repeat" | "elsewhere" | "conflict"): void {
    if (this.#published.length > 0) this.#comeAgain(trouble, this.#world.pick(this.#published));
  }

  #comeAgain(trouble: "repeat" | "elsewhere" | "conflict", known: Published): void {
    const { plan } = this.#deps;
    this.#world.count(trouble);
    if (trouble === "repeat") this.#append(known);
    else if (trouble === "elsewhere") this.#append({ ...known, partition: (known.partition + 1) % plan.partitions });
    else this.#append({ ...known, type: EVENT_TYPES.find((type) => type !== known.type) ?? known.type });
  }

  async #change(trouble: "switch" | "remove"): Promise<void> {
    const { customers } = this.#deps.around;
    const { living } = customers;
    if (living.length === 0) return;
    const { id, state } = this.#world.pick(living).now;
    if (trouble === "remove") return customers.remove(id);
    await customers.switch(id, state === "enabled" ? "disabled" : "enabled");
    this.#later(3_000, () => customers.switch(id, state));
  }

  /** As a person does, with RetryDelivery. */
  async #retry(): Promise<void> {
    const { judge, store } = this.#deps.around;
    const world = this.#world;
    const rows = [...judge.rows.all.values()];
    if (rows.length === 0) return;
    const finished = rows.filter(({ status }) => isTerminal(status));
    const { id } = world.pick(finished.length > 0 ? finished : rows);
    const event = judge.accepted.find(({ event: { id: eventId } }) => eventId === judge.rows.all.get(id)?.eventId);
    if (event === undefined) return;
    await store.ports.deliveries.retry(event.event.tenant, id, world.clock.now());
    judge.rows.observe({ method: "retry", args: [], by: "a person" });
  }

  /** As a person does, with CancelDelivery. */
  async #cancel(): Promise<void> {
    const { judge, store, customers } = this.#deps.around;
    const open = [...judge.rows.all.values()].filter(({ status }) => status === "waiting" || status === "held");
    if (open.length === 0) return;
    const { id, subscriptionId } = this.#world.pick(open);
    const tenant = customers.all.get(subscriptionId)?.now.tenant;
    if (tenant === undefined) return;
    judge.cancelledByHand.add(id);
    await store.ports.deliveries.cancel(tenant, id, this.#world.clock.now());
    judge.rows.observe({ method: "cancel", args: [], by: "a person" });
  }

  /** As a person does, with CreateReplay: what is through of one subscription goes again. */
  async #replay(): Promise<void> {
    const { customers } = this.#deps.around;
    const world = this.#world;
    if (customers.living.length === 0) return;
    const { id, tenant } = world.pick(customers.living).now;
    const filter = { subscriptionId: id, eventTypes: [] };
    const freshIds = world.chance(0.3);
    const draft = { filter, ratePerSecond: world.pick([1, 20]), freshIds };
    const replay = await this.#replays.create(tenant, draft, new AbortController().signal);
    world.trace(() => `a person replays ${id}: ${replay.id}, ${replay.counted} deliveries`);
    const change = world.pick(["pause", "cancel", "leave"] as const);
    if (change === "leave") return;
    // Where the replay has ended by then, that is refused.
    const refused = () => world.trace(() => `${change} of ${replay.id} is refused`);
    world.clock.after(world.between(50, 2_000), () => {
      this.#replays.change(tenant, replay.id, change).then(() => {
        if (change === "pause") world.clock.after(1_000, () => void this.#replays.change(tenant, replay.id, "resume"));
      }, refused);
    });
  }

  async #stopDeliveries(): Promise<void> {
    const { switches } = this.#deps.around.store.ports;
    const { plan } = this.#deps;
    const world = this.#world;
    const organisation = world.chance(0.3) ? undefined : organisationName(world.between(0, plan.organisations - 1));
    const whom = organisation === undefined ? {} : { organisation };
    await switches.stop({ ...whom, reason: "simulated", sinceMs: world.clock.now(), by: "a person" });
    this.#later(3_000, () => switches.start(organisation));
  }
}
