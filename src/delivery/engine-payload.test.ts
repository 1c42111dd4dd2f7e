import { expect, test } from "vitest";
import { answer, engineSetup } from "../../test/support/engine.ts";
import { sampleEvent, sampleSubscription } from "../../test/support/samples.ts";

test("a record that repeats an event whose payload was dropped brings it back, and what waits of it can be sent", async () => {
  const { engine, store, sender, take, pass, row, done } = engineSetup();
  engine.start();
  store.put(sampleSubscription());
  sender.reply = () => answer(500);
  const event = sampleEvent("evt_1");
  const key = "acme/production/evt_1";
  store.events.set(key, { ...event.stored, value: new Uint8Array(), payloadDroppedAtMs: 5 });
  await take(event);
  await pass(100);
  expect(done).toEqual(["evt_1"]);
  expect(store.events.get(key)).toEqual(event.stored);
  sender.reply = () => answer(200);
  await pass(10_000);
  expect(row(event, "sub_1")).toMatchObject({ status: "delivered", attemptCount: 2 });
});
