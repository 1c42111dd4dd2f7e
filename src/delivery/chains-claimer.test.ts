import { expect, test } from "vitest";
import { answer, engineSetup } from "../../test/support/engine.ts";
import { sampleEvent, sampleSubscription } from "../../test/support/samples.ts";
import { DEFAULT_POLICY } from "../domain/subscription.ts";

test("the next of a pass in the store goes when the one before it was taken, and waits for no flush", async () => {
  const { engine, store, sender, take, pass } = engineSetup();
  engine.start();
  store.put(sampleSubscription({ policy: { ...DEFAULT_POLICY, ordering: "perPass" } }));
  sender.reply = () => undefined;
  await take(...["a1", "a2", "a3", "a4"].map((id) => sampleEvent(id)));
  await pass(1_500);
  expect([...store.deliveries.values()].map(({ status }) => status)).toEqual(["attempting", "held", "held", "held"]);
  const { flushes } = store;
  sender.reply = () => answer(200);
  sender.open.shift()?.(answer(200));
  await pass(1);
  await pass(1);
  await pass(1);
  expect(store.flushes).toBe(flushes);
  expect(sender.requests).toHaveLength(4);
  await pass(500);
  expect([...store.deliveries.values()].map(({ status }) => status)).toEqual(Array(4).fill("delivered"));
});

test("one that waits for its turn after a failure is not hurried", async () => {
  const { engine, store, sender, take, pass } = engineSetup();
  engine.start();
  const policy = { ...DEFAULT_POLICY, ordering: "perPass", retryScheduleMs: [10_000] } as const;
  store.put(sampleSubscription({ policy }));
  sender.reply = () => undefined;
  await take(...["a1", "a2", "a3"].map((id) => sampleEvent(id)));
  await pass(1_500);
  sender.reply = () => answer(503);
  sender.open.shift()?.(answer(200));
  await pass(2_000);
  expect(sender.requests).toHaveLength(2);
});
