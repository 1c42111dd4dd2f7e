import { afterEach, expect, it } from "vitest";
import { type LogPage, type LogRow, LogRows } from "./log-rows.ts";

interface Row extends LogRow {
  readonly state: string;
}

const PAGE_ROWS = 100;
const row = (atMs: number, state = "new"): Row => ({ id: `row_${atMs}`, atMs, state });

/** A server with rows 1 to `count`; a token is the time of the page's first row. */
class Server {
  rows: Row[];
  failing = false;
  readonly asked: string[] = [];
  /** Answers wait for it, where it is set. */
  gate: Promise<void> | undefined;

  constructor(count: number) {
    this.rows = Array.from({ length: count }, (_, at) => row(count - at));
  }

  readonly list = async (token: string): Promise<LogPage<Row>> => {
    this.asked.push(token);
    await this.gate;
    if (this.failing) throw new Error("the server is away");
    const left = this.rows.filter(({ atMs }) => token === "" || atMs <= Number(token));
    const next = left[PAGE_ROWS];
    return { rows: left.slice(0, PAGE_ROWS), next: next === undefined ? "" : String(next.atMs) };
  };
}

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

function logOf(server: Server, accepts: (row: Row) => boolean = () => true): LogRows<Row> {
  const log = new LogRows<Row>({ list: server.list, accepts });
  ends.push(log.start());
  return log;
}

/** Resolves when the log is as it should be; the test's own limit ends one that never is. */
function until(log: LogRows<Row>, holds: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const look = () => holds() && resolve();
    log.subscribe(look);
    look();
  });
}

it("reads on only when the end comes into view", async () => {
  const server = new Server(1_000);
  const log = logOf(server);
  await until(log, () => log.length === 200);
  expect(server.asked).toEqual(["", "900"]);
  log.want(90, 130);
  await until(log, () => log.length === 300);
  expect([log.hasMore, log.rowAt(0)?.id, log.rowAt(299)?.id]).toEqual([true, "row_1000", "row_701"]);
});

it("reads past pages that are empty, which are not the end", async () => {
  const server = new Server(50);
  const empty: Record<string, string> = { "": "a", a: "b", b: "50" };
  const list = async (token: string) => {
    const next = empty[token];
    return next === undefined ? server.list(token) : { rows: [], next };
  };
  const log = new LogRows<Row>({ list, accepts: () => true });
  ends.push(log.start());
  await until(log, () => !log.isFirst);
  expect([log.length, log.rowAt(0)?.id, log.hasMore]).toEqual([50, "row_50", false]);
  log.catchUp(() => false);
  await until(log, () => server.asked.length === 2);
  expect([log.length, log.hasMissed]).toEqual([50, false]);
});

it("holds 4,000 rows of however many, and reads those that it let go again when they come into view", async () => {
  const server = new Server(10_000);
  const log = logOf(server);
  for (let known = 200; known < 10_000; known += 100) {
    await until(log, () => log.length >= known);
    log.want(known - 20, known - 1);
  }
  await until(log, () => log.length === 10_000);
  expect(log.heldCount).toBe(4_000);
  expect(log.rowAt(150)).toBeUndefined();
  log.want(140, 160);
  await until(log, () => log.rowAt(150) !== undefined);
  expect([log.rowAt(150)?.id, log.heldCount, log.length]).toEqual(["row_9850", 4_000, 10_000]);
});

it("never lets the first page go: no page says where it began, and what is new is what is newer than it", async () => {
  const server = new Server(10_000);
  const log = logOf(server);
  for (let known = 200; known < 6_000; known += 100) {
    await until(log, () => log.length >= known);
    log.want(known - 20, known - 1);
  }
  server.rows = [...Array.from({ length: 500 }, (_, at) => row(10_500 - at)), ...server.rows];
  log.tell([row(9_850, "changed"), row(10_500)], false);
  expect([log.rowAt(0)?.id, log.rowAt(99)?.id, log.unseen]).toEqual(["row_10000", "row_9901", 1]);
});

it("shows what is new at the top, and a change where the row stands", async () => {
  const log = logOf(new Server(50));
  await until(log, () => log.length === 50);
  log.tell([row(51), row(30, "changed"), row(51, "again")], true);
  expect([log.length, log.rowAt(0), log.rowAt(21)]).toEqual([51, row(51, "again"), row(30, "changed")]);
});

it("counts what is new, once each, while the reader is elsewhere, and shows it on demand", async () => {
  const server = new Server(50);
  const log = logOf(server);
  await until(log, () => log.length === 50);
  log.tell([row(51), row(52), row(51, "again")], false);
  expect([log.length, log.unseen]).toEqual([50, 2]);
  server.rows.unshift(row(52), row(51));
  log.reset();
  await until(log, () => log.length === 52);
  expect([log.unseen, log.rowAt(0)?.id]).toEqual([0, "row_52"]);
});

