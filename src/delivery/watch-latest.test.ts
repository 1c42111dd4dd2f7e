import { expect, test } from "vitest";
import { ACME, GLOBEX } from "../../test/contracts/rows.ts";
import { settled } from "../../test/support/settled.ts";
import { ManualClock } from "../kernel/manual-clock.ts";
import type { Tenant } from "../kernel/tenant.ts";
import { LatestWatches } from "./watch-latest.ts";

function setUp() {
  const clock = new ManualClock();
  const stage = { figure: 1, workedOut: 0, failure: undefined as Error | undefined };
  const watches = new LatestWatches<string>({
    clock,
    isSame: (one, other) => one === other,
    async workOut({ organisation }) {
      stage.workedOut += 1;
      if (stage.failure !== undefined) throw stage.failure;
      return `${organisation} ${stage.figure}`;
    },
  });
  const watch = (tenant: Tenant = ACME) => {
    const ending = new AbortController();
    return { told: watches.watch(tenant, ending.signal)[Symbol.asyncIterator](), end: () => ending.abort() };
  };
  const tick = async (ms = 1_000) => {
    await settled();
    clock.advance(ms);
    await settled();
  };
  return { stage, watch, tick };
}

test("a thousand watchers cost one working out a second, and each is told", async () => {
  const { stage, watch, tick } = setUp();
  const all = Array.from({ length: 1_000 }, () => watch());
  expect(await Promise.all(all.map(async ({ told }) => (await told.next()).value))).toEqual(all.map(() => "acme 1"));
  expect(stage.workedOut).toBe(1);
  const next = all.map(({ told }) => told.next());
  stage.figure = 2;
  await tick();
  expect(await Promise.all(next.map(async (each) => (await each).value))).toEqual(all.map(() => "acme 2"));
  expect(stage.workedOut).toBe(2);
});

test("the same is not told again but every 15 seconds, and a slow reader gets the newest alone", async () => {
  const { stage, watch, tick } = setUp();
  const { told } = watch();
  await told.next();
  const values: (string | undefined)[] = [];
  const next = told.next().then(({ value }) => values.push(value));
  for (let at = 0; at < 14; at++) await tick();
  expect(values).toEqual([]);
  await tick();
  await next;
  expect(values).toEqual(["acme 1"]);
  for (const figure of [2, 3, 4]) {
    stage.figure = figure;
    await tick();
  }
  expect((await told.next()).value).toBe("acme 4");
});

test("each tenant has its own; nothing is worked out where nobody watches any longer", async () => {
  const { stage, watch, tick } = setUp();
  const [mine, theirs] = [watch(), watch(GLOBEX)];
  expect([(await mine.told.next()).value, (await theirs.told.next()).value]).toEqual(["acme 1", "globex 1"]);
  for (const each of [mine, theirs]) {
    const next = each.told.next();
    each.end();
    expect((await next).done).toBe(true);
  }
  const { workedOut } = stage;
  await tick();
  await tick();
  expect(stage.workedOut).toBe(workedOut);
});

test("what was thrown ends the watches with it, and the next one begins anew", async () => {
  const { stage, watch, tick } = setUp();
  const { told } = watch();
  await told.next();
  const next = told.next();
  stage.failure = new Error("the store is gone");
  const failed = expect(next).rejects.toThrow("the store is gone");
  await tick();
  await failed;
  stage.failure = undefined;
  expect((await watch().told.next()).value).toBe("acme 1");
});
