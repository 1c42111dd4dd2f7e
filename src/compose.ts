/**
 * The one place that builds adapters and joins the rooms. Embedded, one process has four threads:
 *
 *   main    the engine: intake, matching, lanes, retries            store   SQLite: events, deliveries, subscriptions
 *   api     Connect, gRPC, gRPC-Web: publish and manage             log     SQLite: the write-ahead log
 *
 * The API appends to the log and asks the store over ports of its own; it meets the engine only through them.
 */
import { join } from "node:path";
import { MessageChannel, type MessagePort } from "node:worker_threads";
import type { AccessStore } from "./access/access-store.ts";
import { authenticator } from "./access/authenticate.ts";
import { makeKey } from "./access/keys.ts";
import { embeddedLogReader, embeddedLogWriter, startEmbeddedLog } from "./adapters/embedded-log/embedded-log.ts";
import { endpointCheck } from "./adapters/http/endpoint-check.ts";
import { httpSender } from "./adapters/http/sender.ts";
import { readOrMakeKeyFile } from "./adapters/key-file/key-file.ts";
import { type SqliteStore, sqliteStore } from "./adapters/sqlite/client.ts";
import { lockDataDirectory } from "./adapters/sqlite/lock.ts";
import { startSqliteStore } from "./adapters/sqlite/sqlite-store.ts";
import { type Api, startApi } from "./api/api.ts";
import type { Readiness } from "./api/readiness.ts";
import type { Config } from "./config/config.ts";
import { invalidSetting, listenRefusal, readTlsTexts, type TlsTexts } from "./config/refusals.ts";
import { SETTINGS } from "./config/settings.ts";
import { Engine, type EngineState } from "./delivery/engine.ts";
import { formatOf } from "./formats/registry.ts";
import { Intake } from "./intake/consume.ts";
import { recordDecoder, type TenantRule } from "./intake/decode.ts";
import { publisher } from "./intake/publish.ts";
import { networkSet } from "./kernel/addresses.ts";
import { systemClock } from "./kernel/clock.ts";
import { CodedError } from "./kernel/errors.ts";
import { idSource } from "./kernel/ids.ts";
import { eventLoopLoad } from "./kernel/load.ts";
import type { Log } from "./kernel/log.ts";
import { systemRandom } from "./kernel/random.ts";
import { DEFAULT_ENVIRONMENT } from "./kernel/tenant.ts";
import { type CallThread, callClient, startThread, type ThreadService } from "./kernel/thread-call.ts";
import { VERSION } from "./kernel/version.ts";
import { SubscriptionIndex } from "./matching/subscription-index.ts";
import { keyringFrom, makeEncryptionKey } from "./signing/keyring.ts";
import { signer } from "./signing/signer.ts";
import { SubscriptionService } from "./subscriptions/subscription-service.ts";
import { jsonLog } from "./telemetry/log.ts";

const clock = systemClock;
const random = systemRandom;
const ids = idSource(clock, random);

const STARTING: Readiness = { ready: false, reasons: ["starting"] };
const READY: Readiness = { ready: true, reasons: [] };
const READINESS_EVERY_MS = 500;

/** A running passbus. */
export interface Passbus {
  /** Where the API answers, without a slash at the end. */
  readonly url: string;
  state(): PassbusState;
  /**
   * Lets calls and attempts in flight end, makes everything durable, and ends all threads. Every part is ended, whatever
   * became of another; then the first failure is thrown.
   */
  stop(): Promise<void>;
  /** Resolves if a part dies that passbus can't go on without. */
  readonly failed: Promise<Error>;
}

export interface PassbusState extends EngineState {
  /** Records read from the log whose work is not all durable. */
  readonly openRecords: number;
}

export interface StartOptions {
  /** Called with the text of the admin key that a first start makes, to be shown once. Left out, none is made. */
  readonly showKey?: (key: string) => void;
  readonly log?: Log;
}

/**
 * Starts the API and the engine on the embedded store and log. A start that fails ends what it had begun.
 *
 * @throws CodedError `config.invalid` where the API can't listen or its TLS files are wrong; nothing was sent then, and
 * no key made.
 */
