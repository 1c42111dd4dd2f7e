/**
 * Who calls: an `authorization` header becomes a principal, whose tenant every query is made under.
 *
 * The bootstrap key comes from the configuration and is compared as it is. Stored keys and the tokens of portal sessions
 * carry their id (see keys.ts), are looked up by it and compared by the hash of their whole text. Either comparison takes
 * the same time wherever the texts differ. An issuer's tokens are for tokens.ts. Without a header, the certificate of the
 * connection speaks, for the key that it is bound to. What becomes of those who are refused is the door's business
 * (door.ts).
 */
import { hash, timingSafeEqual } from "node:crypto";
import type { Clock } from "../kernel/clock.ts";
import { CodedError } from "../kernel/errors.ts";
import { DEFAULT_ENVIRONMENT, type Tenant } from "../kernel/tenant.ts";
import type {
  CertificateStore,
  Credential,
  Grant,
  KeyRecord,
  KeyStore,
  SessionRecord,
  SessionStore,
} from "./access-store.ts";
import { hashKey, idOfKey, isSessionId } from "./keys.ts";
import { type JudgeToken, looksLikeToken } from "./tokens.ts";

/** Whom a call comes from. */
export interface Principal {
  readonly tenant: Tenant;
  readonly role: Grant;
  /** Of the key or session that spoke for them; `bootstrap` for the bootstrap key, `jwt_…` for a token's subject. */
  readonly keyId: string;
  /** The one entity that they may see; set for portal sessions, and for them alone. */
  readonly entityId?: string;
  /** When it counts no more; absent where it has no end. */
  readonly expiresAtMs?: number;
}

/**
 * Answers who calls, or throws `auth.missing`, `auth.invalid`, `issuer.unavailable`, or what the store threw. `peer` is the
 * address that the call came from, `certificate` the fingerprint of the client's certificate, where one is known.
 */
export type Authenticate = (
  authorization: string | null | undefined,
  peer?: string,
  certificate?: string,
) => Promise<Principal>;

/** Whom a text that was refused belongs to, as far as it names a record that there is. */
export interface Refused {
  readonly code: "auth.missing" | "auth.invalid";
  readonly message: string;
  /** The id that the text names, whether there is such a record or not. */
  readonly namedId?: string;
  /** The record's, where there is one. */
  readonly tenant?: Tenant;
}

export type Judgement =
  | { readonly principal: Principal; readonly refused?: never }
  | { readonly refused: Refused; readonly principal?: never };

/** Throws what the store threw, and `issuer.unavailable`. */
export type Judge = (authorization: string | null | undefined, certificate?: string) => Promise<Judgement>;

/** The key of the configuration: role admin, environment `production` (design, section 8). */
export interface BootstrapKey {
  readonly text: string;
  readonly organisation: string;
}

export interface AuthenticatorDeps {
  readonly store: Pick<KeyStore, "findKey"> &
    Pick<SessionStore, "findSession"> &
    Pick<CertificateStore, "findCertificate">;
  readonly clock: Clock;
  readonly bootstrap?: BootstrapKey | undefined;
  /** Undefined where there is no issuer of tokens. */
  readonly judgeToken?: JudgeToken | undefined;
  /**
   * How long an answer of the store is believed, found or not: 500 ms, if left out, and 500 ms at most, so that a
   * revocation counts within a second, on streams too (src/api/streams.ts).
   */
  readonly cacheMs?: number;
  /** Answers of the store kept; the oldest goes first. */
  readonly cacheSize?: number;
}

/** `Bearer <key>`, the scheme in any case (RFC 6750 §2.1, RFC 9110 §11.1). */
const BEARER = /^bearer +([\x21-\x7e]+) *$/i;

