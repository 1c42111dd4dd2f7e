/** What is told and what it is about become durable in this order, and a crash anywhere between loses neither. */
import { describe, expect, test } from "vitest";
import { OperationalEventType as Type } from "../../gen/passbus/v1/operational_event_pb.js";
import { delivery } from "../../test/contracts/rows.ts";
import { answer } from "../../test/support/engine.ts";
import { rowOf, type Setup, sentTo, stage, types } from "../../test/support/operational.ts";
import { sampleEvent, TENANT } from "../../test/support/samples.ts";
import { silentLog } from "../kernel/log.ts";
import { SubscriptionIndex } from "../matching/subscription-index.ts";
import type { FlushBatch } from "./delivery-store.ts";
import { Upkeep } from "./upkeep.ts";

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

describe("a stop while held deliveries are told of, which the store doesn't take", () => {
  const DAY_MS = 86_400_000;
  const retained = { eventRetentionMs: DAY_MS, deliveryRetentionMs: DAY_MS, deadLetterRetentionMs: DAY_MS };

  function upkeepOf({ clock, store, engine }: Setup) {
    const ended: string[] = [];
    const held = delivery("dlv_1", { subscriptionId: "sub_broken", status: "held", createdAtMs: 0 });
    const upkeep = new Upkeep({
      store: {
        tenants: async () => [{ tenant: TENANT }],
        purge: async () => ({ purged: 0, more: false }),
        expireHeld: async (_tenant, ids) => ended.push(...ids),
        takeTurn: async () => ({ state: null }),
        keepState: async () => {},
      },
      deliveries: { listDeliveries: async () => ({ items: ended.length === 0 ? [held] : [] }) },
      index: new SubscriptionIndex({ feed: store, typesOf: () => [] }),
      stopped: { isStopped: () => false },
      retention: { ...retained, auditRetentionMs: DAY_MS, holdRetentionMs: DAY_MS },
      expiring: (deliveries) => engine.operational.expired(deliveries),
      isBusy: () => false,
      ...{ clock, log: silentLog, holder: "me" },
    });
    return { upkeep, ended };
  }

  test("ends: they stay, and the next process tells of them before they end", async () => {
    const disabled = { state: "disabled", disabledReason: "gone", updatedAtMs: 0 } as const;
    const setup = stage(disabled);
    const { upkeep, ended } = upkeepOf(setup);
    setup.store.flushError = new Error("disk full");
    upkeep.start();
    await setup.pass(1_000);
    expect(setup.engine.state.unflushed).toBeGreaterThan(0);
    let isStopped = false;
    void upkeep.stop().then(async () => {
      await setup.engine.stop(1_000);
      isStopped = true;
    });
    await setup.pass(20_000);
    expect(isStopped).toBe(true);
    expect([ended, types(setup)]).toEqual([[], []]);
    setup.store.flushError = undefined;
    const next = stage(disabled, setup);
    const heir = upkeepOf(next);
    heir.upkeep.start();
    await next.pass(2_000);
    expect([heir.ended, types(next)]).toEqual([["dlv_1"], [Type.DELIVERY_EXPIRED]]);
    await heir.upkeep.stop();
  });
});
