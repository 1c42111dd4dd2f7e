/** The people's side of replays: what may be asked for, counting, and the changes of a job's state. */
import { isTerminal } from "../domain/delivery.ts";
import { type Clock, sleep } from "../kernel/clock.ts";
import { CodedError, invalidField } from "../kernel/errors.ts";
import type { IdSource } from "../kernel/ids.ts";
import { LIMITS } from "../kernel/limits.ts";
import type { Page, PageRequest } from "../kernel/page.ts";
import { type Tenant, tenantKey } from "../kernel/tenant.ts";
import type { SubscriptionFeed } from "../matching/subscription-feed.ts";
import {
  isOver,
  REPLAY_CHANGES,
  type Replay,
  type ReplayChange,
  type ReplayCursor,
  type ReplayFilter,
  type ReplayProgress,
  sourceOf,
} from "./replay.ts";
import type { ReplayStore } from "./replay-store.ts";

/** What somebody asks to have sent again. */
export interface ReplayDraft {
  /** `toMs` absent: up to now. */
  readonly filter: Omit<ReplayFilter, "toMs"> & { readonly toMs?: number };
  readonly targetSubscriptionId?: string;
  /** 0: the default. */
  readonly ratePerSecond: number;
  readonly freshIds: boolean;
}

export interface ReplaysDeps {
  readonly store: ReplayStore;
  readonly feed: Pick<SubscriptionFeed, "load">;
  readonly clock: Clock;
  readonly ids: IdSource;
  /** There is a job to run. */
  readonly wakeWorkers: () => void;
}

const DEFAULT_RATE = 50;
const RATE_MIN = 0.01;
const RATE_MAX = 10_000;
/** Rows that one look of a count asks for: between two looks the store does other things. */
const COUNT_ROWS = 5_000;

/** Between two looks at a replay that is watched. */
const LOOK_EVERY_MS = 1_000;
/** A watcher hears something at least as often as this. */
const ALIVE_EVERY_MS = 30_000;

/** A replay at one moment. */
export interface WatchedReplay {
  readonly replay: Replay;
  readonly progress: ReplayProgress;
}

export class Replays {
  readonly #deps: ReplaysDeps;

  readonly #counts = new Map<string, { readonly atMs: number; readonly progress: Promise<ReplayProgress> }>();

  constructor(deps: ReplaysDeps) {
    this.#deps = deps;
  }

  /**
   * What the replay would take in, counted up to `LIMITS.replayDryRun`; nothing is made, and its id is empty.
   *
   * @throws CodedError `request.invalid`, `resource.not_found` for a subscription that isn't there.
   */
  async dryRun(tenant: Tenant, draft: ReplayDraft): Promise<Replay> {
    return this.#counted(await this.#drafted(tenant, draft, ""), LIMITS.replayDryRun);
  }

  /** @throws CodedError as `dryRun`, `limit.replays`. */
  async create(tenant: Tenant, draft: ReplayDraft): Promise<Replay> {
    const { store, ids, wakeWorkers } = this.#deps;
    const replay = await this.#counted(await this.#drafted(tenant, draft, ids.next("rpl")), LIMITS.replayCounted);
    if (!(await store.insert(replay, LIMITS.openReplays))) {
      throw new CodedError("limit.replays", `${LIMITS.openReplays} replays are running or paused, as many as may`);
    }
    wakeWorkers();
    return replay;
  }

  get(tenant: Tenant, id: string): Promise<Replay | undefined> {
    return this.#deps.store.get(tenant, id);
  }

  list(tenant: Tenant, page: PageRequest): Promise<Page<Replay>> {
    return this.#deps.store.list(tenant, page);
  }

  progress(tenant: Tenant, id: string): Promise<ReplayProgress> {
    return this.#deps.store.progress(tenant, id);
  }

  /**
   * The replay as it is then; undefined where there is none.
   *
   * @throws CodedError `replay.state` where its state does not allow the change.
   */
  async change(tenant: Tenant, id: string, change: ReplayChange): Promise<Replay | undefined> {
    const { store, clock, wakeWorkers } = this.#deps;
    const replay = await store.change(tenant, id, change, clock.now());
    if (replay !== undefined && replay.state !== REPLAY_CHANGES[change].to) {
      throw new CodedError("replay.state", `id: replay "${id}" is ${replay.state}`);
    }
    if (replay?.state === "running") wakeWorkers();
    return replay;
  }

