/** The API with the rooms behind it, on stores that live in memory: for tests of what the API itself does. */

import type { KeyRecord, Role, SessionRecord } from "../../src/access/access-store.ts";
import { AuditLog } from "../../src/access/audit.ts";
import { judge } from "../../src/access/authenticate.ts";
import { Certificates } from "../../src/access/certificates.ts";
import { Credentials } from "../../src/access/credentials.ts";
import { door } from "../../src/access/door.ts";
import { FailedAttempts } from "../../src/access/failed-attempts.ts";
import { idOfKey, makeKey, makeSession } from "../../src/access/keys.ts";
import { Rates } from "../../src/access/rates.ts";
import { directSender } from "../../src/adapters/http/direct-sender.ts";
import { type Api, type ApiDeps, startApi } from "../../src/api/api.ts";
import type { ChangeFeed } from "../../src/delivery/change-feed.ts";
import { Erasures } from "../../src/delivery/erasures.ts";
import type { KindFeed } from "../../src/delivery/kind-feed.ts";
import { Replays } from "../../src/delivery/replays.ts";
import { Bins, type BinsDeps } from "../../src/inspector/bins.ts";
import type { AppendResult, NewRecord } from "../../src/intake/event-log.ts";
import { publisher } from "../../src/intake/publish.ts";
import { publishStream } from "../../src/intake/publish-stream.ts";
import { redriver } from "../../src/intake/redrive.ts";
import { networkSet } from "../../src/kernel/addresses.ts";
import { type Clock, systemClock } from "../../src/kernel/clock.ts";
import { CodedError } from "../../src/kernel/errors.ts";
import { type IdSource, idSource } from "../../src/kernel/ids.ts";
import { type LogFields, silentLog } from "../../src/kernel/log.ts";
import { systemRandom } from "../../src/kernel/random.ts";
import type { Tenant } from "../../src/kernel/tenant.ts";
import { ed25519KeysFrom } from "../../src/signing/ed25519.ts";
import { keyringFrom, makeEncryptionKey } from "../../src/signing/keyring.ts";
import { signer } from "../../src/signing/signer.ts";
import { endpointChallenge } from "../../src/subscriptions/endpoint-challenge.ts";
import { SubscriptionService } from "../../src/subscriptions/subscription-service.ts";
import type { SubscriptionStore } from "../../src/subscriptions/subscription-store.ts";
import { embeddedStore } from "./embedded-store.ts";
import { MemoryDeadLetters } from "./memory-dead-letters.ts";
import { MemoryEndpoints } from "./memory-endpoints.ts";
import { MemoryLimits, MemorySubscriptions } from "./memory-subscriptions.ts";
import { MemorySwitches } from "./memory-switches.ts";

const DAY_MS = 24 * 3_600_000;

export const ADMIN_KEY = "an-admin-key-for-tests";
export const TENANT: Tenant = { organisation: "acme", environment: "production" };

/** What a test reads and turns while the API runs. */
export interface Stage {
  readonly records: NewRecord[];
  readonly deadLetters: MemoryDeadLetters;
  readonly errors: { readonly event: string; readonly fields: LogFields | undefined }[];
  wakes: number;
  wakeWorkers(): void;
  ready: boolean;
  /** What the log answers; all durable unless a test says otherwise. */
  append: (records: readonly NewRecord[]) => Promise<readonly AppendResult[]>;
  /** The text of a new key. */
  key(role: Role, tenant?: Tenant): string;
  /** The token of a new portal session. */
  session(entityId: string, tenant?: Tenant): string;
  /** A key as a store has it that is asked again: gone from now on. */
  revoke(key: string): void;
}

export interface TestApi extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly stage: Stage;
  readonly replaceTls: Api["replaceTls"];
  stop(graceMs?: number): Promise<void>;
}

/** What a test gives instead of what lives in memory. */
interface Given extends Partial<ApiDeps> {
  readonly subscriptionStore?: SubscriptionStore;
}

export async function testApi({ subscriptionStore, ...given }: Given = {}): Promise<TestApi> {
  const clock = given.clock ?? systemClock;
  const ids = idSource(clock, systemRandom);
  const keys = new Map<string, KeyRecord | SessionRecord>();
  const stage = stageOf(keys, clock, ids);
  const log = { append: (records: readonly NewRecord[]) => stage.append(records) };
  const access = accessOf(keys, stage, clock, ids);
  const limits = new MemoryLimits();
  const keyring = keyringFrom(makeEncryptionKey("k1", systemRandom), systemRandom);
  const ed25519Keys = ed25519KeysFrom(makeEncryptionKey("s1", systemRandom));
  const webhooks = {
    sender: directSender({ clock, allowHttp: true, allowedNetworks: networkSet(["127.0.0.0/8"]) }),
    signer: signer(keyring, {
      cacheSize: 0,
      ed25519Keys: ({ tenant, ed25519Signature }) => (ed25519Signature === true ? ed25519Keys(tenant) : []),
    }),
    clock,
    ids,
    userAgent: "passbus/test",
  };
  const api = await startApi({
    listen: { host: "127.0.0.1", port: 0 },
    corsOrigins: [],
    ...access.deps,
    subscriptions: new SubscriptionService({
      store: subscriptionStore ?? new MemorySubscriptions(),
      limits,
      health: new MemoryEndpoints(),
      keyring,
      signsEd25519: true,
      checkEndpoint,
      clock,
      ids,
      random: systemRandom,
    }),
    publisher: publisher({ log, ids, mayPublish: () => true }),
    publishStream: publishStream({ log, ids, mayPublish: () => true }),
    deliveryLog: emptyDeliveryLog,
    changes: quietFeed,
    kinds: { watchKind: quietKind },
    feed: { load: async () => ({ version: 0, subscriptions: [] }) },
    deadLetters: stage.deadLetters,
    redriver: redriver({ log, deadLetters: stage.deadLetters, clock }),
    limits,
    replays: new Replays({ ...replayStage(), clock, ids }),
    rates: ratesOf(limits, clock),
    erasures: new Erasures({ store: embeddedStore().erasures, keyring, clock, log: silentLog }),
    retention: { eventRetentionMs: 30 * DAY_MS, deliveryRetentionMs: 30 * DAY_MS },
    switches: new MemorySwitches(),
    ...inspectorStage({ keyring, ed25519Keys, clock, ids }),
    keyring,
    operatedBy: TENANT.organisation,
    webhooks,
    challenge: endpointChallenge({ ...webhooks, random: systemRandom }),
    publicKeys: { of: ed25519Keys, tenant: TENANT },
    readiness: () => ({ ready: stage.ready, reasons: stage.ready ? [] : ["the store does not answer"] }),
    wakeWorkers: stage.wakeWorkers,
    clock,
    log: { ...silentLog, error: (event, fields) => stage.errors.push({ event, fields }) },
    ...given,
  });
  const stop = async (graceMs = 2_000) => {
    await api.stop(graceMs);
    await access.audit.stop();
    webhooks.sender.close();
  };
  const { url, replaceTls } = api;
  return { url, port: api.address.port, stage, replaceTls, stop, [Symbol.asyncDispose]: () => stop(0) };
}

