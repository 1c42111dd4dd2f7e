import type { Page, PageRequest } from "../kernel/page.ts";
import type { Tenant } from "../kernel/tenant.ts";

/** What a key may do; each includes what the table in access/roles.ts says. */
export type Role = "admin" | "operator" | "publisher" | "subscriber" | "viewer";

/** What speaks for a caller: a key with its role, or a portal session, which is limited to one entity. */
export type Grant = Role | "portal";

/** What keys and portal sessions have in common. Their text is stored nowhere. */
export interface Credential {
  readonly id: string;
  readonly tenant: Tenant;
  /** SHA-256 of the whole text, in base64url. */
  readonly hash: string;
  readonly createdAtMs: number;
  readonly expiresAtMs?: number;
  readonly revokedAtMs?: number;
}

/** A key as it is stored. */
export interface KeyRecord extends Credential {
  readonly role: Role;
  /** For people; absent where there is none. */
  readonly description?: string;
  /** To the minute; absent where it was never used. */
  readonly lastUsedAtMs?: number;
}

/** A portal session as it is stored. */
export interface SessionRecord extends Credential {
  readonly entityId: string;
  readonly expiresAtMs: number;
}

export interface KeyUse {
  readonly id: string;
  readonly atMs: number;
}

export interface KeyStore {
  findKey(id: string): Promise<KeyRecord | undefined>;
  insertKey(record: KeyRecord): Promise<void>;
  /** Whether any key was ever stored: an embedded first start makes one. */
  hasKeys(): Promise<boolean>;
  /** Newest first, by creation, then id. */
  listKeys(tenant: Tenant, page: PageRequest): Promise<Page<KeyRecord>>;
  /** Keys of the tenant that are neither revoked nor expired. */
  countLiveKeys(tenant: Tenant, nowMs: number): Promise<number>;
  /** False where there is none. One that was revoked before keeps its time. */
  revokeKey(tenant: Tenant, id: string, nowMs: number): Promise<boolean>;
  /** A use that is older than what is stored changes nothing, nor does one of a key that is gone. */
  noteKeyUses(uses: readonly KeyUse[]): Promise<void>;
}

export interface SessionStore {
  findSession(id: string): Promise<SessionRecord | undefined>;
  insertSession(record: SessionRecord): Promise<void>;
  /** Newest first, by creation, then id. */
  listSessions(tenant: Tenant, page: PageRequest): Promise<Page<SessionRecord>>;
  /** Sessions of the tenant that are neither revoked nor expired. */
  countLiveSessions(tenant: Tenant, nowMs: number): Promise<number>;
  /** False where there is none. One that was revoked before keeps its time. */
  revokeSession(tenant: Tenant, id: string, nowMs: number): Promise<boolean>;
}

/** A client's certificate that speaks for a key where a call carries nothing else. */
export interface CertificateRecord {
  /** SHA-256 of the certificate (DER), in lower-case hex. */
  readonly fingerprint: string;
  /** The key's. */
  readonly tenant: Tenant;
  /** Empty where it was unbound. */
  readonly keyId: string;
  /** Of one that was unbound: when that was. */
  readonly boundAtMs: number;
}

/**
 * A certificate is bound to one key at most, over all tenants: nothing else says whose a call is that comes with it. Once
 * bound it is its tenant's, also after it was unbound: clients that still show it must never speak for somebody else.
 */
export interface CertificateStore {
  findCertificate(fingerprint: string): Promise<CertificateRecord | undefined>;
  /**
   * What stands now: the record, or the one that was there before, whose key is empty where another tenant unbound it, or
   * its own did so after `provenAtMs` (`boundAtMs` unless given).
   */
  bindCertificate(record: CertificateRecord, provenAtMs?: number): Promise<CertificateRecord>;
  /** Of those keys of the tenant, by time, then fingerprint. */
  listCertificates(tenant: Tenant, keyIds: readonly string[]): Promise<readonly CertificateRecord[]>;
  /** False where the tenant has no such binding to that key. */
  unbindCertificate(tenant: Tenant, keyId: string, fingerprint: string, nowMs: number): Promise<boolean>;
}

/** Somebody changed something, or was refused. No secret, no payload and no personal data is in here. */
export interface AuditRecord {
  readonly id: string;
  /** Who may read it. */
  readonly tenant: Tenant;
  /** Of several that are counted together: of the first. */
  readonly timeMs: number;
  /** A key's or session's id; empty where nobody was told. */
  readonly actor: string;
  /** `<service's full name>/<method>`; empty where refusals of several are counted together. */
  readonly action: string;
  /** The id of what it was about; empty where there is no one thing. */
  readonly target: string;
  /** An IP address or, of IPv6 refusals, a network. */
  readonly peer: string;
  readonly refused: boolean;
  /** Why it was refused (kernel/errors.ts); empty for a change. */
  readonly code: string;
  readonly count: number;
}

export interface AuditFilter {
  readonly actor?: string;
  readonly action?: string;
  readonly target?: string;
  readonly refused?: boolean;
  /** `fromMs` <= time < `toMs`. */
  readonly fromMs?: number;
  readonly toMs?: number;
}

export interface AuditStore {
  /** Durable when it resolves. One that is put again is given its count, so that a put may be repeated. */
  putAudit(records: readonly AuditRecord[]): Promise<void>;
  /** Newest first, by time, then id. A page may be shorter than asked before the last. */
  listAudit(tenant: Tenant, filter: AuditFilter, page: PageRequest): Promise<Page<AuditRecord>>;
}

export interface AccessStore extends KeyStore, SessionStore, CertificateStore, AuditStore {}
