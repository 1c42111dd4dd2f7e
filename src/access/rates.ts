/**
 * How often callers come: each key with its calls, each organisation with the events that it publishes. Of each this
 * process knows one moment, at which all that was taken is earned (a token bucket that may owe): whoever is a second ahead
 * is refused, and told how long to wait. A batch is taken whole, and waited for afterwards, so that a low rate refuses no
 * batch for good.
 */
import type { OrganisationRates, ServiceRates } from "../domain/rates.ts";
import type { Clock } from "../kernel/clock.ts";
import { CodedError } from "../kernel/errors.ts";
import type { Principal } from "./authenticate.ts";

export interface RatesDeps {
  readonly service: ServiceRates;
  /** What the organisation was given. Asked behind the calls: nobody waits for it. */
  readonly given: (organisation: string) => Promise<OrganisationRates>;
  readonly clock: Clock;
}

/** So far one may be ahead: a second's worth goes at once after a rest. */
const AHEAD_MS = 1_000;
/** Keys, and organisations, that are remembered; who came longest ago is forgotten first, and begins anew. */
const REMEMBERED = 10_000;
/** What an organisation was given is asked again after this. */
const BELIEVED_MS = 5_000;

interface Given {
  rates: OrganisationRates;
  askAtMs: number;
}

export class Rates {
  readonly #deps: RatesDeps;
  readonly #calls = new Map<string, number>();
  readonly #events = new Map<string, number>();
  readonly #given = new Map<string, Given>();

  constructor(deps: RatesDeps) {
    this.#deps = deps;
  }

  /** What holds for those who were given nothing else. */
  get service(): ServiceRates {
    return this.#deps.service;
  }

  /** One call of the principal's. @throws CodedError `limit.call_rate`. */
  call({ keyId, tenant }: Principal): void {
    const perSecond = this.#of(tenant.organisation).callsPerSecond;
    const waitMs = this.#take(this.#calls, keyId, 1, perSecond);
    if (waitMs === 0) return;
    const message = `the key made more than the ${perSecond} calls a second that it may`;
    throw new CodedError("limit.call_rate", message, { retryAfterMs: waitMs });
  }

  /** All of the events, or none of them. @throws CodedError `limit.event_rate`. */
  events(organisation: string, count: number): void {
    const perSecond = this.#of(organisation).eventsPerSecond;
    const waitMs = this.#take(this.#events, organisation, count, perSecond);
    if (waitMs === 0) return;
    const message = `the organisation published more than the ${perSecond} events a second that it may`;
    throw new CodedError("limit.event_rate", message, { retryAfterMs: waitMs });
  }

  /** 0 where one more event was taken; else how long to wait before it is tried again. */
  eventWaitMs(organisation: string): number {
    return this.#take(this.#events, organisation, 1, this.#of(organisation).eventsPerSecond);
  }

  /** Keys and organisations that are remembered. */
  get size(): number {
    return this.#calls.size + this.#events.size + this.#given.size;
  }

  #take(earnedAt: Map<string, number>, name: string, count: number, perSecond: number): number {
    if (perSecond === 0) return 0;
    const nowMs = this.#deps.clock.monotonic();
    const earnedAtMs = Math.max(nowMs, earnedAt.get(name) ?? nowMs);
    const costMs = 1_000 / perSecond;
    const waitMs = earnedAtMs + costMs - nowMs - AHEAD_MS;
    // Less than that is the arithmetic's.
    if (waitMs > 1e-6) return Math.ceil(waitMs);
    remember(earnedAt, name, earnedAtMs + count * costMs);
    return 0;
  }

  #of(organisation: string): ServiceRates {
    const { service, clock } = this.#deps;
    const nowMs = clock.monotonic();
    const known = this.#given.get(organisation) ?? { rates: {}, askAtMs: nowMs };
    if (known.askAtMs <= nowMs) {
      known.askAtMs = nowMs + BELIEVED_MS;
      remember(this.#given, organisation, known);
      void this.#ask(organisation, known);
    }
    return { ...service, ...known.rates };
  }

  async #ask(organisation: string, known: Given): Promise<void> {
    try {
      const { callsPerSecond, eventsPerSecond } = await this.#deps.given(organisation);
      known.rates = {
        ...(callsPerSecond !== undefined && { callsPerSecond }),
        ...(eventsPerSecond !== undefined && { eventsPerSecond }),
      };
    } catch {
      // The store doesn't answer, and others say so: what was known holds on.
    }
  }
}

function remember<T>(map: Map<string, T>, name: string, value: T): void {
  // Those that came last stand last.
  map.delete(name);
  map.set(name, value);
  const [oldest] = map.keys();
  if (map.size > REMEMBERED && oldest !== undefined) map.delete(oldest);
}
