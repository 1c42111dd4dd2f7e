/** The worker: intake and engine, in the main thread. */
import { httpSender } from "../adapters/http/sender.ts";
import type { Config } from "../config/config.ts";
import { Engine, type EngineState } from "../delivery/engine.ts";
import { Erasures } from "../delivery/erasures.ts";
import { Heartbeat } from "../delivery/heartbeat.ts";
import { KillSwitch, type Stopped } from "../delivery/kill-switch.ts";
import { SOLE_HOLDER } from "../delivery/lease.ts";
import { ReplayRunner } from "../delivery/replay-runner.ts";
import { Upkeep, type UpkeepDeps } from "../delivery/upkeep.ts";
import { formatOf } from "../formats/registry.ts";
import { withBins } from "../inspector/bin-sender.ts";
import { Intake } from "../intake/consume.ts";
import type { DeadLetterSink } from "../intake/dead-letters.ts";
import { recordDecoder } from "../intake/decode.ts";
import type { LogReader } from "../intake/event-log.ts";
import { eventLoopLoad } from "../kernel/load.ts";
import type { Log } from "../kernel/log.ts";
import { VERSION } from "../kernel/version.ts";
import { filterFailures } from "../matching/filter-failures.ts";
import { SubscriptionIndex } from "../matching/subscription-index.ts";
import { binsOf } from "./bins.ts";
import { outbound } from "./guard.ts";
import { type WorkerMeters, workerMeters } from "./metrics.ts";
import { clock, ids, type KeyTexts, random, type Stores, type WorkerEnds } from "./parts.ts";
import { upkeepRetention } from "./retention.ts";
import { sealedStores } from "./sealed-letters.ts";
import { openingReader } from "./sealed-log.ts";
import { signingKeys } from "./signing-keys.ts";
import { subscriptionRules } from "./subscriptions.ts";

export interface WorkerState extends EngineState {
  /** Records read from the log whose work is not all durable. */
  readonly openRecords: number;
}

export interface Worker {
  /** `url` is where this process listens. */
  start(url: string): Promise<void>;
  /** Something is due. */
  wake(): void;
  state(): WorkerState;
  readonly meters: WorkerMeters;
  /** What keeps it from delivering, for people. */
  problems(): readonly string[];
  /** What people should know, though it delivers as it should. */
  notes(): readonly string[];
  readonly failed: Promise<Error>;
  stop(): Promise<void>;
}

function problemsOf(engine: Engine, reader: LogReader): readonly string[] {
  const reading = reader.problem();
  return [
    ...(engine.state.stalled ? ["the store does not answer, or takes no writes"] : []),
    ...(reading === undefined ? [] : [reading]),
  ];
}

/** Anybody may read it: no names, and no reasons. */
function notesOn({ all, organisations }: Stopped): readonly string[] {
  const some = organisations.length === 1 ? "1 organisation" : `${organisations.length} organisations`;
  return [
    ...(all ? ["all deliveries are stopped"] : []),
    ...(organisations.length > 0 ? [`deliveries of ${some} are stopped`] : []),
  ];
}

