import { create, toBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { PassEventSchema, PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { settled } from "../../test/support/settled.ts";
import { silentLog } from "../kernel/log.ts";
import { ManualClock } from "../kernel/manual-clock.ts";
import { Intake } from "./consume.ts";
import type { DeadLetter } from "./dead-letters.ts";
import { recordDecoder } from "./decode.ts";
import type { Assignment, LogRecord, Position, RecordSink } from "./event-log.ts";
import type { IncomingEvent } from "./incoming.ts";

const ASSIGNMENT = { topic: "pass.events", partition: 0, generation: 1 };

function setup() {
  const clock = new ManualClock();
  const commits: Position[] = [];
  const pauses: boolean[] = [];
  const taken: IncomingEvent[] = [];
  const dropped: Assignment[] = [];
  const letters: DeadLetter[] = [];
  const puts: number[] = [];
  const broken = { commit: false, deadLetters: false };
  const full = { value: false, onRoom: () => {} };
  let sink: RecordSink | undefined;
  const intake = new Intake({
    clock,
    log: silentLog,
    decode: recordDecoder({ fallback: () => ({ organisation: "o", environment: "e" }), allows: () => true }),
    reader: {
      start: async (given) => {
        sink = given;
      },
      setPaused: (paused) => pauses.push(paused),
      commit: async (positions) => {
        if (broken.commit) throw new Error("broker gone");
        commits.push(...positions);
      },
      isFresh: () => true,
      problem: () => undefined,
      failed: new Promise(() => {}),
      stop: async () => {},
    },
    deadLetters: {
      put: async (batch) => {
        if (broken.deadLetters) throw new Error("store gone");
        letters.push(...batch);
        puts.push(batch.length);
      },
    },
    taker: {
      take: (events) => taken.push(...events),
      isFull: () => full.value,
      onRoom: (listener) => {
        full.onRoom = listener;
      },
      drop: (assignments) => dropped.push(...assignments),
      settled: async () => {},
    },
  });
  const read = async (assignment: Assignment, ...records: LogRecord[]) => {
    await intake.start();
    sink?.records(assignment, records);
    await settled();
  };
  const pass = async (ms: number) => {
    clock.advance(ms);
    await settled();
  };
  const assign = async () => {
    await intake.start();
    sink?.assigned([ASSIGNMENT]);
    return sink;
  };
  return { intake, commits, pauses, taken, dropped, letters, puts, broken, full, read, pass, assign };
}

function record(offset: number, value: Uint8Array | null = eventBytes(offset)): LogRecord {
  return { topic: "t", partition: 0, offset, appendedAtMs: 1, key: null, value, headers: {} };
}

function eventBytes(offset: number): Uint8Array {
  return toBinary(
    PassEventSchema,
    create(PassEventSchema, { id: `evt_${offset}`, type: PassEventType.CREATED, pass: { id: "p" } }),
  );
}

test("a position is committed only when all before it is done", async () => {
  const { assign, read, pass, taken, commits } = setup();
  await assign();
  await read(ASSIGNMENT, record(5), record(6), record(7));
  taken[1]?.done();
  await pass(100);
  expect(commits).toEqual([]);
  taken[0]?.done();
  await pass(100);
  expect(commits).toEqual([{ ...ASSIGNMENT, offset: 7 }]);
});

test("a commit that fails is made up for by the next", async () => {
  const { assign, read, pass, taken, commits, broken } = setup();
  await assign();
  await read(ASSIGNMENT, record(5), record(6));
  broken.commit = true;
  taken[0]?.done();
  await pass(100);
  broken.commit = false;
  taken[1]?.done();
  await pass(100);
  expect(commits).toEqual([{ ...ASSIGNMENT, offset: 7 }]);
});

test("poison becomes a dead letter, and its offset goes only when that is durable", async () => {
  const { assign, read, pass, letters, commits, broken, taken } = setup();
  await assign();
  broken.deadLetters = true;
  await read(ASSIGNMENT, record(5, null), record(6));
  taken[0]?.done();
  await pass(50);
  expect(commits).toEqual([]);
  broken.deadLetters = false;
  await pass(1_000);
  await pass(100);
  expect(letters).toMatchObject([{ reason: "event.empty", record: { offset: 5 } }]);
  expect(commits).toEqual([{ ...ASSIGNMENT, offset: 7 }]);
});

test("large dead letters pause the log while they are few, and go to their store a few MiB at a time", async () => {
  const { assign, read, pass, letters, puts, pauses, broken } = setup();
  await assign();
  broken.deadLetters = true;
  const large = new Uint8Array(1024 * 1024);
  const poison = (from: number) => Array.from({ length: 20 }, (_, at) => record(from + at, large));
  await read(ASSIGNMENT, ...poison(0));
  expect(pauses).toEqual([]);
  await read(ASSIGNMENT, ...poison(20));
  expect(pauses).toEqual([true]);
  broken.deadLetters = false;
  await pass(1_000);
  expect(letters.map(({ record: { offset } }) => offset)).toEqual(Array.from({ length: 40 }, (_, at) => at));
  expect(Math.max(...puts)).toBeLessThanOrEqual(4);
  expect(pauses.at(-1)).toBe(false);
});

test("a conflict becomes a dead letter with the record as it came", async () => {
  const { assign, read, pass, letters, commits, taken } = setup();
  await assign();
  await read(ASSIGNMENT, record(5));
  taken[0]?.conflict();
  await settled();
  await pass(100);
  expect(letters).toMatchObject([{ reason: "event.conflict", record: record(5) }]);
  expect(commits).toEqual([{ ...ASSIGNMENT, offset: 6 }]);
});

test("a full engine pauses the log, and room lets it go on", async () => {
  const { assign, read, full, pauses } = setup();
  await assign();
  full.value = true;
  await read(ASSIGNMENT, record(5));
  expect(pauses.at(-1)).toBe(true);
  full.value = false;
  full.onRoom();
  expect(pauses.at(-1)).toBe(false);
});

test("a revoked partition's records are neither taken nor committed", async () => {
  const { assign, read, pass, taken, commits, dropped } = setup();
  const sink = await assign();
  await read(ASSIGNMENT, record(5));
  sink?.revoked([ASSIGNMENT]);
  expect(dropped).toEqual([ASSIGNMENT]);
  taken[0]?.done();
  await read(ASSIGNMENT, record(6));
  await pass(100);
  expect(taken).toHaveLength(1);
  expect(commits).toEqual([]);
});

test("of a partition that begins anew lower offsets are taken and committed, beside what is still in hand", async () => {
  const { assign, read, pass, taken, commits, dropped } = setup();
  const sink = await assign();
  await read(ASSIGNMENT, record(1_000), record(1_001));
  taken[0]?.done();
  await pass(100);
  sink?.restarted?.(ASSIGNMENT);
  await read(ASSIGNMENT, record(0), record(1));
  expect(taken.map(({ offset }) => offset)).toEqual([1_000, 1_001, 0, 1]);
  taken[1]?.done();
  taken[2]?.done();
  await pass(100);
  expect(commits.map(({ offset }) => offset)).toEqual([1_001, 1]);
  expect(dropped).toEqual([]);
});

test("finish commits what is done and lets go", async () => {
  const { assign, read, taken, commits, intake } = setup();
  await assign();
  await read(ASSIGNMENT, record(5), record(6));
  taken[0]?.done();
  await intake.finish();
  expect(commits).toEqual([{ ...ASSIGNMENT, offset: 6 }]);
});
