/**
 * API keys and portal sessions: their hashes, never their text; and the audit log. Keys have their id alone as `_id`,
 * since nobody knows whose it is before it is found. A session's `_id` has its tenant in front, as what goes with age
 * has; it is found by its id through an index.
 */
import type { Filter } from "mongodb";
import type {
  AccessStore,
  AuditFilter,
  AuditRecord,
  AuditStore,
  KeyRecord,
  KeyStore,
  Role,
  SessionRecord,
  SessionStore,
} from "../../access/access-store.ts";
import { CodedError } from "../../kernel/errors.ts";
import type { Page, PageRequest } from "../../kernel/page.ts";
import { type Tenant, tenantKey } from "../../kernel/tenant.ts";
import { certificateStore } from "./certificates.ts";
import { COLLECTIONS, idIn, idOf, tenantOf } from "./documents.ts";
import { page, span } from "./pages.ts";
import type { Stored, Wire } from "./wire.ts";

interface CredentialDocument extends Stored {
  readonly tenant: string;
  readonly hash: string;
  readonly createdAt: number;
  readonly expiresAt?: number;
  readonly revokedAt?: number;
}

interface KeyDocument extends CredentialDocument {
  readonly role: string;
  readonly description?: string;
  readonly lastUsedAt?: number;
}

interface SessionDocument extends CredentialDocument {
  readonly session: string;
  readonly entity: string;
  readonly expiresAt: number;
}

interface AuditDocument extends Stored {
  readonly tenant: string;
  readonly time: number;
  readonly actor: string;
  readonly action: string;
  readonly target: string;
  readonly peer: string;
  readonly refused: boolean;
  readonly code: string;
  readonly count: number;
}

export function accessStore(wire: Wire): AccessStore {
  return { ...keyStore(wire), ...sessionStore(wire), ...certificateStore(wire), ...auditStore(wire) };
}

const live = (tenant: Tenant, nowMs: number) => ({
  tenant: tenantKey(tenant),
  revokedAt: { $exists: false },
  $or: [{ expiresAt: { $exists: false } }, { expiresAt: { $gt: nowMs } }],
});

async function countLive(wire: Wire, collection: string, tenant: Tenant, nowMs: number): Promise<number> {
  const filter = live(tenant, nowMs) as Filter<CredentialDocument>;
  return (await wire.find<CredentialDocument>(collection, filter, { projection: { _id: 1 } })).length;
}

/** The first time stays. */
async function revoke(
  wire: Wire,
  collection: string,
  q: { readonly tenant: string; readonly _id: string },
  nowMs: number,
) {
  const set = { q: { ...q, revokedAt: { $exists: false } }, u: { $set: { revokedAt: nowMs } } };
  if ((await wire.update(collection, [set])) > 0) return true;
  return (await wire.findOne<CredentialDocument>(collection, q)) !== undefined;
}

function keyStore(wire: Wire): KeyStore {
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
      const taken = await wire.insert<KeyDocument>(COLLECTIONS.keys, [keyDocument(record)], () => 0);
      if (taken.length > 0) throw new CodedError("internal", `key id ${record.id} was given twice`);
    },
    listKeys: (tenant, request) => listCredentials(wire, COLLECTIONS.keys, tenant, request, keyOf, (id) => id),
    countLiveKeys: (tenant, nowMs) => countLive(wire, COLLECTIONS.keys, tenant, nowMs),
    revokeKey: (tenant, id, nowMs) => revoke(wire, COLLECTIONS.keys, { _id: id, tenant: tenantKey(tenant) }, nowMs),
    async noteKeyUses(uses) {
      const updates = uses.map(({ id, atMs }) => ({ q: { _id: id }, u: { $max: { lastUsedAt: atMs } } }));
      if (updates.length > 0) await wire.update(COLLECTIONS.keys, updates);
    },
  };
}

function sessionStore(wire: Wire): SessionStore {
  return {
    async findSession(id) {
      const found = await wire.findOne<SessionDocument>(COLLECTIONS.portalSessions, { session: id });
      return found === undefined ? undefined : sessionOf(found);
    },
    async insertSession(record) {
      const taken = await wire.insert<SessionDocument>(COLLECTIONS.portalSessions, [sessionDocument(record)], () => 0);
      if (taken.length > 0) throw new CodedError("internal", `session id ${record.id} was given twice`);
    },
    listSessions: (tenant, request) =>
      listCredentials(wire, COLLECTIONS.portalSessions, tenant, request, sessionOf, (id) => idIn(tenant, id)),
    countLiveSessions: (tenant, nowMs) => countLive(wire, COLLECTIONS.portalSessions, tenant, nowMs),
    revokeSession: (tenant, id, nowMs) =>
      revoke(wire, COLLECTIONS.portalSessions, { _id: idIn(tenant, id), tenant: tenantKey(tenant) }, nowMs),
  };
}

