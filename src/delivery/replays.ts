/** The people's side of replays: what may be asked for, counting, and the changes of a job's state. */
import { isTerminal } from "../domain/delivery.ts";
import { type Clock, sleep } from "../kernel/clock.ts";
import { CodedError, invalidField } from "../kernel/errors.ts";
import type { IdSource } from "../kernel/ids.ts";
import { LIMITS } from "../kernel/limits.ts";
import type { Page, PageRequest } from "../kernel/page.ts";
import { SIGN_OF_LIFE_MS } from "../kernel/sign-of-life.ts";
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
/** Looks of one count, however few of the rows fit: a look is at some thousands of rows (ReplayStore.candidates). */
const COUNT_LOOKS = 200;

/** Between two looks at a replay that is watched. */
const LOOK_EVERY_MS = 1_000;

/** A replay at one moment. */
export interface WatchedReplay {
  readonly replay: Replay;
  readonly progress: ReplayProgress;
}

export class Replays {
  readonly #deps: ReplaysDeps;

  readonly #counts = new Map<string, { readonly atMs: number; readonly progress: Promise<ReplayProgress> }>();
  /** How many are counted at this moment, by tenant. */
  readonly #counting = new Map<string, number>();

  constructor(deps: ReplaysDeps) {
    this.#deps = deps;
  }

  /**
   * What the replay would take in, counted up to `LIMITS.replayDryRun`; nothing is made, and its id is empty.
   *
   * @throws CodedError `request.invalid`, `resource.not_found` for a subscription that isn't there, `limit.replays`; the
   * signal's reason once that is aborted.
   */
  async dryRun(tenant: Tenant, draft: ReplayDraft, signal: AbortSignal): Promise<Replay> {
    const replay = await this.#drafted(tenant, draft, "");
    return this.#inTurn(tenant, () => this.#counted(replay, LIMITS.replayDryRun, signal));
  }

  /** @throws CodedError as `dryRun`. Nothing is made where the signal was aborted before everything is counted. */
  async create(tenant: Tenant, draft: ReplayDraft, signal: AbortSignal): Promise<Replay> {
    const { store, ids, wakeWorkers } = this.#deps;
    const drafted = await this.#drafted(tenant, draft, ids.next("rpl"));
    const replay = await this.#inTurn(tenant, async (others) => {
      // Before the work of counting; the insert holds to the limit under any race.
      if ((await store.countOpen(tenant)) + others >= LIMITS.openReplays) throw tooMany();
      return this.#counted(drafted, LIMITS.replayCounted, signal);
    });
    if (!(await store.insert(replay, LIMITS.openReplays))) throw tooMany();
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
   * The replay now, then whenever it has got on, looked at once a second; every 15 s it is told as it is. Ends when it is
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
      if (text !== told || clock.monotonic() - toldAtMs >= SIGN_OF_LIFE_MS) {
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

  /** No more are counted at the same time than may be open. `count` is told how many others are. */
  async #inTurn<T>(tenant: Tenant, count: (others: number) => Promise<T>): Promise<T> {
    const key = tenantKey(tenant);
    const others = this.#counting.get(key) ?? 0;
    if (others >= LIMITS.openReplays) throw tooMany();
    this.#counting.set(key, others + 1);
    try {
      return await count(others);
    } finally {
      const left = (this.#counting.get(key) ?? 1) - 1;
      if (left > 0) this.#counting.set(key, left);
      else this.#counting.delete(key);
    }
  }

  async #counted(replay: Replay, limit: number, signal: AbortSignal): Promise<Replay> {
    const source = sourceOf(replay);
    let counted = 0;
    let looks = 0;
    let after: ReplayCursor | undefined;
    do {
      const rows = Math.min(COUNT_ROWS, limit - counted);
      const { items, next } = await this.#deps.store.candidates(replay.tenant, source, after, rows);
      counted += items.length;
      after = next;
      looks += 1;
      // Whoever asked has stopped waiting: they would ask again, and have two.
      signal.throwIfAborted();
    } while (after !== undefined && counted < limit && looks < COUNT_LOOKS);
    return { ...replay, counted, isWhollyCounted: after === undefined };
  }
}

function tooMany(): CodedError {
  return new CodedError(
    "limit.replays",
    `${LIMITS.openReplays} replays are running, paused or being counted, as many as may`,
  );
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
