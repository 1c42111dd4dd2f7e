/** Keys and portal sessions, as people make, see and revoke them. All are of the caller's own organisation and environment. */
import { CodedError, type FieldViolation, invalidFields } from "../kernel/errors.ts";
import { LIMITS } from "../kernel/limits.ts";
import type { Page, PageRequest } from "../kernel/page.ts";
import type { Tenant } from "../kernel/tenant.ts";
import type { KeyRecord, KeyStore, Role, SessionRecord, SessionStore } from "./access-store.ts";
import { type KeyMaterial, type Made, makeKey, makeSession } from "./keys.ts";

export interface CredentialsDeps extends KeyMaterial {
  readonly store: Pick<KeyStore, "insertKey" | "listKeys" | "countLiveKeys" | "revokeKey"> &
    Pick<SessionStore, "insertSession" | "listSessions" | "countLiveSessions" | "revokeSession">;
}

export interface KeyDraft {
  /** Undefined where none was named. */
  readonly role: Role | undefined;
  /** Empty: the caller's own. */
  readonly environment: string;
  readonly description: string;
  readonly expiresAtMs?: number;
}

export interface SessionDraft {
  readonly entityId: string;
  readonly lifetimeMs?: number;
}

const LIFETIME_MIN_MS = 60_000;
const LIFETIME_MAX_MS = 24 * 3_600_000;
const LIFETIME_DEFAULT_MS = 3_600_000;

export class Credentials {
  readonly #deps: CredentialsDeps;

  constructor(deps: CredentialsDeps) {
    this.#deps = deps;
  }

  /** @throws CodedError `request.invalid`, `role.insufficient` for another environment, `limit.keys`. */
  async createKey(tenant: Tenant, draft: KeyDraft): Promise<Made<KeyRecord>> {
    const { store, clock } = this.#deps;
    const { role, environment, description, expiresAtMs } = draft;
    const wrong = keyViolations(draft, clock.now());
    if (role === undefined || wrong.length > 0) {
      const missing = { field: "key.role", description: "is required" };
      throw invalidFields(role === undefined ? [missing, ...wrong] : wrong);
    }
    if (environment !== "" && environment !== tenant.environment) {
      const message = "key.environment: a key makes keys of its own environment alone";
      throw new CodedError("role.insufficient", message);
    }
    // Two that come at once may both pass: the limit keeps a mistake small, nobody pays by it.
    if ((await store.countLiveKeys(tenant, clock.now())) >= LIMITS.keys) {
      throw new CodedError("limit.keys", `there are ${LIMITS.keys} keys that count, as many as may; revoke some`);
    }
    const made = makeKey(tenant, role, this.#deps, {
      ...(description !== "" && { description }),
      ...(expiresAtMs !== undefined && { expiresAtMs }),
    });
    await store.insertKey(made.record);
    return made;
  }

  listKeys(tenant: Tenant, page: PageRequest): Promise<Page<KeyRecord>> {
    return this.#deps.store.listKeys(tenant, page);
  }

  /** False where there is none. */
  revokeKey(tenant: Tenant, id: string): Promise<boolean> {
    return this.#deps.store.revokeKey(tenant, id, this.#deps.clock.now());
  }

  /** @throws CodedError `request.invalid`, `limit.portal_sessions`. */
  async createSession(tenant: Tenant, { entityId, lifetimeMs }: SessionDraft): Promise<Made<SessionRecord>> {
    const { store, clock } = this.#deps;
    const wrong = sessionViolations(entityId, lifetimeMs);
    if (wrong.length > 0) throw invalidFields(wrong);
    if ((await store.countLiveSessions(tenant, clock.now())) >= LIMITS.portalSessions) {
      const message = `there are ${LIMITS.portalSessions} portal sessions, as many as may; wait for some to expire`;
      throw new CodedError("limit.portal_sessions", message);
    }
    const made = makeSession(tenant, entityId, lifetimeMs ?? LIFETIME_DEFAULT_MS, this.#deps);
    await store.insertSession(made.record);
    return made;
  }

  listSessions(tenant: Tenant, page: PageRequest): Promise<Page<SessionRecord>> {
    return this.#deps.store.listSessions(tenant, page);
  }

  /** False where there is none. */
  revokeSession(tenant: Tenant, id: string): Promise<boolean> {
    return this.#deps.store.revokeSession(tenant, id, this.#deps.clock.now());
  }
}

function keyViolations({ description, expiresAtMs }: KeyDraft, nowMs: number): FieldViolation[] {
  const wrong: FieldViolation[] = [];
  if (description.length > LIMITS.descriptionCharacters) {
    const most = `must have at most ${LIMITS.descriptionCharacters} characters`;
    wrong.push({ field: "key.description", description: most });
  }
  if (expiresAtMs !== undefined && expiresAtMs <= nowMs) {
    wrong.push({ field: "key.expires_at", description: "must be to come" });
  }
  return wrong;
}

function sessionViolations(entityId: string, lifetimeMs: number | undefined): FieldViolation[] {
  const wrong: FieldViolation[] = [];
  if (entityId === "") wrong.push({ field: "entity_id", description: "is required" });
  if (entityId.length > LIMITS.idCharacters || /\p{Cc}/u.test(entityId) || !entityId.isWellFormed()) {
    const most = `must have at most ${LIMITS.idCharacters} characters and no control characters`;
    wrong.push({ field: "entity_id", description: most });
  }
  if (lifetimeMs !== undefined && !(lifetimeMs >= LIFETIME_MIN_MS && lifetimeMs <= LIFETIME_MAX_MS)) {
    wrong.push({ field: "lifetime", description: "must be 1 minute to 24 hours" });
  }
  return wrong;
}
