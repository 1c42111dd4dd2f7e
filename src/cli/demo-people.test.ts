import { describe, expect, it, test } from "vitest";
import { type DeliveryOrigin, interventionsOf, isSomebodyElses, NOBODY_MEDDLED } from "./demo-people.ts";

const own = [
  { name: "crm", subscriptionId: "sub_crm" },
  { name: "flaky", subscriptionId: "sub_flaky" },
];
const call = (rpc: string, target: string) => ({ action: `passbus.v1.${rpc}`, target });

describe("what the audit log tells of people", () => {
  it.each(["UpdateSubscription", "DeleteSubscription", "RotateSecret"])("%s changes what an endpoint gets", (rpc) => {
    const told = interventionsOf([call(`SubscriptionService/${rpc}`, "sub_crm")], own);
    expect(told).toEqual({ ...NOBODY_MEDDLED, endpoints: new Set(["crm"]) });
  });

  it("changes nothing by what makes and shows, nor by what is about other subscriptions", () => {
    const calls = [
      call("SubscriptionService/CreateSubscription", "sub_crm"),
      call("SubscriptionService/TestSubscription", "sub_crm"),
      call("SubscriptionService/RotateSecret", "sub_other"),
      call("DeliveryService/CreateReplay", "rpl_1"),
      call("DeliveryService/RetryDelivery", "dlv_1"),
      call("InspectorService/CreateBin", "bin_1"),
    ];
    expect(interventionsOf(calls, own)).toEqual(NOBODY_MEDDLED);
  });

  it("knows what was cancelled, and what reaches further", () => {
    expect(interventionsOf([call("DeliveryService/CancelDelivery", "dlv_1")], own).deliveries).toEqual(
      new Set(["dlv_1"]),
    );
    expect(interventionsOf([call("AccessService/SetDeliverySwitch", "org_a/stopped")], own).everything).toBe(true);
  });
});

test.each<[whose: string, over: Partial<DeliveryOrigin>, isTheirs: boolean]>([
  ["the demo's own", {}, false],
  ["another subscription's", { subscriptionId: "sub_other" }, true],
  ["of an event that somebody else published", { eventId: "evt_other" }, true],
  ["sent again by hand", { run: 2 }, true],
  ["replayed under a fresh id", { replayId: "rpl_1" }, true],
])("a webhook is %s", (_whose, over, isTheirs) => {
  const origin = { subscriptionId: "sub_crm", eventId: "evt_1", run: 1, replayId: "", ...over };
  expect(isSomebodyElses(origin, own, (id) => id === "evt_1")).toBe(isTheirs);
});
