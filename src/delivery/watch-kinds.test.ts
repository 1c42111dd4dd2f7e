import { expect, test } from "vitest";
import { ACME, GLOBEX, subscription } from "../../test/contracts/rows.ts";
import { settled } from "../../test/support/settled.ts";
import { ManualClock } from "../kernel/manual-clock.ts";
import type { Tenant } from "../kernel/tenant.ts";
import type { ChangeKind } from "./kind-feed.ts";
import { KindWatches, type WatchKindsRequest } from "./watch-kinds.ts";

interface TestReader {
  readonly tenant: Tenant;
  readonly kind: ChangeKind;
  readonly changed: Set<string>;
  more: boolean;
  failure: Error | undefined;
  closed: boolean;
}

function setUp() {
  const clock = new ManualClock();
  const readers: TestReader[] = [];
  const stage = { subscriptions: [subscription("sub_shop", { entityId: "shop" })], loads: 0 };
  const watches = new KindWatches({
    clock,
    kinds: {
      async watchKind(tenant, kind) {
        const reader: TestReader = { tenant, kind, changed: new Set(), more: false, failure: undefined, closed: false };
        readers.push(reader);
        return {
          async read() {
            if (reader.failure !== undefined) throw reader.failure;
            const answer = { ids: new Set(reader.changed), more: reader.more };
            reader.changed.clear();
            reader.more = false;
            return answer;
          },
          async close() {
            reader.closed = true;
          },
        };
      },
    },
    subscriptions: {
      async load() {
        stage.loads += 1;
        return { version: 1, subscriptions: stage.subscriptions };
      },
    },
  });
  const watch = async (kinds: readonly ChangeKind[], over: Partial<WatchKindsRequest> = {}) => {
    const ending = new AbortController();
    const told = watches.watch({ tenant: ACME, kinds, signal: ending.signal, ...over })[Symbol.asyncIterator]();
    expect((await told.next()).value).toEqual(new Set());
    return { told, end: () => ending.abort() };
  };
  const tick = async (ms = 500) => {
    await settled();
    clock.advance(ms);
    await settled();
  };
  const readerOf = (kind: ChangeKind) =>
    readers.find((each) => each.kind === kind) ?? expect.fail(`nobody reads ${kind}`);
  return { watch, tick, readers, readerOf, stage };
}

/** What is told next, and nothing where the watcher goes on waiting. */
async function toldBy(told: AsyncIterator<ReadonlySet<ChangeKind>>, tick: () => Promise<void>) {
  let value: ReadonlySet<ChangeKind> | "nothing" = "nothing";
  const next = told.next().then((answer) => {
    value = answer.value;
  });
  await tick();
  return { value: value as ReadonlySet<ChangeKind> | "nothing", next };
}

test("a thousand watchers of a kind share one reader, which ends with the last of them", async () => {
  const { watch, tick, readers, readerOf } = setUp();
  const all = await Promise.all(Array.from({ length: 1_000 }, () => watch(["bins"])));
  expect(readers).toHaveLength(1);
  readerOf("bins").changed.add("bin_1");
  await tick();
  for (const { told } of all) expect((await told.next()).value).toEqual(new Set(["bins"]));
  const [last, ...others] = all;
  for (const { told, end } of others) {
    end();
    await told.next();
  }
  await tick();
  expect(readerOf("bins").closed).toBe(false);
  last?.end();
  expect((await last?.told.next())?.done).toBe(true);
  await tick();
  expect(readerOf("bins").closed).toBe(true);
});

test("each tenant and kind has a reader of its own, and a watcher hears of what it asked for", async () => {
  const { watch, tick, readers, readerOf } = setUp();
  const mine = await watch(["bins", "replays"]);
  await watch(["bins"], { tenant: GLOBEX });
  expect(readers.map(({ tenant, kind }) => [tenant.organisation, kind])).toEqual([
    ["acme", "bins"],
    ["acme", "replays"],
    ["globex", "bins"],
  ]);
  readers[2]?.changed.add("bin_1");
  const first = await toldBy(mine.told, tick);
  expect(first.value).toBe("nothing");
  readerOf("replays").changed.add("rpl_1");
  await tick();
  await first.next;
});

test("who reads slowly is told once of many changes", async () => {
  const { watch, tick, readerOf } = setUp();
  const { told } = await watch(["bins", "replays"]);
  for (let at = 0; at < 10; at++) {
    readerOf("bins").changed.add(`bin_${at}`);
    readerOf("replays").changed.add(`rpl_${at}`);
    await tick();
  }
  expect((await told.next()).value).toEqual(new Set(["bins", "replays"]));
  expect((await toldBy(told, tick)).value).toBe("nothing");
});

test("a quiet watch says every 15 seconds that it lives", async () => {
  const { watch, tick } = setUp();
  const { told } = await watch(["bins"]);
  const next = told.next();
  await tick(15_000);
  expect((await next).value).toEqual(new Set());
});

test("of an entity, what changes of its own subscriptions is told: new ones and those that are gone too", async () => {
  const { watch, tick, readerOf, stage } = setUp();
  const { told } = await watch(["subscriptions"], { entityId: "shop" });
  const everybody = await watch(["subscriptions"]);
  const reader = readerOf("subscriptions");
  stage.subscriptions.push(subscription("sub_other", { entityId: "other" }), subscription("sub_none"));
  for (const id of ["sub_other", "sub_none", "sub_unknown", ""]) reader.changed.add(id);
  const first = await toldBy(told, tick);
  expect(first.value).toBe("nothing");
  expect((await everybody.told.next()).value).toEqual(new Set(["subscriptions"]));
  stage.subscriptions.push(subscription("sub_new", { entityId: "shop" }));
  reader.changed.add("sub_new");
  await tick();
  await first.next;
  stage.subscriptions.splice(0);
  reader.changed.add("sub_new");
  expect((await toldBy(told, tick)).value).toEqual(new Set(["subscriptions"]));
});

test("an entity's watchers cost one look at the subscriptions, and none where all are known", async () => {
  const { watch, tick, readerOf, stage } = setUp();
  const { told } = await watch(["health"], { entityId: "shop" });
  const { loads } = stage;
  for (let at = 0; at < 3; at++) {
    readerOf("health").changed.add("sub_shop");
    expect((await toldBy(told, tick)).value).toEqual(new Set(["health"]));
  }
  expect(stage.loads).toBe(loads);
});

test("where more changed than was said, everybody is told", async () => {
  const { watch, tick, readerOf } = setUp();
  const { told } = await watch(["health"], { entityId: "shop" });
  readerOf("health").more = true;
  expect((await toldBy(told, tick)).value).toEqual(new Set(["health"]));
});

test("what the store throws ends the watches with it, and the next one begins anew", async () => {
  const { watch, tick, readers, readerOf } = setUp();
  const [one, two] = [await watch(["bins"]), await watch(["bins"])];
  readerOf("bins").failure = new Error("the store is gone");
  await tick();
  await expect(one.told.next()).rejects.toThrow("the store is gone");
  await expect(two.told.next()).rejects.toThrow("the store is gone");
  expect(readerOf("bins").closed).toBe(true);
  await watch(["bins"]);
  expect(readers).toHaveLength(2);
});
