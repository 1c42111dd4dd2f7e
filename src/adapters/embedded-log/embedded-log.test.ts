import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Received, record } from "../../../test/contracts/received.ts";
import type { CallThread, Transferring } from "../../kernel/thread-call.ts";
import type { ReadRows } from "./calls.ts";
import {
  type EmbeddedLogReader,
  type EmbeddedLogWriter,
  embeddedLogReader,
  embeddedLogWriter,
  startEmbeddedLog,
} from "./embedded-log.ts";
import { LOG_FILE, LogFile } from "./log-file.ts";
import { LogService } from "./log-service.ts";

const MIB = 1024 * 1024;
let directory: string;
let thread: CallThread;
let writer: EmbeddedLogWriter;
let reader: EmbeddedLogReader;
let got: Received;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "passbus-log-"));
});
afterEach(async () => {
  await thread.stop();
  rmSync(directory, { recursive: true });
});

async function start(maxBytes?: number): Promise<void> {
  const options = { directory, topic: "pass.events" };
  thread = await startEmbeddedLog(maxBytes === undefined ? options : { ...options, maxBytes });
  writer = embeddedLogWriter(thread.connect());
  reader = embeddedLogReader(thread.connect());
  got = new Received();
  await reader.start(got);
}

const big = (text: string) => record("k", text.padEnd(200_000, "."));

/** Appends large records, ten at a time, until the log takes no more. */
async function fill(): Promise<number> {
  for (let taken = 0; ; taken += 10) {
    const results = await writer.append(Array.from({ length: 10 }, (_, index) => big(`${taken + index}`)));
    if (results.some(({ durable }) => !durable)) {
      expect(results).toEqual(results.map(() => ({ durable: false, reason: "database or disk is full" })));
      return taken;
    }
  }
}

describe("the embedded log", () => {
  test("kill -9 after an append was answered leaves the record readable", async () => {
    const script = fileURLToPath(new URL("../../../test/support/append-and-hang.ts", import.meta.url));
    const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", script, directory, "25"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const exited = new Promise((resolve) => child.once("exit", (_code, signal) => resolve(signal)));
    let answered = 0;
    for await (const line of createInterface({ input: child.stdout })) {
      expect(line).toBe('{"durable":true}');
      answered += 1;
      if (answered === 25) child.kill("SIGKILL");
    }
    expect(await exited).toBe("SIGKILL");
    await start();
    await got.count(25);
    expect(got.texts).toEqual(Array.from({ length: 25 }, (_, index) => `record ${index}`));
  });

  test("a full log refuses exactly the records of that commit, and takes more when there is room again", async () => {
    await start(16 * MIB);
    const taken = await fill();
    expect(taken).toBeGreaterThan(20);
    await got.count(taken);
    expect(got.texts.map((text) => Number.parseInt(text, 10))).toEqual(Array.from({ length: taken }, (_, i) => i));
    await reader.commit(got.positions);
    expect(await reader.lag()).toEqual({ records: 0 });
    const again = await fill();
    expect(again).toBeGreaterThan(20);
    await got.count(taken + again);
    expect(got.all.map(({ offset }) => offset)).toEqual(Array.from({ length: taken + again }, (_, i) => i));
  });

  test("a small record that is read beside large ones keeps no more than itself in memory", async () => {
    await start();
    await writer.append([record("k", "small"), big("a"), big("b")]);
    await got.count(3);
    expect(got.all[0]?.value?.buffer.byteLength).toBe("small".length);
  });

  test("what was committed is removed from the file, a few at a time", async () => {
    await start();
    for (let round = 0; round < 30; round += 1) {
      await writer.append(Array.from({ length: 100 }, (_, index) => record("k", `${round}.${index}`)));
    }
    await got.count(3_000);
    const [end] = got.positions;
    if (end === undefined) throw new Error("nothing was read");
    await reader.commit([{ ...end, offset: end.offset - 1 }]);
    const file = new DatabaseSync(join(directory, LOG_FILE), { timeout: 5_000 });
    const count = file.prepare("SELECT count(*) AS n FROM records");
    // Every answer is a turn of the log's thread, in which it removes some.
    for (let turn = 0; turn < 100 && Number(count.get()?.n) > 1; turn += 1) await reader.lag();
    expect(count.get()?.n).toBe(1);
    file.close();
    expect(await reader.lag()).toEqual({ records: 1 });
  });

  test("an append whose answer is lost resolves as unknown, and so does one that nobody takes any more", async () => {
    await start();
    const file = new DatabaseSync(join(directory, LOG_FILE), { timeout: 0 });
    file.exec("BEGIN IMMEDIATE"); // Holds up the append, until the connection is gone.
    const underWay = writer.append([record("k", "one"), record("k", "two")]);
    writer.close();
    const reason = "unknown: the log's thread is gone";
    expect(await underWay).toEqual([
      { durable: false, reason },
      { durable: false, reason },
    ]);
    file.exec("ROLLBACK");
    file.close();
    expect(await writer.append([record("k", "three")])).toEqual([{ durable: false, reason }]);
  });

  test("a second reader takes the partition over, and the first one's positions count no more", async () => {
    await start();
    await writer.append([record("k", "one")]);
    await got.count(1);
    const second = embeddedLogReader(thread.connect());
    const theirs = new Received();
    await second.start(theirs);
    await got.until(() => got.live.size === 0);
    await theirs.count(1);
    const [old, current] = [...got.assignments, ...theirs.assignments];
    if (old === undefined || current === undefined) throw new Error("nothing was assigned");
    expect([reader.isFresh(old), second.isFresh(current)]).toEqual([false, true]);
    await reader.commit(got.positions);
    expect(await second.lag()).toEqual({ records: 1 });
    await second.commit(theirs.positions);
    expect(await second.lag()).toEqual({ records: 0 });
  });

  test("nothing is fresh any more once the log's thread is gone", async () => {
    await start();
    const [assignment] = got.assignments;
    if (assignment === undefined) throw new Error("nothing was assigned");
    expect(reader.isFresh(assignment)).toBe(true);
    await thread.stop();
    await got.until(() => got.live.size === 0);
    expect(reader.isFresh(assignment)).toBe(false);
    await expect(reader.commit([{ ...assignment, offset: 1 }])).rejects.toMatchObject({ code: "log.unavailable" });
  });

  test("a file that a newer passbus wrote is refused", async () => {
    await start();
    await thread.stop();
    const file = new DatabaseSync(join(directory, LOG_FILE));
    file.exec("PRAGMA user_version = 99");
    file.close();
    const refused = startEmbeddedLog({ directory, topic: "pass.events" });
    await expect(refused).rejects.toMatchObject({ code: "data_dir.newer" });
  });
});

