import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { WriteQueue } from "./write-queue.ts";

describe("group commit", () => {
  let database: DatabaseSync;
  const statements: string[] = [];
  beforeEach(() => {
    database = new DatabaseSync(":memory:");
    database.exec("CREATE TABLE t (n INTEGER UNIQUE)");
    statements.length = 0;
    const exec = database.exec.bind(database);
    database.exec = (sql) => {
      statements.push(sql);
      exec(sql);
    };
  });
  afterEach(() => database.close());

  const insert = (queue: WriteQueue, n: number, rows = 1) =>
    queue.add(rows, () => {
      database.prepare("INSERT INTO t VALUES (?)").run(n);
      return n;
    });
  const numbers = () =>
    database
      .prepare("SELECT n FROM t ORDER BY n")
      .all()
      .map((row) => row.n);
  const commits = () => statements.filter((sql) => sql === "COMMIT").length;

  test("writes that come together share one transaction", async () => {
    const queue = new WriteQueue(database, () => {});
    expect(await Promise.all([1, 2, 3].map((n) => insert(queue, n)))).toEqual([1, 2, 3]);
    expect([commits(), numbers()]).toEqual([1, [1, 2, 3]]);
    await insert(queue, 4);
    expect([commits(), numbers()]).toEqual([2, [1, 2, 3, 4]]);
  });

  test("a write that fails takes none of the others with it", async () => {
    let rolledBack = 0;
    const queue = new WriteQueue(database, () => {
      rolledBack += 1;
    });
    const results = await Promise.allSettled([insert(queue, 1), insert(queue, 1), insert(queue, 2)]);
    expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect(results[1]).toMatchObject({ reason: { code: "store.unavailable" } });
    expect([commits(), numbers(), rolledBack]).toEqual([1, [1, 2], 1]);
  });

  test("a write that fails alone leaves nothing behind", async () => {
    const queue = new WriteQueue(database, () => {});
    const failing = queue.add(1, () => {
      database.prepare("INSERT INTO t VALUES (7)").run();
      throw new Error("a mistake");
    });
    await expect(failing).rejects.toThrow("a mistake");
    expect([numbers(), database.isTransaction]).toEqual([[], false]);
    expect(await insert(queue, 8)).toBe(8);
  });

  test("a transaction that cannot be committed rejects all of its writes", async () => {
    const queue = new WriteQueue(database, () => {});
    database.exec("CREATE TABLE big (b BLOB)");
    const used = Number(database.prepare("PRAGMA page_count").get()?.page_count);
    database.exec(`PRAGMA max_page_count = ${used + 4}`);
    const full = queue.add(1, () => database.prepare("INSERT INTO big VALUES (zeroblob(100000))").run());
    const results = await Promise.allSettled([insert(queue, 1), full, insert(queue, 2)]);
    expect(results.map((result) => result.status === "rejected" && result.reason.message)).toContain(
      "the store failed: database or disk is full",
    );
    const stays = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
    expect(numbers()).toEqual(stays);
    expect(await insert(queue, 3)).toBe(3);
  });

  test("a rush is cut, so that reads come in between", async () => {
    const queue = new WriteQueue(database, () => {});
    const seen: number[] = [];
    const writes = [1, 2, 3, 4].map((n) => insert(queue, n, 3_000));
    for (let turn = 0; turn < 4; turn += 1) {
      await new Promise((resolve) => setImmediate(resolve));
      seen.push(numbers().length);
    }
    await Promise.all(writes);
    expect(seen).toEqual([1, 2, 3, 4]);
  });

  test("what is waiting is written before the end", async () => {
    const queue = new WriteQueue(database, () => {});
    const writes = [1, 2].map((n) => insert(queue, n, 5_000));
    queue.drain();
    expect(numbers()).toEqual([1, 2]);
    await Promise.all(writes);
  });
});
