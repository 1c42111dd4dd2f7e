/**
 * The one place that builds adapters and joins the rooms. A process has a main thread with the engine (intake, matching,
 * lanes, retries) and a thread for the API (Connect, gRPC, gRPC-Web), which meet only through the store and the log.
 *
 *   embedded      embedded.ts: both on `node:sqlite`, in a thread each; one process with both roles
 *   distributed   distributed.ts: MongoDB and Kafka, each thread with connections of its own; any number of processes
 */
import { MessageChannel } from "node:worker_threads";
import type { AccessStore, KeyStore } from "../access/access-store.ts";
import { makeKey } from "../access/keys.ts";
import type { Readiness } from "../api/readiness.ts";
import type { Config } from "../config/config.ts";
import { readTlsTexts } from "../config/refusals.ts";
import { CodedError } from "../kernel/errors.ts";
import type { Log } from "../kernel/log.ts";
import type { Preparation } from "../kernel/preparation.ts";
import { DEFAULT_ENVIRONMENT } from "../kernel/tenant.ts";
import { callClient, startThread } from "../kernel/thread-call.ts";
import { VERSION } from "../kernel/version.ts";
import { type Keyring, keyringFrom } from "../signing/keyring.ts";
import { jsonLog } from "../telemetry/log.ts";
import type { ApiThreadCalls } from "./api-thread.ts";
import { distributedPreparation, openDistributed, openDistributedStores } from "./distributed.ts";
import { embeddedPreparation, encryptionKeysOf, openEmbedded, openEmbeddedStores } from "./embedded.ts";
import { serveMetrics } from "./metrics.ts";
import { clock, ids, random, type Stores } from "./parts.ts";
import { letterKeyUse } from "./sealed-letters.ts";
import { makeWorker, type Worker, type WorkerState } from "./worker.ts";

const READINESS_EVERY_MS = 500;

/** A running passbus. */
export interface Passbus {
  /** Where the API answers, without a slash at the end. */
  readonly url: string;
  /** Of its worker; undefined where it has none. */
  state(): WorkerState | undefined;
  /**
   * Lets calls and attempts in flight end, makes everything durable, and ends all threads. Every part is ended, whatever
   * became of another; then the first failure is thrown.
   */
  stop(): Promise<void>;
  /** Resolves if a part dies that passbus can't go on without. */
  readonly failed: Promise<Error>;
}

export interface StartOptions {
  /** Called with the text of the admin key that a first start makes, to be shown once. Left out, none is made. */
  readonly showKey?: (key: string) => void;
  readonly log?: Log;
}

export function isDistributed(config: Config): boolean {
  return config.kafkaBrokers !== undefined;
}

/**
 * Starts the roles of the settings. A start that fails ends what it had begun.
 *
 * @throws CodedError `config.invalid` where the API can't listen or its TLS files are wrong, `setup.missing` where
 * `passbus init` has something to make; nothing was sent then, and no key made.
 */
