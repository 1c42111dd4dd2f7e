import { describe, expect, test } from "vitest";
import { ACME, ACME_TEST, event } from "../../test/contracts/rows.ts";
import { settled } from "../../test/support/settled.ts";
import type { StoredEvent } from "../domain/event.ts";
import { LIMITS } from "../kernel/limits.ts";
import { ManualClock } from "../kernel/manual-clock.ts";
import type { Tenant } from "../kernel/tenant.ts";
import type { ChangeReader } from "./change-feed.ts";
import { type Told, watches } from "./watch.ts";

interface TestReader extends ChangeReader<StoredEvent> {
  readonly tenant: Tenant;
  /** What the next read answers. */
  readonly stored: StoredEvent[];
  skipped: number;
  failure: Error | undefined;
  reads: number;
  closed: boolean;
}

function setUp() {
  const clock = new ManualClock();
  const readers: TestReader[] = [];
  const watchEvents = async (tenant: Tenant) => {
    const reader: TestReader = {
      tenant,
      stored: [],
      skipped: 0,
      failure: undefined,
      reads: 0,
      closed: false,
      async read(limit) {
        reader.reads += 1;
        if (reader.failure !== undefined) throw reader.failure;
        const { skipped } = reader;
        reader.skipped = 0;
        return { items: reader.stored.splice(0, limit), more: reader.stored.length > 0, skipped };
      },
      async close() {
        reader.closed = true;
      },
    };
    readers.push(reader);
    return reader;
  };
  const { events } = watches({ watchEvents, watchDeliveries: () => Promise.reject(new Error("not asked for")) }, clock);
  const watch = async (tenant = ACME, accepts: (event: StoredEvent) => boolean = () => true, ofEntity = false) => {
    const ending = new AbortController();
    const told = events({ tenant, accepts, ofEntity, signal: ending.signal })[Symbol.asyncIterator]();
    expect((await told.next()).value).toEqual({ skipped: 0 });
    return { told, end: () => ending.abort() };
  };
  const tick = async () => {
    await settled();
    clock.advance(250);
    await settled();
  };
  const [only] = [() => readers[0] ?? expect.fail("nobody reads")];
  return { clock, readers, reader: only, watch, tick };
}

type Iterator = AsyncIterator<Told<StoredEvent>>;

async function idOf(told: Iterator): Promise<string | undefined> {
  return (await told.next()).value?.item?.id;
}

describe("watching", () => {
  test("tells what is stored, in order, to every watcher that wants it, over one reader a tenant", async () => {
    const { readers, reader, watch, tick } = setUp();
    const [all, few, others] = [await watch(), await watch(ACME, ({ id }) => id === "evt_2"), await watch(ACME_TEST)];
    expect(readers.map(({ tenant }) => tenant)).toEqual([ACME, ACME_TEST]);
    reader().stored.push(event("evt_1"), event("evt_2"));
    await tick();
    expect([await idOf(all.told), await idOf(all.told), await idOf(few.told)]).toEqual(["evt_1", "evt_2", "evt_2"]);
    readers[1]?.stored.push(event("evt_3", { tenant: ACME_TEST }));
    await tick();
    expect(await idOf(others.told)).toBe("evt_3");
  });

  test("looks four times a second, and again at once where there is more", async () => {
    const { reader, watch, tick, clock } = setUp();
    const { told } = await watch();
    await settled();
    expect(reader().reads).toBe(1);
    clock.advance(249);
    await settled();
    expect(reader().reads).toBe(1);
    reader().stored.push(...Array.from({ length: 501 }, (_, at) => event(`evt_${at}`)));
    await tick();
    expect(reader().reads).toBe(3);
    for (let at = 0; at < 501; at++) expect(await idOf(told)).toBe(`evt_${at}`);
  });

  test("keeps no more for a slow watcher than its inbox holds, and tells how many it missed", async () => {
    const { reader, watch, tick } = setUp();
    const [slow, quick] = [await watch(), await watch(ACME, ({ id }) => id === "evt_0")];
    const count = LIMITS.watchItems + 7;
    reader().stored.push(...Array.from({ length: count }, (_, at) => event(`evt_${at}`)));
    await tick();
    expect((await slow.told.next()).value).toMatchObject({ skipped: 7, item: { id: "evt_7" } });
    expect((await slow.told.next()).value).toMatchObject({ skipped: 0, item: { id: "evt_8" } });
    expect((await quick.told.next()).value).toMatchObject({ skipped: 0, item: { id: "evt_0" } });
  });

  test("of one entity is told that the store let something go, and not how much: it was anybody's", async () => {
    const { reader, watch, tick } = setUp();
    const [ofEntity, ofAll] = [await watch(ACME, () => true, true), await watch()];
    reader().skipped = 700;
    reader().stored.push(event("evt_1"));
    await tick();
    expect((await ofEntity.told.next()).value).toMatchObject({ skipped: 1, item: { id: "evt_1" } });
    expect((await ofAll.told.next()).value).toMatchObject({ skipped: 700, item: { id: "evt_1" } });
  });

  test("keeps no more bytes than the inbox may have, but one item however large", async () => {
    const { reader, watch, tick } = setUp();
    const { told } = await watch();
    const content = "x".repeat(LIMITS.watchBytes / 2);
    reader().stored.push(event("evt_1", { content }), event("evt_2", { content: content + content }));
    await tick();
    expect((await told.next()).value).toMatchObject({ skipped: 1, item: { id: "evt_2" } });
    reader().stored.push(event("evt_3", { content: "x".repeat(LIMITS.watchBytes - 1_024) }), event("evt_4"));
    await tick();
    expect((await told.next()).value).toMatchObject({ skipped: 1, item: { id: "evt_4" } });
    for (const id of ["evt_5", "evt_6", "evt_7"]) {
      reader().stored.push(event(id, { content }));
      await tick();
      expect((await told.next()).value).toMatchObject({ skipped: 0, item: { id } });
    }
    reader().stored.push(event("evt_8"), event("evt_9"));
    await tick();
    expect((await told.next()).value).toMatchObject({ skipped: 0, item: { id: "evt_8" } });
  });

  test("tells what the store let go of", async () => {
    const { reader, watch, tick } = setUp();
    const { told } = await watch();
    reader().skipped = 3;
    await tick();
    expect((await told.next()).value).toEqual({ skipped: 3 });
  });

  test("says that it is alive every 15 s", async () => {
    const { watch, clock } = setUp();
    const { told } = await watch();
    const next = told.next();
    await settled();
    clock.advance(15_000);
    expect((await next).value).toEqual({ skipped: 0 });
  });

  test("ends without an error when it is told to, and the last one closes the reader and leaves no timer", async () => {
    const { reader, readers, watch, clock } = setUp();
    const [one, two] = [await watch(), await watch()];
    const next = one.told.next();
    one.end();
    expect(await next).toEqual({ value: undefined, done: true });
    await settled();
    expect(reader().closed).toBe(false);
    await two.told.return?.();
    await settled();
    expect([reader().closed, clock.pending]).toEqual([true, 0]);
    await watch();
    expect(readers).toHaveLength(2);
  });

  test("throws what the store threw, after what was told before; the next watcher begins anew", async () => {
    const { reader, readers, watch, tick } = setUp();
    const { told } = await watch();
    reader().stored.push(event("evt_1"));
    await tick();
    reader().failure = new Error("the store is gone");
    await tick();
    expect(await idOf(told)).toBe("evt_1");
    await expect(told.next()).rejects.toThrow("the store is gone");
    expect(reader().closed).toBe(true);
    await watch();
    expect(readers).toHaveLength(2);
  });
});
