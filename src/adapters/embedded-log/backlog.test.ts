/** The embedded log's limits on what it takes: it refuses, and drops nothing. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Received, record } from "../../../test/contracts/received.ts";
import type { CallThread } from "../../kernel/thread-call.ts";
import { BACKLOG, type RecordRows } from "./calls.ts";
import { embeddedLogReader, embeddedLogWriter, startEmbeddedLog } from "./embedded-log.ts";
import { LogFile } from "./log-file.ts";
import { LogService } from "./log-service.ts";

const MIB = 1024 * 1024;

let directory: string;
let thread: CallThread | undefined;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "passbus-log-"));
});
afterEach(async () => {
  await thread?.stop();
  thread = undefined;
  rmSync(directory, { recursive: true });
});

const texts = (from: number, count: number) => Array.from({ length: count }, (_, at) => `record ${from + at}`);

test("with as many records uncommitted as it may have, it takes no more, says when to try again, and takes more once some are", async () => {
  thread = await startEmbeddedLog({ directory, topic: "pass.events", maxBacklog: 10 });
  const writer = embeddedLogWriter(thread.connect());
  const reader = embeddedLogReader(thread.connect());
  const append = (from: number, count: number) => writer.append(texts(from, count).map((text) => record("k", text)));
  await append(0, 9);
  // Looked at before: a batch may go over by its own size.
  await append(9, 5);
  await expect(append(14, 1)).rejects.toMatchObject({ code: "limit.backlog", retryAfterMs: 1_000 });
  const got = new Received();
  await reader.start(got);
  await got.count(14);
  await expect(append(14, 1)).rejects.toMatchObject({ code: "limit.backlog" });
  const { generation = 0 } = got.assignments.at(-1) ?? {};
  await reader.commit([{ topic: "pass.events", partition: 0, generation, offset: 4 }]);
  await expect(append(14, 1)).rejects.toMatchObject({ code: "limit.backlog" });
  await reader.commit([{ topic: "pass.events", partition: 0, generation, offset: 5 }]);
  await append(14, 1);
  await got.count(15);
  expect(got.texts).toEqual(texts(0, 15));
});

test("appends that wait for a transaction are bounded by their bytes", async () => {
  const file = new LogFile(directory, 512 * MIB);
  const service = new LogService(file, { topic: "t", maxBacklog: Number.POSITIVE_INFINITY, now: () => 5 });
  const values = new Uint8Array(4 * MIB);
  const rows: RecordRows = { keys: ["k"], headers: ["{}"], valueBytes: [values.byteLength], values };
  const answers = Array.from({ length: 17 }, () => service.handlers.append(rows));
  expect(answers.map((answer) => answer === BACKLOG)).toEqual([...Array(16).fill(false), true]);
  expect(await Promise.all(answers.slice(0, 16))).toEqual(Array(16).fill(null));
  expect(await service.handlers.append(rows)).toBeNull();
  service.close();
});
