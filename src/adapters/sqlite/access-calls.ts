/** The store's calls about keys, portal sessions and the audit log. */
import type { AuditFilter, KeyUse } from "../../access/access-store.ts";
import type { CursorRow, PageRows, TenantId, TenantRow } from "./calls.ts";

export type KeyRow = readonly [
  id: string,
  organisation: string,
  environment: string,
  role: string,
  hash: string,
  createdAtMs: number,
  expiresAtMs: number | null,
  revokedAtMs: number | null,
  description: string | null,
  lastUsedAtMs: number | null,
];

export type CertificateRow = readonly [
  organisation: string,
  environment: string,
  fingerprint: string,
  keyId: string,
  boundAtMs: number,
];

export type SessionRow = readonly [
  organisation: string,
  environment: string,
  id: string,
  entityId: string,
  hash: string,
  createdAtMs: number,
  expiresAtMs: number,
  revokedAtMs: number | null,
];

export type AuditRow = readonly [
  organisation: string,
  environment: string,
  id: string,
  timeMs: number,
  actor: string,
  action: string,
  target: string,
  peer: string,
  refused: number,
  code: string,
  count: number,
];

export interface ListRows {
  readonly tenant: TenantRow;
  readonly size: number;
  readonly after?: CursorRow;
}

export interface ListAudit extends ListRows {
  readonly filter: AuditFilter;
}

/** A page ends where so many rows were looked at: `at` is the last of them. */
export interface AuditRows {
  readonly rows: readonly AuditRow[];
  readonly at: CursorRow | null;
}

type Moment = { readonly nowMs: number };

export interface AccessCalls {
  findKey(id: string): KeyRow | null;
  insertKey(row: KeyRow): null;
  hasKeys(none: null): boolean;
  listKeys(request: ListRows): PageRows<KeyRow>;
  countLiveKeys(asked: { readonly tenant: TenantRow } & Moment): number;
  revokeKey(asked: TenantId & Moment): boolean;
  noteKeyUses(uses: readonly KeyUse[]): null;
  findCertificate(fingerprint: string): CertificateRow | null;
  bindCertificate(asked: { readonly row: CertificateRow; readonly provenAtMs: number }): CertificateRow;
  listCertificates(asked: {
    readonly tenant: TenantRow;
    readonly keyIds: readonly string[];
  }): readonly CertificateRow[];
  unbindCertificate(
    asked: {
      readonly tenant: TenantRow;
      readonly keyId: string;
      readonly fingerprint: string;
    } & Moment,
  ): boolean;
  findSession(id: string): SessionRow | null;
  insertSession(row: SessionRow): null;
  listSessions(request: ListRows): PageRows<SessionRow>;
  countLiveSessions(asked: { readonly tenant: TenantRow } & Moment): number;
  revokeSession(asked: TenantId & Moment): boolean;
  putAudit(rows: readonly AuditRow[]): null;
  listAudit(request: ListAudit): AuditRows;
}
