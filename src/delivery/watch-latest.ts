/**
 * Watching a figure of a tenant that has to be worked out: that is done once a second while anybody watches, however many
 * do, and each of them gets the newest there is when they read on. A slow reader holds nothing up and costs nothing.
 */
import { type Clock, sleep } from "../kernel/clock.ts";
import { SIGN_OF_LIFE_MS } from "../kernel/sign-of-life.ts";
import { type Tenant, tenantKey } from "../kernel/tenant.ts";

const LOOK_EVERY_MS = 1_000;

export interface LatestDeps<T> {
  readonly workOut: (tenant: Tenant) => Promise<T>;
  /** Whether there is nothing to tell: what differs then is nobody's news. */
  readonly isSame: (one: T, other: T) => boolean;
  readonly clock: Clock;
}

/** Who watches one tenant. */
interface Group<T> {
  readonly wakes: Set<() => void>;
  /** Aborted when the last one has gone. */
  readonly over: AbortController;
  latest: T | undefined;
  /** Counts up with each one that is another than the one before; 0 before the first. */
  version: number;
  failure: { readonly error: unknown } | undefined;
  watchers: number;
}

export class LatestWatches<T> {
  readonly #deps: LatestDeps<T>;
  readonly #groups = new Map<string, Group<T>>();

  constructor(deps: LatestDeps<T>) {
    this.#deps = deps;
  }

  /** The newest, whenever it is another, and every 15 s as it is. Ends with the signal. Throws what `workOut` threw. */
  async *watch(tenant: Tenant, signal: AbortSignal): AsyncIterable<T> {
    const key = tenantKey(tenant);
    const group = this.#groups.get(key) ?? this.#begin(key, tenant);
    group.watchers += 1;
    try {
      let seen = 0;
      while (!signal.aborted) {
        if (group.failure === undefined && group.version === seen) await this.#somethingHappens(group, signal);
        if (signal.aborted) return;
        if (group.failure !== undefined) throw group.failure.error;
        if (group.latest === undefined) continue;
        seen = group.version;
        yield group.latest;
      }
    } finally {
      group.watchers -= 1;
      if (group.watchers === 0) this.#end(key, group);
    }
  }

  #begin(key: string, tenant: Tenant): Group<T> {
    const over = new AbortController();
    const group: Group<T> = { wakes: new Set(), over, latest: undefined, version: 0, failure: undefined, watchers: 0 };
    this.#groups.set(key, group);
    void this.#run(group, tenant).catch((error: unknown) => {
      this.#end(key, group);
      group.failure = { error };
      wakeAll(group);
    });
    return group;
  }

  /** Whoever watches next begins another. */
  #end(key: string, group: Group<T>): void {
    if (this.#groups.get(key) === group) this.#groups.delete(key);
    group.over.abort();
  }

  async #run(group: Group<T>, tenant: Tenant): Promise<void> {
    const { workOut, isSame, clock } = this.#deps;
    while (!group.over.signal.aborted) {
      const before = group.latest;
      const now = await workOut(tenant);
      group.latest = now;
      if (before === undefined || !isSame(before, now)) {
        group.version += 1;
        wakeAll(group);
      }
      await sleep(clock, LOOK_EVERY_MS, group.over.signal);
    }
  }

  async #somethingHappens({ wakes }: Group<T>, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = this.#deps.clock.after(SIGN_OF_LIFE_MS, resolve);
    const wake = () => resolve();
    wakes.add(wake);
    signal.addEventListener("abort", wake);
    await promise;
    cancel();
    signal.removeEventListener("abort", wake);
    wakes.delete(wake);
  }
}

function wakeAll({ wakes }: { readonly wakes: ReadonlySet<() => void> }): void {
  for (const wake of wakes) wake();
}
