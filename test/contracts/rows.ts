/** What the store suites write: events, deliveries, attempts and subscriptions with the least that each needs. */
import { createHash } from "node:crypto";
import { ActionMethod } from "../../gen/io/integrations_pb.js";
import { PassProtocol } from "../../gen/io/pass_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import type { AccessStore } from "../../src/access/access-store.ts";
import type {
  ClaimRequest,
  ClaimResult,
  DeliveryLog,
  DeliveryStore,
  DeliveryWrite,
  FlushResult,
  NextState,
} from "../../src/delivery/delivery-store.ts";
import type { EndpointStore, RateStore } from "../../src/delivery/endpoint-store.ts";
import type { ErasureStore } from "../../src/delivery/erasure.ts";
import type { SwitchStore } from "../../src/delivery/kill-switch.ts";
import type { KindFeed } from "../../src/delivery/kind-feed.ts";
import type { ReplayJobs, ReplayStore } from "../../src/delivery/replay-store.ts";
import type { RetentionStore } from "../../src/delivery/retention.ts";
import type { StatsStore } from "../../src/delivery/stats-store.ts";
import type { Attempt, Delivery } from "../../src/domain/delivery.ts";
import type { StoredEvent } from "../../src/domain/event.ts";
import { DEFAULT_POLICY, type Subscription } from "../../src/domain/subscription.ts";
import type { BinStore } from "../../src/inspector/bin-store.ts";
import type { DeadLetterStore } from "../../src/intake/dead-letters.ts";
import type { Page, PageRequest } from "../../src/kernel/page.ts";
import type { Tenant } from "../../src/kernel/tenant.ts";
import type { SubscriptionFeed } from "../../src/matching/subscription-feed.ts";
import type { LimitStore } from "../../src/subscriptions/limit-store.ts";
import type { SubscriptionWalk } from "../../src/subscriptions/reencrypt.ts";
import type { SubscriptionStore } from "../../src/subscriptions/subscription-store.ts";

/** The ports that a store serves. */
export interface StorePorts {
  readonly deliveries: DeliveryStore & DeliveryLog;
  readonly subscriptions: SubscriptionStore & SubscriptionWalk;
  readonly feed: SubscriptionFeed;
  readonly limits: LimitStore;
  readonly endpoints: EndpointStore & RateStore;
  readonly replays: ReplayStore & ReplayJobs;
  readonly switches: SwitchStore;
  readonly retention: RetentionStore;
  readonly erasures: ErasureStore;
  readonly access: AccessStore;
  readonly deadLetters: DeadLetterStore;
  readonly bins: BinStore;
  readonly stats: StatsStore;
  readonly kinds: KindFeed;
}

/** One empty store under test. */
export interface StoreUnderTest extends StorePorts {
  /** Another connection to the same store, as another thread or process has one. */
  connect(): Promise<StorePorts>;
  /** Ends every connection without a farewell where that is possible, and opens the store again: what is durable is there. */
  reopen(): Promise<StorePorts>;
  close(): Promise<void>;
}

export type MakeStore = () => Promise<StoreUnderTest>;

export const T0 = 1_700_000_000_000;

export const ACME: Tenant = { organisation: "acme", environment: "production" };
export const ACME_TEST: Tenant = { organisation: "acme", environment: "test" };
export const GLOBEX: Tenant = { organisation: "globex", environment: "production" };

export function event(id: string, over: Partial<StoredEvent> & { readonly content?: string } = {}): StoredEvent {
  const { content = `content of ${id}`, ...rest } = over;
  const value = Buffer.from(content);
  return {
    tenant: ACME,
    id,
    type: PassEventType.CREATED,
    passId: "pass-1",
    entityId: "",
    loggedAtMs: T0,
    value: Uint8Array.from(value),
    contentHash: createHash("sha256").update(value).digest("base64url"),
    ...rest,
  };
}

export function attempt(id: string, over: Partial<Attempt> = {}): Attempt {
  return { id, startedAtMs: T0, durationMs: 12, statusCode: 500, errorCode: "http.status", ...over };
}

export function delivery(id: string, over: Partial<Delivery> = {}): Delivery {
  return {
    id,
    tenant: ACME,
    eventId: "evt_1",
    eventType: PassEventType.CREATED,
    passId: "pass-1",
    subscriptionId: "sub_1",
    status: "waiting",
    workClass: "live",
    run: 1,
    fence: 0,
    runAttempts: over.attempts?.length ?? 0,
    attemptCount: over.attempts?.length ?? 0,
    attempts: [],
    createdAtMs: T0,
    ...over,
  };
}

