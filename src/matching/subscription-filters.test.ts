import { describe, expect, test } from "vitest";
import { MemoryStore } from "../../test/support/memory-store.ts";
import { sampleEvent, sampleSubscription, TENANT } from "../../test/support/samples.ts";
import type { Subscription } from "../domain/subscription.ts";
import { formatOf } from "../formats/registry.ts";
import type { LogFields } from "../kernel/log.ts";
import { silentLog } from "../kernel/log.ts";
import { ManualClock } from "../kernel/manual-clock.ts";
import { filterFailures } from "./filter-failures.ts";
import { SubscriptionFilters } from "./subscription-filters.ts";
import { SubscriptionIndex } from "./subscription-index.ts";

/** An index, the subscriptions it learns of, and what it says to the log. */
function setup() {
  const feed = new MemoryStore();
  const clock = new ManualClock();
  const lines: { readonly event: string; readonly fields: LogFields | undefined }[] = [];
  const log = { ...silentLog, warn: (event: string, fields?: LogFields) => void lines.push({ event, fields }) };
  const index = new SubscriptionIndex({
    feed,
    typesOf: (format) => formatOf(format).types,
    filterFailed: filterFailures({ log, clock }),
  });
  const put = (...subscriptions: Partial<Subscription>[]) => {
    for (const over of subscriptions) feed.put(sampleSubscription(over));
  };
  const match = async (event = sampleEvent("evt_1")) => {
    const view = await index.refresh([TENANT]);
    return view.match(event).map(({ subscription, disposition }) => `${subscription.id} ${disposition}`);
  };
  return { clock, index, lines, match, put };
}

const NO = `event.pass.id == "another"`;
const YES = `event.pass.id == "pass-1"`;
const FAILS = `event.details.content.nothing == 1`;

describe("filters of subscriptions", () => {
  test("an event goes to those whose filter lets it, and to those that have none", async () => {
    const { match, put } = setup();
    put({ id: "none" }, { id: "yes", filter: YES }, { id: "no", filter: NO }, { id: "also", filter: YES });
    expect(await match()).toEqual(["none send", "yes send", "also send"]);
    expect(await match(sampleEvent("evt_2", { passId: "another" }))).toEqual(["none send", "no send"]);
  });

  test("and are asked of what is held too", async () => {
    const { match, put } = setup();
    const disabled = { state: "disabled", policy: { ...sampleSubscription().policy, whileDisabled: "hold" } } as const;
    put({ id: "yes", filter: YES, ...disabled }, { id: "no", filter: NO, ...disabled });
    expect(await match()).toEqual(["yes hold"]);
  });

  test("but not of events that the subscription would not get anyway", async () => {
    const { lines, match, put } = setup();
    put(
      { id: "other-entity", filter: FAILS, entityId: "class-2" },
      { id: "dropped", filter: FAILS, state: "disabled", disabledSpans: [{ fromMs: 0 }] },
    );
    expect(await match()).toEqual([]);
    expect(lines).toEqual([]);
  });

  test("a changed filter decides from the next refresh on", async () => {
    const { match, put } = setup();
    put({ id: "changed", filter: NO });
    expect(await match()).toEqual([]);
    put({ id: "changed", filter: YES, version: 2 });
    expect(await match()).toEqual(["changed send"]);
    put({ id: "changed", filter: NO, version: 3 });
    expect(await match()).toEqual([]);
    put({ id: "changed", version: 4 });
    expect(await match()).toEqual(["changed send"]);
  });

  test("one that fails lets its event through, and says so once a minute", async () => {
    const { clock, lines, match, put } = setup();
    put({ id: "fails", filter: FAILS, version: 3 }, { id: "no", filter: NO });
    for (let times = 0; times < 5; times++) expect(await match()).toEqual(["fails send"]);
    const fields = {
      ...TENANT,
      subscription: "fails",
      version: 3,
      event: "evt_1",
      code: "filter.failed",
      line: 1,
      column: 22,
    };
    expect(lines).toEqual([{ event: "delivery.filter_failed", fields: { ...fields, untold: 0 } }]);
    clock.advance(59_999);
    await match();
    expect(lines).toHaveLength(1);
    clock.advance(1);
    await match();
    expect(lines[1]).toEqual({ event: "delivery.filter_failed", fields: { ...fields, untold: 5 } });
  });

  test("each of two that fail is spoken of", async () => {
    const { lines, match, put } = setup();
    put({ id: "a", filter: FAILS }, { id: "b", filter: FAILS });
    await match();
    expect(lines.map(({ fields }) => fields?.subscription)).toEqual(["a", "b"]);
  });

  test("a text that this version does not take fails, and the other subscriptions go on", async () => {
    const { lines, match, put } = setup();
    put({ id: "of another version", filter: `event.gone == 1` }, { id: "no", filter: NO }, { id: "none" });
    expect(await match()).toEqual(["of another version send", "none send"]);
    expect(lines.map(({ fields }) => fields?.code)).toEqual(["filter.failed"]);
  });

  test("a text is planned once, for all subscriptions and versions that have it", () => {
    const filters = new SubscriptionFilters(() => {});
    const before = filters.plan([sampleSubscription({ filter: YES })], undefined);
    const after = filters.plan(
      ["a", "b"].map((id) => sampleSubscription({ id, filter: YES })),
      before,
    );
    expect(after.size).toBe(1);
    expect(after.get(YES)).toBe(before.get(YES));
    expect(filters.plan([sampleSubscription({ filter: NO })], after).has(YES)).toBe(false);
  });

  test("what the log is told quotes no event", async () => {
    const { lines, match, put } = setup();
    put({ id: "a", filter: `int(event.pass.id) == 1` });
    await match(sampleEvent("evt_1", { passId: "a-secret" }));
    expect(lines).toHaveLength(1);
    expect(JSON.stringify(lines)).not.toContain("a-secret");
  });
});
