/**
 * How writes of deliveries meet the rows that are there: the rules of `DeliveryWrite` (protocol, rules 3 to 5), of a
 * retry, and of the start after a crash.
 */
import type { DatabaseSync } from "node:sqlite";
import { type Attempt, appendAttempt } from "../../domain/delivery.ts";
import { LIMITS } from "../../kernel/limits.ts";
import {
  ATTEMPTING,
  CANCELLED,
  DELIVERED,
  type DeliveryRow,
  FAILED,
  HELD,
  type OutcomeRow,
  type StoreCalls,
  WAITING,
  WORK_CLASSES,
} from "./calls.ts";
import { type Row, Statements } from "./statements.ts";
import type { Tenants } from "./tenants.ts";

const COLUMN_LIST = [
  "id",
  "event_id",
  "event_type",
  "pass_id",
  "subscription_id",
  "status",
  "work_class",
  "run",
  "fence",
  "run_attempts",
  "attempt_count",
  "work_at",
  "created_at",
  "finished_at",
  "attempts",
  "sequence",
  "replay_id",
  "folded_into",
  "protocol_event",
];

/** In the order of `DeliveryRow`. */
export const DELIVERY_COLUMNS = COLUMN_LIST.join(", ");

const numberOrNull = (value: unknown): number | null => (value === null ? null : Number(value));
const textOrNull = (value: unknown): string | null => (value === null ? null : String(value));

export function readDelivery(row: Row): DeliveryRow {
  return [
    String(row.id),
    String(row.event_id),
    Number(row.event_type),
    String(row.pass_id),
    String(row.subscription_id),
    Number(row.status),
    Number(row.work_class),
    Number(row.run),
    Number(row.fence),
    Number(row.run_attempts),
    Number(row.attempt_count),
    numberOrNull(row.work_at),
    Number(row.created_at),
    numberOrNull(row.finished_at),
    // A claim leaves the attempts where they are.
    typeof row.attempts === "string" ? row.attempts : "[]",
    numberOrNull(row.sequence),
    textOrNull(row.replay_id),
    textOrNull(row.folded_into),
    numberOrNull(row.protocol_event),
  ];
}

/** What a merge looks at. */
interface Known {
  readonly rowid: number;
  readonly status: number;
  readonly run: number;
  readonly fence: number;
  readonly workClass: number;
  readonly runAttempts: number;
  readonly attemptCount: number;
  readonly attempts: readonly Attempt[];
}

interface NextRow {
  readonly status: number;
  readonly workClass: number;
  readonly workAtMs: number | null;
  readonly finishedAtMs: number | null;
  readonly fence: number;
  readonly foldedInto?: string | null;
}

const isTerminal = (status: number): boolean => status >= DELIVERED;

export class DeliveryTable {
  readonly #statements: Statements;
  readonly #tenants: Tenants;

  constructor(database: DatabaseSync, tenants: Tenants) {
    this.#statements = new Statements(database);
    this.#tenants = tenants;
  }

