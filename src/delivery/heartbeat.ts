/**
 * This worker's beats, and those of the others: a worker that is silent is taken for dead, and its leases are ended, long
 * before their time (docs/decisions/heartbeats.md).
 *
 *   sure ──no beat acknowledged for SILENT_MS──▶ unsure ──a beat is──▶ sure
 *                                                   └──others took it for dead: the next life──▶ sure
 *
 * No two clocks are compared. A worker counts, by its own, for how long it has seen another one's beats stand still; the
 * other one counts, by its own, from when it began the last beat that it knows of. That one comes first, so that no
 * worker is sure whose leases others have ended.
 */
import { type Clock, waitAtMost } from "../kernel/clock.ts";
import type { Log } from "../kernel/log.ts";
import type { HeartbeatStore, Pulse } from "./heartbeat-store.ts";
import type { Holder } from "./lease.ts";

export interface HeartbeatDeps {
  readonly store: HeartbeatStore;
  readonly clock: Clock;
  readonly log: Log;
  /** Something may be due, or may be claimed again. */
  readonly wake: () => void;
}

export const BEAT_MS = 1_000;
/** Longer than an event loop is blocked, or a beat under way, while nothing is broken. */
export const SILENT_MS = 8_000;
/** Of the time between two looks, so much counts as silence: whoever stood still itself has seen nothing meanwhile. */
const STEP_MS = 2_000;
/** Beats under way at once: a store that is slow gets no fewer of them, and one that hangs no more. */
const MOST_BEATS = 8;
const LEAVE_LIMIT_MS = 1_000;

interface Moment {
  readonly wallMs: number;
  readonly monotonicMs: number;
}

interface Watched {
  beats: number;
  silentMs: number;
}

export class Heartbeat implements Holder {
  readonly #deps: HeartbeatDeps;
  readonly #watched = new Map<string, Watched>();
  #life = 1;
  /** When the last beat was begun that was acknowledged. */
  #beat: Moment | undefined;
  #beatsUnderWay = 0;
  #isLooking = false;
  #lookedMs: number | undefined;
  #isFailing = false;
  #isStopped = false;
  #cancelTick: (() => void) | undefined;

  constructor(deps: HeartbeatDeps) {
    this.#deps = deps;
  }

  get life(): number {
    return this.#life;
  }

  get isSure(): boolean {
    return this.#ageMs < SILENT_MS;
  }

  /** By the older account: the clock that only grows stands still while the machine sleeps, and wall time may be set back. */
  get #ageMs(): number {
    const { clock } = this.#deps;
    if (this.#beat === undefined) return Number.POSITIVE_INFINITY;
    return Math.max(clock.now() - this.#beat.wallMs, clock.monotonic() - this.#beat.monotonicMs);
  }

  start(): void {
    if (this.#cancelTick === undefined) this.#tick();
  }

  /** To be called when nothing is sent any more: what is still under a lease is due at once. */
  async stop(): Promise<void> {
    const { clock, store, log } = this.#deps;
    this.#isStopped = true;
    this.#cancelTick?.();
    // What fails is for the others to end.
    const left = store.leave(clock.now()).then(
      () => {},
      (err: unknown) => log.warn("delivery.leave_failed", { err }),
    );
    await waitAtMost(clock, LEAVE_LIMIT_MS, left);
  }

  #tick(): void {
    if (this.#beatsUnderWay < MOST_BEATS) void this.#sendBeat();
    if (!this.#isLooking) void this.#look();
    this.#cancelTick = this.#deps.clock.after(BEAT_MS, () => this.#tick());
  }

  async #sendBeat(): Promise<void> {
    const { store, clock, log, wake } = this.#deps;
    const begun: Moment = { wallMs: clock.now(), monotonicMs: clock.monotonic() };
    this.#beatsUnderWay++;
    try {
      const life = await store.beat();
      const wasSure = this.isSure;
      if (life > this.#life) {
        log.warn("delivery.taken_for_dead", { silentMs: Math.round(this.#ageMs) });
        this.#life = life;
      }
      // Answers may come in another order.
      if (this.#beat === undefined || this.#beat.monotonicMs < begun.monotonicMs) this.#beat = begun;
      if (!wasSure && this.isSure) wake();
      this.#isFailing = false;
    } catch (err) {
      this.#noteFailure(err);
    } finally {
      this.#beatsUnderWay--;
    }
  }

  async #look(): Promise<void> {
    const { store, clock } = this.#deps;
    this.#isLooking = true;
    try {
      const pulses = await store.pulses();
      const nowMs = clock.monotonic();
      const silentMs = Math.min(STEP_MS, nowMs - (this.#lookedMs ?? nowMs));
      this.#lookedMs = nowMs;
      for (const pulse of this.#silent(pulses, silentMs)) {
        if (this.isSure && !this.#isStopped) await this.#bury(pulse);
      }
    } catch (err) {
      this.#noteFailure(err);
    } finally {
      this.#isLooking = false;
    }
  }

  /** Those that are dead or may be taken for it, when so much time more has been seen to pass. */
  #silent(pulses: readonly Pulse[], passedMs: number): readonly Pulse[] {
    const living = new Set(pulses.map(({ holder }) => holder));
    for (const holder of this.#watched.keys()) if (!living.has(holder)) this.#watched.delete(holder);
    return pulses.filter(({ holder, beats, isDead }) => {
      const known = this.#watched.get(holder);
      if (known?.beats === beats) known.silentMs += passedMs;
      else this.#watched.set(holder, { beats, silentMs: 0 });
      return isDead || (this.#watched.get(holder)?.silentMs ?? 0) >= SILENT_MS;
    });
  }

  async #bury(pulse: Pulse): Promise<void> {
    const { store, clock, log, wake } = this.#deps;
    const deliveries = await store.bury(pulse, clock.now());
    if (!pulse.isDead) log.warn("delivery.worker_silent", { holder: pulse.holder, deliveries });
    if (deliveries > 0) wake();
  }

  /** Once for as long as it lasts. */
  #noteFailure(err: unknown): void {
    if (!this.#isFailing && !this.#isStopped) this.#deps.log.warn("delivery.heartbeat_failed", { err });
    this.#isFailing = true;
  }
}