it("drops a row that fits the filters no longer, and takes it back to its place", async () => {
  const log = logOf(new Server(50), ({ state }) => state === "new");
  await until(log, () => log.length === 50);
  log.tell([row(30, "other"), row(60, "other")], true);
  expect(log.rows().map(({ id }) => id)).not.toContain("row_30");
  log.tell([row(30)], true);
  expect([log.length, log.rowAt(20)?.id]).toEqual([50, "row_30"]);
});

it("says that something may be new where it was not told, and reads it on demand or by itself", async () => {
  const server = new Server(50);
  const log = logOf(server);
  await until(log, () => log.length === 50);
  server.rows.unshift(row(51));
  log.missed(() => false);
  expect([log.length, log.hasMissed]).toEqual([50, true]);
  log.reset();
  await until(log, () => log.length === 51);
  server.rows.unshift(row(52));
  log.missed(() => true);
  await until(log, () => log.length === 52);
  expect(log.hasMissed).toBe(false);
});

it("shows what came before anybody told of it, from the top where it is followed", async () => {
  const server = new Server(300);
  const log = logOf(server);
  await until(log, () => log.length === 200);
  const shown = Promise.withResolvers<void>();
  log.onTop(shown.resolve);
  server.rows = [row(301), row(300, "changed"), ...server.rows.slice(1, 150), row(149, "changed")];
  log.catchUp(() => true);
  await shown.promise;
  await until(log, () => log.length === 152);
  expect([log.rowAt(0), log.rowAt(1), log.rowAt(151)]).toEqual([row(301), row(300, "changed"), row(149, "changed")]);
  expect([log.unseen, log.hasMissed]).toEqual([0, false]);
});

it.each([
  ["catchUp", false],
  ["missed", true],
] as const)("moves nothing where it is not followed any more when that has come (%s)", async (how, hasMissed) => {
  const server = new Server(300);
  const log = logOf(server);
  await until(log, () => log.length === 200);
  const gate = Promise.withResolvers<void>();
  server.gate = gate.promise;
  server.rows = [row(302), row(301), row(300, "changed"), row(299, "changed"), ...server.rows.slice(2)];
  let follows = true;
  log[how](() => follows);
  follows = false;
  log.onTop(() => expect.unreachable());
  // Later than what is under way, though it comes first.
  log.tell([row(299, "told"), row(302, "told"), row(303, "told")], false);
  gate.resolve();
  await until(log, () => log.rowAt(0)?.state === "changed");
  expect([log.length, log.rowAt(0), log.rowAt(1)]).toEqual([200, row(300, "changed"), row(299, "told")]);
  expect([log.unseen, log.hasMissed]).toEqual([3, hasMissed]);
});

it("says so where there is more between what came and what it shows than it read", async () => {
  const server = new Server(50);
  const log = logOf(server);
  await until(log, () => log.length === 50);
  server.rows = Array.from({ length: 400 }, (_, at) => row(400 - at));
  log.catchUp(() => false);
  await until(log, () => log.hasMissed);
  expect([log.length, log.unseen]).toEqual([50, 100]);
});

it("prefers what it was told to a page that was under way", async () => {
  const server = new Server(50);
  const gate = Promise.withResolvers<void>();
  server.gate = gate.promise;
  const log = logOf(server);
  log.tell([row(30, "told")], true);
  gate.resolve();
  await until(log, () => log.length === 50);
  expect(log.rowAt(20)).toEqual(row(30, "told"));
});

it("reads the top again where more is new than it holds", async () => {
  const server = new Server(50);
  const log = logOf(server);
  await until(log, () => log.length === 50);
  const fresh = Array.from({ length: 500 }, (_, at) => row(51 + at));
  server.rows.unshift(...fresh.toReversed());
  log.tell(fresh, true);
  await until(log, () => log.rowAt(0)?.id === "row_550" && log.length <= 200);
  expect(server.asked.filter((token) => token === "")).toHaveLength(2);
});

it("keeps what it has when a page fails, and goes on when asked to", async () => {
  const server = new Server(1_000);
  const log = logOf(server);
  await until(log, () => log.length === 200);
  server.failing = true;
  log.want(180, 199);
  await until(log, () => log.error !== undefined);
  expect(log.length).toBe(200);
  server.failing = false;
  log.retry();
  await until(log, () => log.length === 300);
});

it("begins anew after it was ended in the middle of its first page", async () => {
  const server = new Server(50);
  const log = new LogRows<Row>({ list: server.list, accepts: () => true });
  log.start()();
  ends.push(log.start());
  await until(log, () => log.length === 50);
});
