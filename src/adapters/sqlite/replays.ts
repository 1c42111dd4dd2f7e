/** Replays: the jobs, what they go through, and the steps by which they make deliveries due. */
import type { DatabaseSync } from "node:sqlite";
import { LEASE_SKEW_MS } from "../../delivery/lease.ts";
import { REPLAY_CHANGES, type Replay } from "../../delivery/replay.ts";
import { packBytes, Transferring } from "../../kernel/thread-call.ts";
import { DELIVERED, type EventRows, FAILED, WAITING, WORK_CLASSES } from "./calls.ts";
import type { DeliveryTable } from "./deliveries.ts";
import type { EventTable } from "./events.ts";
import type { ReplayCalls } from "./replay-calls.ts";
import { Conditions, Statements, takePage } from "./statements.ts";
import type { Tenants } from "./tenants.ts";

export class ReplayTable {
  readonly #statements: Statements;
  readonly #tenants: Tenants;
  readonly #events: EventTable;
  readonly #deliveries: DeliveryTable;

  constructor(database: DatabaseSync, tenants: Tenants, events: EventTable, deliveries: DeliveryTable) {
    this.#statements = new Statements(database);
    this.#tenants = tenants;
    this.#events = events;
    this.#deliveries = deliveries;
  }

  readonly insertReplay: ReplayCalls["insertReplay"] = ({ tenant, replay, openLimit }) => {
    const number = this.#tenants.ensure(tenant);
    if (this.#countOpen(number) >= openLimit) return false;
    const { id, state, createdAtMs, fence }: Replay = JSON.parse(replay);
    this.#statements
      .get("INSERT INTO replays (tenant, id, state, created_at, fence, document) VALUES (?, ?, ?, ?, ?, ?)")
      .run(number, id, state, createdAtMs, fence, replay);
    return true;
  };

  readonly countOpenReplays: ReplayCalls["countOpenReplays"] = (tenant) => {
    const number = this.#tenants.find(tenant);
    return number === undefined ? 0 : this.#countOpen(number);
  };

  #countOpen(tenant: number): number {
    const row = this.#statements
      .get("SELECT count(*) AS open FROM replays WHERE tenant = ? AND state IN ('running', 'paused')")
      .get(tenant);
    return Number(row?.open);
  }

  readonly getReplay: ReplayCalls["getReplay"] = ({ tenant, id }) => {
    const number = this.#tenants.find(tenant);
    const row = number === undefined ? undefined : this.#read(number, id);
    return row === undefined ? null : JSON.stringify(row);
  };

  readonly listReplays: ReplayCalls["listReplays"] = ({ tenant, size, after }) => {
    const number = this.#tenants.find(tenant);
    if (number === undefined) return { rows: [], more: false };
    const where = new Conditions().add("tenant = ?", number).page("created_at", after);
    const rows = this.#statements
      .get(`SELECT document FROM replays WHERE ${where.sql} ORDER BY created_at DESC, id DESC LIMIT ?`)
      .iterate(...where.values, size + 1);
    const page = takePage(
      rows,
      size,
      ({ document }) => String(document),
      (text) => text.length,
    );
    return { rows: page.items, more: page.more };
  };

  readonly changeReplay: ReplayCalls["changeReplay"] = ({ tenant, id, change, nowMs }) => {
    const number = this.#tenants.find(tenant);
    const replay = number === undefined ? undefined : this.#read(number, id);
    if (number === undefined || replay === undefined) return null;
    const { from, to } = REPLAY_CHANGES[change];
    if (!from.includes(replay.state)) return JSON.stringify(replay);
    const { leaseUntilMs: _lease, ...rest } = replay;
    const finished = to === "cancelled" ? { finishedAtMs: nowMs } : {};
    return this.#write(number, { ...rest, state: to, fence: replay.fence + 1, ...finished });
  };

