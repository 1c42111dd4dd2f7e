/** The API, in a thread of its own: it meets the engine only through the store and the log. */
import type { MessagePort } from "node:worker_threads";
import { directSender } from "../adapters/http/direct-sender.ts";
import { type Api, startApi, startProbes } from "../api/api.ts";
import type { Readiness } from "../api/readiness.ts";
import type { Config } from "../config/config.ts";
import { listenRefusal, type TlsTexts } from "../config/refusals.ts";
import { Replays } from "../delivery/replays.ts";
import { publisher } from "../intake/publish.ts";
import { publishStream } from "../intake/publish-stream.ts";
import { redriver } from "../intake/redrive.ts";
import type { Log } from "../kernel/log.ts";
import { DEFAULT_ENVIRONMENT, type Tenant } from "../kernel/tenant.ts";
import type { ThreadService } from "../kernel/thread-call.ts";
import { VERSION } from "../kernel/version.ts";
import { endpointChallenge } from "../subscriptions/endpoint-challenge.ts";
import { jsonLog } from "../telemetry/log.ts";
import { composeAccess } from "./access.ts";
import { openDistributedApiEnds } from "./distributed.ts";
import { openEmbeddedApiEnds } from "./embedded.ts";
import { outbound } from "./guard.ts";
import { type ApiEnds, type ApiPass, clock, ids, type KeyTexts, random } from "./parts.ts";
import { serviceRetention } from "./retention.ts";
import { signingKeys } from "./signing-keys.ts";
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
  stop(graceMs: number): void;
}

/** What src/api-thread.ts serves. */
export function apiThreadService(): ThreadService<ApiThreadCalls> {
  let api: Api | undefined;
  let ends: ApiEnds | undefined;
  let told = STARTING;
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
        api = await composeApi(start, ends, readiness, log).catch((error: unknown) => {
          throw listenRefusal(error, config.listen);
        });
        return { url: api.url };
      },
      setReadiness(now: Readiness) {
        told = now;
      },
      stop,
    },
    close: () => stop(0),
  };
}

async function openEnds({ config, pass }: ApiStart, log: Log): Promise<ApiEnds | undefined> {
  if (pass.kind === "embedded") return openEmbeddedApiEnds(pass, config);
  return config.roles.includes("api") ? await openDistributedApiEnds(config, log) : undefined;
}

/** @throws the error of listening where it can't listen at the address of the settings. */
async function composeApi(
  start: ApiStart,
  ends: ApiEnds | undefined,
  readiness: () => Readiness,
  log: Log,
): Promise<Api> {
  const { config, tls, wake } = start;
  const port = { listen: config.listen, ...(tls !== undefined && { tls }), corsOrigins: config.corsOrigins };
  // A worker answers the probes of whoever watches over it, and nothing else.
  if (ends === undefined) return startProbes({ ...port, readiness, clock, log });
  const { stores, writer, tenants } = ends;
  const mayPublish = (tenant: Tenant) => tenants.allows(config.kafkaTopic, tenant);
  const keys = signingKeys(start);
  const sender = directSender(outbound(config));
  // Without a cache: previews sign for subscriptions that were never stored, or not so.
  const webhooks = { sender, signer: keys.signer({ cacheSize: 0 }), clock, ids, userAgent: `passbus/${VERSION}` };
  const wakeWorkers = () => wake.postMessage("due");
  const access = composeAccess(config, stores.access, log);
  const api = await startApi({
    ...port,
    ...access,
    subscriptions: subscriptionRules(config, keys, stores),
    publisher: publisher({ log: writer, ids, mayPublish }),
    publishStream: publishStream({ log: writer, ids, mayPublish }),
    deliveryLog: stores.deliveries,
    changes: stores.changes,
    feed: stores.feed,
    deadLetters: stores.deadLetters,
    redriver: redriver({ log: writer, deadLetters: stores.deadLetters, clock }),
    limits: stores.limits,
    replays: new Replays({ store: stores.replays, feed: stores.feed, clock, ids, wakeWorkers }),
    retention: serviceRetention(config),
    switches: stores.switches,
    operatedBy: config.bootstrapOrganisation,
    webhooks,
    challenge: endpointChallenge({ ...webhooks, random }),
    publicKeys: {
      of: keys.ed25519Keys,
      tenant: { organisation: config.bootstrapOrganisation, environment: DEFAULT_ENVIRONMENT },
    },
    readiness,
    wakeWorkers,
    clock,
    log,
  });
  return {
    ...api,
    async stop(graceMs) {
      await api.stop(graceMs);
      await access.stop();
      sender.close();
    },
  };
}