export async function startPassbus(
  config: Config,
  { showKey, log = jsonLog({ level: config.logLevel }) }: StartOptions = {},
): Promise<Passbus> {
  const tls = readTlsTexts(config);
  // Undone in the opposite order.
  const begun = new AsyncDisposableStack();
  try {
    const deployment = await (isDistributed(config) ? openDistributed : openEmbedded)(config, begun, log);
    const { keyTexts } = deployment;
    const failures = [...deployment.failures];
    let worker: Worker | undefined;
    if (config.roles.includes("worker")) {
      const started = makeWorker(config, keyTexts, deployment.workerEnds(), log);
      // It is ended after the API, whose last calls may give it work; one that wasn't started has nothing to end.
      begun.defer(() => started.stop());
      failures.push(started.failed);
      worker = started;
    }
    const apiThread = await startThread(new URL("../api-thread.ts", import.meta.url), "api", undefined);
    begun.defer(() => apiThread.stop());
    failures.push(apiThread.failure);
    const api = callClient<ApiThreadCalls>(apiThread.connect(), () => new CodedError("internal", "the API is gone"));
    const wake = new MessageChannel();
    begun.defer(() => wake.port1.close());
    begun.defer(() => api.call("stop", config.drainTimeoutMs));
    const { pass, transfer } = deployment.apiPass();
    const start = { config, tls, ...keyTexts, pass, wake: wake.port2 };
    const { url } = await api.call("start", start, [...transfer, wake.port2]);
    // Not before the API listens: a start that fails at that has sent nothing.
    await worker?.start(url);
    begun.defer(await serveMetrics(config, worker, () => api.call("figures", null), log));
    wake.port1.on("message", () => worker?.wake());
    wake.port1.unref();
    const tell = (readiness: Readiness) => api.call("setReadiness", readiness);
    await tell(readinessOf(worker));
    begun.defer(watchReadiness(worker, (readiness) => void tell(readiness).catch(() => {})));
    if (showKey !== undefined && !isDistributed(config)) await makeFirstKey(config, deployment.stores.access, showKey);
    log.info("passbus.started", { url, version: VERSION, roles: config.roles, ...deployment.fields });
    return {
      url,
      state: () => worker?.state(),
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

function readinessOf(worker: Worker | undefined): Readiness {
  const reasons = worker?.problems() ?? [];
  return { ready: reasons.length === 0, reasons, notes: worker?.notes() ?? [] };
}

/** Tells the API whenever the worker begins or ceases to be well. The returned function ends it. */
function watchReadiness(worker: Worker | undefined, tell: (readiness: Readiness) => void): () => void {
  let told = "";
  let cancel = () => {};
  const look = () => {
    const readiness = readinessOf(worker);
    const text = JSON.stringify(readiness);
    if (text !== told) tell(readiness);
    told = text;
    cancel = clock.after(READINESS_EVERY_MS, look);
  };
  look();
  return () => cancel();
}

// ---- for commands that may run beside a server ----

export interface OpenStores {
  readonly access: AccessStore;
  close(): Promise<void>;
}

/** The store without the rest. */
export async function openAdminStore(config: Config): Promise<OpenStores> {
  const open: { readonly stores: Stores; close(): Promise<void> } = await (isDistributed(config)
    ? openDistributedStores(config)
    : openEmbeddedStores(config));
  return { access: open.stores.access, close: () => open.close() };
}

/** What is sealed in the store, and the keys. */
export async function openSealedStore(
  config: Config,
): Promise<
  { readonly keyring: Keyring; close(): Promise<void> } & Pick<
    Stores,
    "subscriptions" | "erasures" | "retention" | "deliveries"
  > & { letterKeyUse(): Promise<ReadonlyMap<string, number>> }
> {
  // The keys first: a store needn't be opened that can't be read.
  const keyring = keyringFrom(await encryptionKeysOf(config), random);
  const { stores, close } = await (isDistributed(config) ? openDistributedStores(config) : openEmbeddedStores(config));
  return { ...stores, letterKeyUse: () => letterKeyUse(stores), keyring, close };
}

/** What `passbus init` makes. */
export function preparationOf(config: Config): Preparation & { close(): Promise<void> } {
  return isDistributed(config)
    ? distributedPreparation(config)
    : { ...embeddedPreparation(config), close: async () => {} };
}

/**
 * Without a bootstrap key, and where no key was ever made, nobody could call: an admin's is made. It is shown before it
 * is stored. A process that dies in between has shown a key that isn't valid, and the next one makes another; the other
 * way round, the only key would be one that nobody has seen.
 */
export async function makeFirstKey(
  config: Config,
  access: Pick<KeyStore, "hasKeys" | "insertKey">,
  show: (key: string) => void,
): Promise<boolean> {
  if (config.bootstrapKey !== undefined || (await access.hasKeys())) return false;
  const tenant = { organisation: config.bootstrapOrganisation, environment: DEFAULT_ENVIRONMENT };
  const { record, text } = makeKey(tenant, "admin", { clock, ids, random });
  show(text);
  await access.insertKey(record);
  return true;
}
