/** Request bins, and what arrived in them. */
import type { DatabaseSync } from "node:sqlite";
import { keptOf } from "../../inspector/bin-store.ts";
import type { BinCalls, BinRow, KeptRequestRow } from "./bin-calls.ts";
import { Conditions, type Row, Statements, takePage } from "./statements.ts";
import type { Tenants } from "./tenants.ts";

/** Arrivals of one look. */
const LOOKED_AT = 1_000;

export class BinTable {
  readonly #statements: Statements;
  readonly #tenants: Tenants;

  constructor(database: DatabaseSync, tenants: Tenants) {
    this.#statements = new Statements(database);
    this.#tenants = tenants;
  }

  readonly insertBin: BinCalls["insertBin"] = ({ row, limit, nowMs }) => {
    const [organisation, environment, ...columns] = row;
    const live = this.#statements
      .get(
        `SELECT count(*) AS n FROM bins JOIN tenants USING (tenant) WHERE tenants.organisation = ? AND expires_at > ?`,
      )
      .get(organisation, nowMs);
    if (Number(live?.n) >= limit) return "limitReached";
    this.#statements
      .get(`INSERT INTO bins (tenant, id, created_at, expires_at, status_code, description) VALUES (?, ?, ?, ?, ?, ?)`)
      .run(this.#tenants.ensure([organisation, environment]), ...columns);
    return "inserted";
  };

  readonly findBin: BinCalls["findBin"] = (id) => {
    const row = this.#statements.get("SELECT * FROM bins WHERE id = ?").get(id);
    return row === undefined ? null : this.#read(row);
  };

  readonly listBins: BinCalls["listBins"] = ({ tenant, nowMs, size, after }) => {
    const number = this.#tenants.find(tenant);
    if (number === undefined) return { rows: [], more: false };
    const where = new Conditions().add("tenant = ?", number).add("expires_at > ?", nowMs).page("created_at", after);
    const rows = this.#statements
      .get(`SELECT * FROM bins WHERE ${where.sql} ORDER BY created_at DESC, id DESC LIMIT ?`)
      .iterate(...where.values, size + 1);
    const { items, more } = takePage(rows, size, this.#read, () => 0);
    return { rows: items, more };
  };

  readonly removeBin: BinCalls["removeBin"] = ({ tenant, id }) => {
    const number = this.#tenants.find(tenant);
    if (number === undefined) return false;
    this.#statements.get("DELETE FROM bin_requests WHERE tenant = ? AND bin = ?").run(number, id);
    return this.#statements.get("DELETE FROM bins WHERE tenant = ? AND id = ?").run(number, id).changes === 1;
  };

  readonly putRequest: BinCalls["putRequest"] = ({ bin, row, keep }) => {
    const number = this.#tenants.find(bin.tenant);
    // Gone meanwhile: nobody could read it.
    if (number === undefined || this.findBin(bin.id) === null) return null;
    const [id, receivedAtMs, sealed] = row;
    this.#statements
      .get(
        `INSERT INTO bin_requests (tenant, bin, id, received_at, expires_at, characters, sealed)
         VALUES (?, ?, ?, ?, ?, ?, ?)`,
      )
      .run(number, bin.id, id, receivedAtMs, bin.expiresAtMs, sealed.length, sealed);
    const rows = this.#statements
      .get(
        `SELECT rowid, characters FROM bin_requests INDEXED BY bin_requests_time WHERE tenant = ? AND bin = ?
         ORDER BY received_at DESC, id DESC`,
      )
      .all(number, bin.id);
    const kept = keptOf(
      rows.map(({ characters }) => Number(characters)),
      keep,
    );
    const remove = this.#statements.get("DELETE FROM bin_requests WHERE rowid = ?");
    for (const { rowid } of rows.slice(kept)) remove.run(Number(rowid));
    return null;
  };

  readonly listRequests: BinCalls["listRequests"] = ({ tenant, id, size, after }) => {
    const number = this.#tenants.find(tenant);
    if (number === undefined) return { rows: [], more: false };
    const where = new Conditions().add("tenant = ?", number).add("bin = ?", id).page("received_at", after);
    const rows = this.#statements
      .get(`SELECT * FROM bin_requests WHERE ${where.sql} ORDER BY received_at DESC, id DESC LIMIT ?`)
      .iterate(...where.values, size + 1);
    const { items, more } = takePage(rows, size, requestRow, ([, , sealed]) => sealed.length);
    return { rows: items, more };
  };

  readonly arrivals: BinCalls["arrivals"] = ({ tenant, id, fromMs }) => {
    const number = this.#tenants.find(tenant);
    if (number === undefined) return [];
    return this.#statements
      .get(
        `SELECT id FROM bin_requests INDEXED BY bin_requests_time WHERE tenant = ? AND bin = ? AND received_at >= ?
         ORDER BY received_at, id LIMIT ${LOOKED_AT}`,
      )
      .all(number, id, fromMs)
      .map((row) => String(row.id));
  };

  readonly readRequests: BinCalls["readRequests"] = ({ tenant, id, ids }) => {
    const number = this.#tenants.find(tenant);
    if (number === undefined) return [];
    return this.#statements
      .get(
        `SELECT * FROM bin_requests WHERE tenant = ? AND bin = ? AND id IN (SELECT value FROM json_each(?))
         ORDER BY received_at, id`,
      )
      .all(number, id, JSON.stringify(ids))
      .map(requestRow);
  };

  readonly #read = (row: Row): BinRow => [
    ...this.#tenants.row(Number(row.tenant)),
    String(row.id),
    Number(row.created_at),
    Number(row.expires_at),
    Number(row.status_code),
    String(row.description),
  ];
}

function requestRow(row: Row): KeptRequestRow {
  return [String(row.id), Number(row.received_at), String(row.sealed)];
}
