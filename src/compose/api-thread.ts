/** The API, in a thread of its own: it meets the engine only through the store and the log. */
import type { MessagePort } from "node:worker_threads";
import { Rates } from "../access/rates.ts";
import { directSender } from "../adapters/http/direct-sender.ts";
import { type Api, startApi, startProbes } from "../api/api.ts";
import type { Readiness } from "../api/readiness.ts";
import type { Config } from "../config/config.ts";
import { listenRefusal, type TlsTexts } from "../config/refusals.ts";
import { Erasures } from "../delivery/erasures.ts";
import { Replays } from "../delivery/replays.ts";
import { withBinsDirectly } from "../inspector/bin-sender.ts";
import type { LogWriter } from "../intake/event-log.ts";
import { publisher } from "../intake/publish.ts";
import { publishStream } from "../intake/publish-stream.ts";
import { redriver } from "../intake/redrive.ts";
import { eventLoopDelay } from "../kernel/load.ts";
import type { Log } from "../kernel/log.ts";
import { DEFAULT_ENVIRONMENT, type Tenant } from "../kernel/tenant.ts";
import type { ThreadService } from "../kernel/thread-call.ts";
import { VERSION } from "../kernel/version.ts";
import { endpointChallenge } from "../subscriptions/endpoint-challenge.ts";
import { jsonLog } from "../telemetry/log.ts";
import { composeAccess } from "./access.ts";
import { binsOf } from "./bins.ts";
import { openDistributedApiEnds } from "./distributed.ts";
import { openEmbeddedApiEnds } from "./embedded.ts";
import { outbound } from "./guard.ts";
import type { ApiFigures } from "./metrics.ts";
import { type ApiEnds, type ApiPass, clock, ids, type KeyTexts, random } from "./parts.ts";
import { serviceRates } from "./rates.ts";
import { serviceRetention } from "./retention.ts";
import { watchRevocation } from "./revocation.ts";
import { sealedStores } from "./sealed-letters.ts";
import { sealingWriter } from "./sealed-log.ts";
import { type SigningKeys, signingKeys } from "./signing-keys.ts";
import { subscriptionRules } from "./subscriptions.ts";

const STARTING: Readiness = { ready: false, reasons: ["starting"] };

export interface ApiStart extends KeyTexts {
  readonly config: Config;
  readonly tls: TlsTexts | undefined;
  readonly pass: ApiPass;
  /** Says to the engine that something is due. */
  readonly wake: MessagePort;
}

export interface ApiThreadCalls {
  start(start: ApiStart): { readonly url: string };
  setReadiness(readiness: Readiness): void;
  figures(none: null): ApiFigures;
  stop(graceMs: number): void;
}

/** What src/api-thread.ts serves. */
export function apiThreadService(): ThreadService<ApiThreadCalls> {
  let api: Api | undefined;
  let ends: ApiEnds | undefined;
  let told = STARTING;
  const published = { accepted: 0 };
  const delay = eventLoopDelay();
  /** What the engine's thread said, and what this one sees itself. */
  const readiness = (): Readiness => {
    const reasons = [...told.reasons, ...(ends?.problems() ?? [])];
    return { ...told, ready: told.ready && reasons.length === 0, reasons };
  };
  const stop = async (graceMs: number) => {
    await api?.stop(graceMs);
    await ends?.close();
    api = undefined;
    ends = undefined;
  };
  return {
    handlers: {
      async start(start: ApiStart) {
        const { config } = start;
        const log = jsonLog({ level: config.logLevel, fields: { thread: "api" } });
        ends = await openEnds(start, log);
        api = await composeApi(start, ends, published, readiness, log).catch((error: unknown) => {
          throw listenRefusal(error, config.listen);
        });
        return { url: api.url };
      },
      setReadiness(now: Readiness) {
        told = now;
      },
      figures: () => ({ accepted: published.accepted, eventLoopDelayP99Ms: delay.p99Ms() }),
      stop,
    },
    close: () => stop(0),
  };
}

function publicKeysOf({ bootstrapOrganisation: organisation }: Config, { ed25519Keys: of }: SigningKeys) {
  return { of, tenant: { organisation, environment: DEFAULT_ENVIRONMENT } };
}