describe("the log's group commit", () => {
  const rows = (...texts: readonly string[]) => ({
    keys: texts.map(() => "k"),
    headers: texts.map(() => "{}"),
    valueBytes: texts.map((text) => text.length),
    values: Buffer.from(texts.join("")),
  });

  test("appends and positions that come together share one transaction, and the waiting reader is served in its turn", async () => {
    const file = new LogFile(directory, 16 * MIB);
    let transactions = 0;
    const durably = file.durably.bind(file);
    file.durably = (write) => {
      transactions += 1;
      durably(write);
    };
    const service = new LogService(file, { topic: "t", maxBacklog: Number.POSITIVE_INFINITY, now: () => 5 });
    const { generation } = (await service.handlers.open(null)) as { generation: number };
    const read = service.handlers.read(generation);
    const order: string[] = [];
    const appends = [rows("a", "b"), rows("c"), rows("d")].map(async (each) => {
      expect(await service.handlers.append(each)).toBeNull();
      order.push("appended");
    });
    const served = Promise.resolve(read).then(() => order.push("read"));
    const turn = new Promise<void>((resolve) => setImmediate(resolve));
    await turn;
    await Promise.all([...appends, served]);
    expect(order).toEqual(["appended", "appended", "appended", "read"]);
    expect(transactions).toBe(1);
    const committed = [3, 1].map((offset) => service.handlers.commit({ generation, offset }));
    await Promise.all([...committed, service.handlers.append(rows("e"))]);
    expect(transactions).toBe(2);
    expect(service.handlers.lag(null)).toBe(2);
    service.close();
    await start();
  });

  test("a position holds although the records before it could not be removed yet", async () => {
    const file = new LogFile(directory, 16 * MIB);
    file.remove = () => {
      throw new Error("no room for that");
    };
    const before = new LogService(file, { topic: "t", maxBacklog: Number.POSITIVE_INFINITY, now: () => 5 });
    const { generation } = (await before.handlers.open(null)) as { generation: number };
    await before.handlers.append(rows("a", "b", "c"));
    await before.handlers.commit({ generation, offset: 2 });
    before.close();
    await start();
    await got.count(1);
    expect([got.texts, got.all[0]?.offset]).toEqual([["c"], 2]);
    // What is left behind is removed without being asked.
    const left = new DatabaseSync(join(directory, LOG_FILE), { timeout: 5_000 });
    await reader.lag();
    expect(left.prepare("SELECT count(*) AS n FROM records").get()?.n).toBe(1);
    left.close();
  });

  test("a position is not held up by appends that there is no room for", async () => {
    const file = new LogFile(directory, 16 * MIB);
    const service = new LogService(file, { topic: "t", maxBacklog: Number.POSITIVE_INFINITY, now: () => 5 });
    const { generation } = (await service.handlers.open(null)) as { generation: number };
    await service.handlers.append(rows("a", "b"));
    file.insert = () => {
      throw new Error("full");
    };
    const together = [service.handlers.append(rows("c")), service.handlers.commit({ generation, offset: 2 })];
    expect(await Promise.all(together)).toEqual(["full", null]);
    expect(service.handlers.lag(null)).toBe(0);
    service.close();
    await start();
    expect(await reader.lag()).toEqual({ records: 0 });
  });

  test("a reader that has caught up is served from memory", async () => {
    const file = new LogFile(directory, 16 * MIB);
    let reads = 0;
    const read = file.read.bind(file);
    file.read = (offset, wanted) => {
      reads += 1;
      read(offset, wanted);
    };
    const service = new LogService(file, { topic: "t", maxBacklog: Number.POSITIVE_INFINITY, now: () => 5 });
    await service.handlers.append(rows("a"));
    const { generation } = (await service.handlers.open(null)) as { generation: number };
    await service.handlers.read(generation);
    expect(reads).toBe(1);
    await service.handlers.append(rows("b"));
    const answer = (await service.handlers.read(generation)) as Transferring<ReadRows>;
    expect([reads, answer.value.offsets]).toEqual([1, [1]]);
    service.close();
    await start();
  });
});
