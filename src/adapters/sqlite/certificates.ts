import type { DatabaseSync } from "node:sqlite";
import type { AccessCalls, CertificateRow } from "./access-calls.ts";
import { type Row, Statements } from "./statements.ts";
import type { Tenants } from "./tenants.ts";

/** Which certificates speak for which keys. One that was unbound stays its tenant's, with an empty key and the time of that. */
export class CertificateTable {
  readonly #statements: Statements;
  readonly #tenants: Tenants;

  constructor(database: DatabaseSync, tenants: Tenants) {
    this.#statements = new Statements(database);
    this.#tenants = tenants;
  }

  readonly findCertificate: AccessCalls["findCertificate"] = (fingerprint) => {
    const row = this.#reserved(fingerprint);
    return row?.[3] === "" ? null : row;
  };

  readonly bindCertificate: AccessCalls["bindCertificate"] = ({ row, provenAtMs }) => {
    const [organisation, environment, ...columns] = row;
    this.#statements
      .get(
        `INSERT INTO key_certificates (tenant, fingerprint, key_id, bound_at) VALUES (?, ?, ?, ?)
         ON CONFLICT (fingerprint) DO UPDATE SET key_id = excluded.key_id, bound_at = excluded.bound_at
         WHERE key_id = '' AND tenant = excluded.tenant AND bound_at <= ?`,
      )
      .run(this.#tenants.ensure([organisation, environment]), ...columns, provenAtMs);
    return this.#reserved(row[2]) ?? row;
  };

  readonly listCertificates: AccessCalls["listCertificates"] = ({ tenant, keyIds }) => {
    const number = this.#tenants.find(tenant);
    if (number === undefined) return [];
    return this.#statements
      .get(
        `SELECT * FROM key_certificates WHERE tenant = ? AND key_id IN (SELECT value FROM json_each(?))
         ORDER BY bound_at, fingerprint`,
      )
      .all(number, JSON.stringify(keyIds))
      .map(this.#read);
  };

  readonly unbindCertificate: AccessCalls["unbindCertificate"] = ({ tenant, keyId, fingerprint, nowMs }) => {
    const number = this.#tenants.find(tenant);
    if (number === undefined) return false;
    const sql = `UPDATE key_certificates SET key_id = '', bound_at = ?
      WHERE fingerprint = ? AND tenant = ? AND key_id = ?`;
    return this.#statements.get(sql).run(nowMs, fingerprint, number, keyId).changes === 1;
  };

  /** Whose it is, also where no key has it now. */
  #reserved(fingerprint: string): CertificateRow | null {
    const row = this.#statements.get("SELECT * FROM key_certificates WHERE fingerprint = ?").get(fingerprint);
    return row === undefined ? null : this.#read(row);
  }

  readonly #read = (row: Row): CertificateRow => [
    ...this.#tenants.row(Number(row.tenant)),
    String(row.fingerprint),
    String(row.key_id),
    Number(row.bound_at),
  ];
}
