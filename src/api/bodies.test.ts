import { describe, expect, test } from "vitest";
import type { Principal } from "../access/authenticate.ts";
import { LIMITS } from "../kernel/limits.ts";
import { BodyBudget, Envelopes } from "./bodies.ts";

const keyOf = (organisation: string): Principal => ({
  tenant: { organisation, environment: "production" },
  role: "admin",
  keyId: `key_${organisation}`,
});
const sessionOf = (organisation: string, entityId: string, keyId: string): Principal => ({
  ...keyOf(organisation),
  role: "portal",
  keyId,
  entityId,
});
const refused = expect.objectContaining({ code: "limit.bodies", retryAfterMs: 1_000 });

describe("the budget of bodies that have not come whole", () => {
  test("gives an organisation its part, and takes back what is whole", () => {
    const budget = new BodyBudget();
    const [first, second] = [budget.open(keyOf("acme")), budget.open(keyOf("acme"))];
    first.hold(LIMITS.bodyBytesPerOrganisation - 1);
    second.hold(1);
    expect(() => second.hold(2)).toThrow(refused);
    budget.open(keyOf("globex")).hold(1);
    first.hold(0);
    first.hold(0);
    second.hold(LIMITS.bodyBytesPerOrganisation);
    expect(() => first.hold(1)).toThrow(refused);
  });

  test("has an end over all organisations", () => {
    const budget = new BodyBudget();
    const count = LIMITS.bodyBytes / LIMITS.bodyBytesPerOrganisation;
    const all = Array.from({ length: count }, (_, at) => budget.open(keyOf(`org ${at}`)));
    for (const held of all) held.hold(LIMITS.bodyBytesPerOrganisation);
    const another = budget.open(keyOf("another"));
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
    budget.open(keyOf("acme")).hold(LIMITS.bodyBytesPerOrganisation);
    expect(LIMITS.binBodiesBytes).toBeLessThan(LIMITS.bodyBytes / 2);
  });
});

// A token that is in a customer's browser would else keep the organisation's keys from publishing.
describe("bodies of portal sessions that have not come whole", () => {
  const whose = (who: string) =>
    expect.objectContaining({ code: "limit.bodies", message: expect.stringContaining(who) });
  const body = LIMITS.sessionRequestBytes;
  /** Sessions of one entity after another hold all that they may, until it is `bytes`. */
  const fill = (budget: BodyBudget, organisation: string, bytes: number) => {
    for (let at = 0; at < bytes / body; at += 1) {
      const entity = `shop ${Math.floor((at * body) / LIMITS.bodyBytesPerEntity)}`;
      const session = `${organisation} ${Math.floor((at * body) / LIMITS.bodyBytesPerSession)}`;
      budget.open(sessionOf(organisation, entity, session)).hold(body);
    }
  };

  test("are bounded by session, by entity and over all, and the organisation's keys have the rest", () => {
    const budget = new BodyBudget();
    fill(budget, "acme", LIMITS.bodyBytesPerSession);
    expect(() => budget.open(sessionOf("acme", "shop 0", "acme 0")).hold(1)).toThrow(whose("of the portal session"));
    fill(budget, "globex", LIMITS.bodyBytesPerEntity);
    expect(() => budget.open(sessionOf("globex", "shop 0", "new")).hold(1)).toThrow(whose("of the entity"));
    // An entity of the same name elsewhere is another.
    budget.open(sessionOf("initech", "shop 0", "new")).hold(1);
    fill(budget, "full", LIMITS.sessionBodyBytesPerOrganisation);
    const another = budget.open(sessionOf("full", "another", "another"));
    expect(() => another.hold(1)).toThrow(whose("of the organisation's portal"));
    budget.open(keyOf("full")).hold(LIMITS.bodyBytesPerOrganisation - LIMITS.sessionBodyBytesPerOrganisation);
    expect(() => budget.open(keyOf("full")).hold(1)).toThrow(whose("of the organisation"));
  });

  test("have an end over all organisations, and leave their keys most of what there is", () => {
    const budget = new BodyBudget();
    const count = LIMITS.sessionBodyBytes / LIMITS.sessionBodyBytesPerOrganisation;
    for (let at = 0; at < count; at += 1) fill(budget, `org ${at}`, LIMITS.sessionBodyBytesPerOrganisation);
    const another = budget.open(sessionOf("another", "shop", "new"));
    another.hold(LIMITS.ownSessionBodyBytes);
    expect(() => another.hold(LIMITS.ownSessionBodyBytes + 1)).toThrow(whose("of portal sessions"));
    another.hold(0);
    budget.open(undefined).hold(LIMITS.binBodiesBytes);
    budget.open(keyOf("acme")).hold(LIMITS.bodyBytes - LIMITS.sessionBodyBytes - LIMITS.binBodiesBytes);
    // What an organisation's keys are spared its sessions don't use up.
    budget.open(sessionOf("globex", "shop", "new")).hold(LIMITS.ownSessionBodyBytes);
    budget.open(keyOf("globex")).hold(LIMITS.ownBodyBytes);
    expect(() => budget.open(keyOf("globex")).hold(1)).toThrow(refused);
  });

  test("are given back when they are whole", () => {
    const budget = new BodyBudget();
    for (let at = 0; at < 3; at += 1) {
      const held = Array.from({ length: LIMITS.bodyBytesPerSession / body }, () =>
        budget.open(sessionOf("acme", "shop", "one")),
      );
      for (const one of held) one.hold(body);
      for (const one of held) one.hold(0);
    }
  });

  test("are smaller each", () => {
    const held = new BodyBudget().open(sessionOf("acme", "shop", "one"));
    held.hold(LIMITS.sessionRequestBytes);
    expect(() => held.hold(LIMITS.sessionRequestBytes + 1)).toThrow(
      expect.objectContaining({ code: "limit.request_bytes" }),
    );
  });

  test("have half at most of what an organisation has, and of what there is", () => {
    expect(LIMITS.sessionBodyBytesPerOrganisation * 2).toBeLessThanOrEqual(LIMITS.bodyBytesPerOrganisation);
    expect((LIMITS.sessionBodyBytes + LIMITS.binBodiesBytes) * 2).toBeLessThanOrEqual(LIMITS.bodyBytes);
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