  /** A `first` write: inserts, or merges with the row that is there. Whether its state was taken. */
  first(tenant: number, row: DeliveryRow): boolean {
    const insert = this.#statements.get(
      `INSERT INTO deliveries (tenant, ${DELIVERY_COLUMNS}) VALUES (?${", ?".repeat(COLUMN_LIST.length)})
       ON CONFLICT (tenant, id) DO NOTHING`,
    );
    if (insert.run(tenant, ...row).changes === 1) return true;
    const known = this.#known(tenant, row[0]);
    if (known === undefined) return false;
    const status = row[5];
    const attempts: readonly Attempt[] = JSON.parse(row[14]);
    const delivers = status === DELIVERED && known.run === 1 && !isTerminal(known.status);
    if (!delivers) {
      this.#append(known, attempts);
      return false;
    }
    this.#move(known, attempts, {
      status,
      workClass: row[6],
      workAtMs: row[11],
      finishedAtMs: row[13],
      fence: known.fence + 1,
    });
    return true;
  }

  /** An `outcome` write: for the one who holds the row under this fence and run. Whether its state was taken. */
  outcome(tenant: number, row: OutcomeRow): boolean {
    const [id, fence, run, status, workClass, workAtMs, finishedAtMs, attempt, foldedInto] = row;
    const known = this.#known(tenant, id);
    if (known === undefined) return false;
    const attempts: readonly Attempt[] = attempt === null ? [] : [JSON.parse(attempt)];
    if (known.fence !== fence || known.run !== run || known.status !== ATTEMPTING) {
      this.#append(known, attempts);
      return false;
    }
    const next = { status, workClass: workClass ?? known.workClass, workAtMs, finishedAtMs, fence, foldedInto };
    this.#move(known, attempts, next);
    return true;
  }

  readonly retry: StoreCalls["retry"] = ({ tenant, id, nowMs }) => {
    const number = this.#tenants.find(tenant);
    const known = number === undefined ? undefined : this.#known(number, id);
    if (number === undefined || known === undefined) return null;
    if (known.status === ATTEMPTING) return "attempting";
    if (isTerminal(known.status) && !this.#hasPayload(known.rowid)) return "payloadDropped";
    if (known.status !== HELD) {
      const next = isTerminal(known.status) ? 1 : 0;
      this.#statements
        .get(
          `UPDATE deliveries SET status = ?, work_class = ?, work_at = ?, finished_at = NULL, run = run + ?,
             fence = fence + ?, run_attempts = ?, replay_id = NULL, folded_into = NULL WHERE rowid = ?`,
        )
        .run(WAITING, WORK_CLASSES.indexOf("live"), nowMs, next, next, next === 1 ? 0 : known.runAttempts, known.rowid);
    }
    return this.read(number, id) ?? null;
  };

  readonly cancel: StoreCalls["cancel"] = ({ tenant, id, nowMs }) => {
    const number = this.#tenants.find(tenant);
    const known = number === undefined ? undefined : this.#known(number, id);
    if (number === undefined || known === undefined) return null;
    const isOpen = known.status === WAITING || known.status === HELD;
    if (isOpen) {
      const { workClass, fence } = known;
      this.#move(known, [], { status: CANCELLED, workClass, workAtMs: null, finishedAtMs: nowMs, fence: fence + 1 });
    }
    const row = this.read(number, id);
    return row === undefined ? null : [isOpen, row];
  };

  readonly getDelivery: StoreCalls["getDelivery"] = ({ tenant, id }) => {
    const number = this.#tenants.find(tenant);
    return (number === undefined ? undefined : this.read(number, id)) ?? null;
  };

  read(tenant: number, id: string): DeliveryRow | undefined {
    const row = this.#statements
      .get(`SELECT ${DELIVERY_COLUMNS} FROM deliveries WHERE tenant = ? AND id = ?`)
      .get(tenant, id);
    return row === undefined ? undefined : readDelivery(row);
  }

  readonly knownDeliveries: StoreCalls["knownDeliveries"] = ({ tenant, ids }) => {
    const number = this.#tenants.find(tenant);
    if (number === undefined) return [];
    const rows = this.#statements
      .get(
        "SELECT deliveries.id FROM json_each(?) AS wanted CROSS JOIN deliveries ON tenant = ? AND deliveries.id = wanted.value",
      )
      .all(JSON.stringify(ids), number);
    return rows.map((row) => String(row.id));
  };

  /** Whoever held a lease is dead: all of it is due now, and a write of the dead one would be refused. */
  releaseLeases(nowMs: number): void {
    this.#statements
      .get(
        `UPDATE deliveries SET status = ${WAITING}, work_at = ?, fence = fence + 1
         WHERE status < 2 AND status = ${ATTEMPTING}`,
      )
      .run(nowMs);
  }

  #hasPayload(rowid: number): boolean {
    const found = this.#statements
      .get(
        `SELECT 1 FROM deliveries JOIN events ON events.tenant = deliveries.tenant AND events.id = event_id
         WHERE deliveries.rowid = ? AND payload_dropped_at IS NULL`,
      )
      .get(rowid);
    return found !== undefined;
  }

  /** Ends one that is still held, with an entry in its history that says why; whether it was. */
  endHeld(tenant: number, id: string, nowMs: number, entry: (fence: number) => Attempt): boolean {
    const known = this.#known(tenant, id);
    if (known?.status !== HELD) return false;
    const { workClass, fence } = known;
    const next = { status: FAILED, workClass, workAtMs: null, finishedAtMs: nowMs, fence: fence + 1 };
    this.#move(known, [entry(fence)], next);
    return true;
  }

  /** The event of a due delivery is gone, so it can never be sent: it ends here, with the reason in its history. */
  failWithoutEvent(tenant: number, id: string, status: number, nowMs: number): void {
    const known = this.#known(tenant, id);
    if (known === undefined) return;
    const attempt: Attempt = {
      id: `att_no_event_${known.fence}`,
      startedAtMs: nowMs,
      durationMs: 0,
      errorCode: "event.payload_dropped",
      errorMessage: "the event of this delivery, or its payload, is kept no longer",
    };
    this.#move(known, [attempt], {
      status,
      workClass: known.workClass,
      workAtMs: null,
      finishedAtMs: nowMs,
      fence: known.fence + 1,
    });
  }

  #known(tenant: number, id: string): Known | undefined {
    const row = this.#statements
      .get(
        `SELECT rowid, status, run, fence, work_class, run_attempts, attempt_count, attempts
         FROM deliveries WHERE tenant = ? AND id = ?`,
      )
      .get(tenant, id);
    if (row === undefined) return undefined;
    return {
      rowid: Number(row.rowid),
      status: Number(row.status),
      run: Number(row.run),
      fence: Number(row.fence),
      workClass: Number(row.work_class),
      runAttempts: Number(row.run_attempts),
      attemptCount: Number(row.attempt_count),
      attempts: JSON.parse(String(row.attempts)),
    };
  }

  /** Adds attempts to the history and leaves the state, its place in the retry schedule too, as it is. */
  #append(known: Known, attempts: readonly Attempt[]): void {
    const { history, added } = merged(known.attempts, attempts);
    if (added === 0) return;
    this.#statements
      .get("UPDATE deliveries SET attempt_count = ?, attempts = ? WHERE rowid = ?")
      .run(known.attemptCount + added, JSON.stringify(history), known.rowid);
  }

  #move(known: Known, attempts: readonly Attempt[], next: NextRow): void {
    const { history, added } = merged(known.attempts, attempts);
    this.#statements
      .get(
        `UPDATE deliveries SET status = ?, work_class = ?, work_at = ?, finished_at = ?, fence = ?, run_attempts = ?,
           attempt_count = ?, attempts = ?, folded_into = ? WHERE rowid = ?`,
      )
      .run(
        next.status,
        next.workClass,
        next.workAtMs,
        next.finishedAtMs,
        next.fence,
        known.runAttempts + added,
        known.attemptCount + added,
        JSON.stringify(history),
        next.foldedInto ?? null,
        known.rowid,
      );
  }
}

function merged(
  history: readonly Attempt[],
  attempts: readonly Attempt[],
): { readonly history: readonly Attempt[]; readonly added: number } {
  let all = history;
  let added = 0;
  for (const attempt of attempts) {
    const next = appendAttempt(all, attempt, LIMITS.attemptsKept);
    if (next !== all) added += 1;
    all = next;
  }
  return { history: all, added };
}
