/** What calls that stream have in common: how many may be open, when they end, and that their key still counts. */
import { ConnectError, type HandlerContext } from "@connectrpc/connect";
import type { Authenticate, Principal } from "../access/authenticate.ts";
import { type Clock, sleep } from "../kernel/clock.ts";
import { CodedError } from "../kernel/errors.ts";
import { LIMITS } from "../kernel/limits.ts";
import { tenantKey } from "../kernel/tenant.ts";
import { certificateOf } from "./client-certificate.ts";
import { principalOf } from "./gate.ts";

/** Between two looks whether a stream's key still counts: one that was revoked or has expired ends it. */
const CHECK_KEY_MS = 400;
/** For so long a stream goes on though nobody can say whether its key counts. */
const UNKNOWN_MS = 30_000;

/**
 * How many may be open: with one key, over the keys of an organisation, and over all of the process. Those of portal
 * sessions count in the organisation's too, and have bounds of their own below it: a customer's browser has a new session
 * with each page that it loads, and none of them is to take what the organisation's keys need.
 */
export interface StreamBounds {
  readonly perKey: number;
  readonly perSession: number;
  readonly perEntity: number;
  readonly ofSessionsPerOrganisation: number;
  readonly perOrganisation: number;
  readonly all: number;
}

/** Of those that tell of each event or delivery, and keep what a slow client hasn't read. */
const LOG_STREAMS: StreamBounds = {
  perKey: LIMITS.streamsPerKey,
  perSession: LIMITS.streamsPerSession,
  perEntity: LIMITS.streamsPerEntity,
  ofSessionsPerOrganisation: LIMITS.sessionStreamsPerOrganisation,
  perOrganisation: LIMITS.streamsPerOrganisation,
  all: LIMITS.streams,
};

/** Of those that keep a page live: they hold no more than the newest, and each open page has some. */
export const LIVE_STREAMS: StreamBounds = {
  perKey: LIMITS.liveStreamsPerKey,
  perSession: LIMITS.liveStreamsPerSession,
  perEntity: LIMITS.liveStreamsPerEntity,
  ofSessionsPerOrganisation: LIMITS.sessionLiveStreamsPerOrganisation,
  perOrganisation: LIMITS.liveStreamsPerOrganisation,
  all: LIMITS.liveStreams,
};

export interface StreamsDeps {
  readonly authenticate: Authenticate;
  readonly clock: Clock;
  /** Aborted when the server begins to stop: a stream has no end of its own, and would hold it up. */
  readonly stopping: AbortSignal;
}

/** The streams that are open. */
export class Streams {
  readonly #deps: StreamsDeps;
  readonly #bounds: StreamBounds;
  readonly #openBy = new Map<string, number>();
  #open = 0;

  constructor(deps: StreamsDeps, bounds = LOG_STREAMS) {
    this.#deps = deps;
    this.#bounds = bounds;
  }

  /**
   * Yields what `open` yields, until the caller goes, the deadline passes, the server stops (`server.stopping`) or the
   * key no longer counts; `open`'s signal tells of all four.
   *
   * @throws CodedError `limit.streams` where the key, its organisation or a session's entity has as many open as it may.
   */
  async *run<T>(context: HandlerContext, open: (signal: AbortSignal) => AsyncIterable<T>): AsyncIterable<T> {
    const { stopping } = this.#deps;
    const principal = principalOf(context);
    this.#take(principal);
    const refused = new AbortController();
    const watched = AbortSignal.any([context.signal, stopping, refused.signal]);
    const ended = new AbortController();
    void this.#watchKey(context, refused, AbortSignal.any([watched, ended.signal]));
    try {
      for await (const item of open(watched)) {
        if (refused.signal.aborted) break;
        yield item;
      }
      if (refused.signal.aborted) throw refused.signal.reason;
      // A deadline's error is the caller's to see; one who went away sees nothing.
      if (context.signal.reason instanceof ConnectError) throw context.signal.reason;
      if (stopping.aborted) throw new CodedError("server.stopping", "passbus is stopping");
    } finally {
      ended.abort();
      this.#release(principal);
    }
  }

  /** Whether anything is told meanwhile or not. Aborts `refused` with what the key was refused for. */
  async #watchKey(context: HandlerContext, refused: AbortController, signal: AbortSignal): Promise<void> {
    const { clock, authenticate } = this.#deps;
    let knownAtMs = clock.monotonic();
    for (;;) {
      await sleep(clock, CHECK_KEY_MS, signal);
      if (signal.aborted) return;
      try {
        await authenticate(context.requestHeader.get("authorization"), undefined, certificateOf(context, clock.now()));
        knownAtMs = clock.monotonic();
      } catch (error) {
        const isUnknown = !(error instanceof CodedError && error.kind === "unauthenticated");
        if (isUnknown && clock.monotonic() - knownAtMs < UNKNOWN_MS) continue;
        refused.abort(error);
        return;
      }
    }
  }

  #take(principal: Principal): void {
    const holders = holdersOf(principal, this.#bounds);
    for (const { name, who, most } of holders) {
      const open = this.#openBy.get(name) ?? 0;
      if (open < most) continue;
      throw new CodedError("limit.streams", `${who} has ${open} streams open, as many as it may`);
    }
    if (this.#open >= this.#bounds.all) {
      throw new CodedError("limit.streams", `${this.#open} streams are open, as many as passbus takes`);
    }
    for (const { name } of holders) this.#openBy.set(name, (this.#openBy.get(name) ?? 0) + 1);
    this.#open += 1;
  }

  #release(principal: Principal): void {
    for (const { name } of holdersOf(principal, this.#bounds)) {
      const open = (this.#openBy.get(name) ?? 0) - 1;
      if (open > 0) this.#openBy.set(name, open);
      else this.#openBy.delete(name);
    }
    this.#open -= 1;
  }
}

/** One whom a stream counts for. */
interface Holder {
  readonly name: string;
  readonly who: string;
  readonly most: number;
}

/** The narrowest first, so that the refusal names what the caller can do most about. */
function holdersOf({ keyId, tenant, entityId }: Principal, bounds: StreamBounds): readonly Holder[] {
  const { organisation } = tenant;
  const whole = { name: `organisation/${organisation}`, who: "the organisation", most: bounds.perOrganisation };
  const own = `key/${keyId}`;
  if (entityId === undefined) return [{ name: own, who: "the key", most: bounds.perKey }, whole];
  const ofEntity = `entity/${tenantKey(tenant)}/${entityId}`;
  const ofSessions = `sessions/${organisation}`;
  return [
    { name: own, who: "the portal session", most: bounds.perSession },
    { name: ofEntity, who: "the entity", most: bounds.perEntity },
    { name: ofSessions, who: "the organisation's portal", most: bounds.ofSessionsPerOrganisation },
    whole,
  ];
}
