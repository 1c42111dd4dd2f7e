import { expect, test } from "vitest";
import { ASSIGNMENT, answer, engineSetup } from "../../test/support/engine.ts";
import { sampleEvent, sampleSubscription } from "../../test/support/samples.ts";
import { settled } from "../../test/support/settled.ts";

test("once a partition is dropped it is settled when what was in flight has come back and is recorded", async () => {
  const { engine, store, sender, take, pass } = engineSetup();
  engine.start();
  store.put(sampleSubscription());
  sender.reply = () => undefined;
  await take(sampleEvent("evt_1"));
  await pass(100);
  engine.drop([ASSIGNMENT]);
  let isSettled = false;
  const handedOver = engine.settled().then(() => {
    isSettled = true;
  });
  await pass(300);
  expect(isSettled).toBe(false);
  sender.open.shift()?.(answer(200));
  await settled();
  expect(isSettled).toBe(false);
  await pass(100);
  await handedOver;
  expect([...store.deliveries.values()].map(({ status }) => status)).toEqual(["delivered"]);
});
