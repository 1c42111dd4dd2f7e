import { describe, expect, test } from "vitest";
import { settled } from "../../test/support/settled.ts";
import { idSource } from "../kernel/ids.ts";
import { silentLog } from "../kernel/log.ts";
import { ManualClock } from "../kernel/manual-clock.ts";
import { seededRandom } from "../kernel/random.ts";
import type { AuditRecord } from "./access-store.ts";
import { AuditLog } from "./audit.ts";

const tenant = { organisation: "acme", environment: "test" };
const operator = { organisation: "default", environment: "production" };
const change = { tenant, actor: "key_1", action: "a/B", target: "sub_1", peer: "2001:db8:1:2:3::4" };

function setUp() {
  // The beginning of a minute.
  const clock = new ManualClock(1_700_000_040_000);
  const stored = new Map<string, AuditRecord>();
  const stage = { puts: 0, answer: async (): Promise<void> => {} };
  const errors: string[] = [];
  const audit = new AuditLog({
    store: {
      async putAudit(records) {
        stage.puts += 1;
        await stage.answer();
        for (const record of records) stored.set(record.id, record);
      },
    },
    clock,
    ids: idSource(clock, seededRandom(3)),
    log: { ...silentLog, error: (event) => void errors.push(event) },
    operator,
  });
  const pass = async (ms: number) => {
    clock.advance(ms);
    await settled();
  };
  return { clock, stored, stage, errors, audit, pass, records: () => [...stored.values()] };
}

describe("a change", () => {
  test("is durable before it is answered", async () => {
    const { audit, records, clock } = setUp();
    await audit.changed(change);
    expect(records()).toEqual([
      { ...change, id: expect.stringMatching(/^aud_/), timeMs: clock.now(), refused: false, code: "", count: 1 },
    ]);
    expect(clock.pending).toBe(0);
  });

  test("that whoever runs passbus is to know is told them too, once, under an id of its own", async () => {
    const { audit, records } = setUp();
    await audit.changed({ ...change, forOperator: true });
    expect(records()).toMatchObject([change, { ...change, tenant: operator }]);
    await audit.changed({ ...change, tenant: operator, forOperator: true });
    expect(records()).toHaveLength(3);
    expect(records().some((record) => "forOperator" in record)).toBe(false);
  });

  test("is answered though the store takes nothing, told, and written when it does", async () => {
    const { audit, records, stage, errors, pass } = setUp();
    stage.answer = () => Promise.reject(new Error("away"));
    await audit.changed({ ...change, code: "store.unavailable" });
    await pass(1_000);
    expect(records()).toEqual([]);
    expect(errors).toContain("audit.write_failed");
    stage.answer = async () => {};
    await pass(1_000);
    expect(records()).toMatchObject([{ ...change, code: "store.unavailable", refused: false }]);
    const { puts } = stage;
    await pass(60_000);
    expect(stage.puts).toBe(puts);
  });

  test("waits for a store that hangs no longer than five seconds", async () => {
    const { audit, stage, pass } = setUp();
    stage.answer = () => new Promise(() => {});
    let answered = false;
    const done = audit.changed(change).then(() => {
      answered = true;
    });
    await pass(4_999);
    expect(answered).toBe(false);
    await pass(1);
    await done;
  });
});

describe("refusals", () => {
  const refusal = { peer: "192.0.2.1", code: "auth.invalid" } as const;

  test("that are alike are one record a minute, which counts on; they belong to whoever runs passbus", async () => {
    const { audit, records, stage, clock, pass } = setUp();
    const timeMs = clock.now();
    for (let times = 0; times < 1_000; times++) audit.refused(refusal);
    await pass(1_000);
    const what = { actor: "", action: "", target: "", ...refusal, tenant: operator, refused: true };
    expect(records()).toEqual([{ ...what, id: expect.stringMatching(/^aud_/), timeMs, count: 1_000 }]);
    for (let times = 0; times < 1_000; times++) audit.refused(refusal);
    await pass(1_000);
    expect(records()).toMatchObject([{ timeMs, count: 2_000 }]);
    expect(stage.puts).toBe(2);
    await pass(60_000);
    audit.refused(refusal);
    await pass(1_000);
    expect(records().map(({ count }) => count)).toEqual([2_000, 1]);
  });

  test("of another peer, key, call, target, reason or tenant are others", async () => {
    const { audit, records, pass } = setUp();
    const others = [
      { peer: "192.0.2.2" },
      { actor: "key_1" },
      { action: "a/B" },
      { target: "x_1" },
      { tenant },
    ] as const;
    audit.refused(refusal);
    for (const other of others) audit.refused({ ...refusal, ...other });
    audit.refused({ ...refusal, code: "auth.missing" });
    await pass(1_000);
    expect(records()).toHaveLength(7);
    expect(records().find((record) => record.tenant === tenant)?.count).toBe(1);
  });

  test("of an IPv6 network are one", async () => {
    const { audit, records, pass } = setUp();
    for (const host of ["1", "2", "ffff:1"]) audit.refused({ ...refusal, peer: `2001:db8:1:2::${host}` });
    await pass(1_000);
    expect(records()).toMatchObject([{ peer: "2001:db8:1:2::/64", count: 3 }]);
  });

  test("of any number of peers are a few hundred records a minute, and all are counted", async () => {
    const { audit, records, pass } = setUp();
    const peers = 20_000;
    for (let peer = 0; peer < peers; peer++) audit.refused({ ...refusal, peer: `10.0.${peer >> 8}.${peer & 255}` });
    await pass(1_000);
    expect(records().length).toBeLessThanOrEqual(257);
    expect(records().reduce((sum, { count }) => sum + count, 0)).toBe(peers);
  });

  test("are written at the end, with what a store would not take before", async () => {
    const { audit, records, stage, pass } = setUp();
    stage.answer = () => Promise.reject(new Error("away"));
    audit.refused(refusal);
    await pass(1_000);
    stage.answer = async () => {};
    audit.refused(refusal);
    await audit.stop();
    expect(records()).toMatchObject([{ count: 2 }]);
  });
});
