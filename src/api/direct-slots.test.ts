import { expect, test } from "vitest";
import { CodedError } from "../kernel/errors.ts";
import { DirectSlots } from "./direct-slots.ts";

function setUp() {
  const slots = new DirectSlots(3, 2);
  const answers: (() => void)[] = [];
  /** How a send that goes at once ended, or that it is in flight. */
  const start = async (organisation: string) => {
    let isSent = false;
    const ended = slots.run(organisation, () => {
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
  const { start } = setUp();
  expect([await start("acme"), await start("acme")]).toEqual(["in flight", "in flight"]);
  expect(await start("acme")).toMatch(/^limit.direct_sends: 2 test sends and challenges of the organisation are/);
  expect(await start("globex")).toBe("in flight");
});

test("all of them take no more than there is", async () => {
  const { start } = setUp();
  for (const organisation of ["acme", "acme", "globex"]) expect(await start(organisation)).toBe("in flight");
  expect(await start("initech")).toMatch(/^limit.direct_sends: 3 test sends and challenges are in flight/);
});

test("one that has ended, in whichever way, leaves its place", async () => {
  const { start, answers, slots } = setUp();
  await expect(slots.run("acme", () => Promise.reject(new Error("cut")))).rejects.toThrow("cut");
  expect([await start("acme"), await start("acme")]).toEqual(["in flight", "in flight"]);
  answers.shift()?.();
  await Promise.resolve();
  await Promise.resolve();
  expect([await start("acme"), await start("acme")]).toEqual([
    "in flight",
    expect.stringMatching("of the organisation"),
  ]);
});
