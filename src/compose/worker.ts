/** The worker: intake and engine, in the main thread. */
import { httpSender } from "../adapters/http/sender.ts";
import type { Config } from "../config/config.ts";
import { Engine, type EngineState } from "../delivery/engine.ts";
import { formatOf } from "../formats/registry.ts";
import { Intake } from "../intake/consume.ts";
import { recordDecoder } from "../intake/decode.ts";
import { networkSet } from "../kernel/addresses.ts";
import { eventLoopLoad } from "../kernel/load.ts";
import type { Log } from "../kernel/log.ts";
import { VERSION } from "../kernel/version.ts";
import { filterFailures } from "../matching/filter-failures.ts";
import { SubscriptionIndex } from "../matching/subscription-index.ts";
import { clock, ids, type KeyTexts, random, type WorkerEnds } from "./parts.ts";
import { signingKeys } from "./signing-keys.ts";
import { subscriptionRules } from "./subscriptions.ts";

export interface WorkerState extends EngineState {
  /** Records read from the log whose work is not all durable. */
  readonly openRecords: number;
}

export interface Worker {
  start(): Promise<void>;
  /** Something is due. */
  wake(): void;
  state(): WorkerState;
  /** What keeps it from delivering, for people. */
  problems(): readonly string[];
  readonly failed: Promise<Error>;
  stop(): Promise<void>;
}

/** It reads and sends nothing until its start. */
export function makeWorker(config: Config, keyTexts: KeyTexts, ends: WorkerEnds, log: Log): Worker {
  const { stores, reader } = ends;
  const keys = signingKeys(keyTexts);
  const allowedNetworks = networkSet(config.allowedNetworks);
  const engine = new Engine({
    store: stores.deliveries,
    index: new SubscriptionIndex({
      feed: stores.feed,
      typesOf: (format) => formatOf(format).types,
      filterFailed: filterFailures({ log, clock }),
    }),
    sender: httpSender({ clock, allowHttp: config.allowHttp, allowedNetworks }),
    signer: keys.signer(),
    endpointSwitch: subscriptionRules(config, keys, stores),
    isFresh: (assignment) => reader.isFresh(assignment),
    userAgent: `passbus/${VERSION}`,
    load: eventLoopLoad(),
    clock,
    random,
    ids,
    log,
  });
  const intake = new Intake({
    reader,
    decode: recordDecoder(ends.tenants, { isOwnLog: ends.isOwnLog }),
    deadLetters: ends.deadLetters,
    taker: engine,
    clock,
    log,
  });
  return {
    async start() {
      engine.start();
      await intake.start();
    },
    wake: () => engine.wake(),
    state: () => ({ ...engine.state, openRecords: intake.openRecords }),
    problems() {
      const reading = reader.problem();
      return [
        ...(engine.state.stalled ? ["the store does not answer, or takes no writes"] : []),
        ...(reading === undefined ? [] : [reading]),
      ];
    },
    failed: reader.failed,
    async stop() {
      intake.pause();
      await engine.stop(config.drainTimeoutMs, () => intake.finish());
    },
  };
}
