/**
 * The time by which things grow old: the wall clock, unless that has jumped. A clock that is set a year ahead by mistake
 * must purge nothing, so the wall clock is believed only as far as the monotonic one bears it out. After a jump, or a
 * stop of more than an hour, this clock goes on from where it was, and takes over the wall clock's time when the wall
 * clock has gone steadily for a day. Backwards it follows at once: that keeps things for longer, which does no harm.
 *
 *   following ── jump ahead ──▶ behind, steady for 0 ms ── 24 h without a jump ──▶ following
 *                                    ▲────── jump ───────┘
 */

export interface PurgeClock {
  /** What counts as now. */
  readonly purgeMs: number;
  /** The wall clock when it was last looked at. */
  readonly wallMs: number;
  /** For how long the wall clock has gone without a jump, while this one is behind. */
  readonly steadyMs: number;
}

/** Between two looks of one process: more than clocks are slewed by, less than anybody sets one by mistake. */
const STEP_MS = 60_000;
/** Between the last look of one process and the first of another: a restart. */
const RESTART_MS = 3_600_000;
/** A jump that has lasted for so long is no mistake, or nobody minds. */
export const CONFIRMED_AFTER_MS = 24 * 3_600_000;

/**
 * The clock at its next look.
 * @param before undefined at the very first.
 * @param elapsedMs by the monotonic clock, since the look before; undefined where that was another process's.
 */
export function nextPurgeClock(
  before: PurgeClock | undefined,
  wallMs: number,
  elapsedMs: number | undefined,
): PurgeClock {
  if (before === undefined) return { purgeMs: wallMs, wallMs, steadyMs: 0 };
  const passedMs = wallMs - before.wallMs;
  const wentOn = elapsedMs ?? (passedMs >= 0 && passedMs <= RESTART_MS ? passedMs : 0);
  const jumped = Math.abs(passedMs - wentOn) > STEP_MS;
  const ownMs = before.purgeMs + wentOn;
  const steadyMs = jumped ? 0 : before.steadyMs + wentOn;
  const isBehind = wallMs - ownMs > STEP_MS;
  if (!isBehind || steadyMs >= CONFIRMED_AFTER_MS) return { purgeMs: wallMs, wallMs, steadyMs: 0 };
  return { purgeMs: ownMs, wallMs, steadyMs };
}

/** Reads what was kept; undefined where it is no such text. */
export function readPurgeClock(text: string | null): PurgeClock | undefined {
  if (text === null) return undefined;
  const read: unknown = JSON.parse(text);
  if (typeof read !== "object" || read === null) return undefined;
  const { purgeMs, wallMs, steadyMs } = read as Partial<Record<keyof PurgeClock, unknown>>;
  if (typeof purgeMs !== "number" || typeof wallMs !== "number" || typeof steadyMs !== "number") return undefined;
  return { purgeMs, wallMs, steadyMs };
}