export async function startPassbus(
  config: Config,
  { showKey, log = jsonLog({ level: config.logLevel }) }: StartOptions = {},
): Promise<Passbus> {
  refuseSplitRoles(config);
  const tls = readTlsTexts(config);
  // Undone in the opposite order.
  const begun = new AsyncDisposableStack();
  const failures: Promise<Error>[] = [];
  const begin = async (starting: Promise<CallThread>) => {
    const thread = await starting;
    begun.defer(() => thread.stop());
    failures.push(thread.failure);
    return thread;
  };
  try {
    const directory = config.dataDir;
    const lock = lockDataDirectory(directory);
    begun.defer(() => lock.release());
    const encryptionKeys = await encryptionKeysOf(config);
    const storeThread = await begin(startSqliteStore({ directory, exclusive: true }));
    const logThread = await begin(startEmbeddedLog({ directory, topic: config.kafkaTopic }));
    const store = sqliteStore(storeThread.connect());
    begun.defer(() => store.close());
    const worker = makeWorker(config, encryptionKeys, store, logThread.connect(), log);
    // It is ended after the API, whose last calls may give it work; one that wasn't started has nothing to end.
    begun.defer(() => worker.stop());
    const apiThread = await begin(startThread(new URL("./api-thread.ts", import.meta.url), "api", undefined));
    const api = callClient<ApiThreadCalls>(apiThread.connect(), () => new CodedError("internal", "the API is gone"));
    const wake = new MessageChannel();
    begun.defer(() => wake.port1.close());
    begun.defer(() => api.call("stop", config.drainTimeoutMs));
    const ports = { store: storeThread.connect(), log: logThread.connect(), wake: wake.port2 };
    const start = { config, tls, encryptionKeys, ...ports };
    const { url } = await api.call("start", start, [ports.store, ports.log, ports.wake]);
    // Not before the API listens: a start that fails at that has sent nothing.
    await worker.start();
    wake.port1.on("message", () => worker.wake());
    wake.port1.unref();
    await api.call("setReadiness", READY);
    begun.defer(watchReadiness(worker, (readiness) => void api.call("setReadiness", readiness).catch(() => {})));
    if (showKey !== undefined) await makeFirstKey(config, store.access, showKey);
    log.info("passbus.started", { url, version: VERSION, dataDir: directory });
    return {
      url,
      state: () => worker.state(),
      failed: Promise.race(failures),
      async stop() {
        await endAll(begun);
        log.info("passbus.stopped");
      },
    };
  } catch (error) {
    await endAll(begun).catch((err: unknown) => log.error("passbus.stop_failed", { err }));
    throw error;
  }
}

/** Each step is taken, whatever another came to; then the first failure is thrown. */
async function endAll(begun: AsyncDisposableStack): Promise<void> {
  try {
    await begun.disposeAsync();
  } catch (error) {
    let first: unknown = error;
    // The latest failure is outermost.
    while (first instanceof SuppressedError) first = first.suppressed;
    throw first;
  }
}

/** The embedded store without the rest, for commands that may run beside a server. */
export async function openAdminStore(
  config: Config,
): Promise<{ readonly access: AccessStore; close(): Promise<void> }> {
  const thread = await startSqliteStore({ directory: config.dataDir });
  const store = sqliteStore(thread.connect());
  return {
    access: store.access,
    async close() {
      store.close();
      await thread.stop();
    },
  };
}

/** Tells the API whenever the engine begins or ceases to be well. The returned function ends it. */
function watchReadiness(worker: Worker, tell: (readiness: Readiness) => void): () => void {
  let told = true;
  let cancel = () => {};
  const look = () => {
    const ready = !worker.state().stalled;
    if (ready !== told) tell(ready ? READY : { ready, reasons: ["the store does not answer, or takes no writes"] });
    told = ready;
    cancel = clock.after(READINESS_EVERY_MS, look);
  };
  look();
  return () => cancel();
}

// ---- the worker: intake and engine, in the main thread ----

interface Worker {
  start(): Promise<void>;
  wake(): void;
  state(): PassbusState;
  stop(): Promise<void>;
}

