/**
 * The texts that callers carry: `pb_<environment>_<id>_<secret>` is a key, `pbs_<environment>_<id>_<secret>` the token of
 * a portal session. An environment's name may hold underscores, so a text is read from its end; id and secret are
 * hexadecimal. What is stored is the hash of the whole text, which needs no salt or stretching: the secret is 256 random
 * bits.
 */
import { hash } from "node:crypto";
import type { Clock } from "../kernel/clock.ts";
import { type FieldViolation, invalidFields } from "../kernel/errors.ts";
import type { IdSource } from "../kernel/ids.ts";
import type { Random } from "../kernel/random.ts";
import { isTenantName, type Tenant } from "../kernel/tenant.ts";
import type { KeyRecord, Role, SessionRecord } from "./access-store.ts";

const SECRET_BYTES = 32;
const TEXT = /^(pbs?)_[A-Za-z0-9][A-Za-z0-9._-]{0,63}_([0-9a-f]{32})_[0-9a-f]{64}$/;

/** How the text of each begins, and its id. */
const PREFIXES = { key: { text: "pb", id: "key" }, session: { text: "pbs", id: "ses" } } as const;

export interface KeyMaterial {
  readonly clock: Clock;
  readonly ids: IdSource;
  readonly random: Random;
}

/** A new key or session: the record to store, and the text to show once. */
export interface Made<Record> {
  readonly record: Record;
  readonly text: string;
}

export type NewKey = Made<KeyRecord>;

/** Throws a `request.invalid` where the organisation or the environment is not a name. */
export function makeKey(
  tenant: Tenant,
  role: Role,
  material: KeyMaterial,
  more: Pick<KeyRecord, "description" | "expiresAtMs"> = {},
): NewKey {
  const { text, base } = makeCredential("key", tenant, material);
  return { text, record: { ...base, role, ...more } };
}

/** Throws as `makeKey` does. */
export function makeSession(
  tenant: Tenant,
  entityId: string,
  lifetimeMs: number,
  material: KeyMaterial,
): Made<SessionRecord> {
  const { text, base } = makeCredential("session", tenant, material);
  return { text, record: { ...base, entityId, expiresAtMs: base.createdAtMs + lifetimeMs } };
}

function makeCredential(kind: keyof typeof PREFIXES, tenant: Tenant, { clock, ids, random }: KeyMaterial) {
  const wrong: FieldViolation[] = [];
  for (const field of ["organisation", "environment"] as const) {
    if (isTenantName(tenant[field])) continue;
    const description =
      "must be 1 to 64 letters, digits, dots, underscores and dashes, beginning with a letter or digit";
    wrong.push({ field, description });
  }
  if (wrong.length > 0) throw invalidFields(wrong);
  const prefix = PREFIXES[kind];
  const id = ids.next(prefix.id);
  const secret = Buffer.from(random.bytes(SECRET_BYTES)).toString("hex");
  const text = `${prefix.text}_${tenant.environment}_${id.slice(prefix.id.length + 1)}_${secret}`;
  return { text, base: { id, tenant, hash: hashKey(text), createdAtMs: clock.now() } };
}

/** The id of the record that the text names; undefined where it is not the text of a stored key or session. */
export function idOfKey(text: string): string | undefined {
  const [, kind, id] = TEXT.exec(text) ?? [];
  if (id === undefined) return undefined;
  return `${kind === PREFIXES.session.text ? PREFIXES.session.id : PREFIXES.key.id}_${id}`;
}

export function isSessionId(id: string): boolean {
  return id.startsWith(`${PREFIXES.session.id}_`);
}

/** SHA-256 of the text, in base64url, as `Credential.hash` has it. */
export function hashKey(text: string): string {
  return hash("sha256", text, "base64url");
}
