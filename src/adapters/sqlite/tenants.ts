import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { TenantRow } from "./calls.ts";

/** Tenants that are remembered before all are forgotten: memory follows what is hot. */
const REMEMBERED = 10_000;

/** The numbers of tenants, remembered. Numbers are never given twice and tenants never removed. */
export class Tenants {
  readonly #select: StatementSync;
  readonly #insert: StatementSync;
  readonly #selectRow: StatementSync;
  readonly #numbers = new Map<string, number>();
  readonly #rows = new Map<number, TenantRow>();

  constructor(database: DatabaseSync) {
    this.#select = database.prepare("SELECT tenant FROM tenants WHERE organisation = ? AND environment = ?");
    this.#insert = database.prepare("INSERT INTO tenants (organisation, environment) VALUES (?, ?) RETURNING tenant");
    this.#selectRow = database.prepare("SELECT organisation, environment FROM tenants WHERE tenant = ?");
  }

  /** Undefined where nothing was ever stored for the tenant. */
  find(tenant: TenantRow): number | undefined {
    const name = `${tenant[0]}/${tenant[1]}`;
    const known = this.#numbers.get(name);
    if (known !== undefined) return known;
    const row = this.#select.get(tenant[0], tenant[1]);
    return row === undefined ? undefined : this.#remember(name, tenant, Number(row.tenant));
  }

  /** Gives the tenant a number if it has none. Inside a transaction only. */
  ensure(tenant: TenantRow): number {
    const found = this.find(tenant);
    if (found !== undefined) return found;
    const row = this.#insert.get(tenant[0], tenant[1]);
    return this.#remember(`${tenant[0]}/${tenant[1]}`, tenant, Number(row?.tenant));
  }

  /** The tenant of a number that a row carries. */
  row(number: number): TenantRow {
    const known = this.#rows.get(number);
    if (known !== undefined) return known;
    const row = this.#selectRow.get(number);
    const tenant: TenantRow = [String(row?.organisation), String(row?.environment)];
    this.#remember(`${tenant[0]}/${tenant[1]}`, tenant, number);
    return tenant;
  }

  /** After a rollback a number may belong to nobody. */
  forget(): void {
    this.#numbers.clear();
    this.#rows.clear();
  }

  #remember(name: string, tenant: TenantRow, number: number): number {
    if (this.#rows.size >= REMEMBERED) this.forget();
    this.#numbers.set(name, number);
    this.#rows.set(number, tenant);
    return number;
  }
}
