/**
 * How often callers come: each key with its calls, each organisation with those of all its keys and with the events that it
 * publishes. Of each this process knows one moment, at which all that was taken is earned (a token bucket that may owe):
 * whoever is a second ahead is refused, and told how long to wait. A batch is taken whole, and waited for afterwards, so
 * that a low rate refuses no batch for good.
 *
 * A portal session has less than a key, since it is a customer's browser that has it, and a customer has as many as it
 * loads pages: its entity has a bound over all of them, and all sessions of an organisation together have no more than one
 * key, so that its keys always have the rest.
 */
import type { OrganisationRates, ServiceRates } from "../domain/rates.ts";
import type { Clock } from "../kernel/clock.ts";
import { CodedError } from "../kernel/errors.ts";
import { LIMITS } from "../kernel/limits.ts";
import { tenantKey } from "../kernel/tenant.ts";
import type { Principal } from "./authenticate.ts";

export interface RatesDeps {
  readonly service: ServiceRates;
  /** What the organisation was given. Asked behind the calls: nobody waits for it. */
  readonly given: (organisation: string) => Promise<OrganisationRates>;
  readonly clock: Clock;
}

/** So far one may be ahead: a second's worth goes at once after a rest. */
const AHEAD_MS = 1_000;
/** Of keys, sessions, entities and organisations each: who came longest ago is forgotten first, and begins anew. */
const REMEMBERED = 10_000;
/** What an organisation was given is asked again after this. */
const BELIEVED_MS = 5_000;

interface Given {
  rates: OrganisationRates;
  askAtMs: number;
}

/** One whom a call counts for: what they have earned, and how fast they earn. */
interface Bucket {
  readonly earnedAt: Map<string, number>;
  readonly name: string;
  readonly who: string;
  /** 0 is any number. */
  readonly perSecond: number;
  readonly aheadMs: number;
}

export class Rates {
  readonly #deps: RatesDeps;
  readonly #calls = new Map<string, number>();
  readonly #sessionCalls = new Map<string, number>();
  readonly #entityCalls = new Map<string, number>();
  readonly #portalCalls = new Map<string, number>();
  readonly #organisationCalls = new Map<string, number>();
  readonly #events = new Map<string, number>();
  readonly #given = new Map<string, Given>();

  constructor(deps: RatesDeps) {
    this.#deps = deps;
  }

  /** What holds for those who were given nothing else. */
  get service(): ServiceRates {
    return this.#deps.service;
  }

  /** One call of the principal's, for all whom it counts for, or for none of them. @throws CodedError `limit.call_rate`. */
  call(principal: Principal): void {
    const buckets = this.#bucketsOf(principal);
    const waits = buckets.map((bucket) => this.#waitMs(bucket));
    const retryAfterMs = Math.max(...waits);
    const refusing = buckets[waits.indexOf(retryAfterMs)];
    if (retryAfterMs === 0 || refusing === undefined) {
      for (const bucket of buckets) this.#earnLater(bucket, 1);
      return;
    }
    const message = `${refusing.who} made more than the ${refusing.perSecond} calls a second that it may`;
    throw new CodedError("limit.call_rate", message, { retryAfterMs });
  }

  /** All of the events, or none of them. @throws CodedError `limit.event_rate`. */
  events(organisation: string, count: number): void {
    const { waitMs, perSecond } = this.#takeEvents(organisation, count);
    if (waitMs === 0) return;
    const message = `the organisation published more than the ${perSecond} events a second that it may`;
    throw new CodedError("limit.event_rate", message, { retryAfterMs: waitMs });
  }

  /** 0 where one more event was taken; else how long to wait before it is tried again. */
  eventWaitMs(organisation: string): number {
    return this.#takeEvents(organisation, 1).waitMs;
  }

  /** Keys, sessions, entities and organisations that are remembered. */
  get size(): number {
    const calls = [this.#calls, this.#sessionCalls, this.#entityCalls, this.#portalCalls, this.#organisationCalls];
    return [...calls, this.#events, this.#given].reduce((sum, { size }) => sum + size, 0);
  }

  #bucketsOf({ keyId, tenant, entityId }: Principal): readonly Bucket[] {
    const { organisation } = tenant;
    const { callsPerSecond } = this.#of(organisation);
    const second = { aheadMs: AHEAD_MS };
    const whole = {
      ...{ earnedAt: this.#organisationCalls, name: organisation, who: "the organisation", ...second },
      perSecond: LIMITS.organisationCallShares * callsPerSecond,
    };
    if (entityId === undefined) {
      return [{ earnedAt: this.#calls, name: keyId, who: "the key", perSecond: callsPerSecond, ...second }, whole];
    }
    const ofSession = burstOf(LIMITS.sessionCallsPerSecond, LIMITS.sessionCallBurst);
    const ofEntity = burstOf(LIMITS.entityCallsPerSecond, LIMITS.entityCallBurst);
    const ofPortal = { perSecond: callsPerSecond, ...second };
    return [
      { earnedAt: this.#sessionCalls, name: keyId, who: "the portal session", ...ofSession },
      { earnedAt: this.#entityCalls, name: `${tenantKey(tenant)}/${entityId}`, who: "the entity", ...ofEntity },
      { earnedAt: this.#portalCalls, name: organisation, who: "the organisation's portal", ...ofPortal },
      whole,
    ];
  }

  #takeEvents(organisation: string, count: number): { readonly waitMs: number; readonly perSecond: number } {
    const perSecond = this.#of(organisation).eventsPerSecond;
    const who = "the organisation";
    const bucket = { earnedAt: this.#events, name: organisation, who, perSecond, aheadMs: AHEAD_MS };
    const waitMs = this.#waitMs(bucket);
    if (waitMs === 0) this.#earnLater(bucket, count);
    return { waitMs, perSecond };
  }

  /** 0 where one more may be taken. */
  #waitMs({ earnedAt, name, perSecond, aheadMs }: Bucket): number {
    const owedToMs = earnedAt.get(name);
    if (perSecond === 0 || owedToMs === undefined) return 0;
    const nowMs = this.#deps.clock.monotonic();
    const waitMs = Math.max(nowMs, owedToMs) + 1_000 / perSecond - nowMs - aheadMs;
    // Less than that is the arithmetic's.
    return waitMs > 1e-6 ? Math.ceil(waitMs) : 0;
  }

  #earnLater({ earnedAt, name, perSecond }: Bucket, count: number): void {
    if (perSecond === 0) return;
    const nowMs = this.#deps.clock.monotonic();
    const fromMs = Math.max(nowMs, earnedAt.get(name) ?? nowMs);
    remember(earnedAt, name, fromMs + (count * 1_000) / perSecond);
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

function burstOf(perSecond: number, burst: number): Pick<Bucket, "perSecond" | "aheadMs"> {
  return { perSecond, aheadMs: (1_000 * burst) / perSecond };
}

function remember<T>(map: Map<string, T>, name: string, value: T): void {
  // Those that came last stand last.
  map.delete(name);
  map.set(name, value);
  const [oldest] = map.keys();
  if (map.size > REMEMBERED && oldest !== undefined) map.delete(oldest);
}
