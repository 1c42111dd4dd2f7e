/** The deliveries' rows, read by plain SQL beside the judged code, and what may happen to a row. */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { STATUSES } from "../../src/adapters/sqlite/calls.ts";
import type { DeliveryWrite, FlushBatch } from "../../src/delivery/delivery-store.ts";
import { type DeliveryStatus, isTerminal } from "../../src/domain/delivery.ts";
import type { Effect } from "./network.ts";
import type { World } from "./world.ts";

export interface SeenRow {
  readonly id: string;
  readonly eventId: string;
  readonly subscriptionId: string;
  readonly status: DeliveryStatus;
  readonly run: number;
  readonly fence: number;
  readonly runAttempts: number;
  readonly attemptCount: number;
  readonly workAtMs: number | null;
  readonly foldedInto: string | undefined;
  /** JSON. */
  readonly attempts: string;
  /** The worker that has it under a lease. */
  readonly owner: string | undefined;
}

/** Calls that only look. */
const READS =
  /^(?:known|open|get|list|load|versions|stops|limits|find|replay[A-Z]|unattempted|busy|events|beat|pulses)/;

export class Rows {
  readonly all = new Map<string, SeenRow>();
  readonly #world: World;
  readonly #select: StatementSync;
  readonly #onInsert: (row: SeenRow, by: string) => void;

  constructor(world: World, database: DatabaseSync, onInsert: (row: SeenRow, by: string) => void) {
    this.#world = world;
    this.#onInsert = onInsert;
    this.#select = database.prepare(
      `SELECT id, event_id, subscription_id, status, run, fence, run_attempts, attempt_count, work_at, attempts,
         folded_into
       FROM deliveries ORDER BY rowid`,
    );
  }

  /** Looks at what a call has changed. */
  observe(effect: Effect): void {
    if (READS.test(effect.method)) return;
    let found = 0;
    for (const row of this.#select.iterate()) {
      found++;
      const before = this.all.get(String(row.id));
      const same =
        before !== undefined &&
        STATUSES[Number(row.status)] === before.status &&
        Number(row.fence) === before.fence &&
        Number(row.run) === before.run &&
        Number(row.attempt_count) === before.attemptCount &&
        row.work_at === before.workAtMs;
      if (!same) this.#changed(before, row, effect);
    }
    if (found < this.all.size) this.#world.violated("row gone", `${effect.by} ${effect.method} took a delivery away`);
  }

  runOf(id: string): number {
    return this.all.get(id)?.run ?? 1;
  }

  has(id: string, attemptId: string): boolean {
    return this.all.get(id)?.attempts.includes(attemptId) === true;
  }

  /** Every change of a row's state changes it. */
  stateOf(id: string): string {
    const row = this.all.get(id);
    return row === undefined ? "" : `${row.status}/${row.run}/${row.fence}/${row.workAtMs}`;
  }

  #changed(before: SeenRow | undefined, row: Readonly<Record<string, unknown>>, effect: Effect): void {
    const status = STATUSES[Number(row.status)];
    if (status === undefined) throw new Error(`a delivery in status ${String(row.status)}`);
    const fence = Number(row.fence);
    const isNewClaim = status === "attempting" && (before?.status !== "attempting" || before.fence !== fence);
    const after: SeenRow = {
      id: String(row.id),
      eventId: String(row.event_id),
      subscriptionId: String(row.subscription_id),
      status,
      run: Number(row.run),
      fence,
      runAttempts: Number(row.run_attempts),
      attemptCount: Number(row.attempt_count),
      workAtMs: row.work_at === null ? null : Number(row.work_at),
      foldedInto: row.folded_into === null ? undefined : String(row.folded_into),
      attempts: String(row.attempts),
      owner: isNewClaim ? effect.by : status === "attempting" ? before?.owner : undefined,
    };
    this.all.set(after.id, after);
    this.#world.trace(() => `${effect.by} ${effect.method}: ${after.id} ${text(before)} -> ${text(after)}`);
    if (before === undefined) this.#onInsert(after, effect.by);
    else this.#judge(before, after, effect);
  }

  #judge(before: SeenRow, after: SeenRow, effect: Effect): void {
    const what = `${effect.by} ${effect.method} took ${after.id} from ${text(before)} to ${text(after)}`;
    if (after.run < before.run || after.run > before.run + 1) this.#world.violated("run", what);
    if (after.run === before.run && after.fence < before.fence) this.#world.violated("fence", what);
    if (isTerminal(before.status) && after.run === before.run && after.status !== before.status) {
      this.#world.violated("terminal state", what);
    }
    if (after.run !== before.run && !isTerminal(before.status)) this.#world.violated("run", what);
    const isMoved = after.status !== before.status || after.fence !== before.fence || after.run !== before.run;
    if (effect.method === "flush" && before.status === "attempting" && isMoved) {
      const { deliveries } = effect.args[0] as FlushBatch;
      if (!deliveries.some((write) => mayMove(write, before, effect.by))) this.#world.violated("stale write", what);
    }
  }
}

/** Who has it under this fence decides about it; and anybody's delivery of run 1 stands (protocol, rule 3). */
function mayMove(write: DeliveryWrite, row: SeenRow, by: string): boolean {
  if (write.kind === "first") {
    return write.delivery.id === row.id && write.delivery.status === "delivered" && row.run === 1;
  }
  return write.id === row.id && write.fence === row.fence && write.run === row.run && row.owner === by;
}

function text(row: SeenRow | undefined): string {
  return row === undefined ? "none" : `${row.status} (run ${row.run}, fence ${row.fence})`;
}
