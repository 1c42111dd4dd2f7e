/** What follows from an attempt: in which order, where the URL changed meanwhile, and where something of it fails. */
import { describe, expect, test } from "vitest";
import { OperationalEventType as Type } from "../../gen/passbus/v1/operational_event_pb.js";
import { answer } from "../../test/support/engine.ts";
import { ONCE, rowOf, stage, types } from "../../test/support/operational.ts";
import { sampleEvent, sampleSubscription } from "../../test/support/samples.ts";
import { settled } from "../../test/support/settled.ts";
import { CodedError } from "../kernel/errors.ts";
import { BREAKER } from "./breaker.ts";

const CORRECTED = sampleSubscription({
  id: "sub_broken",
  url: "https://example.com/corrected",
  policy: ONCE,
  version: 2,
});
const KEY = { tenant: CORRECTED.tenant, subscriptionId: CORRECTED.id };

/** One whose requests to the old URL stay open until the test answers them. */
function slow() {
  const setup = stage();
  setup.sender.reply = ({ url }) => (url.endsWith("/sub_broken") ? undefined : answer(200));
  const correct = async () => {
    await setup.store.endpoints.remove([KEY]);
    setup.store.put(CORRECTED);
  };
  return { ...setup, correct };
}

describe("a URL that is replaced while it is tried", () => {
  test("answers 410: the new one is not disabled, and gets the delivery", async () => {
    const setup = slow();
    await setup.take(sampleEvent("evt_1"));
    await setup.correct();
    setup.sender.open.pop()?.(answer(410));
    await setup.pass(1_000);
    expect(setup.disabled).toEqual([]);
    expect(types(setup)).toEqual([]);
    expect(rowOf(setup, "sub_broken")).toMatchObject({ status: "delivered", attemptCount: 2 });
    expect(setup.sender.sentTo("corrected")).toBe(1);
  });

  test("fails for the last time: the new one gets the delivery, and the failure is not its own", async () => {
    const setup = slow();
    await setup.take(sampleEvent("evt_1"));
    await setup.correct();
    // The worker has heard of it.
    await setup.take(sampleEvent("evt_2"));
    setup.sender.reply = () => undefined;
    setup.sender.open.pop()?.(answer(500));
    await setup.pass(6_000);
    expect(setup.store.endpoints.of("sub_broken")?.consecutiveFailures ?? 0).toBe(0);
    for (const resolve of setup.sender.open.splice(0)) resolve(answer(200));
    await setup.pass(1_000);
    expect(rowOf(setup, "sub_broken").status).toBe("delivered");
    expect(types(setup)).toEqual([]);
  });

  test("its failures don't open the breaker of the new one", async () => {
    const setup = slow();
    const failures = BREAKER.failures - 1;
    setup.sender.reply = () => answer(500);
    for (let at = 0; at < failures; at++) await setup.take(sampleEvent(`evt_${at}`));
    await setup.correct();
    await setup.take(sampleEvent("evt_new"));
    await setup.pass(10_000);
    expect(setup.sender.sentTo("corrected")).toBe(1);
    expect(setup.store.endpoints.of("sub_broken")).toMatchObject({ breaker: "closed", consecutiveFailures: 1 });
  });

  test("the store is told whose fault it was", async () => {
    const setup = stage();
    const tried: string[] = [];
    setup.endpointSwitch.disable = async (_tenant, _id, _reason, urlKey) => {
      tried.push(urlKey);
      return CORRECTED;
    };
    setup.sender.reply = ({ url }) => answer(url.endsWith("/sub_broken") ? 410 : 200);
    await setup.take(sampleEvent("evt_1"));
    await setup.pass(1_000);
    expect(tried).toEqual([setup.broken.urlKey]);
  });
});

describe("an endpoint that is gone", () => {
  function gone() {
    const setup = stage();
    setup.sender.reply = ({ url }) => answer(url.endsWith("/sub_broken") ? 410 : 200);
    return setup;
  }

  test("is disabled before its delivery is failed", async () => {
    const setup = gone();
    const disabling = Promise.withResolvers<undefined>();
    setup.endpointSwitch.disable = () => disabling.promise;
    const event = sampleEvent("evt_1");
    await setup.take(event);
    await setup.pass(1_000);
    expect(types(setup)).toEqual([Type.SUBSCRIPTION_DISABLED]);
    expect(setup.done).toEqual([]);
    disabling.resolve(undefined);
    await setup.pass(1_000);
    expect(types(setup)).toEqual([Type.SUBSCRIPTION_DISABLED, Type.DELIVERY_FAILED]);
    expect(setup.row(event, "sub_broken")).toMatchObject({ status: "failed", attemptCount: 1 });
    expect(setup.done).toEqual(["evt_1"]);
  });

  test("and cannot be disabled: the delivery waits with its attempt, and all of it happens again", async () => {
    const setup = gone();
    const { disable } = setup.endpointSwitch;
    setup.endpointSwitch.disable = async () => {
      throw new Error("the store is away");
    };
    const event = sampleEvent("evt_1");
    await setup.take(event);
    await setup.pass(1_000);
    expect(setup.row(event, "sub_broken")).toMatchObject({ status: "waiting", attemptCount: 1 });
    expect(types(setup)).toEqual([Type.SUBSCRIPTION_DISABLED]);
    setup.endpointSwitch.disable = disable;
    await setup.pass(62_000);
    expect(setup.disabled).toEqual(["sub_broken"]);
    expect(setup.row(event, "sub_broken")).toMatchObject({ status: "failed", attemptCount: 2 });
    expect(types(setup)).toEqual([Type.SUBSCRIPTION_DISABLED, Type.DELIVERY_FAILED]);
  });
});

test("an attempt is in the log also where a stop leaves its failure untold", async () => {
  const setup = slow();
  setup.engine.operational.deliveryFailed = async () => {
    throw new CodedError("server.stopping", "stopped");
  };
  const event = sampleEvent("evt_1");
  await setup.take(event);
  const stopped = setup.engine.stop(5_000);
  setup.sender.open.pop()?.(answer(500));
  await settled();
  await setup.pass(100);
  await stopped;
  const row = setup.row(event, "sub_broken");
  expect(row).toMatchObject({ status: "waiting", attemptCount: 1 });
  expect(row?.attempts).toMatchObject([{ statusCode: 500 }]);
});
