/**
 * The text of a stored key: `pb_<environment>_<id>_<secret>`. An environment's name may hold underscores, so the text
 * is read from its end; id and secret are hexadecimal. What is stored is the hash of the whole text, which needs no
 * salt or stretching: the secret is 256 random bits.
 */
import { hash } from "node:crypto";
import type { Clock } from "../kernel/clock.ts";
import { type FieldViolation, invalidFields } from "../kernel/errors.ts";
import type { IdSource } from "../kernel/ids.ts";
import type { Random } from "../kernel/random.ts";
import { isTenantName, type Tenant } from "../kernel/tenant.ts";
import type { KeyRecord, Role } from "./access-store.ts";

const SECRET_BYTES = 32;
const KEY_TEXT = /^pb_[A-Za-z0-9][A-Za-z0-9._-]{0,63}_([0-9a-f]{32})_[0-9a-f]{64}$/;

export interface KeyMaterial {
  readonly clock: Clock;
  readonly ids: IdSource;
  readonly random: Random;
}

/** A new key: the record to store, and the text to show once. */
export interface NewKey {
  readonly record: KeyRecord;
  readonly text: string;
}

/** Throws a `request.invalid` where the organisation or the environment is not a name. */
export function makeKey(tenant: Tenant, role: Role, { clock, ids, random }: KeyMaterial): NewKey {
  const wrong: FieldViolation[] = [];
  for (const field of ["organisation", "environment"] as const) {
    if (isTenantName(tenant[field])) continue;
    const description =
      "must be 1 to 64 letters, digits, dots, underscores and dashes, beginning with a letter or digit";
    wrong.push({ field, description });
  }
  if (wrong.length > 0) throw invalidFields(wrong);
  const id = ids.next("key");
  const secret = Buffer.from(random.bytes(SECRET_BYTES)).toString("hex");
  const text = `pb_${tenant.environment}_${id.slice("key_".length)}_${secret}`;
  return { text, record: { id, tenant, role, hash: hashKey(text), createdAtMs: clock.now() } };
}

/** The id of the record that the text names; undefined where it is not the text of a stored key. */
export function idOfKey(text: string): string | undefined {
  const id = KEY_TEXT.exec(text)?.[1];
  return id === undefined ? undefined : `key_${id}`;
}

/** SHA-256 of the text, in base64url, as `KeyRecord.hash` has it. */
export function hashKey(text: string): string {
  return hash("sha256", text, "base64url");
}