/** Whether a header's text counts. */
export function judge(deps: AuthenticatorDeps): Judge {
  const { clock, bootstrap, judgeToken } = deps;
  const records = new RecordCache(deps);
  const bootstrapHash = bootstrap === undefined ? undefined : hashKey(bootstrap.text);
  const bootstrapPrincipal: Principal = Object.freeze({
    tenant: Object.freeze({
      organisation: bootstrap?.organisation ?? "",
      environment: DEFAULT_ENVIRONMENT,
    }),
    role: "admin",
    keyId: "bootstrap",
  });
  const judgeCertificate = async (fingerprint: string): Promise<Judgement> => {
    const record = await records.findByCertificate(fingerprint);
    if (record !== undefined && isLive(record, clock.now())) return { principal: principalFor(record) };
    const message = "the client's certificate is bound to no key that counts";
    const named = record === undefined ? {} : { namedId: record.id, tenant: record.tenant };
    return { refused: { code: "auth.invalid", message, ...named } };
  };
  return async (authorization, certificate) => {
    if (authorization === null || authorization === undefined || authorization === "") {
      if (certificate !== undefined) return judgeCertificate(certificate);
      const message = "authorization: this call needs a key, sent as `Bearer <key>`";
      return { refused: { code: "auth.missing", message } };
    }
    const text = BEARER.exec(authorization)?.[1];
    if (text === undefined) {
      return { refused: { code: "auth.invalid", message: "authorization: must be `Bearer <key>`" } };
    }
    const presented = hashKey(text);
    if (bootstrapHash !== undefined && sameHash(presented, bootstrapHash)) return { principal: bootstrapPrincipal };
    if (judgeToken !== undefined && looksLikeToken(text)) {
      const principal = await judgeToken(text);
      if (principal !== undefined) return { principal };
      return { refused: { code: "auth.invalid", message: "authorization: the token does not count" } };
    }
    const id = idOfKey(text);
    const record = id === undefined ? undefined : await records.find(id);
    if (record !== undefined && sameHash(presented, record.hash) && isLive(record, clock.now())) {
      return { principal: principalFor(record) };
    }
    const message = "authorization: the key is unknown, expired or revoked";
    const named = { ...(id !== undefined && { namedId: id }), ...(record !== undefined && { tenant: record.tenant }) };
    return { refused: { code: "auth.invalid", message, ...named } };
  };
}

/** The same, for those who keep no count of refusals. */
export function authenticator(deps: AuthenticatorDeps): Authenticate {
  const judged = judge(deps);
  return async (authorization, _peer, certificate) => {
    const { principal, refused } = await judged(authorization, certificate);
    if (refused !== undefined) throw new CodedError(refused.code, refused.message);
    return principal;
  };
}

type FoundRecord = KeyRecord | SessionRecord;

function principalFor(record: FoundRecord): Principal {
  const { tenant, id, expiresAtMs } = record;
  const ends = expiresAtMs === undefined ? {} : { expiresAtMs };
  if ("role" in record) return { tenant, role: record.role, keyId: id, ...ends };
  return { tenant, role: "portal", keyId: id, entityId: record.entityId, ...ends };
}

/** Both are hashed once more, so that the lengths are equal whatever a store hands out. */
function sameHash(left: string, right: string): boolean {
  return timingSafeEqual(hash("sha256", left, "buffer"), hash("sha256", right, "buffer"));
}

function isLive(record: Credential, nowMs: number): boolean {
  if (record.revokedAtMs !== undefined && record.revokedAtMs <= nowMs) return false;
  return record.expiresAtMs === undefined || record.expiresAtMs > nowMs;
}

const BELIEVED_MS = 500;

interface CachedRecord {
  readonly untilMs: number;
  readonly record: Promise<FoundRecord | undefined>;
}

/**
 * The store's answers of the last moment. Calls that ask for one id at the same time share a look-up; an id that is
 * not there is remembered too, so that a wrong key in a loop does not reach the store each time.
 */
class RecordCache {
  readonly #deps: AuthenticatorDeps;
  readonly #keepMs: number;
  readonly #size: number;
  readonly #records = new Map<string, CachedRecord>();

  constructor(deps: AuthenticatorDeps) {
    this.#deps = deps;
    this.#keepMs = Math.min(deps.cacheMs ?? BELIEVED_MS, BELIEVED_MS);
    this.#size = deps.cacheSize ?? 10_000;
  }

  find(id: string): Promise<FoundRecord | undefined> {
    const { store } = this.#deps;
    return this.#kept(id, () => (isSessionId(id) ? store.findSession(id) : store.findKey(id)));
  }

  findByCertificate(fingerprint: string): Promise<FoundRecord | undefined> {
    return this.#kept(`certificate ${fingerprint}`, async () => {
      const bound = await this.#deps.store.findCertificate(fingerprint);
      return bound === undefined ? undefined : this.#deps.store.findKey(bound.keyId);
    });
  }

  #kept(id: string, ask: () => Promise<FoundRecord | undefined>): Promise<FoundRecord | undefined> {
    const nowMs = this.#deps.clock.monotonic();
    const known = this.#records.get(id);
    if (known !== undefined && known.untilMs > nowMs) return known.record;
    const record = ask();
    const entry = { untilMs: nowMs + this.#keepMs, record };
    this.#records.delete(id);
    this.#records.set(id, entry);
    // A store that failed is asked again by the next call. Whoever waits for `record` sees the failure there.
    record.catch(() => {
      if (this.#records.get(id) === entry) this.#records.delete(id);
    });
    const [oldest] = this.#records.keys();
    if (this.#records.size > this.#size && oldest !== undefined) this.#records.delete(oldest);
    return record;
  }
}
