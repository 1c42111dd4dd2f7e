/** LogWriter and LogReader: durable appends, order, positions, generations. Nothing here knows how many partitions there are. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { AppendResult, LogReader, LogRecord, LogWriter, NewRecord } from "../../src/intake/event-log.ts";
import { Received, record, textOf } from "./received.ts";

/** One empty log under test. */
export interface LogUnderTest {
  readonly topic: string;
  /** Another connection to append over. */
  writer(): Promise<LogWriter>;
  /** A new reader of the one group, not started. Tests have one at a time. */
  reader(): Promise<LogReader>;
  /** Ends the log's process, or the connections to it, and begins again: what is durable is there. */
  restart(): Promise<void>;
  close(): Promise<void>;
}

export type MakeLog = () => Promise<LogUnderTest>;

const DURABLE: AppendResult = { durable: true };
const texts = (prefix: string, count: number): readonly string[] =>
  Array.from({ length: count }, (_, index) => `${prefix}${index}`);

export function eventLogContract(name: string, make: MakeLog): void {
  let log: LogUnderTest;
  let writer: LogWriter;
  const stops: (() => Promise<void>)[] = [];
  beforeEach(async () => {
    log = await make();
    writer = await log.writer();
  });
  afterEach(async () => {
    for (const stop of stops.splice(0)) await stop();
    await log.close();
  });

  async function reading(): Promise<{ readonly reader: LogReader; readonly got: Received }> {
    const reader = await log.reader();
    const got = new Received();
    await reader.start(got);
    stops.push(() => reader.stop());
    return { reader, got };
  }

  const append = (...of: readonly string[]) => writer.append(of.map((text) => record("key", text)));

  /** Everything that is not committed, read by a new reader. The marker says that nothing comes before it. */
  async function uncommitted(): Promise<readonly string[]> {
    const { reader, got } = await reading();
    await append("marker");
    await got.until(() => got.texts.includes("marker"));
    await reader.stop();
    return got.texts.slice(0, got.texts.indexOf("marker"));
  }

  describe(`${name}: append and read`, () => {
    test("a record is read as it was appended", async () => {
      const before = Date.now();
      const large = record("k", "x".repeat(256 * 1024));
      const odd: NewRecord = {
        key: "pass/ü",
        value: Uint8Array.of(0, 255, 10),
        headers: { "content-type": "a/b", ä: "ö" },
      };
      const empty: NewRecord = { key: "", value: new Uint8Array(), headers: {} };
      expect(await writer.append([odd, large, empty])).toEqual([DURABLE, DURABLE, DURABLE]);
      const { got } = await reading();
      await got.count(3);
      const read = ({ key, value, headers }: LogRecord) => ({
        key: Buffer.from(key ?? []).toString(),
        value: Buffer.from(value ?? []),
        headers,
      });
      const byKey = new Map(got.all.map((each) => [read(each).key, read(each)]));
      for (const each of [odd, large, empty]) {
        expect(byKey.get(String(each.key))).toEqual({ ...each, value: Buffer.from(each.value) });
      }
      for (const each of got.all) {
        expect(each.topic).toBe(log.topic);
        // By the log's clock, which need not be this machine's.
        expect(Math.abs(each.appendedAtMs - before)).toBeLessThan(60_000);
      }
    });

    test("a reader that waits gets what is appended later", async () => {
      const { got } = await reading();
      await append("one");
      await got.count(1);
      await append("two", "three");
      await got.count(3);
      expect(got.texts).toEqual(["one", "two", "three"]);
    });

    test("records of one key keep their order, and offsets only grow in a partition", async () => {
      const { got } = await reading();
      const keys = ["a", "b", "c", "d", "e"];
      for (let round = 0; round < 20; round += 1) {
        await writer.append(keys.flatMap((key) => texts(`${key}${round}.`, 5).map((text) => record(key, text))));
      }
      await got.count(500);
      for (const key of keys) {
        const ofKey = got.all.filter((each) => Buffer.from(each.key ?? []).toString() === key).map(textOf);
        expect(ofKey).toEqual(texts("", 20).flatMap((round) => texts(`${key}${round}.`, 5)));
      }
      const last = new Map<number, number>();
      for (const { partition, offset } of got.all) {
        expect(offset).toBeGreaterThan(last.get(partition) ?? -1);
        last.set(partition, offset);
      }
      expect(got.mistakes).toEqual([]);
    });

    test("appends of many callers at once are all durable, and each is read once", async () => {
      const { got } = await reading();
      const writers = [writer, await log.writer(), await log.writer()];
      const results = await Promise.all(
        texts("caller", 60).map((caller, index) =>
          (writers[index % 3] ?? writer).append(texts(`${caller}.`, 20).map((text) => record(caller, text))),
        ),
      );
      expect(results.flat()).toEqual(results.flat().map(() => DURABLE));
      await got.count(1_200);
      expect(new Set(got.texts).size).toBe(1_200);
      expect(got.all).toHaveLength(1_200);
    });

    test("appending nothing is nothing", async () => {
      expect(await writer.append([])).toEqual([]);
      expect(await uncommitted()).toEqual([]);
    });

    test("what was answered as durable is there after a restart", async () => {
      await append(...texts("r", 300));
      await log.restart();
      writer = await log.writer();
      expect(await uncommitted()).toEqual(texts("r", 300));
    });

    test("more than fits into memory or one message is read whole and in order", async () => {
      const megabyte = "m".repeat(200_000);
      const all = texts("", 150);
      for (const text of all) await append(`${text}:${megabyte}`);
      const { got } = await reading();
      await got.count(150);
      expect(got.texts.map((text) => text.split(":")[0])).toEqual(all);
    });
  });

  describe(`${name}: positions`, () => {
    test("a reader begins behind what was committed", async () => {
      const { reader, got } = await reading();
      await append("one", "two");
      await got.count(2);
      await reader.commit(got.positions);
      await append("three");
      await got.count(3);
      await reader.stop();
      expect(await uncommitted()).toEqual(["three"]);
    });

    test("what was read and not committed is read again", async () => {
      const { reader, got } = await reading();
      await append("one", "two");
      await got.count(2);
      await reader.stop();
      expect(await uncommitted()).toEqual(["one", "two"]);
    });

    test("a commit in the middle leaves the rest to be read again", async () => {
      const { reader, got } = await reading();
      await append("one", "two", "three");
      await got.count(3);
      const [begin] = got.positions;
      const second = got.all[1];
      if (begin === undefined || second === undefined) throw new Error("nothing was read");
      await reader.commit([{ ...begin, offset: second.offset }]);
      await reader.stop();
      expect(await uncommitted()).toEqual(["two", "three"]);
    });

    test("a committed position is durable: it holds after a restart", async () => {
      const { reader, got } = await reading();
      await append(...texts("r", 50));
      await got.count(50);
      await reader.commit(got.positions);
      await log.restart();
      writer = await log.writer();
      expect(await uncommitted()).toEqual([]);
    });

    test("offsets go on where all was committed and the log begins again", async () => {
      const { reader, got } = await reading();
      await append(...texts("r", 20));
      await got.count(20);
      await reader.commit(got.positions);
      const ends = new Map(got.positions.map(({ partition, offset }) => [partition, offset]));
      await log.restart();
      writer = await log.writer();
      const later = await reading();
      await append("next");
      await later.got.count(1);
      const [next] = later.got.all;
      if (next === undefined) throw new Error("nothing was read");
      expect(next.offset).toBeGreaterThanOrEqual(ends.get(next.partition) ?? 0);
      expect(textOf(next)).toBe("next");
    });

    test("many commits, in parallel with appends, come to the last", async () => {
      const { reader, got } = await reading();
      for (let round = 1; round <= 40; round += 1) {
        await append(...texts(`r${round}.`, 10));
        await got.count(round * 10);
        void reader.commit(got.positions);
      }
      await reader.commit(got.positions);
      await reader.stop();
      expect(await uncommitted()).toEqual([]);
    });

    test("committing nothing is nothing", async () => {
      const { reader } = await reading();
      await expect(reader.commit([])).resolves.toBeUndefined();
    });

    test("while it stops, positions can still be committed", async () => {
      const { reader, got } = await reading();
      await append("one");
      await got.count(1);
      const committed = reader.commit(got.positions);
      const stopped = reader.stop();
      await Promise.all([committed, stopped]);
      expect(await uncommitted()).toEqual([]);
    });
  });

  describe(`${name}: generations`, () => {
    test("each assignment has a higher generation than the one before", async () => {
      const seen: number[] = [];
      for (let round = 0; round < 3; round += 1) {
        const { reader, got } = await reading();
        await append("one");
        await got.until(() => got.all.length > 0);
        seen.push(...got.assignments.slice(0, 1).map(({ generation }) => generation));
        await reader.stop();
      }
      expect(seen).toEqual([...new Set(seen)].toSorted((left, right) => left - right));
      expect(seen).toHaveLength(3);
    });

    test("an assignment is fresh while it is read, and never afterwards", async () => {
      const one = await reading();
      await append("one");
      await one.got.count(1);
      const [old] = one.got.positions;
      if (old === undefined) throw new Error("nothing was read");
      expect(one.reader.isFresh(old)).toBe(true);
      expect(one.reader.isFresh({ ...old, generation: old.generation - 1 })).toBe(false);
      expect(one.reader.isFresh({ ...old, partition: 9_999 })).toBe(false);
      await one.reader.stop();
      expect(one.reader.isFresh(old)).toBe(false);
      const two = await reading();
      await two.got.until(() => two.got.live.size > 0);
      expect(two.reader.isFresh(old)).toBe(false);
    });

    test("a position of a generation that has passed is dropped, without an error", async () => {
      const one = await reading();
      await append("one", "two");
      await one.got.count(2);
      const passed = one.got.positions;
      await one.reader.stop();
      const two = await reading();
      await two.got.count(2);
      await expect(two.reader.commit(passed)).resolves.toBeUndefined();
      await two.reader.stop();
      expect(await uncommitted()).toEqual(["one", "two"]);
    });

    test("beside it, a position of the generation that lasts counts", async () => {
      const one = await reading();
      await append("one", "two");
      await one.got.count(2);
      const passed = one.got.positions;
      await one.reader.stop();
      const two = await reading();
      await two.got.count(2);
      const [current] = two.got.positions;
      const second = two.got.all[1];
      if (current === undefined || second === undefined) throw new Error("nothing was read");
      await two.reader.commit([...passed, { ...current, offset: second.offset }]);
      await two.reader.stop();
      expect(await uncommitted()).toEqual(["two"]);
    });

    test("a reader that stopped hands out nothing more, and its partitions are revoked", async () => {
      const { reader, got } = await reading();
      await append("one");
      await got.count(1);
      await reader.stop();
      expect(got.live.size).toBe(0);
      const later = await reading();
      await append("two");
      await later.got.count(2);
      expect([got.texts, got.mistakes]).toEqual([["one"], []]);
    });
  });

  describe(`${name}: back-pressure`, () => {
    test("a paused reader is not given all there is, and gets the rest in order when it goes on", async () => {
      const { reader, got } = await reading();
      await append("first");
      await got.count(1);
      reader.setPaused(true);
      const padding = "p".repeat(250_000);
      const all = texts("", 200);
      for (const text of all) await append(`${text}:${padding}`);
      const whilePaused = got.all.length;
      expect(whilePaused).toBeLessThan(100);
      reader.setPaused(false);
      await got.count(201);
      expect(got.texts.slice(1).map((text) => text.split(":")[0])).toEqual(all);
    });

    test("a reader that is paused before it starts begins when it may", async () => {
      await append("one");
      const reader = await log.reader();
      const got = new Received();
      reader.setPaused(true);
      await reader.start(got);
      stops.push(() => reader.stop());
      await append("two");
      reader.setPaused(false);
      await got.count(2);
      expect(got.texts).toEqual(["one", "two"]);
    });

    test("a paused reader can be stopped", async () => {
      const { reader, got } = await reading();
      reader.setPaused(true);
      await append("one");
      await reader.stop();
      expect(got.live.size).toBe(0);
    });
  });
}
