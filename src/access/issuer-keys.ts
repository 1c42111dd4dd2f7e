/**
 * The public keys of the issuer of tokens. They are read when the first token comes and again when they are old, and the
 * calls wait for it: a key that was withdrawn must not count because nobody called for a while. A token that names a key
 * that isn't among them has them read at once, as a rotation wants, but not oftener than the cooldown allows, whatever
 * tokens come. While the issuer doesn't answer, what was read last counts for an hour.
 */
import { type CryptoKey, createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from "jose";
import type { Clock } from "../kernel/clock.ts";
import { CodedError } from "../kernel/errors.ts";
import type { Log } from "../kernel/log.ts";

/** Asks the issuer. Rejects where it doesn't answer, or not with keys; within seconds, since calls wait for it. */
export type ReadIssuerKeys = () => Promise<JSONWebKeySet>;

export interface IssuerKeysDeps {
  readonly read: ReadIssuerKeys;
  readonly clock: Clock;
  readonly log: Log;
}

/** Keys older than this are read again before they count: a key that was withdrawn ends by then. */
const FRESH_MS = 5 * 60_000;
/** Without an answer of the issuer, keys count for so long. */
const KEPT_MS = 3_600_000;
/** Between two reads for keys that aren't there. */
const COOLDOWN_MS = 30_000;
/** Between two reads while the issuer doesn't answer. */
const RETRY_MS = 5_000;
/** After a read that failed, the next are made behind the calls for so long: an issuer that hangs must not hold up all. */
const AWAY_MS = 30_000;

interface KnownKeys {
  readonly find: JWTVerifyGetKey;
  readonly readAtMs: number;
}

export class IssuerKeys {
  readonly #deps: IssuerKeysDeps;
  #known: KnownKeys | undefined;
  #reading: Promise<KnownKeys | undefined> | undefined;
  #nextReadAtMs = Number.NEGATIVE_INFINITY;
  #awayUntilMs = Number.NEGATIVE_INFINITY;

  constructor(deps: IssuerKeysDeps) {
    this.#deps = deps;
  }

  /**
   * The key that a token's header asks for.
   *
   * @throws JWKSNoMatchingKey and other errors of `jose` where there is no such key, CodedError `issuer.unavailable`
   * where nobody can say.
   */
  readonly find = async (...asked: Parameters<JWTVerifyGetKey>): Promise<CryptoKey | Uint8Array> => {
    const known = await this.#current();
    try {
      return (await known.find(...asked)) as CryptoKey;
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      const read = await this.#readAgain();
      if (read === undefined) throw error;
      return (await read.find(...asked)) as CryptoKey;
    }
  };

  async #current(): Promise<KnownKeys> {
    const fresh = this.#knownFor(FRESH_MS);
    if (fresh !== undefined) return fresh;
    const reading = this.#readAgain();
    const isAway = this.#deps.clock.monotonic() < this.#awayUntilMs;
    const keys = (isAway ? undefined : await reading) ?? this.#knownFor(KEPT_MS) ?? (await reading);
    if (keys !== undefined) return keys;
    throw new CodedError("issuer.unavailable", "the issuer's keys could not be read");
  }

  /** What was read last, where it is no older than that. */
  #knownFor(ageMs: number): KnownKeys | undefined {
    const known = this.#known;
    return known !== undefined && this.#deps.clock.monotonic() - known.readAtMs <= ageMs ? known : undefined;
  }

  /** Undefined where it failed, or is not to be tried yet. Calls that come meanwhile share one read. */
  #readAgain(): Promise<KnownKeys | undefined> {
    if (this.#reading !== undefined) return this.#reading;
    if (this.#deps.clock.monotonic() < this.#nextReadAtMs) return Promise.resolve(undefined);
    const reading = this.#read().finally(() => {
      this.#reading = undefined;
    });
    this.#reading = reading;
    return reading;
  }

  async #read(): Promise<KnownKeys | undefined> {
    const { read, clock, log } = this.#deps;
    try {
      const find = createLocalJWKSet(await read());
      this.#known = { find, readAtMs: clock.monotonic() };
      this.#nextReadAtMs = clock.monotonic() + COOLDOWN_MS;
      this.#awayUntilMs = Number.NEGATIVE_INFINITY;
      return this.#known;
    } catch (err) {
      this.#nextReadAtMs = clock.monotonic() + RETRY_MS;
      this.#awayUntilMs = clock.monotonic() + AWAY_MS;
      const keptForMs = this.#known === undefined ? 0 : this.#known.readAtMs + KEPT_MS - clock.monotonic();
      log.warn("access.issuer_unreachable", { keptForMs: Math.max(0, Math.round(keptForMs)), err });
      return undefined;
    }
  }
}
