import { describe, expect, test } from "vitest";
import { LIMITS } from "../kernel/limits.ts";
import { BodyBudget, Envelopes } from "./bodies.ts";

const refused = expect.objectContaining({ code: "limit.bodies", retryAfterMs: 1_000 });

describe("the budget of bodies that have not come whole", () => {
  test("gives an organisation its part, and takes back what is whole", () => {
    const budget = new BodyBudget();
    const [first, second] = [budget.open("acme"), budget.open("acme")];
    first.hold(LIMITS.bodyBytesPerOrganisation - 1);
    second.hold(1);
    expect(() => second.hold(2)).toThrow(refused);
    budget.open("globex").hold(1);
    first.hold(0);
    first.hold(0);
    second.hold(LIMITS.bodyBytesPerOrganisation);
    expect(() => first.hold(1)).toThrow(refused);
  });

  test("has an end over all organisations", () => {
    const budget = new BodyBudget();
    const count = LIMITS.bodyBytes / LIMITS.bodyBytesPerOrganisation;
    const all = Array.from({ length: count }, (_, at) => budget.open(`org ${at}`));
    for (const held of all) held.hold(LIMITS.bodyBytesPerOrganisation);
    const another = budget.open("another");
    expect(() => another.hold(LIMITS.ownBodyBytes + 1)).toThrow(refused);
    expect(() => budget.open(undefined).hold(1)).toThrow(refused);
    another.hold(LIMITS.ownBodyBytes);
    all[0]?.hold(0);
    another.hold(LIMITS.ownBodyBytes + 1);
  });

  test("leaves the most of it to who has a key", () => {
    const budget = new BodyBudget();
    budget.open(undefined).hold(LIMITS.binBodiesBytes);
    expect(() => budget.open(undefined).hold(1)).toThrow(refused);
    budget.open("acme").hold(LIMITS.bodyBytesPerOrganisation);
    expect(LIMITS.binBodiesBytes).toBeLessThan(LIMITS.bodyBytes / 2);
  });
});

describe("enveloped messages", () => {
  const message = (length: number) => {
    const bytes = Buffer.alloc(5 + length, 7);
    bytes.writeUInt32BE(length, 1);
    return bytes;
  };

  test.each([1, 3, 5, 6, 1_000])("are counted while they are under way, in parts of %i", (size) => {
    const [whole, half] = [Buffer.concat([message(0), message(10), message(300)]), message(20).subarray(0, 12)];
    const stream = Buffer.concat([whole, half]);
    const envelopes = new Envelopes();
    const ends = new Set([5, 20, 325]);
    let left = 0;
    for (let at = 0; at < stream.length; at += size) {
      left = envelopes.read(stream.subarray(at, at + size));
      if (size === 1) expect(left === 0).toBe(ends.has(at + 1));
    }
    expect(left).toBe(half.length);
  });
});
