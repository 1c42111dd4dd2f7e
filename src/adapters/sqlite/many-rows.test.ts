/** Calls over more rows than one of them may look at: whoever holds up the store's thread holds up everybody. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DatabaseSync, SQLInputValue } from "node:sqlite";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { ErasureRequest, ErasureStep } from "../../delivery/erasure.ts";
import { BACKLOG_COUNTED } from "../../delivery/stats-store.ts";
import {
  type CursorRow,
  DELIVERED,
  FAILED,
  type ListDeliveries,
  type ListedDeliveries,
  type TurnBackStep,
  type TurnedBack,
  WAITING,
  type WaitingPlace,
} from "./calls.ts";
import { openStore } from "./schema.ts";
import { type StoreService, storeService } from "./service.ts";

let directory: string;
let database: DatabaseSync;
let service: StoreService;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "passbus-many-"));
  database = openStore(directory);
  database.exec("PRAGMA synchronous = OFF");
  database.exec("INSERT INTO tenants (tenant, organisation, environment) VALUES (1, 'acme', 'production')");
  service = storeService(database);
});
afterEach(() => {
  service.close();
  rmSync(directory, { recursive: true });
});

const tenant = ["acme", "production"] as const;

/** Rows from `first` to `last`. A value is SQL, in which `i` is the row's number. */
function fill(
  table: string,
  [first, last]: readonly [number, number],
  row: Readonly<Record<string, SQLInputValue>>,
): void {
  database.exec(`
    WITH RECURSIVE numbers(i) AS (SELECT ${first} UNION ALL SELECT i + 1 FROM numbers WHERE i < ${last})
    INSERT INTO ${table} (${Object.keys(row).join()}) SELECT ${Object.values(row).join()} FROM numbers`);
}

const DELIVERY = {
  ...{ tenant: 1, id: "printf('dlv_%06d', i)", event_id: "'evt_' || i", event_type: 1, pass_id: "'p' || i" },
  ...{
    subscription_id: "'sub_b'",
    status: WAITING,
    work_class: 0,
    run: 1,
    fence: 0,
    run_attempts: 0,
    attempt_count: 0,
  },
  ...{ work_at: "NULL", created_at: "i", finished_at: "NULL", attempts: "'[]'" },
};

test("the oldest of a backlog is the oldest, though more are due than are counted", async () => {
  fill("deliveries", [1, BACKLOG_COUNTED], { ...DELIVERY, work_at: 2_000 });
  fill("deliveries", [BACKLOG_COUNTED + 1, BACKLOG_COUNTED + 2], {
    ...DELIVERY,
    subscription_id: "'sub_c'",
    work_at: `i - ${BACKLOG_COUNTED}`,
  });
  const backlog = { waiting: BACKLOG_COUNTED, attempting: 0, held: 0, due: BACKLOG_COUNTED, oldestDueAtMs: 1 };
  expect(await service.handlers.backlog({ tenant, nowMs: 2_000 })).toEqual(backlog);
});

/** What a list gives, and how many rows each of its pages holds. */
async function listed(filter: Partial<ListDeliveries>): Promise<{ ids: string[]; pages: number[] }> {
  const [ids, pages]: [string[], number[]] = [[], []];
  let after: CursorRow | null = null;
  do {
    const asked: ListDeliveries = { tenant, ...filter, size: 50, ...(after !== null && { after }) };
    const page = (await service.handlers.listDeliveries(asked)) as ListedDeliveries;
    ids.push(...page.rows.map(([id]) => id));
    pages.push(page.rows.length);
    after = page.at;
  } while (after !== null);
  return { ids, pages };
}