/** It reads and sends nothing until its start. */
export function makeWorker(config: Config, keyTexts: KeyTexts, ends: WorkerEnds, log: Log): Worker {
  const keys = signingKeys(keyTexts);
  const { keyring } = keys;
  const stores = sealedStores(ends.stores, { keyring, isOn: config.encryptPayloads, log });
  const reader = ends.isOwnLog ? openingReader(ends.reader, keyring) : ends.reader;
  let ownUrl = "";
  const bins = binsOf(config, keys, stores, () => ownUrl);
  const erasures = new Erasures({ store: stores.erasures, scrubLog: ends.scrubLog, keyring, clock, log });
  const killSwitch = new KillSwitch({ store: stores.switches, clock, log, onStarted: () => engine.wake() });
  const heartbeat = heartbeatOf(ends, () => engine.wake(), log);
  const logFailure = filterFailures({ log, clock });
  const index = new SubscriptionIndex({
    feed: stores.feed,
    clock,
    typesOf: (format) => formatOf(format).types,
    filterFailed(subscription, event, failure) {
      logFailure(subscription, event, failure);
      engine.operational.filterFailed(subscription, event, failure);
    },
  });
  const state = () => ({ ...engine.state, openRecords: intake.openRecords });
  const meters = workerMeters(stores, reader, state, log);
  const engine = new Engine({
    store: meters.deliveries,
    counting: meters.counts,
    endpoints: stores.endpoints,
    disableAfterMs: config.disableAfterMs,
    index,
    sender: withBins(httpSender(outbound(config)), { bins, clock }),
    signer: keys.signer(),
    endpointSwitch: subscriptionRules(config, keys, stores, erasures),
    isFresh: (assignment) => reader.isFresh(assignment),
    stopped: killSwitch,
    holder: heartbeat ?? SOLE_HOLDER,
    userAgent: `passbus/${VERSION}`,
    load: eventLoopLoad(),
    clock,
    random,
    ids,
    log,
  });
  const replays = replayRunner(stores, index, killSwitch, engine, log);
  const upkeep = upkeepOf(config, ends, engine, { index, stopped: killSwitch }, log);
  const intake = new Intake({
    reader,
    decode: recordDecoder(ends.tenants, {
      isOwnLog: ends.isOwnLog,
      ...(config.encryptPayloads && { contentHash: keyring.hash }),
    }),
    deadLetters: bothOf(stores.deadLetters, ends.deadTopic),
    taker: engine,
    clock,
    log,
  });
  const listening = (url: string) => {
    ownUrl = url;
  };
  const parts = { reader, killSwitch, heartbeat, erasures, meters, engine, replays, upkeep, intake, listening };
  return { ...workerOver(parts, config), state };
}

/** The store is where people list them; the topic is where other programs read them. */
function bothOf(store: DeadLetterSink, topic: DeadLetterSink | undefined): DeadLetterSink {
  if (topic === undefined) return store;
  return {
    async put(letters) {
      await Promise.all([store.put(letters), topic.put(letters)]);
    },
  };
}

interface WorkerParts {
  readonly reader: LogReader;
  readonly killSwitch: KillSwitch;
  readonly heartbeat: Heartbeat | undefined;
  readonly erasures: Erasures;
  readonly meters: WorkerMeters;
  readonly engine: Engine;
  readonly replays: ReplayRunner;
  readonly upkeep: Upkeep;
  readonly intake: Intake;
  /** Told where this process listens, before anything is sent. */
  readonly listening: (url: string) => void;
}

function workerOver(parts: WorkerParts, config: Config): Omit<Worker, "state"> {
  const { reader, killSwitch, heartbeat, erasures, meters, engine, replays, upkeep, intake } = parts;
  return {
    async start(url) {
      parts.listening(url);
      await killSwitch.start();
      heartbeat?.start();
      engine.start();
      replays.start();
      upkeep.start();
      meters.start();
      erasures.start();
      await intake.start();
    },
    wake() {
      // It may be the switch that was turned; where the store doesn't answer, the next look tells.
      killSwitch.look().catch(() => {});
      engine.wake();
      replays.wake();
    },
    meters,
    problems: () => problemsOf(engine, reader),
    notes: () => notesOn(killSwitch),
    failed: reader.failed,
    async stop() {
      intake.pause();
      await Promise.all([replays.stop(), killSwitch.stop(), upkeep.stop(), erasures.stop()]);
      await engine.stop(config.drainTimeoutMs, () => intake.finish());
      await meters.stop();
      await heartbeat?.stop();
    },
  };
}

/** A process that has its store alone has ended its predecessor's leases when it opened it. */
function heartbeatOf({ heartbeats: store }: WorkerEnds, wake: () => void, log: Log): Heartbeat | undefined {
  return store === undefined ? undefined : new Heartbeat({ store, clock, log, wake });
}

function upkeepOf(
  config: Config,
  { stores, isOwnLog }: WorkerEnds,
  engine: Engine,
  known: Pick<UpkeepDeps, "index" | "stopped">,
  log: Log,
): Upkeep {
  return new Upkeep({
    ...known,
    store: stores.retention,
    deliveries: stores.deliveries,
    retention: upkeepRetention(config),
    expiring: (deliveries) => engine.operational.expired(deliveries),
    isBusy: () => engine.storeIsBusy,
    // One process at a time has a data directory: what its predecessor had is its own.
    holder: isOwnLog ? "embedded" : ids.next("upk"),
    clock,
    log,
  });
}

function replayRunner(stores: Stores, index: SubscriptionIndex, stopped: KillSwitch, engine: Engine, log: Log) {
  const { replays } = stores;
  return new ReplayRunner({ jobs: replays, store: replays, index, stopped, clock, log, onDue: () => engine.wake() });
}
