/** Asks for erasures, and makes them: at once for whoever asked, and again by the workers until a day has passed. */
import { type Clock, sleep } from "../kernel/clock.ts";
import { CodedError } from "../kernel/errors.ts";
import { derivedId } from "../kernel/ids.ts";
import type { Log } from "../kernel/log.ts";
import type { Cursor } from "../kernel/page.ts";
import { type Keyring, sealedUnder } from "../signing/keyring.ts";
import type { ErasedCounts, ErasureRow, ErasureStore, ErasureTarget } from "./erasure.ts";

export interface ErasuresDeps {
  readonly store: ErasureStore;
  /** Takes what was erased out of the files of the log, where it is this process's own. */
  readonly scrubLog?: (() => Promise<void>) | undefined;
  readonly keyring: Keyring;
  readonly clock: Clock;
  readonly log: Log;
}

export interface Erased extends ErasedCounts {
  readonly id: string;
  /** Nothing was left. Where it is false the workers go on. */
  readonly isDone: boolean;
}

const STEP_ROWS = 500;
/** Between two steps, as a share of what the step took: others have half of the store's time. */
const REST = 1;
const MIN_REST_MS = 5;
const LOOK_EVERY_MS = 30_000;
const DUE_AT_ONCE = 100;
/** More than anybody asks for in a day. */
const ALL = 100_000;
/** An erasure is made again after this time, then after twice as long, and so on until a day has passed. */
const FIRST_AGAIN_MS = 30_000;
const MADE_FOR_MS = 24 * 3_600_000;
/**
 * A deleted subscription's deliveries stay until attempts in flight have ended and what waited was cancelled, which
 * people and their programs may want to see.
 */
const SUBSCRIPTION_REST_MS = 60_000;

const NOTHING: ErasedCounts = { events: 0, deliveries: 0, deadLetters: 0, others: 0 };

export class Erasures {
  readonly #deps: ErasuresDeps;
  readonly #stopping = new AbortController();
  #loop: Promise<void> | undefined;

  constructor(deps: ErasuresDeps) {
    this.#deps = deps;
  }

  /** Erases, for `patienceMs` at most; the workers do the rest. It is stored, and so certain, when this resolves. */
  async erase(target: ErasureTarget, patienceMs: number): Promise<Erased> {
    const row = await this.#ask(target, 0);
    const erased = await this.#make(row, target, patienceMs);
    await this.#settle();
    return { id: row.id, ...erased };
  }

  /** Before the subscription is deleted: what is left of it goes when it is gone. */
  async eraseDeleted(target: ErasureTarget & { readonly kind: "subscription" }): Promise<void> {
    await this.#ask(target, SUBSCRIPTION_REST_MS);
  }

  /** From now on this process makes those that are due. */
  start(): void {
    this.#loop ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
  }

  /** Makes those that are due, once. For `start`, and for tests. */
  async makeDue(): Promise<void> {
    const { store, clock, log, keyring } = this.#deps;
    const due = await store.dueErasures(clock.now(), DUE_AT_ONCE);
    for (const row of due) {
      if (this.#stopping.signal.aborted) break;
      const target = openTarget(keyring, row);
      if (target instanceof CodedError) {
        log.error("erasure.unreadable", { erasure: row.id, err: target });
        continue;
      }
      const { isDone, ...counts } = await this.#make(row, target, Number.POSITIVE_INFINITY);
      if (Object.values(counts).some((count) => count > 0)) {
        log.info("erasure.made", { erasure: row.id, kind: target.kind, ...counts });
      }
      if (!isDone) break;
      const nowMs = clock.now();
      const ageMs = nowMs - row.askedAtMs;
      if (ageMs >= MADE_FOR_MS) await store.removeErasure(row);
      else await store.postponeErasure(row, nowMs + Math.min(MADE_FOR_MS, Math.max(FIRST_AGAIN_MS, ageMs)));
    }
    if (due.length > 0) await this.#settle();
  }

  async #ask(target: ErasureTarget, afterMs: number): Promise<ErasureRow> {
    const { store, clock, keyring } = this.#deps;
    const id = erasureIdOf(target);
    const nowMs = clock.now();
    const sealed = keyring.seal(JSON.stringify(target), sealedFor(id));
    const row = { id, sealed, askedAtMs: nowMs, nextAtMs: nowMs + Math.max(afterMs, FIRST_AGAIN_MS) };
    await store.putErasure(row);
    return row;
  }

