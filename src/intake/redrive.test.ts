import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { beforeEach, describe, expect, it } from "vitest";
import { PassEventSchema, PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { MemoryDeadLetters } from "../../test/support/memory-dead-letters.ts";
import { sampleLetter } from "../../test/support/samples.ts";
import { LIMITS } from "../kernel/limits.ts";
import { ManualClock } from "../kernel/manual-clock.ts";
import type { Tenant } from "../kernel/tenant.ts";
import { CANONICAL_CONTENT_TYPE } from "./content-type.ts";
import type { DeadLetter } from "./dead-letters.ts";
import { recordDecoder } from "./decode.ts";
import type { AppendResult, NewRecord } from "./event-log.ts";
import { redriver } from "./redrive.ts";
import { tenantRule } from "./tenants.ts";

const ACME: Tenant = { organisation: "acme", environment: "production" };
const GLOBEX: Tenant = { organisation: "globex", environment: "production" };
const T = 1_700_000_000_000;

let deadLetters: MemoryDeadLetters;
let appended: NewRecord[];
let append: (records: readonly NewRecord[]) => Promise<readonly AppendResult[]>;
const clock = new ManualClock(T + 1_000);
beforeEach(() => {
  deadLetters = new MemoryDeadLetters();
  appended = [];
  append = async (records) => {
    appended.push(...records);
    return records.map(() => ({ durable: true }));
  };
});

function redrive(ids: readonly string[], tenant = ACME) {
  const log = { append: (records: readonly NewRecord[]) => append(records) };
  return redriver({ log, deadLetters, clock }).redrive(tenant, ids);
}

const dead = (...letters: readonly DeadLetter[]) => deadLetters.add(...letters);

const notedAt = (id: string) => deadLetters.rows.get(id)?.redrivenAtMs;
const texts = () => appended.map(({ value }) => Buffer.from(value).toString());

describe("a redrive", () => {
  it("appends the record as it came, where it came from, and notes when", async () => {
    const one = sampleLetter(1, { topic: "pass.events.more" });
    const [id = ""] = await dead(one);
    expect(await redrive([id])).toEqual({ kind: "redriven", outcomes: [{ id, durable: true }], reason: "" });
    const { topic, key, value, headers } = one.record;
    expect(appended).toEqual([{ topic, key, value, headers }]);
    expect(notedAt(id)).toBe(T + 1_000);
  });

  it("leaves a record without a key without one", async () => {
    await redrive(await dead(sampleLetter(1, { key: null })));
    expect(appended[0]?.key).toBeNull();
  });

  it("appends in the order of the log, each once, whatever the order of the ids, and answers in theirs", async () => {
    const ids = await dead(
      sampleLetter(10, { appendedAtMs: T - 5 }),
      sampleLetter(9),
      sampleLetter(100),
      sampleLetter(1, { partition: 1 }),
      sampleLetter(0, { topic: "another" }),
    );
    const [ten = ""] = ids;
    const { outcomes } = await redrive([...ids, ten]);
    expect(texts()).toEqual(["value 0", "value 9", "value 10", "value 100", "value 1"]);
    expect(outcomes.map(({ id }) => id)).toEqual(ids);
  });

  it("takes as many as the limit says, and reads and appends a few at a time", async () => {
    const sizes: number[] = [];
    append = async (records) => {
      sizes.push(records.length);
      return records.map(() => ({ durable: true }));
    };
    const find = deadLetters.find.bind(deadLetters);
    deadLetters.find = (tenant, ids) => {
      sizes.push(ids.length);
      return find(tenant, ids);
    };
    const ids = await dead(...Array.from({ length: LIMITS.redriveBatch }, (_, at) => sampleLetter(at)));
    const { kind, outcomes } = await redrive(ids);
    expect([kind, outcomes.length, outcomes.every(({ durable }) => durable)]).toEqual(["redriven", ids.length, true]);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(32);
    expect(ids.every((id) => notedAt(id) !== undefined)).toBe(true);
  });

  it.each([0, LIMITS.redriveBatch + 1])("refuses %d ids", async (count) => {
    await expect(redrive(Array.from({ length: count }, () => "dead_x"))).rejects.toMatchObject({
      code: "request.invalid",
      violations: [{ field: "ids", description: expect.stringContaining(`${LIMITS.redriveBatch}`) }],
    });
  });

  it("refuses an unknown id and another tenant's alike, and appends none", async () => {
    const mine = Array.from({ length: 40 }, (_, at) => sampleLetter(at));
    const ids = await dead(...mine);
    const [theirs = ""] = await dead(sampleLetter(99, {}, { tenant: GLOBEX }));
    await expect(redrive([...ids, theirs, "dead_none"])).rejects.toMatchObject({
      code: "resource.not_found",
      violations: [
        { field: "ids[40]", description: `there is no dead letter "${theirs}"` },
        { field: "ids[41]", description: 'there is no dead letter "dead_none"' },
      ],
    });
    expect(appended).toEqual([]);
  });

  it("refuses what was cut or has no value, and appends none", async () => {
    const large = new Uint8Array(LIMITS.deadLetterBytes + 1);
    const ids = await dead(
      sampleLetter(1),
      sampleLetter(2, { value: large }),
      sampleLetter(3, { value: null }),
      sampleLetter(4, { value: new Uint8Array() }),
    );
    await expect(redrive(ids)).rejects.toMatchObject({
      code: "dead_letter.incomplete",
      message: expect.stringContaining(`ids[1]: "${ids[1]}"`),
      violations: [{ field: "ids[1]" }, { field: "ids[2]" }, { field: "ids[3]" }],
    });
    expect(appended).toEqual([]);
  });

  it("names no more than twenty, and no id at any length", async () => {
    const asked = Array.from({ length: 100 }, () => "x".repeat(10_000));
    const refused = await redrive(asked).catch((error: unknown) => error);
    expect(refused).toMatchObject({ violations: expect.objectContaining({ length: 20 }) });
    expect(String(refused).length).toBeLessThan(20 * 250);
  });
});

describe("a redrive that is cut short", () => {
  it("says which are durable, notes those alone, and goes no further", async () => {
    const ids = await dead(...Array.from({ length: 40 }, (_, at) => sampleLetter(at)));
    append = async (records) => {
      appended.push(...records);
      return records.map((_, at) => (at === 1 ? { durable: false, reason: "the disk is full" } : { durable: true }));
    };
    const { kind, outcomes, reason } = await redrive(ids);
    expect([kind, reason]).toEqual(["partial", "the disk is full"]);
    const durable = (at: number) => at < 32 && at !== 1;
    expect(outcomes).toEqual(ids.map((id, at) => ({ id, durable: durable(at) })));
    expect(ids.map((id) => notedAt(id) !== undefined)).toEqual(ids.map((_, at) => durable(at)));
    expect(appended).toHaveLength(32);
  });

  it("has told of nothing where the log broke down", async () => {
    const ids = await dead(sampleLetter(1));
    append = () => Promise.reject(new Error("gone"));
    expect(await redrive(ids)).toEqual({ kind: "partial", outcomes: [{ id: ids[0], durable: false }], reason: "gone" });
    expect(notedAt(ids[0] ?? "")).toBeUndefined();
  });

  it("is partial where it could not be noted, though all is durable", async () => {
    const ids = await dead(sampleLetter(1));
    deadLetters.noteError = new Error("the store is gone");
    expect(await redrive(ids)).toMatchObject({
      kind: "partial",
      outcomes: [{ durable: true }],
      reason: "the store is gone",
    });
  });

  it("is partial where a letter expired after it was checked", async () => {
    const ids = await dead(sampleLetter(1), sampleLetter(2));
    const find = deadLetters.find.bind(deadLetters);
    let calls = 0;
    deadLetters.find = async (tenant, asked) => {
      calls += 1;
      if (calls === 2) deadLetters.rows.delete(ids[0] ?? "");
      return find(tenant, asked);
    };
    const { kind, outcomes } = await redrive(ids);
    expect([kind, outcomes.map(({ durable }) => durable)]).toEqual(["partial", [false, true]]);
  });
});

describe("a redriven record before intake", () => {
  const event = (given: MessageInitShape<typeof PassEventSchema>) =>
    toBinary(PassEventSchema, create(PassEventSchema, { type: PassEventType.CREATED, ...given }));
  const pass = { id: "p1" };

  /** What the decoder of the embedded log, which believes our mark, makes of the record as it was appended. */
  async function decodedAgain(of: DeadLetter, decode = recordDecoder(tenantRule([{}], "acme"), { isOwnLog: true })) {
    await redrive(await dead(of));
    const [again] = appended;
    if (again === undefined) throw new Error("nothing was appended");
    const { topic = "", value, headers } = again;
    return decode({
      topic,
      partition: 0,
      offset: 77,
      appendedAtMs: T + 9,
      key: Buffer.from(again.key ?? []),
      value,
      headers,
    });
  }

  it("is checked again, although it was marked as checked", async () => {
    const headers = { "content-type": CANONICAL_CONTENT_TYPE };
    expect(await decodedAgain(sampleLetter(1, { value: event({ id: "evt_1" }), headers }))).toMatchObject({
      kind: "dead",
      letter: { reason: "event.invalid" },
    });
  });

  it("becomes the same event as it would have been", async () => {
    const value = event({ id: "evt_1", organisationId: "acme", environment: "production", pass });
    const record = { value, headers: { "content-type": CANONICAL_CONTENT_TYPE, "organisation-id": "acme" } };
    const first = recordDecoder(tenantRule([{}], "acme"), { isOwnLog: true })(sampleLetter(1, record).record);
    const again = await decodedAgain(sampleLetter(1, record));
    if (first.kind === "dead" || again.kind === "dead") throw new Error("it did not decode");
    expect(again.event.stored.contentHash).toBe(first.event.stored.contentHash);
  });

  it("may speak for no more than its topic may", async () => {
    const tenants = tenantRule([{ topic: "pass.events", organisation: "acme", environment: "production" }], "acme");
    const forbidden = sampleLetter(1, { value: event({ organisationId: "globex", pass }), headers: {} });
    expect(await decodedAgain(forbidden, recordDecoder(tenants))).toMatchObject({
      kind: "dead",
      letter: { reason: "tenant.forbidden", tenant: ACME },
    });
  });
});
