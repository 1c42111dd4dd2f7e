/** Events in the store: written once, never changed but for an earlier log time, and a payload that goes early. */
import type { DatabaseSync } from "node:sqlite";
import { isSameContent } from "../../domain/event.ts";
import { packBytes, Transferring } from "../../kernel/thread-call.ts";
import type { EventRow, EventRows, KnownEventRow, ListEvents, StoreCalls } from "./calls.ts";
import { Conditions, type Row, Statements, takePage } from "./statements.ts";
import type { Tenants } from "./tenants.ts";

export type ReadEvent = readonly [event: EventRow, value: Uint8Array];

const COLUMNS = "id, type, pass_id, entity_id, logged_at, content_hash, value, payload_dropped_at";

function readEvent(row: Row): ReadEvent {
  const value = row.value instanceof Uint8Array ? row.value : new Uint8Array();
  return [
    [
      String(row.id),
      Number(row.type),
      String(row.pass_id),
      String(row.entity_id),
      Number(row.logged_at),
      String(row.content_hash),
      value.byteLength,
      row.payload_dropped_at === null ? null : Number(row.payload_dropped_at),
    ],
    value,
  ];
}

function readKnown(row: Row): KnownEventRow {
  return [String(row.content_hash), Number(row.logged_at), row.payload_dropped_at !== null];
}

export class EventTable {
  readonly #statements: Statements;
  readonly #tenants: Tenants;

  constructor(database: DatabaseSync, tenants: Tenants) {
    this.#statements = new Statements(database);
    this.#tenants = tenants;
  }

  /**
   * False where the id is taken by other content. The same content again keeps the row, with the earliest log time, and
   * brings a payload back that was dropped: deliveries that are made of it now need it.
   */
  insert(tenant: number, row: EventRow, value: Uint8Array): boolean {
    const [id, type, passId, entityId, loggedAtMs, contentHash] = row;
    const insert = this.#statements.get(
      `INSERT INTO events (tenant, id, type, pass_id, entity_id, logged_at, content_hash, value)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tenant, id) DO NOTHING`,
    );
    if (insert.run(tenant, id, type, passId, entityId, loggedAtMs, contentHash, value).changes === 1) return true;
    const known = this.#known(tenant, id);
    if (known === undefined || !isSameContent(known[0], contentHash)) return false;
    if (loggedAtMs < known[1]) {
      this.#statements.get("UPDATE events SET logged_at = ? WHERE tenant = ? AND id = ?").run(loggedAtMs, tenant, id);
    }
    if (known[2]) {
      this.#statements
        .get("UPDATE events SET value = ?, payload_dropped_at = NULL WHERE tenant = ? AND id = ?")
        .run(value, tenant, id);
    }
    return true;
  }

  #known(tenant: number, id: string): KnownEventRow | undefined {
    const row = this.#statements
      .get("SELECT content_hash, logged_at, payload_dropped_at FROM events WHERE tenant = ? AND id = ?")
      .get(tenant, id);
    return row === undefined ? undefined : readKnown(row);
  }

  /** One look-up a tenant with all its ids in one JSON list: a third of what a look-up an id costs. */
  readonly knownEvents: StoreCalls["knownEvents"] = (keys) => {
    const idsByTenant = new Map<number, string[]>();
    const tenants = keys.map(({ tenant, id }) => {
      const number = this.#tenants.find(tenant);
      if (number === undefined) return undefined;
      const ids = idsByTenant.get(number);
      if (ids === undefined) idsByTenant.set(number, [id]);
      else ids.push(id);
      return number;
    });
    const found = new Map<number, Map<string, KnownEventRow>>();
    const select = this.#statements.get(
      "SELECT events.id, content_hash, logged_at, payload_dropped_at FROM json_each(?) AS wanted CROSS JOIN events ON tenant = ? AND events.id = wanted.value",
    );
    for (const [tenant, ids] of idsByTenant) {
      const rows = select.all(JSON.stringify(ids), tenant);
      found.set(tenant, new Map(rows.map((row) => [String(row.id), readKnown(row)])));
    }
    return keys.map(({ id }, index) => found.get(tenants[index] ?? -1)?.get(id) ?? null);
  };

  /** The event of a claimed delivery; undefined where it is gone. */
  read(tenant: number, id: string): ReadEvent | undefined {
    const row = this.#statements.get(`SELECT ${COLUMNS} FROM events WHERE tenant = ? AND id = ?`).get(tenant, id);
    return row === undefined ? undefined : readEvent(row);
  }

  readonly getEvent: StoreCalls["getEvent"] = ({ tenant, id }) => {
    const number = this.#tenants.find(tenant);
    return (number === undefined ? undefined : this.read(number, id)) ?? null;
  };

  readonly listEvents = (asked: ListEvents): Transferring<EventRows> => {
    const tenant = this.#tenants.find(asked.tenant);
    if (tenant === undefined) return new Transferring({ rows: [], more: false, values: new Uint8Array() }, []);
    const where = new Conditions()
      .add("tenant = ?", tenant)
      .add("pass_id = ?", asked.passId)
      .add("entity_id = ?", asked.entityId)
      .add("type = ?", asked.type)
      .span("logged_at", asked.fromMs, asked.toMs)
      .page("logged_at", asked.after);
    const index = asked.passId === undefined ? "events_time" : "events_pass";
    const rows = this.#statements
      .get(
        `SELECT ${COLUMNS} FROM events INDEXED BY ${index} WHERE ${where.sql} ORDER BY logged_at DESC, id DESC LIMIT ?`,
      )
      .iterate(...where.values, asked.size + 1);
    const page = takePage(rows, asked.size, readEvent, ([, value]) => value.byteLength);
    const values = packBytes(page.items.map(([, value]) => value));
    return new Transferring({ rows: page.items.map(([row]) => row), more: page.more, values }, [values.buffer]);
  };
}