function listCredentials<
  Row extends CredentialDocument,
  Item extends { readonly id: string; readonly createdAtMs: number },
>(
  wire: Wire,
  collection: string,
  tenant: Tenant,
  request: PageRequest,
  read: (row: Row) => Item,
  keyOfId: (id: string) => string,
): Promise<Page<Item>> {
  return page<Row, Item>(wire, collection, {
    filter: { tenant: tenantKey(tenant) } as Filter<Row>,
    timeField: "createdAt",
    request,
    read,
    bytesOf: () => 0,
    timeOf: ({ createdAtMs }) => createdAtMs,
    keyOf: keyOfId,
  });
}

function auditStore(wire: Wire): AuditStore {
  return {
    async putAudit(records) {
      const updates = records.map((record) => {
        const { _id, count, ...rest } = auditDocument(record);
        return { q: { _id }, u: { $set: { count }, $setOnInsert: rest }, upsert: true };
      });
      if (updates.length > 0) await wire.update(COLLECTIONS.auditRecords, updates);
    },
    listAudit: (tenant, filter, request) =>
      page<AuditDocument, AuditRecord>(wire, COLLECTIONS.auditRecords, {
        filter: auditFilter(tenant, filter),
        timeField: "time",
        request,
        read: auditOf,
        bytesOf: () => 0,
        timeOf: ({ timeMs }) => timeMs,
        keyOf: (id) => idIn(tenant, id),
      }),
  };
}

function auditFilter(tenant: Tenant, { fromMs, toMs, ...equal }: AuditFilter): Filter<AuditDocument> {
  const given = Object.entries(equal).filter(([, value]) => value !== undefined);
  return { tenant: tenantKey(tenant), ...span("time", fromMs, toMs), ...Object.fromEntries(given) };
}

function keyDocument({ id, tenant, role, hash, description, lastUsedAtMs, ...times }: KeyRecord): KeyDocument {
  return {
    _id: id,
    tenant: tenantKey(tenant),
    role,
    hash,
    createdAt: times.createdAtMs,
    ...(times.expiresAtMs === undefined ? {} : { expiresAt: times.expiresAtMs }),
    ...(times.revokedAtMs === undefined ? {} : { revokedAt: times.revokedAtMs }),
    ...(description === undefined ? {} : { description }),
    ...(lastUsedAtMs === undefined ? {} : { lastUsedAt: lastUsedAtMs }),
  };
}

function keyOf({ _id, tenant, role, hash, description, lastUsedAt, ...times }: KeyDocument): KeyRecord {
  return {
    id: _id,
    tenant: tenantOf(tenant),
    role: role as Role,
    hash,
    createdAtMs: times.createdAt,
    ...(times.expiresAt === undefined ? {} : { expiresAtMs: times.expiresAt }),
    ...(times.revokedAt === undefined ? {} : { revokedAtMs: times.revokedAt }),
    ...(description === undefined ? {} : { description }),
    ...(lastUsedAt === undefined ? {} : { lastUsedAtMs: lastUsedAt }),
  };
}

function sessionDocument(record: SessionRecord): SessionDocument {
  const { id, tenant, entityId, hash, createdAtMs, expiresAtMs, revokedAtMs } = record;
  return {
    _id: idIn(tenant, id),
    tenant: tenantKey(tenant),
    session: id,
    entity: entityId,
    hash,
    createdAt: createdAtMs,
    expiresAt: expiresAtMs,
    ...(revokedAtMs === undefined ? {} : { revokedAt: revokedAtMs }),
  };
}

function sessionOf(document: SessionDocument): SessionRecord {
  const { tenant, session, entity, hash, createdAt, expiresAt, revokedAt } = document;
  return {
    id: session,
    tenant: tenantOf(tenant),
    entityId: entity,
    hash,
    createdAtMs: createdAt,
    expiresAtMs: expiresAt,
    ...(revokedAt === undefined ? {} : { revokedAtMs: revokedAt }),
  };
}

function auditDocument({ id, tenant, timeMs, ...rest }: AuditRecord): AuditDocument {
  return { _id: idIn(tenant, id), tenant: tenantKey(tenant), time: timeMs, ...rest };
}

function auditOf({ _id, tenant, time, actor, action, target, peer, refused, code, count }: AuditDocument): AuditRecord {
  const id = idOf(_id, tenant);
  return { id, tenant: tenantOf(tenant), timeMs: time, actor, action, target, peer, refused, code, count };
}
