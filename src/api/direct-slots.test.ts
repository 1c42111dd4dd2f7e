import { expect, test } from "vitest";
import type { Principal } from "../access/authenticate.ts";
import { CodedError } from "../kernel/errors.ts";
import { LIMITS } from "../kernel/limits.ts";
import { type DirectBounds, DirectSlots } from "./direct-slots.ts";

const BOUNDS: DirectBounds = {
  perSession: 1,
  perEntity: 2,
  ofSessionsPerOrganisation: 3,
  ofSessions: 4,
  perOrganisation: 5,
  all: 6,
};

const keyOf = (organisation: string, entityId?: string, keyId = `key_${organisation}`): Principal => ({
  tenant: { organisation, environment: "production" },
  keyId,
  ...(entityId === undefined ? { role: "admin" } : { role: "portal", entityId }),
});

function setUp(bounds: Partial<DirectBounds> = {}) {
  const slots = new DirectSlots({ ...BOUNDS, ...bounds });
  const answers: (() => void)[] = [];
  /** How a send that goes at once ended, or that it is in flight. */
  const start = async (organisation: string, entityId?: string, session?: string) => {
    let isSent = false;
    const ended = slots.run(keyOf(organisation, entityId, session), () => {
      isSent = true;
      return new Promise<void>((resolve) => answers.push(resolve));
    });
    if (isSent) return "in flight";
    const error = await ended.catch((reason: unknown) => reason);
    return error instanceof CodedError ? `${error.code}: ${error.message}` : "none";
  };
  return { start, answers, slots };
}

test("an organisation takes its share, and leaves the others theirs", async () => {
  const { start } = setUp({ perOrganisation: 2 });
  expect([await start("acme"), await start("acme")]).toEqual(["in flight", "in flight"]);
  expect(await start("acme")).toMatch(/^limit.direct_sends: 2 test sends and challenges of the organisation are/);
  expect(await start("globex")).toBe("in flight");
});

test("all of them take no more than there is", async () => {
  const { start } = setUp({ all: 3 });
  for (const organisation of ["acme", "acme", "globex"]) expect(await start(organisation)).toBe("in flight");
  expect(await start("initech")).toMatch(/^limit.direct_sends: 3 test sends and challenges are in flight/);
});

test("one that has ended, in whichever way, leaves its place", async () => {
  const { start, answers, slots } = setUp({ perOrganisation: 2 });
  await expect(slots.run(keyOf("acme"), () => Promise.reject(new Error("cut")))).rejects.toThrow("cut");
  expect([await start("acme"), await start("acme")]).toEqual(["in flight", "in flight"]);
  answers.shift()?.();
  await Promise.resolve();
  await Promise.resolve();
  expect([await start("acme"), await start("acme")]).toEqual([
    "in flight",
    expect.stringMatching("of the organisation"),
  ]);
});

test("portal sessions are bounded by session, by entity and over all, and the keys have the rest", async () => {
  const { start, answers } = setUp();
  const refusal = (who: string) =>
    expect.stringMatching(new RegExp(`^limit.direct_sends: \\d test .* challenges ${who}`));
  expect(await start("acme", "shop", "one")).toBe("in flight");
  expect(await start("acme", "shop", "one")).toEqual(refusal("of the portal session are"));
  expect(await start("acme", "shop", "two")).toBe("in flight");
  expect(await start("acme", "shop", "three")).toEqual(refusal("of the entity are"));
  expect(await start("acme", "other", "four")).toBe("in flight");
  expect(await start("acme", "another", "five")).toEqual(refusal("of the organisation's portal are"));
  // An entity of the same name elsewhere is another.
  expect(await start("globex", "shop", "six")).toBe("in flight");
  expect(await start("initech", "shop", "seven")).toEqual(refusal("of portal sessions are"));
  expect([await start("acme"), await start("acme")]).toEqual(["in flight", "in flight"]);
  expect(await start("acme")).toEqual(refusal("of the organisation are"));
  // What ends is free again, for all that it counted for.
  answers.shift()?.();
  await Promise.resolve();
  await Promise.resolve();
  expect(await start("acme", "shop", "one")).toBe("in flight");
});

test("portal sessions have half at most of what an organisation has, and of what there is", () => {
  expect(LIMITS.sessionDirectSendsPerOrganisation * 2).toBeLessThanOrEqual(LIMITS.directSendsPerOrganisation);
  expect(LIMITS.sessionDirectSends * 2).toBeLessThanOrEqual(LIMITS.directSends);
  expect(LIMITS.directSendsPerEntity).toBeLessThan(LIMITS.sessionDirectSendsPerOrganisation);
  expect(LIMITS.directSendsPerSession).toBeLessThan(LIMITS.directSendsPerEntity);
});
