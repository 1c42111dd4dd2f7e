import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AccessService } from "../../gen/passbus/v1/access_service_pb.js";
import { SubscriptionService } from "../../gen/passbus/v1/subscription_service_pb.js";
import { type TestApi, testApi } from "../../test/support/api.ts";
import type { Role } from "../access/access-store.ts";

let api: TestApi;
beforeAll(async () => {
  api = await testApi();
});
afterAll(() => api.stop(0));

function clients(organisation: string, role: Role = "admin", environment = "production") {
  const key = api.stage.key(role, { organisation, environment });
  const transport = createGrpcTransport({
    baseUrl: api.url,
    interceptors: [
      (next) => (request) => {
        request.header.set("authorization", `Bearer ${key}`);
        return next(request);
      },
    ],
  });
  return {
    access: createClient(AccessService, transport),
    subscriptions: createClient(SubscriptionService, transport),
  };
}

async function failureOf(call: Promise<unknown>): Promise<ConnectError> {
  const reason = await call.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!(reason instanceof ConnectError)) throw new Error("the call did not fail as a call does", { cause: reason });
  return reason;
}

const DEFAULTS = { organisationSubscriptions: 10, entitySubscriptions: 10 };

describe("limits of an organisation", () => {
  it("are the defaults until they are set, and again when they are set to 0", async () => {
    const { access } = clients("o1");
    expect((await access.getLimits({})).limits).toMatchObject(DEFAULTS);
    const set = await access.setLimits({ organisationId: "o1", limits: { organisationSubscriptions: 12 } });
    expect(set.limits).toMatchObject({ organisationSubscriptions: 12, entitySubscriptions: 10 });
    expect((await access.getLimits({})).limits).toEqual(set.limits);
    await access.setLimits({ limits: {} });
    expect((await access.getLimits({})).limits).toMatchObject(DEFAULTS);
  });

  it("hold in all of its environments, and in no other organisation", async () => {
    await clients("o2").access.setLimits({ limits: { organisationSubscriptions: 1, entitySubscriptions: 2 } });
    const staging = clients("o2", "subscriber", "staging").subscriptions;
    const make = (at: number, entityId = "") =>
      staging.createSubscription({ subscription: { url: `https://a.example/${at}`, entityId } });
    await make(1);
    const refused = await failureOf(make(2));
    expect([refused.code, refused.rawMessage]).toEqual([
      Code.ResourceExhausted,
      "the organisation has 1 subscriptions, its limit; an administrator or operator raises " +
        "organisation_subscriptions with passbus.v1.AccessService/SetLimits",
    ]);
    await make(1, "shop");
    await make(2, "shop");
    expect((await failureOf(make(3, "shop"))).rawMessage).toContain(
      'the entity "shop" has 2 subscriptions, its limit; an administrator or operator raises entity_subscriptions',
    );
    await clients("o2").access.setLimits({ limits: { organisationSubscriptions: 2, entitySubscriptions: 3 } });
    await make(2);
    await make(3, "shop");
    const others = clients("o3").subscriptions;
    for (const at of [1, 2, 3]) {
      await others.createSubscription({ subscription: { url: `https://a.example/${at}` } });
    }
  });

  it("that are lowered take nothing away", async () => {
    const { access, subscriptions } = clients("o4");
    for (const at of [1, 2]) {
      await subscriptions.createSubscription({ subscription: { url: `https://a.example/${at}` } });
    }
    await access.setLimits({ limits: { organisationSubscriptions: 1 } });
    expect((await subscriptions.listSubscriptions({})).subscriptions).toHaveLength(2);
  });

  it("are refused where they are none, or another organisation's", async () => {
    const { access } = clients("o5");
    for (const wrong of [-1, 10_001]) {
      const limits = { organisationSubscriptions: wrong, entitySubscriptions: wrong };
      expect((await failureOf(access.setLimits({ limits }))).rawMessage).toBe(
        "limits.organisation_subscriptions: must be 1 to 10000, or 0 for the default; " +
          "limits.entity_subscriptions: must be 1 to 10000, or 0 for the default",
      );
    }
    expect((await failureOf(access.setLimits({}))).rawMessage).toBe("limits: is required");
    const foreign = await failureOf(access.setLimits({ organisationId: "o1", limits: {} }));
    expect(foreign.code).toBe(Code.PermissionDenied);
  });

  it.each<[Role, boolean, boolean]>([
    ["admin", true, true],
    ["operator", true, true],
    ["subscriber", false, true],
    ["viewer", false, true],
    ["publisher", false, false],
  ])("%s: may set them %s, may read them %s", async (role, maySet, mayRead) => {
    const { access } = clients("o6", role);
    const outcome = (call: Promise<unknown>) =>
      call.then(
        () => true,
        (error: unknown) => ConnectError.from(error).code !== Code.PermissionDenied,
      );
    expect([await outcome(access.setLimits({ limits: {} })), await outcome(access.getLimits({}))]).toEqual([
      maySet,
      mayRead,
    ]);
  });
});
