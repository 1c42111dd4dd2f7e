import { describe, expect, test } from "vitest";
import { CodedError } from "../kernel/errors.ts";
import { idSource } from "../kernel/ids.ts";
import { ManualClock } from "../kernel/manual-clock.ts";
import { seededRandom } from "../kernel/random.ts";
import { hashKey, idOfKey, makeKey } from "./keys.ts";

const clock = new ManualClock();
const random = seededRandom(1);
const material = { clock, random, ids: idSource(clock, random) };

describe("makeKey", () => {
  test("makes a record that finds and proves the text, and does not hold it", () => {
    const tenant = { organisation: "acme", environment: "production" };
    const { record, text } = makeKey(tenant, "publisher", material);
    expect(text).toMatch(/^pb_production_[0-9a-f]{32}_[0-9a-f]{64}$/);
    expect(record).toEqual({
      id: idOfKey(text),
      tenant,
      role: "publisher",
      hash: hashKey(text),
      createdAtMs: clock.now(),
    });
    expect(JSON.stringify(record)).not.toContain(text.slice(-64));
  });

  test("no two keys are alike", () => {
    const tenant = { organisation: "acme", environment: "production" };
    expect(makeKey(tenant, "admin", material).text).not.toBe(makeKey(tenant, "admin", material).text);
  });

  test("an environment whose name looks like parts of a key is read from the right", () => {
    const environment = `a_${"0".repeat(23)}_${"1".repeat(32)}`;
    const { record, text } = makeKey({ organisation: "acme", environment }, "viewer", material);
    expect(idOfKey(text)).toBe(record.id);
  });

  test.each([
    ["organisation", { organisation: "a/b", environment: "production" }],
    ["environment", { organisation: "acme", environment: "" }],
  ])("refuses what is no name of an %s", (field, tenant) => {
    expect(() => makeKey(tenant, "admin", material)).toThrow(CodedError);
    expect(() => makeKey(tenant, "admin", material)).toThrow(`${field}: must be 1 to 64`);
  });
});

describe("idOfKey", () => {
  test.each([
    "",
    "pb_production",
    "a-bootstrap-key!",
    `pb_production_${"0".repeat(32)}`,
    `pb_production_${"0".repeat(31)}_${"0".repeat(64)}`,
    `pb_production_${"0".repeat(32)}_${"0".repeat(64)} `,
    `pb_pro/duction_${"0".repeat(32)}_${"0".repeat(64)}`,
    `pb__${"0".repeat(32)}_${"0".repeat(64)}`,
  ])("finds none in %j", (text) => {
    expect(idOfKey(text)).toBeUndefined();
  });
});
