/** AccessStore over the thread's calls. */
import type {
  AccessStore,
  AuditRecord,
  CertificateRecord,
  KeyRecord,
  Role,
  SessionRecord,
} from "../../access/access-store.ts";
import type { Page } from "../../kernel/page.ts";
import type { CallClient } from "../../kernel/thread-call.ts";
import type { AuditRow, CertificateRow, KeyRow, SessionRow } from "./access-calls.ts";
import type { PageRows, StoreCalls } from "./calls.ts";
import { cursorRow } from "./client-deliveries.ts";
import { tenantOf, tenantRow } from "./rows.ts";

export function accessStore(calls: CallClient<StoreCalls>): AccessStore {
  return {
    async findKey(id) {
      const row = await calls.call("findKey", id);
      return row === null ? undefined : keyOf(row);
    },
    hasKeys: () => calls.call("hasKeys", null),
    async insertKey(record) {
      await calls.call("insertKey", keyRow(record));
    },
    async listKeys(tenant, page) {
      return pageOf(await calls.call("listKeys", { tenant: tenantRow(tenant), ...cursorRow(page) }), keyOf);
    },
    countLiveKeys: (tenant, nowMs) => calls.call("countLiveKeys", { tenant: tenantRow(tenant), nowMs }),
    revokeKey: (tenant, id, nowMs) => calls.call("revokeKey", { tenant: tenantRow(tenant), id, nowMs }),
    async noteKeyUses(uses) {
      await calls.call("noteKeyUses", uses);
    },
    async findCertificate(fingerprint) {
      const row = await calls.call("findCertificate", fingerprint);
      return row === null ? undefined : certificateOf(row);
    },
    async bindCertificate({ tenant, fingerprint, keyId, boundAtMs }, provenAtMs = boundAtMs) {
      const row = [...tenantRow(tenant), fingerprint, keyId, boundAtMs] as const;
      return certificateOf(await calls.call("bindCertificate", { row, provenAtMs }));
    },
    async listCertificates(tenant, keyIds) {
      return (await calls.call("listCertificates", { tenant: tenantRow(tenant), keyIds })).map(certificateOf);
    },
    unbindCertificate: (tenant, keyId, fingerprint, nowMs) =>
      calls.call("unbindCertificate", { tenant: tenantRow(tenant), keyId, fingerprint, nowMs }),
    async findSession(id) {
      const row = await calls.call("findSession", id);
      return row === null ? undefined : sessionOf(row);
    },
    async insertSession({ tenant, id, entityId, hash, createdAtMs, expiresAtMs, revokedAtMs }) {
      const times = [createdAtMs, expiresAtMs, revokedAtMs ?? null] as const;
      await calls.call("insertSession", [...tenantRow(tenant), id, entityId, hash, ...times]);
    },
    async listSessions(tenant, page) {
      return pageOf(await calls.call("listSessions", { tenant: tenantRow(tenant), ...cursorRow(page) }), sessionOf);
    },
    countLiveSessions: (tenant, nowMs) => calls.call("countLiveSessions", { tenant: tenantRow(tenant), nowMs }),
    revokeSession: (tenant, id, nowMs) => calls.call("revokeSession", { tenant: tenantRow(tenant), id, nowMs }),
    async putAudit(records) {
      await calls.call("putAudit", records.map(auditRow));
    },
    listAudit: (tenant, filter, page) => listAudit(calls, { tenant: tenantRow(tenant), filter, ...cursorRow(page) }),
  };
}

type Asked = Parameters<StoreCalls["listAudit"]>[0];

async function listAudit(calls: CallClient<StoreCalls>, asked: Asked): Promise<Page<AuditRecord>> {
  const { rows, at } = await calls.call("listAudit", asked);
  const items = rows.map(auditOf);
  return at === null ? { items } : { items, next: { timeMs: at[0], id: at[1] } };
}

function pageOf<Row, Item extends { readonly id: string; readonly createdAtMs: number }>(
  { rows, more }: PageRows<Row>,
  read: (row: Row) => Item,
): Page<Item> {
  const items = rows.map(read);
  const last = items.at(-1);
  if (!more || last === undefined) return { items };
  return { items, next: { timeMs: last.createdAtMs, id: last.id } };
}

function keyRow({ id, tenant, role, hash, createdAtMs, expiresAtMs, revokedAtMs, ...rest }: KeyRecord): KeyRow {
  const times = [createdAtMs, expiresAtMs ?? null, revokedAtMs ?? null] as const;
  return [id, ...tenantRow(tenant), role, hash, ...times, rest.description ?? null, rest.lastUsedAtMs ?? null];
}

function keyOf(row: KeyRow): KeyRecord {
  const [id, organisation, environment, role, hash, createdAtMs, expiresAtMs, revokedAtMs, description, lastUsed] = row;
  return {
    id,
    tenant: tenantOf([organisation, environment]),
    role: role as Role,
    hash,
    createdAtMs,
    ...(expiresAtMs === null ? {} : { expiresAtMs }),
    ...(revokedAtMs === null ? {} : { revokedAtMs }),
    ...(description === null ? {} : { description }),
    ...(lastUsed === null ? {} : { lastUsedAtMs: lastUsed }),
  };
}

function certificateOf(row: CertificateRow): CertificateRecord {
  const [organisation, environment, fingerprint, keyId, boundAtMs] = row;
  return { fingerprint, tenant: tenantOf([organisation, environment]), keyId, boundAtMs };
}

function sessionOf(row: SessionRow): SessionRecord {
  const [organisation, environment, id, entityId, hash, createdAtMs, expiresAtMs, revokedAtMs] = row;
  const tenant = tenantOf([organisation, environment]);
  const revoked = revokedAtMs === null ? {} : { revokedAtMs };
  return { id, tenant, entityId, hash, createdAtMs, expiresAtMs, ...revoked };
}

function auditRow(record: AuditRecord): AuditRow {
  const { tenant, id, timeMs, actor, action, target, peer, refused, code, count } = record;
  return [...tenantRow(tenant), id, timeMs, actor, action, target, peer, Number(refused), code, count];
}

function auditOf(row: AuditRow): AuditRecord {
  const [organisation, environment, id, timeMs, actor, action, target, peer, refused, code, count] = row;
  const tenant = tenantOf([organisation, environment]);
  return { id, tenant, timeMs, actor, action, target, peer, refused: refused === 1, code, count };
}
