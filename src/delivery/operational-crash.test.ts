/** What is told and what it is about become durable in this order, and a crash anywhere between loses neither. */
import { describe, expect, test } from "vitest";
import { OperationalEventType as Type } from "../../gen/passbus/v1/operational_event_pb.js";
import { answer } from "../../test/support/engine.ts";
import { rowOf, type Setup, sentTo, stage, types } from "../../test/support/operational.ts";
import { sampleEvent } from "../../test/support/samples.ts";
import type { FlushBatch } from "./delivery-store.ts";

describe("a crash", () => {
  /** Lets flushes through until one has what `isLast` looks for; that one is durable, and nothing after it. */
  function crashAfter(setup: Setup, isLast: (batch: FlushBatch) => boolean): void {
    const { store } = setup;
    const flush = store.flush.bind(store);
    let isOver = false;
    store.flush = async (batch) => {
      if (isOver) throw new Error("crashed");
      isOver = isLast(batch);
      return flush(batch);
    };
  }

  const isTelling = (batch: FlushBatch) => batch.events.some(({ operationalType }) => operationalType !== undefined);
  const isFailure = ({ deliveries }: FlushBatch) =>
    deliveries.some((write) => (write.kind === "outcome" ? write.next : write.delivery).status === "failed");

  async function restarted(setup: Setup) {
    setup.engine.stop(0).catch(() => {});
    const { clock, store } = setup;
    Reflect.deleteProperty(store, "flush");
    const next = stage({}, { clock, store });
    return next;
  }

  test("no failure is durable before what is told of it", async () => {
    const setup = stage();
    let isTold = false;
    const early: boolean[] = [];
    const flush = setup.store.flush.bind(setup.store);
    setup.store.flush = async (batch) => {
      if (isFailure(batch)) early.push(!isTold);
      const result = await flush(batch);
      isTold ||= isTelling(batch);
      return result;
    };
    await setup.take(sampleEvent("evt_1"));
    await setup.pass(1_000);
    expect(early).toEqual([false]);
  });

  test("between the two: the failure comes again, and is told once", async () => {
    const setup = stage();
    crashAfter(setup, isTelling);
    const event = sampleEvent("evt_1");
    await setup.take(event);
    await setup.pass(1_000);
    expect(setup.row(event, "sub_broken")).toBeUndefined();
    expect(types(setup)).toEqual([Type.DELIVERY_FAILED]);
    const next = await restarted(setup);
    await next.take(event);
    await next.pass(3_000);
    expect(next.row(event, "sub_broken")?.status).toBe("failed");
    expect(types(next)).toEqual([Type.DELIVERY_FAILED]);
    const ids = [setup, next].flatMap(({ sender }) =>
      sender.requests.filter(({ url }) => url.endsWith("_ops")).map(({ headers }) => headers["webhook-id"]),
    );
    expect(new Set(ids).size).toBe(1);
    expect(rowOf(next, "sub_ops").status).toBe("delivered");
  });

  test("between its event and its deliveries, as a store without transactions has it: these are made again", async () => {
    const setup = stage();
    crashAfter(setup, isTelling);
    const event = sampleEvent("evt_1");
    await setup.take(event);
    await setup.pass(100);
    for (const row of setup.store.deliveries.values()) setup.store.deliveries.delete(row.id);
    const next = await restarted(setup);
    await next.take(event);
    await next.pass(3_000);
    expect(types(next)).toEqual([Type.DELIVERY_FAILED]);
    expect(sentTo(next, "sub_ops")).toHaveLength(1);
  });

  test("two workers that see one thing tell it once", async () => {
    const one = stage();
    const two = stage({}, { clock: one.clock, store: one.store });
    one.sender.reply = () => answer(410);
    two.sender.reply = () => answer(410);
    await one.take(sampleEvent("evt_1"));
    await two.take(sampleEvent("evt_2"));
    await one.pass(30);
    await two.pass(1_000);
    expect(types(one).filter((type) => type === Type.SUBSCRIPTION_DISABLED)).toHaveLength(1);
  });
});
