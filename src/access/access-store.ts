import type { Tenant } from "../kernel/tenant.ts";

/** What a key may do; each includes what the table in access/roles.ts says. */
export type Role = "admin" | "operator" | "publisher" | "subscriber" | "viewer";

/** A key as it is stored: never its text. */
export interface KeyRecord {
  readonly id: string;
  readonly tenant: Tenant;
  readonly role: Role;
  /** SHA-256 of the key's whole text, in base64url. */
  readonly hash: string;
  readonly createdAtMs: number;
  readonly expiresAtMs?: number;
  readonly revokedAtMs?: number;
}

export interface AccessStore {
  findKey(id: string): Promise<KeyRecord | undefined>;
  insertKey(record: KeyRecord): Promise<void>;
  /** Whether any key was ever stored: an embedded first start makes one. */
  hasKeys(): Promise<boolean>;
}