  async #make({ askedAtMs: beforeMs }: ErasureRow, target: ErasureTarget, patienceMs: number) {
    const { store, clock } = this.#deps;
    const endMs = clock.monotonic() + patienceMs;
    const madeAtMs = clock.now();
    let counts = NOTHING;
    let lettersAt: Cursor | undefined;
    for (;;) {
      const beganMs = clock.monotonic();
      const request = { target, beforeMs, madeAtMs, limit: STEP_ROWS };
      const step = await store.erase(lettersAt === undefined ? request : { ...request, lettersAfter: lettersAt });
      counts = sum(counts, step);
      lettersAt = step.lettersAt ?? lettersAt;
      const nowMs = clock.monotonic();
      if (!step.more) return { ...counts, isDone: true };
      if (nowMs > endMs || this.#stopping.signal.aborted) return { ...counts, isDone: false };
      await sleep(clock, Math.max(MIN_REST_MS, (nowMs - beganMs) * REST), this.#stopping.signal);
    }
  }

  /** What was erased is erased, whether its files could be written anew now or not: a full disk takes none. */
  async #settle(): Promise<void> {
    const { store, scrubLog, log } = this.#deps;
    const settled = await Promise.allSettled([store.settleErased(), scrubLog?.()]);
    for (const one of settled) if (one.status === "rejected") log.warn("erasure.not_settled", { err: one.reason });
  }

  async #run(): Promise<void> {
    const { clock, log } = this.#deps;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await this.makeDue().catch((err: unknown) => log.error("erasure.failed", { err }));
      await sleep(clock, LOOK_EVERY_MS, signal);
    }
  }
}

/** The same for the same target, which nobody can tell from it who doesn't know it. For the audit log. */
export function erasureIdOf(target: ErasureTarget): string {
  switch (target.kind) {
    case "pass":
      return derivedId("ers", [target.tenant.organisation, target.tenant.environment, "pass", target.passId]);
    case "subscription": {
      const { organisation, environment } = target.tenant;
      return derivedId("ers", [organisation, environment, "subscription", target.subscriptionId]);
    }
    case "organisation":
      return `org_${target.organisation}`;
  }
}

const sealedFor = (id: string): string => `erasure/${id}`;

/** The error where its key is missing: it is for people to bring it back. */
function openTarget(keyring: Keyring, { id, sealed }: ErasureRow): ErasureTarget | CodedError {
  try {
    return JSON.parse(keyring.open(sealed, sealedFor(id)));
  } catch (error) {
    if (error instanceof CodedError) return error;
    throw error;
  }
}

/**
 * Seals those that are kept anew under the newest key; how many are sealed under each key then. One that can't be opened
 * stays as it is.
 */
export async function reencryptErasures(
  store: Pick<ErasureStore, "dueErasures" | "resealErasure">,
  keyring: Keyring,
): Promise<ReadonlyMap<string, number>> {
  const [newest] = keyring.keyIds;
  const uses = new Map<string, number>();
  for (const row of await store.dueErasures(Number.MAX_SAFE_INTEGER, ALL)) {
    const keyId = sealedUnder(row.sealed);
    const isOld = keyId !== newest && keyring.keyIds.includes(keyId);
    if (isOld) {
      const name = sealedFor(row.id);
      await store.resealErasure(row.id, keyring.seal(keyring.open(row.sealed, name), name));
    }
    const now = isOld && newest !== undefined ? newest : keyId;
    uses.set(now, (uses.get(now) ?? 0) + 1);
  }
  return uses;
}

function sum(left: ErasedCounts, right: ErasedCounts): ErasedCounts {
  return {
    events: left.events + right.events,
    deliveries: left.deliveries + right.deliveries,
    deadLetters: left.deadLetters + right.deadLetters,
    others: left.others + right.others,
  };
}