  readonly takeReplays: ReplayCalls["takeReplays"] = ({ nowMs, leaseMs, limit }) => {
    const rows = this.#statements
      .get(
        `SELECT tenant, id FROM replays
         WHERE state = 'running' AND (lease_until IS NULL OR lease_until NOT BETWEEN ? + 1 AND ?)
         ORDER BY created_at, id LIMIT ?`,
      )
      .all(nowMs, nowMs + leaseMs + LEASE_SKEW_MS, limit);
    return rows.flatMap((row) => {
      const replay = this.#read(Number(row.tenant), String(row.id));
      if (replay === undefined) return [];
      const taken = { ...replay, fence: replay.fence + 1, leaseUntilMs: nowMs + leaseMs };
      return [this.#write(Number(row.tenant), taken)];
    });
  };

  /** Whoever held one is dead. */
  releaseLeases(): void {
    const rows = this.#statements.get("SELECT tenant, id FROM replays WHERE lease_until IS NOT NULL").all();
    for (const { tenant, id } of rows) {
      const replay = this.#read(Number(tenant), String(id));
      if (replay === undefined) continue;
      const { leaseUntilMs: _lease, ...rest } = replay;
      this.#write(Number(tenant), { ...rest, fence: replay.fence + 1 });
    }
  }

  readonly replayProgress: ReplayCalls["replayProgress"] = ({ tenant, id }) => {
    const rows = this.#statements
      .get(
        `SELECT status, count(*) AS count FROM deliveries INDEXED BY deliveries_replay
         WHERE tenant = ? AND replay_id = ? GROUP BY status`,
      )
      .all(this.#tenants.find(tenant) ?? -1, id);
    const counts = new Map(rows.map(({ status, count }) => [Number(status), Number(count)]));
    const open = [...counts].reduce((sum, [status, count]) => (status < DELIVERED ? sum + count : sum), 0);
    return [open, counts.get(DELIVERED) ?? 0, counts.get(FAILED) ?? 0];
  };

  readonly unattempted: ReplayCalls["unattempted"] = ({ tenant, id, limit }) => {
    const row = this.#statements
      .get(
        `SELECT count(*) AS count FROM (SELECT 1 FROM deliveries INDEXED BY deliveries_replay
         WHERE tenant = ? AND replay_id = ? AND status IN (0, 1) AND run_attempts = 0 LIMIT ?)`,
      )
      .get(this.#tenants.find(tenant) ?? -1, id, limit);
    return Number(row?.count);
  };

  readonly busyPasses: ReplayCalls["busyPasses"] = ({ tenant, pairs }) => {
    const openIn = (index: string, those: string) =>
      this.#statements.get(
        `SELECT 1 FROM deliveries INDEXED BY ${index}
         WHERE tenant = ? AND subscription_id = ? AND pass_id = ? AND status < 3 AND ${those} LIMIT 1`,
      );
    const inChain = openIn("deliveries_chain", "sequence IS NOT NULL");
    const replayed = openIn("deliveries_replay_pass", "replay_id IS NOT NULL");
    const number = this.#tenants.find(tenant) ?? -1;
    return pairs.filter(({ subscriptionId, passId }) =>
      [inChain, replayed].some((open) => open.get(number, subscriptionId, passId) !== undefined),
    );
  };

  readonly eventsById = ({ tenant, ids }: Parameters<ReplayCalls["eventsById"]>[0]): Transferring<EventRows> => {
    const number = this.#tenants.find(tenant);
    const found = ids
      .map((id) => (number === undefined ? undefined : this.#events.read(number, id)))
      .filter((event) => event !== undefined);
    const values = packBytes(found.map(([, value]) => value));
    return new Transferring({ rows: found.map(([row]) => row), more: false, values }, [values.buffer]);
  };

  readonly stepReplay: ReplayCalls["stepReplay"] = (step) => {
    const { id, fence, nowMs, due, fresh, skipped, alreadySent, cursor, isAtEnd, deferred, finished } = step;
    const tenant = this.#tenants.find(step.tenant);
    const replay = tenant === undefined ? undefined : this.#read(tenant, id);
    if (tenant === undefined || replay?.fence !== fence || replay.state !== "running") return null;
    let sent = 0;
    for (const row of due) if (this.#makeDue(tenant, row, id, nowMs)) sent += 1;
    for (const row of fresh) {
      const [deliveryId, eventId] = row;
      const isNew = this.#isSendable(tenant, eventId) && this.#deliveries.first(tenant, row);
      if (isNew || this.#makeDue(tenant, deliveryId, id, nowMs)) sent += 1;
    }
    const { cursor: _cursor, leaseUntilMs: _lease, ...rest } = replay;
    return this.#write(tenant, {
      ...rest,
      sent: replay.sent + sent + alreadySent,
      skipped: replay.skipped + skipped + due.length + fresh.length - sent,
      isAtEnd,
      deferred,
      ...(cursor === undefined ? {} : { cursor }),
      ...(finished ? { state: "finished", finishedAtMs: nowMs } : { leaseUntilMs: step.leaseUntilMs }),
    });
  };

  /** A terminal delivery starts its next run. True as well where this replay had it do so already. */
  #makeDue(tenant: number, deliveryId: string, replayId: string, nowMs: number): boolean {
    const row = this.#statements
      .get("SELECT event_id, status, replay_id FROM deliveries WHERE tenant = ? AND id = ?")
      .get(tenant, deliveryId);
    if (row === undefined) return false;
    if (row.replay_id === replayId) return true;
    if (Number(row.status) < DELIVERED || !this.#isSendable(tenant, String(row.event_id))) return false;
    this.#statements
      .get(
        `UPDATE deliveries SET status = ${WAITING}, work_class = ?, work_at = ?, finished_at = NULL, run = run + 1,
           fence = fence + 1, run_attempts = 0, replay_id = ?, folded_into = NULL WHERE tenant = ? AND id = ?`,
      )
      .run(WORK_CLASSES.indexOf("replay"), nowMs, replayId, tenant, deliveryId);
    return true;
  }

  /** Without its event, or what that said, it could only fail. */
  #isSendable(tenant: number, eventId: string): boolean {
    return (
      this.#statements
        .get("SELECT 1 FROM events WHERE tenant = ? AND id = ? AND payload_dropped_at IS NULL")
        .get(tenant, eventId) !== undefined
    );
  }

  #read(tenant: number, id: string): Replay | undefined {
    const row = this.#statements.get("SELECT document FROM replays WHERE tenant = ? AND id = ?").get(tenant, id);
    return row === undefined ? undefined : JSON.parse(String(row.document));
  }

  /** The columns beside the document are those that are searched. */
  #write(tenant: number, replay: Replay): string {
    const document = JSON.stringify(replay);
    this.#statements
      .get(
        "UPDATE replays SET state = ?, fence = ?, lease_until = ?, finished_at = ?, document = ? WHERE tenant = ? AND id = ?",
      )
      .run(
        replay.state,
        replay.fence,
        replay.leaseUntilMs ?? null,
        replay.finishedAtMs ?? null,
        document,
        tenant,
        replay.id,
      );
    return document;
  }
}