function watchLists(config: Config, tls: TlsTexts | undefined, { replaceTls }: Api, log: Log): () => void {
  const { tlsClientCrl: path } = config;
  if (tls === undefined || path === undefined) return () => {};
  return watchRevocation({ tls, path, replace: replaceTls, clock, log });
}

async function openEnds({ config, pass }: ApiStart, log: Log): Promise<ApiEnds | undefined> {
  if (pass.kind === "embedded") return openEmbeddedApiEnds(pass, config);
  return config.roles.includes("api") ? await openDistributedApiEnds(config, log) : undefined;
}

/** What publishers were told is durable. */
interface Published {
  accepted: number;
}

function counted(writer: LogWriter, published: Published): LogWriter {
  return {
    async append(records) {
      const results = await writer.append(records);
      for (const { durable } of results) if (durable) published.accepted += 1;
      return results;
    },
  };
}

/** @throws the error of listening where it can't listen at the address of the settings. */
async function composeApi(
  start: ApiStart,
  ends: ApiEnds | undefined,
  published: Published,
  readiness: () => Readiness,
  log: Log,
): Promise<Api> {
  const { config, tls, wake } = start;
  const { listen, corsOrigins, frameAncestors } = config;
  const port = { listen, ...(tls !== undefined && { tls }), corsOrigins, frameAncestors };
  // A worker answers the probes of whoever watches over it, and nothing else.
  if (ends === undefined) return startProbes({ ...port, readiness, clock, log });
  const { tenants } = ends;
  const mayPublish = (tenant: Tenant) => tenants.allows(config.kafkaTopic, tenant);
  const keys = signingKeys(start);
  const { keyring } = keys;
  const stores = sealedStores(ends.stores, { keyring, isOn: config.encryptPayloads, log });
  const isSealing = config.encryptPayloads && start.pass.kind === "embedded";
  const writer = isSealing ? sealingWriter(ends.writer, keyring) : ends.writer;
  let url = "";
  const bins = binsOf(config, keys, stores, () => url);
  const sender = withBinsDirectly(directSender(outbound(config)), { bins, clock });
  // Without a cache: previews sign for subscriptions that were never stored, or not so.
  const webhooks = { sender, signer: keys.signer({ cacheSize: 0 }), clock, ids, userAgent: `passbus/${VERSION}` };
  const wakeWorkers = () => wake.postMessage("due");
  const erasures = new Erasures({ store: stores.erasures, scrubLog: ends.scrubLog, keyring, clock, log });
  const access = composeAccess(config, stores.access, log);
  const api = await startApi({
    ...port,
    ...access,
    subscriptions: subscriptionRules(config, keys, stores, erasures, (text) => bins.targetOf(text) !== undefined),
    publisher: publisher({ log: counted(writer, published), ids, mayPublish }),
    publishStream: publishStream({ log: counted(writer, published), ids, mayPublish }),
    deliveryLog: stores.deliveries,
    changes: stores.changes,
    kinds: stores.kinds,
    feed: stores.feed,
    deadLetters: stores.deadLetters,
    redriver: redriver({ log: writer, deadLetters: stores.deadLetters, clock }),
    limits: stores.limits,
    replays: new Replays({ store: stores.replays, feed: stores.feed, clock, ids, wakeWorkers }),
    retention: serviceRetention(config),
    erasures,
    rates: new Rates({ service: serviceRates(config), given: (name) => stores.limits.limits(name), clock }),
    switches: stores.switches,
    operatedBy: config.bootstrapOrganisation,
    webhooks,
    challenge: endpointChallenge({ ...webhooks, random }),
    bins,
    keyring,
    stats: stores.stats,
    endpoints: stores.endpoints,
    publicKeys: publicKeysOf(config, keys),
    readiness,
    wakeWorkers,
    clock,
    log,
  });
  ({ url } = api);
  const endWatch = watchLists(config, tls, api, log);
  return {
    ...api,
    async stop(graceMs) {
      endWatch();
      await api.stop(graceMs);
      await access.stop();
      sender.close();
    },
  };
}
