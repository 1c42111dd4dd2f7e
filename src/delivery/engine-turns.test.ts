/** What is done in one turn of the thread has a bound, whoever has how many subscriptions or how large events. */
import { create, toBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { PassEventSchema, PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { delivery } from "../../test/contracts/rows.ts";
import { answer, engineSetup } from "../../test/support/engine.ts";
import { sampleEvent, sampleSubscription, TENANT } from "../../test/support/samples.ts";
import { LIMITS } from "../kernel/limits.ts";
import { nextTurn } from "../kernel/next-turn.ts";

test("an event that many get fills memory no more than one that few get: the batch ends, and the rest is planned later", async () => {
  const { engine, store, sender, take, pass, done } = engineSetup();
  engine.start();
  const SUBSCRIPTIONS = 100;
  for (let at = 0; at < SUBSCRIPTIONS; at++) store.put(sampleSubscription({ id: `sub_${at}` }));
  sender.reply = () => undefined;
  const ids = Array.from({ length: 64 }, (_, at) => `evt_${at}`);
  await take(...ids.map((id) => sampleEvent(id, { passId: id })));
  expect(engine.state.pending).toBeGreaterThan(LIMITS.pendingDeliveries);
  expect(engine.state.pending).toBeLessThanOrEqual(2 * LIMITS.pendingDeliveries + SUBSCRIPTIONS);
  sender.reply = () => answer(200);
  for (const resolve of sender.open.splice(0)) resolve(answer(200));
  await pass(20_000);
  expect(done.toSorted()).toEqual(ids.toSorted());
  expect(sender.requests).toHaveLength(ids.length * SUBSCRIPTIONS);
});

test("large events that are claimed together are read and sent a few a turn", async () => {
  const { engine, store, sender, clock, idOf } = engineSetup();
  store.put(sampleSubscription());
  const details = { content: { text: "x".repeat(250_000) } };
  const message = create(PassEventSchema, { type: PassEventType.INSTALLED, details });
  for (let at = 0; at < 24; at++) {
    const event = sampleEvent(`evt_${at}`, { passId: `p${at}` });
    store.events.set(`acme/production/evt_${at}`, { ...event.stored, value: toBinary(PassEventSchema, message) });
    const about = { tenant: TENANT, eventId: event.stored.id, passId: `p${at}`, dueAtMs: 0 };
    const row = delivery(idOf(event, "sub_1"), about);
    store.deliveries.set(row.id, row);
  }
  engine.start();
  const perTurn: number[] = [];
  for (let sent = 0, turn = 0; turn < 60; turn++) {
    clock.advance(10);
    await nextTurn();
    perTurn.push(sender.requests.length - sent);
    sent = sender.requests.length;
  }
  expect(sender.requests).toHaveLength(24);
  expect(Math.max(...perTurn)).toBeLessThanOrEqual(5);
});
