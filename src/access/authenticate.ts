/**
 * Who calls: an `authorization` header becomes a principal, whose tenant every query is made under.
 *
 * Two sorts of keys. The bootstrap key comes from the configuration and is compared as it is. Stored keys carry their
 * id (see keys.ts), are looked up by it and compared by the hash of their whole text. Either comparison takes the same
 * time wherever the texts differ.
 */
import { hash, timingSafeEqual } from "node:crypto";
import type { Clock } from "../kernel/clock.ts";
import { CodedError } from "../kernel/errors.ts";
import { DEFAULT_ENVIRONMENT, type Tenant } from "../kernel/tenant.ts";
import type { AccessStore, KeyRecord, Role } from "./access-store.ts";
import { hashKey, idOfKey } from "./keys.ts";

/** Whom a call comes from. */
export interface Principal {
  readonly tenant: Tenant;
  readonly role: Role;
  /** Of the key that spoke for them; `bootstrap` for the bootstrap key. */
  readonly keyId: string;
}

/** Answers who calls, or throws `auth.missing`, `auth.invalid`, or what the store threw. */
export type Authenticate = (authorization: string | null | undefined) => Promise<Principal>;

/** The key of the configuration: role admin, environment `production` (design, section 8). */
export interface BootstrapKey {
  readonly text: string;
  readonly organisation: string;
}

export interface AuthenticatorDeps {
  readonly store: Pick<AccessStore, "findKey">;
  readonly clock: Clock;
  readonly bootstrap?: BootstrapKey | undefined;
  /** How long an answer of the store is believed, found or not; 1 s at most, so that a revocation counts soon. */
  readonly cacheMs?: number;
  /** Answers of the store kept; the oldest goes first. */
  readonly cacheSize?: number;
}

/** `Bearer <key>`, the scheme in any case (RFC 6750 §2.1, RFC 9110 §11.1). */
const BEARER = /^bearer +([\x21-\x7e]+) *$/i;

export function authenticator(deps: AuthenticatorDeps): Authenticate {
  const { clock, bootstrap } = deps;
  const keys = new KeyCache(deps);
  const bootstrapHash = bootstrap === undefined ? undefined : hashKey(bootstrap.text);
  const bootstrapPrincipal: Principal = Object.freeze({
    tenant: Object.freeze({
      organisation: bootstrap?.organisation ?? "",
      environment: DEFAULT_ENVIRONMENT,
    }),
    role: "admin",
    keyId: "bootstrap",
  });
  return async (authorization) => {
    const text = keyOf(authorization);
    const presented = hashKey(text);
    if (bootstrapHash !== undefined && sameHash(presented, bootstrapHash)) return bootstrapPrincipal;
    const id = idOfKey(text);
    const record = id === undefined ? undefined : await keys.find(id);
    if (record === undefined || !sameHash(presented, record.hash) || !isLive(record, clock.now())) {
      throw new CodedError("auth.invalid", "authorization: the key is unknown, expired or revoked");
    }
    return { tenant: record.tenant, role: record.role, keyId: record.id };
  };
}

function keyOf(authorization: string | null | undefined): string {
  if (authorization === null || authorization === undefined || authorization === "") {
    throw new CodedError("auth.missing", "authorization: this call needs a key, sent as `Bearer <key>`");
  }
  const text = BEARER.exec(authorization)?.[1];
  if (text === undefined) {
    throw new CodedError("auth.invalid", "authorization: must be `Bearer <key>`");
  }
  return text;
}

/** Both are hashed once more, so that the lengths are equal whatever a store hands out. */
function sameHash(left: string, right: string): boolean {
  return timingSafeEqual(hash("sha256", left, "buffer"), hash("sha256", right, "buffer"));
}

function isLive(record: KeyRecord, nowMs: number): boolean {
  if (record.revokedAtMs !== undefined && record.revokedAtMs <= nowMs) return false;
  return record.expiresAtMs === undefined || record.expiresAtMs > nowMs;
}

interface CachedKey {
  readonly untilMs: number;
  readonly record: Promise<KeyRecord | undefined>;
}

/**
 * The store's answers of the last moment. Calls that ask for one id at the same time share a look-up; an id that is
 * not there is remembered too, so that a wrong key in a loop does not reach the store each time.
 */
class KeyCache {
  readonly #deps: AuthenticatorDeps;
  readonly #keepMs: number;
  readonly #size: number;
  readonly #keys = new Map<string, CachedKey>();

  constructor(deps: AuthenticatorDeps) {
    this.#deps = deps;
    this.#keepMs = Math.min(deps.cacheMs ?? 1_000, 1_000);
    this.#size = deps.cacheSize ?? 10_000;
  }

  find(id: string): Promise<KeyRecord | undefined> {
    const nowMs = this.#deps.clock.monotonic();
    const known = this.#keys.get(id);
    if (known !== undefined && known.untilMs > nowMs) return known.record;
    const record = this.#deps.store.findKey(id);
    const entry = { untilMs: nowMs + this.#keepMs, record };
    this.#keys.delete(id);
    this.#keys.set(id, entry);
    // A store that failed is asked again by the next call. Whoever waits for `record` sees the failure there.
    record.catch(() => {
      if (this.#keys.get(id) === entry) this.#keys.delete(id);
    });
    const [oldest] = this.#keys.keys();
    if (this.#keys.size > this.#size && oldest !== undefined) this.#keys.delete(oldest);
    return record;
  }
}