function ratesOf(limits: MemoryLimits, clock: Clock): Rates {
  const service = { callsPerSecond: 0, eventsPerSecond: 0 };
  return new Rates({ service, given: (organisation) => limits.limits(organisation), clock });
}

async function checkEndpoint(url: string) {
  if (!/^https:|^http:..127\.0\.0\.1[:/]/.test(url)) throw new CodedError("url.invalid", "must begin with https://");
  return { urlKey: url };
}

/** Keys of the stage first, then those that were made over the API. */
function accessOf(keys: Map<string, KeyRecord | SessionRecord>, stage: Stage, clock: Clock, ids: IdSource) {
  const { access: store } = embeddedStore();
  const found = async <T>(id: string, find: (id: string) => Promise<T>) => (keys.get(id) as T | undefined) ?? find(id);
  const known = {
    findKey: (id: string) => found(id, store.findKey),
    findSession: (id: string) => found(id, store.findSession),
    findCertificate: store.findCertificate,
  };
  const log = { ...silentLog, error: (event: string, fields?: LogFields) => void stage.errors.push({ event, fields }) };
  const audit = new AuditLog({ store, clock, ids, log, operator: TENANT });
  const bootstrap = { text: ADMIN_KEY, organisation: TENANT.organisation };
  const authenticate = door({
    judge: judge({ store: known, clock, bootstrap }),
    attempts: new FailedAttempts(clock),
    uses: { note: (id) => void store.noteKeyUses([{ id, atMs: clock.now() }]) },
    audit,
    clock,
  });
  const credentials = new Credentials({ store, clock, ids, random: systemRandom });
  const certificates = new Certificates({ store: { ...store, findKey: known.findKey }, clock });
  return { audit, deps: { authenticate, audit, credentials, certificates, auditRecords: store } };
}

/** Bins under a URL that is not the port's: what goes there in-process is seen by it. */
function inspectorStage(deps: Pick<BinsDeps, "keyring" | "ed25519Keys" | "clock" | "ids">) {
  const { bins: store, feed, stats, endpoints } = embeddedStore();
  const publicUrl = () => "https://passbus.test";
  return {
    bins: new Bins({ ...deps, store, feed, random: systemRandom, lifetimeMs: DAY_MS, publicUrl }),
    stats,
    endpoints,
  };
}

function replayStage() {
  const { replays, feed } = embeddedStore();
  return { store: replays, feed, wakeWorkers: () => {} };
}

function stageOf(keys: Map<string, KeyRecord | SessionRecord>, clock: Clock, ids: IdSource): Stage {
  const stage: Stage = {
    records: [],
    deadLetters: new MemoryDeadLetters(),
    errors: [],
    wakes: 0,
    wakeWorkers() {
      stage.wakes += 1;
    },
    ready: true,
    append: async (records) => {
      stage.records.push(...records);
      return records.map(() => ({ durable: true }));
    },
    key(role, tenant = TENANT) {
      const { record, text } = makeKey(tenant, role, { clock, ids, random: systemRandom });
      keys.set(record.id, record);
      return text;
    },
    session(entityId, tenant = TENANT) {
      const { record, text } = makeSession(tenant, entityId, 3_600_000, { clock, ids, random: systemRandom });
      keys.set(record.id, record);
      return text;
    },
    revoke(key) {
      keys.delete(idOfKey(key) ?? "");
    },
  };
  return stage;
}

const nothing = async () => undefined;
const noItems = async () => ({ items: [] });

export const emptyDeliveryLog: ApiDeps["deliveryLog"] = {
  getEvent: nothing,
  listEvents: noItems,
  getDelivery: nothing,
  listDeliveries: noItems,
  retry: nothing,
  cancel: nothing,
  promote: async () => 0,
};

const quietReader = async () => ({
  read: async () => ({ items: [], more: false, skipped: 0 }),
  close: async () => {},
});

const quietFeed: ChangeFeed = { watchEvents: quietReader, watchDeliveries: quietReader };

const quietKind: KindFeed["watchKind"] = async () => ({
  read: async () => ({ ids: new Set(), more: false }),
  close: async () => {},
});
