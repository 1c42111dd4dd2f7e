import { Code, createClient } from "@connectrpc/connect";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AccessService, DeliverySwitchScope as Scope } from "../../gen/passbus/v1/access_service_pb.js";
import { SubscriptionService } from "../../gen/passbus/v1/subscription_service_pb.js";
import { TENANT, type TestApi, testApi } from "../../test/support/api.ts";
import { failureOf, grpcWithKey } from "../../test/support/grpc.ts";
import type { Role } from "../access/access-store.ts";

let api: TestApi;
beforeEach(async () => {
  api = await testApi();
});
afterEach(() => api.stop(0));

function clients(organisation: string = TENANT.organisation, role: Role = "admin", environment = "production") {
  const transport = grpcWithKey(api.url, api.stage.key(role, { organisation, environment }));
  return {
    access: createClient(AccessService, transport),
    subscriptions: createClient(SubscriptionService, transport),
  };
}

const stop = { scope: Scope.ORGANISATION, stopped: true, reason: "they asked" };
const stopAll = { scope: Scope.SERVICE, stopped: true, reason: "an incident" };
const STARTED = { stopped: false, reason: "", stoppedBy: "" };

describe("the kill switch", () => {
  it("of an organisation is turned by its admins and operators, seen by its readers, and wakes the workers", async () => {
    const { access } = clients("o1", "operator");
    expect((await access.getDeliverySwitch({})).switches).toMatchObject([
      { scope: Scope.ORGANISATION, ...STARTED },
      { scope: Scope.SERVICE, ...STARTED },
    ]);
    const turned = await access.setDeliverySwitch(stop);
    expect(turned.switch).toMatchObject(stop);
    expect(turned.switch?.stoppedAt).toBeDefined();
    expect(turned.switch?.stoppedBy).toMatch(/^key_|^[a-z]/);
    expect(api.stage.wakes).toBe(1);
    const seen = (await clients("o1", "viewer").access.getDeliverySwitch({})).switches;
    expect(seen).toEqual([turned.switch, expect.objectContaining({ scope: Scope.SERVICE, ...STARTED })]);
    expect((await clients("o2").access.getDeliverySwitch({})).switches[0]).toMatchObject(STARTED);
    expect((await access.setDeliverySwitch({ ...stop, stopped: false })).switch).toMatchObject(STARTED);
    expect((await access.getDeliverySwitch({})).switches[0]).toMatchObject(STARTED);
  });

  it.each(["publisher", "subscriber", "viewer"] as const)("is not turned by a %s", async (role) => {
    const error = await failureOf(clients("o1", role).access.setDeliverySwitch(stop));
    expect(error.code).toBe(Code.PermissionDenied);
  });

  it.each([
    ["an operator of the bootstrap organisation", TENANT.organisation, "operator"],
    ["an admin of another organisation", "o1", "admin"],
  ] as const)("of the service is not turned by %s", async (_, organisation, role) => {
    const { access } = clients(organisation, role);
    expect((await failureOf(access.setDeliverySwitch(stopAll))).code).toBe(Code.PermissionDenied);
    expect((await access.getDeliverySwitch({})).switches[1]).toMatchObject(STARTED);
  });

  it.each(["o1", TENANT.organisation])("is seen, and not turned, from another environment of %s", async (own) => {
    const { access } = clients(own, "admin", "staging");
    for (const turn of [stop, stopAll, { ...stop, stopped: false }]) {
      expect((await failureOf(access.setDeliverySwitch(turn))).code).toBe(Code.PermissionDenied);
    }
    expect((await access.getDeliverySwitch({})).switches).toMatchObject([STARTED, STARTED]);
    await clients().access.setDeliverySwitch(stopAll);
    expect((await access.getDeliverySwitch({})).switches[1]).toMatchObject({ stopped: true, reason: "" });
  });

  it("of the service is seen by all, and why by its own organisation", async () => {
    await clients().access.setDeliverySwitch(stopAll);
    expect((await clients().access.getDeliverySwitch({})).switches[1]).toMatchObject(stopAll);
    const [own, service] = (await clients("o1").access.getDeliverySwitch({})).switches;
    expect([own, service]).toMatchObject([STARTED, { scope: Scope.SERVICE, stopped: true, reason: "", stoppedBy: "" }]);
    await clients().access.setDeliverySwitch({ scope: Scope.SERVICE });
    expect((await clients("o1").access.getDeliverySwitch({})).switches[1]).toMatchObject(STARTED);
  });

  it("needs a scope, and a reason that isn't a book", async () => {
    const { access } = clients();
    const none = await failureOf(access.setDeliverySwitch({ stopped: true }));
    expect([none.code, none.rawMessage]).toEqual([Code.InvalidArgument, "scope: must be ORGANISATION or SERVICE"]);
    const long = await failureOf(access.setDeliverySwitch({ ...stop, reason: "x".repeat(1_001) }));
    expect(long.rawMessage).toBe("reason: must be at most 1000 characters");
  });

  it.each([
    ["its organisation's", stop, "deliveries of acme are stopped: they asked"],
    ["all", stopAll, "all deliveries are stopped"],
  ] as const)("while %s are stopped, no test and no challenge is sent", async (_, turn, message) => {
    const { access, subscriptions } = clients();
    const { subscription } = await subscriptions.createSubscription({ subscription: { url: "https://a.example/1" } });
    await access.setDeliverySwitch(turn);
    const test = await failureOf(subscriptions.testSubscription({ id: subscription?.id ?? "" }));
    expect([test.code, test.rawMessage]).toEqual([Code.FailedPrecondition, message]);
    const verified = { subscription: { url: "https://a.example/2" }, verifyEndpoint: true };
    expect((await failureOf(subscriptions.createSubscription(verified))).rawMessage).toBe(message);
    await subscriptions.createSubscription({ ...verified, verifyEndpoint: false });
  });
});