/** A delivery that waits from `dueAtMs` on, without an attempt. */
export function waiting(id: string, dueAtMs = T0, over: Partial<Delivery> = {}): Delivery {
  return delivery(id, { status: "waiting", dueAtMs, ...over });
}

/** A spill under a lease. */
export function leased(id: string, leaseUntilMs: number, over: Partial<Delivery> = {}): Delivery {
  return delivery(id, { status: "attempting", leaseUntilMs, ...over });
}

/** A first attempt that failed and is to be tried again. */
export function triedOnce(id: string, attemptId: string, dueAtMs = T0 + 5_000, over: Partial<Delivery> = {}): Delivery {
  return delivery(id, { status: "waiting", workClass: "retry", dueAtMs, attempts: [attempt(attemptId)], ...over });
}

export function finished(
  id: string,
  status: "delivered" | "failed" | "cancelled",
  attemptId: string,
  over: Partial<Delivery> = {},
): Delivery {
  return delivery(id, { status, finishedAtMs: T0 + 100, attempts: [attempt(attemptId)], ...over });
}

export const first = (of: Delivery): DeliveryWrite => ({ kind: "first", delivery: of });

export function outcome(
  of: Pick<Delivery, "tenant" | "id" | "fence" | "run">,
  next: NextState,
  attemptId?: string,
): DeliveryWrite {
  const { tenant, id, fence, run } = of;
  const write = { kind: "outcome", tenant, id, fence, run, next } as const;
  return attemptId === undefined ? write : { ...write, attempt: attempt(attemptId) };
}

/** Stores deliveries, and for each the event that it names. */
export async function put(store: StorePorts, ...deliveries: readonly Delivery[]): Promise<FlushResult> {
  const events = new Map(
    deliveries.map((of) => [
      `${of.tenant.organisation}/${of.tenant.environment}/${of.eventId}`,
      event(of.eventId, { tenant: of.tenant, passId: of.passId }),
    ]),
  );
  return store.deliveries.flush({ events: [...events.values()], deliveries: deliveries.map(first) });
}

export async function flush(store: StorePorts, ...deliveries: readonly DeliveryWrite[]): Promise<readonly boolean[]> {
  return (await store.deliveries.flush({ events: [], deliveries })).applied;
}

/** The delivery as it is stored; throws where it isn't. */
export async function stored(store: StorePorts, id: string, tenant: Tenant = ACME): Promise<Delivery> {
  const found = await store.deliveries.getDelivery(tenant, id);
  if (found === undefined) throw new Error(`${id} is not stored`);
  return found;
}

export const LEASE_MS = 60_000;

export function claim(store: StorePorts, over: Partial<ClaimRequest> = {}): Promise<ClaimResult> {
  return store.deliveries.claim({
    nowMs: T0,
    leaseMs: LEASE_MS,
    limit: 100,
    slots: new Map(),
    defaultSlots: 100,
    stopped: [],
    ...over,
  });
}

export const claimedIds = (result: ClaimResult): readonly string[] => result.claimed.map((one) => one.delivery.id);

export function subscription(id: string, over: Partial<Subscription> = {}): Subscription {
  const url = over.url ?? `https://${id}.example/hook`;
  return {
    id,
    tenant: ACME,
    entityId: "",
    url,
    urlKey: url,
    eventTypes: [PassEventType.CREATED, PassEventType.SCANNED],
    format: "STANDARD",
    formatOptions: { passkitUninstalledName: "documented", passkitMethod: ActionMethod.METHOD_NONE },
    state: "enabled",
    disabledSpans: [],
    description: "",
    labels: {},
    headers: {},
    policy: DEFAULT_POLICY,
    protocol: PassProtocol.PASS_PROTOCOL_DO_NOT_USE,
    secrets: [{ id: `${id}_secret`, sealed: "k1:sealed", createdAtMs: T0 }],
    createdAtMs: T0,
    updatedAtMs: T0,
    version: 1,
    ...over,
  };
}

/** Reads a list to its end, page by page. */
export async function allPages<T>(
  list: (page: PageRequest) => Promise<Page<T>>,
  size: number,
): Promise<readonly (readonly T[])[]> {
  const pages: (readonly T[])[] = [];
  let page = await list({ size });
  for (;;) {
    pages.push(page.items);
    if (page.next === undefined) return pages;
    page = await list({ size, after: page.next });
  }
}
