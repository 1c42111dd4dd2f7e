import type {
  Chain,
  ChainQuery,
  ChainRow,
  FoldRequest,
  Promoted,
  PromoteRequest,
} from "../../src/delivery/chains-store.ts";
import type {
  ClaimedDelivery,
  ClaimRequest,
  ClaimResult,
  DeliveryStore,
  DeliveryWrite,
  FlushBatch,
  FlushResult,
  KnownEvent,
  MoveRequest,
  NextState,
  OpenSubscription,
  ShortenRequest,
} from "../../src/delivery/delivery-store.ts";
import { type Attempt, appendAttempt, type Delivery, isTerminal } from "../../src/domain/delivery.ts";
import type { EventKey, StoredEvent } from "../../src/domain/event.ts";
import type { Subscription } from "../../src/domain/subscription.ts";
import { LIMITS } from "../../src/kernel/limits.ts";
import { type Tenant, tenantKey } from "../../src/kernel/tenant.ts";
import type { SubscriptionFeed, TenantSubscriptions } from "../../src/matching/subscription-feed.ts";
import { MemoryEndpoints } from "./memory-endpoints.ts";

/** The rules of the store's ports in memory: the model that engine tests run on, one step a call. */
export class MemoryStore implements DeliveryStore, SubscriptionFeed {
  readonly events = new Map<string, StoredEvent>();
  readonly deliveries = new Map<string, Delivery>();
  readonly #tenants = new Map<string, { version: number; readonly subscriptions: Map<string, Subscription> }>();
  readonly endpoints = new MemoryEndpoints();
  /** Set, a flush rejects with it. */
  flushError: Error | undefined;
  flushes = 0;
  /** The last step of the clock that was made up for. */
  #turnedBack: { readonly nowMs: number; readonly byMs: number } | undefined;

  put(subscription: Subscription): void {
    const key = tenantKey(subscription.tenant);
    const tenant = this.#tenants.get(key) ?? { version: 0, subscriptions: new Map() };
    tenant.version++;
    tenant.subscriptions.set(subscription.id, subscription);
    this.#tenants.set(key, tenant);
  }

  remove(subscription: Subscription): void {
    const tenant = this.#tenants.get(tenantKey(subscription.tenant));
    if (tenant === undefined || !tenant.subscriptions.delete(subscription.id)) return;
    tenant.version++;
  }

  async versions(tenants: readonly Tenant[]): Promise<readonly number[]> {
    return tenants.map((tenant) => this.#tenants.get(tenantKey(tenant))?.version ?? 0);
  }

  async load(tenant: Tenant): Promise<TenantSubscriptions> {
    const entry = this.#tenants.get(tenantKey(tenant));
    return { version: entry?.version ?? 0, subscriptions: [...(entry?.subscriptions.values() ?? [])] };
  }

  async flush(batch: FlushBatch): Promise<FlushResult> {
    if (this.flushError !== undefined) throw this.flushError;
    this.flushes++;
    const conflicts: EventKey[] = [];
    for (const event of batch.events) {
      const known = this.events.get(textOf(event));
      if (known === undefined) this.events.set(textOf(event), event);
      else if (known.contentHash !== event.contentHash) conflicts.push({ tenant: event.tenant, id: event.id });
      else if (known.payloadDroppedAtMs !== undefined) this.events.set(textOf(event), event);
    }
    const lost = new Set(conflicts.map(textOf));
    const applied = batch.deliveries.map((write) => {
      if (write.kind === "outcome") return this.#outcome(write);
      const { tenant, eventId } = write.delivery;
      return lost.has(textOf({ tenant, id: eventId })) ? false : this.#first(write.delivery);
    });
    return { conflicts, applied };
  }

  #first(delivery: Delivery): boolean {
    const row = this.deliveries.get(delivery.id);
    if (row === undefined) {
      this.deliveries.set(delivery.id, delivery);
      return true;
    }
    const attempts = delivery.attempts.reduce((all, one) => appendAttempt(all, one, LIMITS.attemptsKept), row.attempts);
    const wins = delivery.status === "delivered" && row.run === 1 && !isTerminal(row.status);
    const next = wins ? { ...clean(row), status: delivery.status, fence: row.fence + 1 } : row;
    const finished = wins && delivery.finishedAtMs !== undefined ? { finishedAtMs: delivery.finishedAtMs } : {};
    this.deliveries.set(row.id, { ...next, attempts, ...finished });
    return wins;
  }

