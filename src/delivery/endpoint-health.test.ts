import { expect, test } from "vitest";
import { answer, engineSetup } from "../../test/support/engine.ts";
import { sampleEvent, sampleSubscription, TENANT } from "../../test/support/samples.ts";
import type { EndpointRecord } from "../domain/endpoint.ts";
import { DEFAULT_POLICY } from "../domain/subscription.ts";

const HOUR_MS = 3_600_000;

function open(subscriptionId: string, openedAtMs: number): EndpointRecord {
  const breaker = { breaker: "open", openedAtMs, probeAtMs: openedAtMs + 5_000, openings: 1 } as const;
  return {
    tenant: TENANT,
    subscriptionId,
    version: 1,
    ...breaker,
    consecutiveFailures: 10,
    failingSinceMs: openedAtMs,
  };
}

test("the breaker of a disabled subscription is closed, what is known of its endpoint stays; an enabled one's waits", async () => {
  const setup = engineSetup();
  const { engine, store, clock, pass } = setup;
  store.put(sampleSubscription({ id: "off", state: "disabled", disabledReason: "failing" }));
  store.put(sampleSubscription({ id: "on" }));
  await store.endpoints.write([open("off", clock.now()), open("on", clock.now())]);
  engine.start();
  await pass(30_000);
  expect(store.endpoints.of("off")?.breaker).toBe("open");
  await pass(120_000);
  expect(store.endpoints.of("off")).toMatchObject({ breaker: "closed", consecutiveFailures: 10, version: 2 });
  expect(store.endpoints.of("off")?.probeAtMs).toBeUndefined();
  expect(store.endpoints.of("on")).toMatchObject({ breaker: "open", version: 1 });
});

test("with more open than are read, a closing is noticed all the same", async () => {
  const setup = engineSetup();
  const { engine, store, clock, sender, take, pass } = setup;
  sender.reply = () => answer(200);
  const policy = { ...DEFAULT_POLICY, retryScheduleMs: [HOUR_MS] };
  store.put(sampleSubscription({ policy }));
  const others = Array.from({ length: 10_000 }, (_, at) => open(`other_${at}`, clock.now() + HOUR_MS));
  await store.endpoints.write([{ ...open("sub_1", clock.now()), probeAtMs: clock.now() + 60_000 }]);
  engine.start();
  await pass(1_000);
  await take(sampleEvent("held_back"));
  await pass(100);
  expect(sender.requests).toEqual([]);
  await store.endpoints.write(others);
  await store.endpoints.write([{ ...open("sub_1", clock.now()), version: 2, breaker: "closed" }]);
  await pass(2_000);
  expect(sender.requests).toHaveLength(1);
});