test("a list of what few are has short pages, each of so many rows looked at, and misses none", async () => {
  const ended = { ...DELIVERY, finished_at: "i", created_at: "i / 4" };
  fill("deliveries", [1, 1], { ...ended, status: DELIVERED });
  fill("deliveries", [2, 12_000], { ...ended, status: FAILED });
  fill("deliveries", [12_001, 12_010], { ...ended, status: FAILED, event_type: 7 });
  fill("deliveries", [12_011, 12_020], { ...ended, status: DELIVERED });
  const fits = (last: number) => Array.from({ length: 10 }, (_, at) => `dlv_0${last - at}`);
  for (const of of [{}, { subscriptionId: "sub_b" }]) {
    const delivered = await listed({ ...of, status: DELIVERED });
    expect(delivered).toEqual({ ids: [...fits(12_020), "dlv_000001"], pages: [10, 0, 1] });
    const failed = await listed({ ...of, status: FAILED, type: 7 });
    expect(failed).toEqual({ ids: fits(12_010), pages: [10, 0, 0] });
    // The index says of which type the event is.
    expect(await listed({ ...of, type: 7 })).toEqual({ ids: fits(12_010), pages: [10] });
  }
  expect((await listed({ subscriptionId: "sub_c", status: DELIVERED })).pages).toEqual([0]);
});

const DEAD_LETTER = {
  ...{
    tenant: 1,
    id: "printf('dead_%06d', i)",
    topic: "'t'",
    partition: 0,
    '"offset"': "i",
    reason: "'event.invalid'",
  },
  ...{ message: "'m'", appended_at: "i", key: "NULL", value: "x'00'", headers: "'{}'", truncated: 0 },
};

const erase = async (request: ErasureRequest) => (await service.handlers.erase(request)) as ErasureStep;

test.each([
  ["many", [1, 2_000], 1, 500],
  ["large", [1, 20], 1024 * 1024, 4],
] as const)(
  "an erasure's step looks through so many dead letters where they are %s",
  async (_what, rows, bytes, looked) => {
    fill("dead_letters", rows, { ...DEAD_LETTER, value: `zeroblob(${bytes})` });
    const target = {
      kind: "pass",
      tenant: { organisation: "acme", environment: "production" },
      passId: "pass-00001",
    } as const;
    const request = { target, beforeMs: 1e6, madeAtMs: 1e6, limit: 500 };
    const first = await erase(request);
    expect(first).toMatchObject({ deadLetters: 0, more: true, lettersAt: { timeMs: looked } });
    const next = await erase({ ...request, ...(first.lettersAt && { lettersAfter: first.lettersAt }) });
    expect(next).toMatchObject({ more: true, lettersAt: { timeMs: 2 * looked } });
  },
);

test("after a clock was set back what waits is brought nearer step by step, each once, and what is written meanwhile is not", async () => {
  database.exec("INSERT INTO tenants (tenant, organisation, environment) VALUES (2, 'globex', 'production')");
  const ahead = { ...DELIVERY, work_at: "100000 + i", created_at: "i / 4" };
  fill("deliveries", [1, 2_500], ahead);
  fill("deliveries", [2_501, 3_000], { ...ahead, tenant: 2 });
  fill("deliveries", [3_001, 3_002], { ...ahead, status: FAILED });
  fill("deliveries", [3_003, 3_003], { ...ahead, work_at: 5 });
  const moved: number[] = [];
  let after: WaitingPlace | null = null;
  do {
    const request: TurnBackStep = { nowMs: 10, byMs: 60_000, ...(after !== null && { after }) };
    const step = (await service.handlers.turnBack(request)) as TurnedBack;
    if (after === null) fill("deliveries", [3_004, 3_004], { ...ahead, tenant: 2 });
    moved.push(step.moved);
    after = step.at;
  } while (after !== null);
  expect(moved).toEqual([1_000, 1_000, 999, 1]);
  const at = database.prepare("SELECT rowid AS i, work_at FROM deliveries WHERE status = ? ORDER BY 1").all(WAITING);
  const dueAt = (i: number) => (i <= 3_000 ? 40_000 + i : i === 3_003 ? 5 : 100_000 + i);
  expect(at.map(({ work_at }) => work_at)).toEqual(at.map(({ i }) => dueAt(Number(i))));
});
