import { create } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { BreakerState, EndpointCondition, State } from "../../gen/passbus/v1/subscription_pb.js";
import { ListSubscriptionsRequestSchema } from "../../gen/passbus/v1/subscription_service_pb.js";
import { refusal, subscriptionsRoom, tenant } from "../../test/support/subscriptions.ts";
import type { EndpointRecord } from "../domain/endpoint.ts";
import { healthMessage } from "./health.ts";

const T0 = 1_700_000_000_000;

const record = (subscriptionId: string, over: Partial<EndpointRecord> = {}): EndpointRecord => ({
  tenant,
  subscriptionId,
  version: 1,
  breaker: "closed",
  openings: 0,
  consecutiveFailures: 0,
  ...over,
});
const FAILING = {
  failingSinceMs: T0,
  consecutiveFailures: 3,
  lastFailureAtMs: T0 + 1,
  lastError: "dns.failed",
} as const;

describe("health", () => {
  test("of an endpoint that was never tried is good", () => {
    const message = healthMessage(undefined);
    expect(message).toMatchObject({
      condition: EndpointCondition.HEALTHY,
      breaker: BreakerState.CLOSED,
      lastError: "",
    });
    expect(message.failingSince).toBeUndefined();
  });

  test("shows all that is known", () => {
    const message = healthMessage(
      record("sub_1", { ...FAILING, breaker: "halfOpen", probeAtMs: T0 + 9, lastSuccessAtMs: T0 - 1, openings: 2 }),
    );
    expect(message).toMatchObject({
      condition: EndpointCondition.OPEN,
      breaker: BreakerState.HALF_OPEN,
      failingSince: timestampFromMs(T0),
      nextProbeAt: timestampFromMs(T0 + 9),
      lastSuccessAt: timestampFromMs(T0 - 1),
      lastFailureAt: timestampFromMs(T0 + 1),
      consecutiveFailures: 3,
      lastError: "dns.failed",
    });
  });
});

describe("a list by health", () => {
  test("has those in that condition, and what else is asked for", async () => {
    const { add, health, service } = subscriptionsRoom();
    const ids: string[] = [];
    for (let at = 0; at < 6; at++) ids.push((await add({ url: `https://a.example/${at}` })).subscription.id);
    const [, failing = "", open = "", failingToo = ""] = ids;
    await health.write([record(failing, FAILING), record(failingToo, FAILING)]);
    await health.write([record(open, { ...FAILING, breaker: "open" })]);
    const listed = async (condition: EndpointCondition, text = "") => {
      const request = create(ListSubscriptionsRequestSchema, { health: condition, text });
      return (await service.list(tenant, request)).items.map((one) => one.id).sort();
    };
    expect(await listed(EndpointCondition.OPEN)).toEqual([open]);
    expect(await listed(EndpointCondition.FAILING)).toEqual([failing, failingToo].sort());
    expect(await listed(EndpointCondition.HEALTHY)).toHaveLength(3);
    expect(await listed(EndpointCondition.FAILING, failing)).toEqual([failing]);
    expect(await listed(EndpointCondition.UNSPECIFIED)).toHaveLength(6);
    const wrong = create(ListSubscriptionsRequestSchema, { health: 9 as never });
    expect((await refusal(service.list(tenant, wrong))).violations.map(({ field }) => field)).toEqual(["health"]);
  });
});

describe("what is known of an endpoint", () => {
  test.each<[string, object, boolean]>([
    ["a new URL", { url: "https://b.example/hook" }, true],
    ["another policy", { policy: { attemptTimeout: durationFromMs(2_000) } }, false],
    ["another description", { description: "other" }, false],
  ])("%s", async (_what, change, isForgotten) => {
    const { add, change: update, health } = subscriptionsRoom();
    const { id } = (await add()).subscription;
    await health.write([record(id, FAILING)]);
    await update({ id, ...change });
    expect(health.of(id) === undefined).toBe(isForgotten);
  });

  test("is forgotten when a person enables the subscription again, and not before", async () => {
    const { add, change, health, service } = subscriptionsRoom();
    const { id, urlKey } = (await add()).subscription;
    await health.write([record(id, FAILING)]);
    await service.disable(tenant, id, "failing", urlKey);
    expect(health.of(id)).toBeDefined();
    await change({ id, state: State.ENABLED }, ["state"]);
    expect(health.of(id)).toBeUndefined();
    expect((await service.healthOf([await service.get(tenant, id)]))[0]?.condition).toBe(EndpointCondition.HEALTHY);
  });
});
