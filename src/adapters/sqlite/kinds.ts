/**
 * Which ids of a kind have changed, for each who watches. As in changes.ts the store's thread remembers them, by triggers
 * that are there only while somebody watches the kind. Another process beside the server (`passbus keys create`) writes
 * through a connection of its own, which fires none of them: SQLite says that there was one, and then all may be new.
 */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { CHANGED_IDS, type ChangeKind } from "../../delivery/kind-feed.ts";
import { CodedError } from "../../kernel/errors.ts";
import type { KindCalls } from "./kind-calls.ts";

interface Reader {
  readonly tenant: number;
  readonly kind: ChangeKind;
  readonly ids: Set<string>;
  more: boolean;
  dataVersion: number;
}

interface Source {
  readonly table: string;
  readonly id: string;
  /** The tenant's number, where the row has none: of the rows of `tenants` that fit. `R` is the row. */
  readonly tenants?: string;
  /** After which writes; left out: after all. */
  readonly after?: readonly string[];
}

const MADE_OR_COUNTED = ["INSERT", "UPDATE"];

const SOURCES: Readonly<Record<ChangeKind, readonly Source[]>> = {
  subscriptions: [{ table: "subscriptions", id: "id" }],
  health: [{ table: "endpoints", id: "subscription_id" }],
  statistics: [{ table: "delivery_stats", id: "id", after: MADE_OR_COUNTED }],
  replays: [{ table: "replays", id: "id" }],
  deadLetters: [{ table: "dead_letters", id: "id" }],
  bins: [{ table: "bins", id: "id" }],
  keys: [
    {
      table: "keys",
      id: "id",
      tenants: "organisation = R.organisation AND environment = R.environment",
      after: ["INSERT", "UPDATE OF role, expires_at, revoked_at, description", "DELETE"],
    },
    { table: "key_certificates", id: "key_id" },
  ],
  portalSessions: [{ table: "portal_sessions", id: "id" }],
  auditRecords: [{ table: "audit_records", id: "id", after: MADE_OR_COUNTED }],
  limits: [{ table: "organisations", id: "organisation", tenants: "organisation = R.organisation" }],
  switches: [{ table: "delivery_stops", id: "organisation", tenants: "R.organisation IN ('', tenants.organisation)" }],
};

interface Trigger {
  readonly name: string;
  readonly sql: string;
}

function triggersOf(kind: ChangeKind): readonly Trigger[] {
  return SOURCES[kind].flatMap(({ table, id, tenants, after = ["INSERT", "UPDATE", "DELETE"] }) =>
    after.map((write) => {
      const row = write === "DELETE" ? "OLD" : "NEW";
      const noted = (tenant: string) => `SELECT note_kind('${kind}', ${tenant}, ${row}.${id})`;
      const body =
        tenants === undefined
          ? noted(`${row}.tenant`)
          : `${noted("tenants.tenant")} FROM tenants WHERE ${tenants.replaceAll("R.", `${row}.`)}`;
      const name = `watch_${table}_${write.slice(0, 6).toLowerCase()}`;
      return { name, sql: `CREATE TEMP TRIGGER ${name} AFTER ${write} ON main.${table} BEGIN ${body}; END` };
    }),
  );
}

export class KindTable {
  readonly #database: DatabaseSync;
  readonly #readers = new Map<number, Reader>();
  /** The same, by what they watch: a write must not cost more where many other tenants are watched. */
  readonly #watching = new Map<ChangeKind, Map<number, Set<Reader>>>();
  readonly #version: StatementSync;
  #lastReader = 0;

  constructor(database: DatabaseSync) {
    this.#database = database;
    this.#version = database.prepare("PRAGMA data_version");
    database.function("note_kind", (kind, tenant, id) => {
      this.#note(kind as ChangeKind, Number(tenant), String(id));
      return null;
    });
  }

  /** Not inside a transaction: what is rolled back with it would be gone. */
  open(tenant: number, kind: ChangeKind): number {
    if (!this.#watching.has(kind)) for (const { sql } of triggersOf(kind)) this.#database.exec(sql);
    this.#lastReader += 1;
    const reader = { tenant, kind, ids: new Set<string>(), more: false, dataVersion: this.#dataVersion() };
    this.#readers.set(this.#lastReader, reader);
    const tenants = this.#watching.get(kind) ?? new Map<number, Set<Reader>>();
    this.#watching.set(kind, tenants.set(tenant, (tenants.get(tenant) ?? new Set()).add(reader)));
    return this.#lastReader;
  }

  readonly unwatchKind: KindCalls["unwatchKind"] = (number) => {
    const reader = this.#readers.get(number);
    if (reader === undefined) return null;
    this.#readers.delete(number);
    const { kind, tenant } = reader;
    const tenants = this.#watching.get(kind);
    const left = tenants?.get(tenant);
    left?.delete(reader);
    if (left?.size === 0) tenants?.delete(tenant);
    if (tenants === undefined || tenants.size > 0) return null;
    this.#watching.delete(kind);
    for (const { name } of triggersOf(kind)) this.#database.exec(`DROP TRIGGER temp.${name}`);
    return null;
  };

  readonly changedIds: KindCalls["changedIds"] = (number) => {
    const reader = this.#readers.get(number);
    if (reader === undefined) throw new CodedError("internal", `nobody watches as ${number}`);
    const dataVersion = this.#dataVersion();
    const more = reader.more || dataVersion !== reader.dataVersion;
    const ids = [...reader.ids];
    reader.ids.clear();
    reader.more = false;
    reader.dataVersion = dataVersion;
    return { ids, more };
  };

  /** Another number after another connection's commit, and after none of this one's. */
  #dataVersion(): number {
    return Number(this.#version.get()?.data_version);
  }

  /** Called from within a write, which it must not fail. */
  #note(kind: ChangeKind, tenant: number, id: string): void {
    for (const reader of this.#watching.get(kind)?.get(tenant) ?? []) {
      if (reader.ids.size < CHANGED_IDS) reader.ids.add(id);
      else if (!reader.ids.has(id)) reader.more = true;
    }
  }
}
