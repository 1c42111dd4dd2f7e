import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AccessService } from "../../gen/passbus/v1/access_service_pb.js";
import { SubscriptionService } from "../../gen/passbus/v1/subscription_service_pb.js";
import { type TestApi, testApi } from "../../test/support/api.ts";
import { failureOf, grpcWithKey } from "../../test/support/grpc.ts";
import type { Role } from "../access/access-store.ts";

let api: TestApi;
beforeAll(async () => {
  api = await testApi();
});
afterAll(() => api.stop(0));

function clients(organisation: string, role: Role = "admin", environment = "production") {
  const key = api.stage.key(role, { organisation, environment });
  const transport = grpcWithKey(api.url, key);
  return {
    access: createClient(AccessService, transport),
    subscriptions: createClient(SubscriptionService, transport),
  };
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

  it.each([
    ["o7", "o7"],
    ["acme", "o7"],
  ])("are not set from another environment of %s", async (own, organisationId) => {
    const { access } = clients(own, "admin", "staging");
    const call = access.setLimits({ organisationId, limits: { organisationSubscriptions: 99 } });
    expect((await failureOf(call)).rawMessage).toBe(
      "a key of the environment staging may not call passbus.v1.AccessService/SetLimits, which is for all " +
        "environments: take one of production",
    );
    expect((await clients("o7").access.getLimits({})).limits).toMatchObject(DEFAULTS);
    expect((await clients("o7", "admin", "staging").access.getLimits({})).limits).toMatchObject(DEFAULTS);
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

describe("how long an organisation's things are kept", () => {
  const hours = (count: number) => ({ seconds: BigInt(count * 3_600) });

  it("is the service's until it is set, and what is not named in the mask stays", async () => {
    const { access } = clients("kept");
    const kept = async () => {
      const { limits } = await access.getLimits({});
      return [limits?.eventRetention, limits?.deliveryRetention, limits?.payloadRetention].map(
        (time) => time && Number(time.seconds) / 3_600,
      );
    };
    expect(await kept()).toEqual([720, 720, undefined]);
    await access.setLimits({ limits: { eventRetention: hours(48), payloadRetention: hours(1) } });
    await access.setLimits({
      limits: { deliveryRetention: hours(24), eventRetention: hours(99), entitySubscriptions: 7 },
      updateMask: { paths: ["delivery_retention"] },
    });
    expect(await kept()).toEqual([48, 24, 1]);
    expect((await access.getLimits({})).limits?.entitySubscriptions).toBe(10);
    await access.setLimits({ limits: {}, updateMask: { paths: ["payload_retention", "event_retention"] } });
    expect(await kept()).toEqual([720, 24, undefined]);
  });

  it.each([
    ["event_retention", { eventRetention: { seconds: 3_599n } }],
    ["delivery_retention", { deliveryRetention: hours(3_650 * 24 + 1) }],
    ["payload_retention", { payloadRetention: { seconds: 3_600n, nanos: 1 } }],
    ["payload_retention", { payloadRetention: { seconds: -3_600n } }],
  ])("a wrong %s is named", async (field, limits) => {
    const error = await failureOf(clients("kept2").access.setLimits({ limits }));
    expect([error.code, error.rawMessage]).toEqual([
      Code.InvalidArgument,
      `limits.${field}: must be whole seconds from 1 hour to 3,650 days, or 0 for the service's`,
    ]);
  });

  it("a payload may not be kept longer than its event, set at once or one after the other", async () => {
    const { access } = clients("kept3");
    const both = await failureOf(
      access.setLimits({ limits: { eventRetention: hours(2), payloadRetention: hours(3) } }),
    );
    expect(both.rawMessage).toContain("limits.payload_retention: must not be longer than event_retention");
    await access.setLimits({ limits: { eventRetention: hours(2) } });
    const later = access.setLimits({
      limits: { payloadRetention: hours(3) },
      updateMask: { paths: ["payload_retention"] },
    });
    expect((await failureOf(later)).rawMessage).toBe(both.rawMessage);
    const unknown = access.setLimits({ limits: {}, updateMask: { paths: ["colour"] } });
    expect((await failureOf(unknown)).rawMessage).toBe('update_mask: "colour" is none of the limits');
  });
});