/** It reads and sends nothing until its start. */
function makeWorker(
  config: Config,
  encryptionKeys: string,
  store: SqliteStore,
  logPort: MessagePort,
  log: Log,
): Worker {
  const keyring = keyringFrom(encryptionKeys, random);
  const allowedNetworks = networkSet(config.allowedNetworks);
  const reader = embeddedLogReader(logPort);
  const subscriptions = subscriptionRules(config, encryptionKeys, store);
  const engine = new Engine({
    store: store.deliveries,
    index: new SubscriptionIndex({ feed: store.feed, typesOf: (format) => formatOf(format)?.types ?? [] }),
    sender: httpSender({ clock, allowHttp: config.allowHttp, allowedNetworks }),
    signer: signer(keyring),
    endpointSwitch: subscriptions,
    isFresh: (assignment) => reader.isFresh(assignment),
    userAgent: `passbus/${VERSION}`,
    load: eventLoopLoad(),
    clock,
    random,
    ids,
    log,
  });
  const tenants: TenantRule = {
    fallback: { organisation: config.bootstrapOrganisation, environment: DEFAULT_ENVIRONMENT },
    // Only the API writes to the embedded log, under the principal's tenant.
    allows: () => true,
  };
  const { deadLetters } = store;
  const intake = new Intake({
    reader,
    decode: recordDecoder(tenants, { isOwnLog: true }),
    deadLetters,
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
    async stop() {
      intake.pause();
      await engine.stop(config.drainTimeoutMs);
      await intake.finish();
    },
  };
}

function subscriptionRules(config: Config, encryptionKeys: string, store: SqliteStore): SubscriptionService {
  const allowedNetworks = networkSet(config.allowedNetworks);
  const check = endpointCheck({ clock, allowHttp: config.allowHttp, allowedNetworks });
  return new SubscriptionService({
    store: store.subscriptions,
    keyring: keyringFrom(encryptionKeys, random),
    checkEndpoint: async (url) => ({ urlKey: (await check(url)).href }),
    clock,
    ids,
    random,
  });
}

// ---- the API, in a thread of its own ----

interface ApiStart {
  readonly config: Config;
  readonly tls: TlsTexts | undefined;
  readonly encryptionKeys: string;
  readonly store: MessagePort;
  readonly log: MessagePort;
  /** Says to the engine that something is due. */
  readonly wake: MessagePort;
}

export interface ApiThreadCalls {
  start(start: ApiStart): { readonly url: string };
  setReadiness(readiness: Readiness): void;
  stop(graceMs: number): void;
}

/** What api-thread.ts serves. */
export function apiThreadService(): ThreadService<ApiThreadCalls> {
  let api: Api | undefined;
  let store: SqliteStore | undefined;
  let readiness = STARTING;
  const stop = async (graceMs: number) => {
    await api?.stop(graceMs);
    store?.close();
    api = undefined;
  };
  return {
    handlers: {
      async start(start: ApiStart) {
        store = sqliteStore(start.store);
        api = await composeApi(start, store, () => readiness);
        return { url: api.url };
      },
      setReadiness(now: Readiness) {
        readiness = now;
      },
      stop,
    },
    close: () => stop(0),
  };
}

/** @throws CodedError `config.invalid` where it can't listen at the address of the settings. */
async function composeApi(start: ApiStart, store: SqliteStore, readiness: () => Readiness): Promise<Api> {
  const { config, tls, encryptionKeys, log: logPort, wake } = start;
  const log = jsonLog({ level: config.logLevel, fields: { thread: "api" } });
  const bootstrap =
    config.bootstrapKey === undefined
      ? undefined
      : { text: config.bootstrapKey, organisation: config.bootstrapOrganisation };
  return startApi({
    listen: config.listen,
    ...(tls !== undefined && { tls }),
    corsOrigins: config.corsOrigins,
    authenticate: authenticator({ store: store.access, clock, bootstrap }),
    subscriptions: subscriptionRules(config, encryptionKeys, store),
    publisher: publisher({ log: embeddedLogWriter(logPort), ids }),
    deliveryLog: store.deliveries,
    readiness,
    wakeWorkers: () => wake.postMessage("due"),
    clock,
    log,
  }).catch((error: unknown) => {
    throw listenRefusal(error, config.listen);
  });
}

// ---- first start ----

function refuseSplitRoles(config: Config): void {
  if (config.roles.includes("api") && config.roles.includes("worker")) return;
  throw invalidSetting(
    SETTINGS.roles,
    "the embedded deployment is one process with both roles; leave it unset or say api,worker",
  );
}

/** From the settings, or from the data directory's own file, made at the first start. */
async function encryptionKeysOf(config: Config): Promise<string> {
  if (config.encryptionKeys !== undefined) return config.encryptionKeys;
  return readOrMakeKeyFile(join(config.dataDir, "encryption.key"), () => makeEncryptionKey("k1", random));
}

/**
 * Without a bootstrap key, and where no key was ever made, nobody could call: the first start makes an admin's. It is
 * shown before it is stored. A process that dies in between has shown a key that isn't valid, and the next start makes
 * another; the other way round, the only key would be one that nobody has seen.
 */
async function makeFirstKey(config: Config, access: AccessStore, show: (key: string) => void): Promise<void> {
  if (config.bootstrapKey !== undefined || (await access.hasKeys())) return;
  const tenant = { organisation: config.bootstrapOrganisation, environment: DEFAULT_ENVIRONMENT };
  const { record, text } = makeKey(tenant, "admin", { clock, ids, random });
  show(text);
  await access.insertKey(record);
}
