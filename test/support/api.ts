/** The API with the rooms behind it, on stores that live in memory: for tests of what the API itself does. */

import type { KeyRecord, Role } from "../../src/access/access-store.ts";
import { type Authenticate, authenticator } from "../../src/access/authenticate.ts";
import { makeKey } from "../../src/access/keys.ts";
import { type ApiDeps, startApi } from "../../src/api/api.ts";
import type { DeliveryLog } from "../../src/delivery/delivery-store.ts";
import type { AppendResult, NewRecord } from "../../src/intake/event-log.ts";
import { publisher } from "../../src/intake/publish.ts";
import { systemClock } from "../../src/kernel/clock.ts";
import { CodedError } from "../../src/kernel/errors.ts";
import { idSource } from "../../src/kernel/ids.ts";
import { type LogFields, silentLog } from "../../src/kernel/log.ts";
import { systemRandom } from "../../src/kernel/random.ts";
import type { Tenant } from "../../src/kernel/tenant.ts";
import { keyringFrom, makeEncryptionKey } from "../../src/signing/keyring.ts";
import { SubscriptionService } from "../../src/subscriptions/subscription-service.ts";
import { MemorySubscriptions } from "./memory-subscriptions.ts";

export const ADMIN_KEY = "an-admin-key-for-tests";
export const TENANT: Tenant = { organisation: "acme", environment: "production" };

/** What a test reads and turns while the API runs. */
export interface Stage {
  readonly records: NewRecord[];
  readonly errors: { readonly event: string; readonly fields: LogFields | undefined }[];
  wakes: number;
  ready: boolean;
  /** What the log answers; all durable unless a test says otherwise. */
  append: (records: readonly NewRecord[]) => Promise<readonly AppendResult[]>;
  /** The text of a new key. */
  key(role: Role, tenant?: Tenant): string;
}

export interface TestApi extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly stage: Stage;
  stop(graceMs?: number): Promise<void>;
}

export async function testApi(given: Partial<ApiDeps> = {}): Promise<TestApi> {
  const clock = given.clock ?? systemClock;
  const ids = idSource(clock, systemRandom);
  const keys = new Map<string, KeyRecord>();
  const stage: Stage = {
    records: [],
    errors: [],
    wakes: 0,
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
  };
  const authenticate: Authenticate = authenticator({
    store: { findKey: async (id) => keys.get(id) },
    clock,
    bootstrap: { text: ADMIN_KEY, organisation: TENANT.organisation },
  });
  const api = await startApi({
    listen: { host: "127.0.0.1", port: 0 },
    corsOrigins: [],
    authenticate,
    subscriptions: new SubscriptionService({
      store: new MemorySubscriptions(),
      keyring: keyringFrom(makeEncryptionKey("k1", systemRandom), systemRandom),
      checkEndpoint: async (url) => {
        if (!url.startsWith("https://")) throw new CodedError("url.invalid", "must begin with https://");
        return { urlKey: url };
      },
      clock,
      ids,
      random: systemRandom,
    }),
    publisher: publisher({ log: { append: (records) => stage.append(records) }, ids }),
    deliveryLog: emptyDeliveryLog,
    readiness: () => ({ ready: stage.ready, reasons: stage.ready ? [] : ["the store does not answer"] }),
    wakeWorkers: () => {
      stage.wakes += 1;
    },
    clock,
    log: { ...silentLog, error: (event, fields) => stage.errors.push({ event, fields }) },
    ...given,
  });
  const stop = (graceMs = 2_000) => api.stop(graceMs);
  return { url: api.url, port: api.address.port, stage, stop, [Symbol.asyncDispose]: () => stop(0) };
}

const nothing = async () => undefined;
const noItems = async () => ({ items: [] });

export const emptyDeliveryLog: DeliveryLog = {
  getEvent: nothing,
  listEvents: noItems,
  getDelivery: nothing,
  listDeliveries: noItems,
  retry: nothing,
};
