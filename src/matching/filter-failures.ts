import type { Clock } from "../kernel/clock.ts";
import type { Log } from "../kernel/log.ts";
import type { FilterFailed } from "./subscription-filters.ts";

export interface FilterFailuresDeps {
  readonly log: Log;
  readonly clock: Clock;
  /** Between two lines about one subscription. */
  readonly everyMs?: number;
}

/** Subscriptions remembered at the same time; beyond it all are forgotten, and may be spoken of again. */
const REMEMBERED = 10_000;

interface Told {
  readonly atMs: number;
  untold: number;
}

/**
 * Says `delivery.filter_failed` to the log, once a minute and subscription, with how often it happened since. Where in
 * the filter, and with which code; never what CEL says of it, which may quote the event.
 */
export function filterFailures({ log, clock, everyMs = 60_000 }: FilterFailuresDeps): FilterFailed {
  const told = new Map<string, Told>();
  return ({ id, tenant, version }, { stored }, { code, place }) => {
    const nowMs = clock.monotonic();
    const last = told.get(id);
    if (last !== undefined && nowMs - last.atMs < everyMs) {
      last.untold++;
      return;
    }
    if (told.size >= REMEMBERED) told.clear();
    told.set(id, { atMs: nowMs, untold: 0 });
    log.warn("delivery.filter_failed", {
      ...tenant,
      subscription: id,
      version,
      event: stored.id,
      code,
      ...place,
      untold: last?.untold ?? 0,
    });
  };
}
