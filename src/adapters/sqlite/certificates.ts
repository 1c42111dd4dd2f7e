import type { DatabaseSync } from "node:sqlite";
import type { AccessCalls, CertificateRow } from "./access-calls.ts";
import { type Row, Statements } from "./statements.ts";
import type { Tenants } from "./tenants.ts";

/** Which certificates speak for which keys. */
export class CertificateTable {
  readonly #statements: Statements;
  readonly #tenants: Tenants;

  constructor(database: DatabaseSync, tenants: Tenants) {
    this.#statements = new Statements(database);
    this.#tenants = tenants;
  }

  readonly findCertificate: AccessCalls["findCertificate"] = (fingerprint) => {
    const row = this.#statements.get("SELECT * FROM key_certificates WHERE fingerprint = ?").get(fingerprint);
    return row === undefined ? null : this.#read(row);
  };

  readonly bindCertificate: AccessCalls["bindCertificate"] = (row) => {
    const [organisation, environment, ...columns] = row;
    this.#statements
      .get(
        `INSERT INTO key_certificates (tenant, fingerprint, key_id, bound_at) VALUES (?, ?, ?, ?)
         ON CONFLICT (fingerprint) DO NOTHING`,
      )
      .run(this.#tenants.ensure([organisation, environment]), ...columns);
    return this.findCertificate(row[2]) ?? row;
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

  readonly unbindCertificate: AccessCalls["unbindCertificate"] = ({ tenant, keyId, fingerprint }) => {
    const number = this.#tenants.find(tenant);
    if (number === undefined) return false;
    const sql = "DELETE FROM key_certificates WHERE fingerprint = ? AND tenant = ? AND key_id = ?";
    return this.#statements.get(sql).run(fingerprint, number, keyId).changes === 1;
  };

  readonly #read = (row: Row): CertificateRow => [
    ...this.#tenants.row(Number(row.tenant)),
    String(row.fingerprint),
    String(row.key_id),
    Number(row.bound_at),
  ];
}