  /**
   * The replay now, then whenever it has got on, looked at once a second; every 30 s it is told as it is. Ends when it is
   * over, or gone, and with the signal. What it tells is read when it is asked for: a slow reader costs nothing.
   */
  async *watch(tenant: Tenant, id: string, signal: AbortSignal): AsyncIterable<WatchedReplay> {
    const { store, clock } = this.#deps;
    let told = "";
    let toldAtMs = 0;
    while (!signal.aborted) {
      const replay = await store.get(tenant, id);
      if (replay === undefined) return;
      const { fence: _fence, leaseUntilMs: _lease, ...seen } = replay;
      const now = { replay, progress: await this.#sharedProgress(tenant, id) };
      const text = JSON.stringify([seen, now.progress]);
      if (text !== told || clock.monotonic() - toldAtMs >= ALIVE_EVERY_MS) {
        told = text;
        toldAtMs = clock.monotonic();
        yield now;
      }
      if (isOver(replay)) return;
      await sleep(clock, LOOK_EVERY_MS, signal);
    }
  }

  /** Counted once a second, however many watch. */
  #sharedProgress(tenant: Tenant, id: string): Promise<ReplayProgress> {
    const nowMs = this.#deps.clock.monotonic();
    for (const [key, { atMs }] of this.#counts) if (nowMs - atMs >= LOOK_EVERY_MS) this.#counts.delete(key);
    const key = `${tenantKey(tenant)}/${id}`;
    const known = this.#counts.get(key);
    if (known !== undefined) return known.progress;
    const progress = this.progress(tenant, id);
    this.#counts.set(key, { atMs: nowMs, progress });
    return progress;
  }

  async #drafted(tenant: Tenant, draft: ReplayDraft, id: string): Promise<Replay> {
    const { filter } = draft;
    const nowMs = this.#deps.clock.now();
    check(draft);
    await this.#checkSubscriptions(tenant, draft);
    // To the subscription that it was for: as if no target were named.
    const target = draft.targetSubscriptionId === filter.subscriptionId ? undefined : draft.targetSubscriptionId;
    return {
      id,
      tenant,
      filter: { ...filter, toMs: Math.min(filter.toMs ?? nowMs, nowMs) },
      ...(target === undefined ? {} : { targetSubscriptionId: target }),
      ratePerSecond: draft.ratePerSecond === 0 ? DEFAULT_RATE : draft.ratePerSecond,
      freshIds: draft.freshIds,
      state: "running",
      counted: 0,
      isWhollyCounted: true,
      sent: 0,
      skipped: 0,
      isAtEnd: false,
      deferred: [],
      fence: 0,
      createdAtMs: nowMs,
    };
  }

  /** The target must be there to be sent to; a source that was deleted has its deliveries still. */
  async #checkSubscriptions(tenant: Tenant, { filter, targetSubscriptionId }: ReplayDraft): Promise<void> {
    const wanted = targetSubscriptionId ?? filter.subscriptionId;
    if (wanted === undefined) return;
    const { subscriptions } = await this.#deps.feed.load(tenant);
    if (subscriptions.some(({ id }) => id === wanted)) return;
    const field =
      targetSubscriptionId === undefined ? "replay.filter.subscription_id" : "replay.target_subscription_id";
    throw new CodedError("resource.not_found", `${field}: there is no subscription "${wanted}"`);
  }

  async #counted(replay: Replay, limit: number): Promise<Replay> {
    const source = sourceOf(replay);
    let counted = 0;
    let after: ReplayCursor | undefined;
    do {
      const rows = Math.min(COUNT_ROWS, limit - counted);
      const { items, next } = await this.#deps.store.candidates(replay.tenant, source, after, rows);
      counted += items.length;
      after = next;
    } while (after !== undefined && counted < limit);
    return { ...replay, counted, isWhollyCounted: after === undefined };
  }
}

/** @throws CodedError `request.invalid`, with the field that is wrong. */
function check({ filter, targetSubscriptionId, ratePerSecond }: ReplayDraft): void {
  const { status, subscriptionId } = filter;
  if (status !== undefined && !isTerminal(status)) {
    throw invalidField("replay.filter.status", "must be DELIVERED, FAILED or CANCELLED: the others are still open");
  }
  if (status !== undefined && targetSubscriptionId !== undefined && subscriptionId === undefined) {
    throw invalidField("replay.filter.subscription_id", "is required where there are a target and a status");
  }
  if (ratePerSecond !== 0 && !(ratePerSecond >= RATE_MIN && ratePerSecond <= RATE_MAX)) {
    throw invalidField("replay.rate_per_second", `must be ${RATE_MIN} to ${RATE_MAX}, or 0 for ${DEFAULT_RATE}`);
  }
}