  #outcome(write: DeliveryWrite & { kind: "outcome" }): boolean {
    const row = this.deliveries.get(write.id);
    if (row === undefined) return false;
    const held = row.fence === write.fence && row.run === write.run && row.status === "attempting";
    const appended = write.attempt === undefined ? row : withAttempt(row, write.attempt);
    this.deliveries.set(row.id, held ? moved(appended, write.next) : appended);
    return held;
  }

  async knownEvents(keys: readonly EventKey[]): Promise<readonly (KnownEvent | undefined)[]> {
    return keys.map((key) => {
      const found = this.events.get(textOf(key));
      if (found === undefined) return undefined;
      const { contentHash, loggedAtMs, payloadDroppedAtMs } = found;
      return { contentHash, loggedAtMs, ...(payloadDroppedAtMs !== undefined && { payloadDropped: true }) };
    });
  }

  async knownDeliveries(_tenant: Tenant, ids: readonly string[]): Promise<ReadonlySet<string>> {
    return new Set(ids.filter((id) => this.deliveries.has(id)));
  }

  async claim(request: ClaimRequest): Promise<ClaimResult> {
    const taken = new Map<string, number>();
    const claimed = [];
    let nextDueAtMs: number | undefined;
    for (const row of [...this.deliveries.values()].sort((a, b) => (a.dueAtMs ?? 0) - (b.dueAtMs ?? 0))) {
      const dueAtMs =
        row.status === "waiting" ? row.dueAtMs : row.status === "attempting" ? row.leaseUntilMs : undefined;
      if (dueAtMs === undefined || request.stopped.includes(row.tenant.organisation)) continue;
      if (dueAtMs > request.nowMs) {
        nextDueAtMs = Math.min(nextDueAtMs ?? dueAtMs, dueAtMs);
        continue;
      }
      const count = taken.get(row.subscriptionId) ?? 0;
      const slots = request.slots.get(row.subscriptionId) ?? request.defaultSlots;
      const event = this.events.get(textOf({ tenant: row.tenant, id: row.eventId }));
      if (event === undefined || count >= slots || claimed.length >= request.limit) continue;
      taken.set(row.subscriptionId, count + 1);
      const leaseUntilMs = request.nowMs + request.leaseMs;
      const delivery: Delivery = { ...clean(row), status: "attempting", fence: row.fence + 1, leaseUntilMs };
      this.deliveries.set(row.id, delivery);
      claimed.push({ delivery: { ...delivery, attempts: [] }, event });
    }
    return { claimed, ...(nextDueAtMs === undefined ? {} : { nextDueAtMs }) };
  }

  async turnBack({ nowMs, byMs }: { readonly nowMs: number; readonly byMs: number }): Promise<number> {
    const before = this.#turnedBack;
    if (before !== undefined && before.byMs === byMs && Math.abs(nowMs - before.nowMs) < 300_000) return 0;
    this.#turnedBack = { nowMs, byMs };
    return this.#change(
      ({ dueAtMs }) => (dueAtMs ?? 0) > nowMs,
      (row) => ({ ...row, dueAtMs: Math.max(nowMs, (row.dueAtMs ?? 0) - byMs) }),
    );
  }

  async shortenLeases({ beyondMs, toMs }: ShortenRequest): Promise<number> {
    return this.#change(
      ({ leaseUntilMs }) => (leaseUntilMs ?? 0) > beyondMs,
      (row) => ({ ...row, leaseUntilMs: toMs }),
    );
  }

  #change(which: (row: Delivery) => boolean, to: (row: Delivery) => Delivery): number {
    const rows = [...this.deliveries.values()].filter(which);
    for (const row of rows) this.deliveries.set(row.id, to(row));
    return rows.length;
  }

  async openSubscriptions(): Promise<readonly OpenSubscription[]> {
    const open = new Map<string, OpenSubscription>();
    for (const { tenant, subscriptionId, status } of this.deliveries.values()) {
      if (status !== "waiting" && status !== "held") continue;
      const known = open.get(subscriptionId) ?? { tenant, subscriptionId, hasWaiting: false, hasHeld: false };
      open.set(subscriptionId, {
        ...known,
        hasWaiting: known.hasWaiting || status === "waiting",
        hasHeld: known.hasHeld || status === "held",
      });
    }
    return [...open.values()];
  }

  async moveOpen(request: MoveRequest): Promise<number> {
    let count = 0;
    for (const row of this.deliveries.values()) {
      if (row.subscriptionId !== request.subscriptionId || row.status !== request.from || count >= request.limit)
        continue;
      if (request.unsequenced === true && row.sequence !== undefined && row.run === 1) continue;
      const next: NextState =
        request.to === "waiting"
          ? { status: "waiting", dueAtMs: request.nowMs, workClass: row.workClass }
          : request.to === "held"
            ? { status: "held" }
            : { status: "cancelled", finishedAtMs: request.nowMs };
      this.deliveries.set(row.id, { ...moved(row, next), fence: row.fence + 1 });
      count++;
    }
    return count;
  }

  #open({ tenant, subscriptionId, passId }: Chain): readonly (Delivery & { readonly sequence: number })[] {
    const rows = [...this.deliveries.values()].flatMap((row) => {
      const { sequence } = row;
      if (sequence === undefined || row.run !== 1 || isTerminal(row.status)) return [];
      const isOfIt = row.subscriptionId === subscriptionId && row.passId === passId;
      return isOfIt && tenantKey(row.tenant) === tenantKey(tenant) ? [{ ...row, sequence }] : [];
    });
    return rows.sort((a, b) => a.sequence - b.sequence);
  }

  async openInChains(chains: readonly ChainQuery[], limit: number): Promise<readonly (readonly ChainRow[])[]> {
    return chains.map((chain) =>
      this.#open(chain)
        .filter(({ sequence }) => sequence >= (chain.fromSequence ?? 0))
        .slice(0, limit)
        .map(chainRow),
    );
  }

  async promote(chains: readonly Chain[], nowMs: number): Promise<number> {
    let count = 0;
    for (const chain of chains) {
      const [head] = this.#open(chain);
      if (head?.status !== "held") continue;
      const dueAtMs = Math.min(head.createdAtMs, nowMs);
      this.deliveries.set(head.id, { ...head, status: "waiting", dueAtMs, fence: head.fence + 1 });
      count++;
    }
    return count;
  }

  async promoteNext({ tenant, subscriptionId, afterPassId, limit, nowMs }: PromoteRequest): Promise<Promoted> {
    const rows = [...this.deliveries.values()].filter((row) => row.subscriptionId === subscriptionId);
    const passes = [...new Set(rows.map(({ passId }) => passId))].sort().filter((passId) => passId > afterPassId);
    const chains = passes.slice(0, limit).map((passId) => ({ tenant, subscriptionId, passId }));
    const promoted = await this.promote(chains, nowMs);
    const last = chains.at(-1);
    return passes.length <= limit || last === undefined ? { promoted } : { promoted, lastPassId: last.passId };
  }

  async fold({ folds, nowMs, leaseMs }: FoldRequest): Promise<readonly ClaimedDelivery[]> {
    return folds.flatMap(({ folded, into, claim }) => {
      for (const { id, fence } of folded) {
        const row = this.deliveries.get(id);
        if (row === undefined || row.fence !== fence || row.run !== 1 || isTerminal(row.status)) continue;
        const next = { status: "cancelled", finishedAtMs: nowMs, foldedInto: into.id } as const;
        this.deliveries.set(id, { ...moved(row, next), fence: fence + 1 });
      }
      const row = this.deliveries.get(into.id);
      const event = row === undefined ? undefined : this.events.get(textOf({ tenant: row.tenant, id: row.eventId }));
      if (!claim || row === undefined || event === undefined || row.fence !== into.fence) return [];
      if (row.status !== "waiting" && row.status !== "held") return [];
      const leaseUntilMs = nowMs + leaseMs;
      const delivery: Delivery = { ...clean(row), status: "attempting", fence: row.fence + 1, leaseUntilMs };
      this.deliveries.set(row.id, delivery);
      return [{ delivery: { ...delivery, attempts: [] }, event }];
    });
  }
}

function chainRow(row: Delivery & { readonly sequence: number }): ChainRow {
  const { id, eventType, sequence, fence, status, protocolEvent } = row;
  const open = status === "waiting" || status === "attempting" ? status : "held";
  return { id, eventType, sequence, fence, status: open, ...(protocolEvent && { protocolEvent }) };
}

function textOf(key: EventKey): string {
  return `${tenantKey(key.tenant)}/${key.id}`;
}

function withAttempt(row: Delivery, attempt: Attempt): Delivery {
  const attempts = appendAttempt(row.attempts, attempt, LIMITS.attemptsKept);
  if (attempts === row.attempts) return row;
  return { ...row, attempts, attemptCount: row.attemptCount + 1, runAttempts: row.runAttempts + 1 };
}

/** Without the times that only one state has. */
function clean(row: Delivery): Delivery {
  const { dueAtMs: _due, leaseUntilMs: _lease, finishedAtMs: _finished, ...rest } = row;
  return rest;
}

function moved(row: Delivery, next: NextState): Delivery {
  return { ...clean(row), ...next };
}
