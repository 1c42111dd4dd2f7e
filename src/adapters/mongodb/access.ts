/** API keys: their hashes, never their text. */
import type { AccessStore, KeyRecord, Role } from "../../access/access-store.ts";
import { CodedError } from "../../kernel/errors.ts";
import { tenantKey } from "../../kernel/tenant.ts";
import { COLLECTIONS, tenantOf } from "./documents.ts";
import type { Stored, Wire } from "./wire.ts";

interface KeyDocument extends Stored {
  readonly tenant: string;
  readonly role: string;
  readonly hash: string;
  readonly createdAt: number;
  readonly expiresAt?: number;
  readonly revokedAt?: number;
}

export function accessStore(wire: Wire): AccessStore {
  return {
    async findKey(id) {
      const found = await wire.findOne<KeyDocument>(COLLECTIONS.keys, { _id: id });
      return found === undefined ? undefined : keyOf(found);
    },
    async hasKeys() {
      const found = await wire.find<KeyDocument>(COLLECTIONS.keys, {}, { limit: 1, projection: { _id: 1 } });
      return found.length > 0;
    },
    async insertKey(record) {
      const taken = await wire.insert<KeyDocument>(COLLECTIONS.keys, [documentOf(record)], () => 0);
      if (taken.length > 0) throw new CodedError("internal", `key id ${record.id} was given twice`);
    },
  };
}

function documentOf({ id, tenant, role, hash, createdAtMs, expiresAtMs, revokedAtMs }: KeyRecord): KeyDocument {
  return {
    _id: id,
    tenant: tenantKey(tenant),
    role,
    hash,
    createdAt: createdAtMs,
    ...(expiresAtMs === undefined ? {} : { expiresAt: expiresAtMs }),
    ...(revokedAtMs === undefined ? {} : { revokedAt: revokedAtMs }),
  };
}

function keyOf({ _id, tenant, role, hash, createdAt, expiresAt, revokedAt }: KeyDocument): KeyRecord {
  return {
    id: _id,
    tenant: tenantOf(tenant),
    role: role as Role,
    hash,
    createdAtMs: createdAt,
    ...(expiresAt === undefined ? {} : { expiresAtMs: expiresAt }),
    ...(revokedAt === undefined ? {} : { revokedAtMs: revokedAt }),
  };
}
