import { create, toBinary } from "@bufbuild/protobuf";
import type { KafkaMessage } from "kafkajs";
import { afterEach, describe, expect, test, vi } from "vitest";
import { PassEventSchema, PassEventType } from "../../../gen/passbus/v1/pass_event_pb.js";
import { embeddedStore } from "../../../test/support/embedded-store.ts";
import type { StoredEvent } from "../../domain/event.ts";
import { deadLetterId } from "../../intake/dead-letters.ts";
import { recordDecoder } from "../../intake/decode.ts";
import type { LogRecord } from "../../intake/event-log.ts";
import { logRecord, readHeaders } from "./records.ts";

const NOW_MS = 1_700_000_000_000;
const TENANT = { organisation: "acme", environment: "production" };

describe("headers", () => {
  test("none are none", () => {
    expect(readHeaders(undefined)).toEqual({ headers: {} });
    expect(readHeaders({})).toEqual({ headers: {} });
  });

  test("text is text", () => {
    expect(readHeaders({ a: Buffer.from("1"), ü: Buffer.from("é") })).toEqual({ headers: { a: "1", ü: "é" } });
  });

  test("of a name that stands twice the first counts, and all are kept", () => {
    const [one, two] = [Buffer.from("1"), Buffer.from("2")];
    expect(readHeaders({ a: [one, two] })).toEqual({
      headers: { a: "1" },
      rawHeaders: [
        ["a", one],
        ["a", two],
      ],
    });
  });

  test("bytes that are no text are kept", () => {
    const bytes = Buffer.of(0xff, 0xfe);
    expect(readHeaders({ a: bytes }).rawHeaders).toEqual([["a", bytes]]);
  });

  test("what kafkajs makes of a header called as every object's property is mended", () => {
    const headers = { constructor: [Object as unknown as Buffer, Buffer.from("x")] };
    expect(readHeaders(headers)).toEqual({ headers: Object.fromEntries([["constructor", "x"]]) });
  });

  test("a header without a value is an empty one", () => {
    expect(readHeaders({ a: null as unknown as Buffer })).toEqual({ headers: { a: "" } });
  });
});

test("a message has its place and time as numbers", () => {
  const message: KafkaMessage = {
    key: null,
    value: Buffer.from("v"),
    timestamp: "1700000000123",
    attributes: 0,
    offset: "9007199254740991",
    headers: {},
  };
  expect(logRecord("t", 3, message)).toEqual({
    topic: "t",
    partition: 3,
    offset: Number.MAX_SAFE_INTEGER,
    appendedAtMs: 1_700_000_000_123,
    key: null,
    value: Buffer.from("v"),
    headers: {},
  });
});

test("a small message of a large answer keeps no more than itself in memory", () => {
  const answer = Buffer.alloc(1024 * 1024, "x");
  const part = () => answer.subarray(0, 10);
  const twice = { a: [part(), part()] };
  const message = { key: part(), value: part(), timestamp: "1", attributes: 0, offset: "0", headers: twice };
  const { key, value, rawHeaders = [] } = logRecord("t", 0, message);
  const kept = [key, value, ...rawHeaders.map(([, bytes]) => bytes)];
  expect(kept.map((bytes) => bytes?.buffer.byteLength)).toEqual([10, 10, 10, 10]);
});

test.each(["-1", "1700000000123456", "NaN", String(Date.now() + 3_600_000)])(
  "a producer's timestamp %s that can't be when the log took it counts as now",
  (timestamp) => {
    const before = Date.now();
    const { appendedAtMs, claimedTime } = logRecord("t", 0, {
      key: null,
      value: null,
      timestamp,
      attributes: 0,
      offset: "0",
      headers: {},
    });
    // Ids are made of it, and must be the same whenever the record is read.
    expect(claimedTime).toBe(timestamp);
    expect(appendedAtMs).toBeGreaterThanOrEqual(before);
    expect(appendedAtMs).toBeLessThanOrEqual(Date.now());
  },
);

describe("a record whose producer's clock is ahead", () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  const message = create(PassEventSchema, { type: PassEventType.CREATED, pass: { id: "pass-of-a-person" } });
  const value = Buffer.from(toBinary(PassEventSchema, message));
  const key = Buffer.from("pass-of-a-person");
  const decode = recordDecoder({ fallback: () => TENANT, allows: () => true });

  const readAt = (nowMs: number, claimedMs: number) => {
    vi.useFakeTimers({ now: nowMs, toFake: ["Date"] });
    return logRecord("t", 0, { key, value, timestamp: String(claimedMs), attributes: 0, offset: "7", headers: {} });
  };

  const eventOf = (record: LogRecord): StoredEvent => {
    const decoded = decode(record);
    if (decoded.kind === "dead") throw new Error(decoded.letter.message);
    return decoded.event.stored;
  };

  test.each([1, 3_600_000, 24 * 3_600_000, 25 * 3_600_000])(
    "by %d ms is never logged later than it was read, and keeps its ids when its time has come",
    (aheadMs) => {
      const claimedMs = NOW_MS + aheadMs;
      const reads = [NOW_MS, claimedMs - 1, claimedMs, claimedMs + 1].map((at) => readAt(at, claimedMs));
      expect(reads.map(({ appendedAtMs }) => appendedAtMs)).toEqual([NOW_MS, claimedMs - 1, claimedMs, claimedMs]);
      expect(new Set(reads.map(deadLetterId)).size).toBe(1);
      const events = reads.map(eventOf);
      expect(new Set(events.map(({ id }) => id)).size).toBe(1);
      expect(new Set(events.map(({ contentHash }) => contentHash)).size).toBe(1);
    },
  );

  test.each([
    { kind: "pass", tenant: TENANT, passId: "pass-of-a-person" },
    { kind: "organisation", organisation: TENANT.organisation },
  ] as const)("goes when a $kind is erased right after it was read", async (target) => {
    const { deliveries, deadLetters, erasures } = embeddedStore();
    const record = readAt(NOW_MS, NOW_MS + 3_600_000);
    await deliveries.flush({ events: [eventOf(record)], deliveries: [] });
    await deadLetters.put([{ record, reason: "event.invalid", message: "wrong", tenant: TENANT }]);
    const gone = await erasures.erase({ target, beforeMs: NOW_MS, madeAtMs: NOW_MS, limit: 500 });
    expect(gone).toMatchObject({ events: 1, deadLetters: 1 });
  });
});
