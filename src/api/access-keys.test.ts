/** Keys, portal sessions and the audit log, over the real port. */
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { Integrations } from "../../gen/io/integrations_pb.js";
import {
  AccessService,
  type AuditRecord,
  DeliverySwitchScope,
  Role as WireRole,
} from "../../gen/passbus/v1/access_service_pb.js";
import { EventService } from "../../gen/passbus/v1/event_service_pb.js";
import { InspectorService } from "../../gen/passbus/v1/inspector_service_pb.js";
import { Format } from "../../gen/passbus/v1/subscription_pb.js";
import { SubscriptionService } from "../../gen/passbus/v1/subscription_service_pb.js";
import { type TestApi, testApi } from "../../test/support/api.ts";
import { failureOf, grpcWithKey } from "../../test/support/grpc.ts";
import { eventually } from "../../test/support/within.ts";
import type { Role } from "../access/access-store.ts";

let api: TestApi;
beforeAll(async () => {
  api = await testApi();
});
afterAll(() => api.stop(0));

function clientsOf(key: string) {
  const transport = grpcWithKey(api.url, key);
  return {
    access: createClient(AccessService, transport),
    subscriptions: createClient(SubscriptionService, transport),
    passkit: createClient(Integrations, transport),
  };
}

const clients = (organisation: string, role: Role = "admin", environment = "production") =>
  clientsOf(api.stage.key(role, { organisation, environment }));

const saying = async (call: Promise<unknown>) => {
  const { code, rawMessage } = await failureOf(call);
  return [code, rawMessage];
};

describe("keys", () => {
  it("speak for the organisation and environment of the key that made them, with their own role", async () => {
    const { access } = clients("k1", "admin", "staging");
    const expiresAt = timestampFromMs(Date.now() + 60_000);
    const { key, secret } = await access.createKey({
      key: { role: WireRole.VIEWER, description: "for CI", expiresAt },
    });
    expect(key).toMatchObject({ role: WireRole.VIEWER, environment: "staging", description: "for CI", expiresAt });
    expect(secret).toMatch(new RegExp(`^pb_staging_${key?.id.slice("key_".length)}_[0-9a-f]{64}$`));
    const made = clientsOf(secret);
    expect((await made.subscriptions.listSubscriptions({})).subscriptions).toEqual([]);
    expect((await failureOf(made.access.listKeys({}))).code).toBe(Code.PermissionDenied);
    const { keys } = await access.listKeys({});
    expect(keys).toMatchObject([{ id: key?.id, lastUsedAt: { seconds: expect.anything() } }]);
    expect((await clients("k1", "admin", "production").access.listKeys({})).keys).toEqual([]);
  });

  it("are refused by field", async () => {
    const { access } = clients("k2");
    const past = timestampFromMs(1_000);
    const [role, expires] = ["key.role: is required", "key.expires_at: must be to come"];
    expect(await saying(access.createKey({}))).toEqual([Code.InvalidArgument, role]);
    const none: number = 99;
    expect(await saying(access.createKey({ key: { role: none } }))).toEqual([
      Code.InvalidArgument,
      "key.role: 99 is not one of its values",
    ]);
    expect(await saying(access.createKey({ key: { expiresAt: past, description: "x".repeat(1_001) } }))).toEqual([
      Code.InvalidArgument,
      `${role}; key.description: must have at most 1000 characters; ${expires}`,
    ]);
    expect(await saying(access.createKey({ key: { role: WireRole.VIEWER, environment: "staging" } }))).toEqual([
      Code.PermissionDenied,
      "key.environment: a key makes keys of its own environment alone",
    ]);
    expect(await saying(access.revokeKey({ id: "" }))).toEqual([Code.InvalidArgument, "id: is required"]);
  });

  it("that are revoked count no more within a second", async () => {
    const { access } = clients("k3");
    const { key, secret } = await access.createKey({ key: { role: WireRole.VIEWER } });
    const { subscriptions } = clientsOf(secret);
    await subscriptions.listSubscriptions({});
    await access.revokeKey({ id: key?.id ?? "" });
    const error = await eventually(1_000, "the key's end", () =>
      subscriptions.listSubscriptions({}).then(
        () => undefined,
        (reason: unknown) => failureOf(Promise.reject(reason)),
      ),
    );
    expect(error.code).toBe(Code.Unauthenticated);
    await access.revokeKey({ id: key?.id ?? "" });
  });
});

describe("portal sessions", () => {
  it("make subscriptions of their entity, whether they name it or not, and of no other", async () => {
    const { access, subscriptions: admins } = clients("p1", "operator");
    const { session, token } = await access.createPortalSession({ entityId: "shop", lifetime: { seconds: 90n } });
    expect(Number(session?.expiresAt?.seconds) - Number(session?.createdAt?.seconds)).toBe(90);
    const { subscriptions } = clientsOf(token);
    const make = (url: string, entityId?: string) =>
      subscriptions.createSubscription({ subscription: { url, ...(entityId !== undefined && { entityId }) } });
    expect((await make("https://a.example/1")).subscription?.entityId).toBe("shop");
    expect((await make("https://a.example/2", "shop")).subscription?.entityId).toBe("shop");
    expect(await saying(make("https://a.example/3", "cafe"))).toEqual([
      Code.PermissionDenied,
      "subscription.entity_id: a portal session is limited to its own entity",
    ]);
    await admins.createSubscription({ subscription: { url: "https://a.example/4" } });
    await admins.createSubscription({ subscription: { url: "https://a.example/5", entityId: "cafe" } });
    const listed = await subscriptions.listSubscriptions({});
    expect(listed.subscriptions.map(({ url }) => url)).toEqual(["https://a.example/2", "https://a.example/1"]);
    expect((await failureOf(subscriptions.listSubscriptions({ entityId: "cafe" }))).code).toBe(Code.PermissionDenied);
  });

  it("live for whole milliseconds, which is all that a store keeps", async () => {
    const { access } = clients("p3");
    const lifetime = { seconds: 90n, nanos: 1_999_999 };
    const { session } = await access.createPortalSession({ entityId: "shop", lifetime });
    const [createdMs, endMs] = [session?.createdAt, session?.expiresAt].map(
      (time) => Number(time?.seconds) * 1_000 + Number(time?.nanos) / 1_000_000,
    );
    expect(endMs).toBe(Number(createdMs) + 90_001);
  });

  it("are refused by field, and end when they are revoked", async () => {
    const { access } = clients("p2");
    expect(await saying(access.createPortalSession({ lifetime: { seconds: 59n } }))).toEqual([
      Code.InvalidArgument,
      "entity_id: is required; lifetime: must be 1 minute to 24 hours",
    ]);
    expect((await saying(access.createPortalSession({ entityId: "a", lifetime: { seconds: 86_401n } })))[1]).toBe(
      "lifetime: must be 1 minute to 24 hours",
    );
    const { session, token } = await access.createPortalSession({ entityId: "shop" });
    const { subscriptions } = clientsOf(token);
    await subscriptions.listSubscriptions({});
    await access.revokePortalSession({ id: session?.id ?? "" });
    await eventually(1_000, "the session's end", () =>
      subscriptions.listSubscriptions({}).then(
        () => undefined,
        () => true,
      ),
    );
    expect((await access.listPortalSessions({})).sessions).toMatchObject([{ id: session?.id, entityId: "shop" }]);
    expect((await access.listPortalSessions({})).sessions[0]?.revokedAt).toBeDefined();
  });
});

const brief = ({ actor, action, target, refused, code }: AuditRecord) => [
  actor,
  action.slice(action.indexOf("/") + 1),
  target,
  refused,
  code,
];

describe("the audit log", () => {
  it("has each change with who, what and from where, and nothing that is secret, personal or only read", async () => {
    const { access, subscriptions, passkit } = clients("a1");
    const canary = "canary-7731";
    const { key, secret } = await access.createKey({ key: { role: WireRole.ADMIN, description: canary } });
    const own = clientsOf(secret);
    const created = await own.subscriptions.createSubscription({
      subscription: {
        url: `https://a.example/${canary}`,
        description: canary,
        labels: { canary },
        format: Format.PASSKIT,
        headers: { "x-canary": canary },
      },
    });
    const id = created.subscription?.id ?? "";
    await subscriptions.getSubscription({ id });
    await passkit.getSinkSubscription({ subscriptionId: id });
    await clients("a1", "viewer").passkit.getSinkSubscription({ subscriptionId: id });
    const rotated = await own.subscriptions.rotateSecret({ id });
    expect((await failureOf(own.subscriptions.deleteSubscription({ id: canary }))).code).toBe(Code.NotFound);
    await own.subscriptions.deleteSubscription({ id });
    const { records } = await access.listAuditRecords({});
    const actor = records.at(-1)?.actor ?? "";
    expect(records.map(brief)).toEqual([
      [key?.id, "DeleteSubscription", id, false, ""],
      [key?.id, "RotateSecret", id, false, ""],
      [actor, "getSinkSubscription", id, false, ""],
      [key?.id, "CreateSubscription", id, false, ""],
      [actor, "CreateKey", key?.id, false, ""],
    ]);
    expect(records.every(({ peer, count }) => peer === "127.0.0.1" && count === 1n)).toBe(true);
    const text = records.map((record) => Object.values(record).join(" ")).join(" ");
    for (const hidden of [canary, secret, created.secret, rotated.secret]) expect(text).not.toContain(hidden);
    expect((await clients("a1", "admin", "staging").access.listAuditRecords({})).records).toEqual([]);
  });

  it("says which organisation, which switch and which way, which pass and which bin", async () => {
    const key = api.stage.key("admin", { organisation: "a3", environment: "production" });
    const { access } = clientsOf(key);
    const inspector = createClient(InspectorService, grpcWithKey(api.url, key));
    const events = createClient(EventService, grpcWithKey(api.url, key));
    await access.setLimits({ limits: {} });
    await access.setDeliverySwitch({ scope: DeliverySwitchScope.ORGANISATION, stopped: true });
    await access.setDeliverySwitch({ scope: DeliverySwitchScope.ORGANISATION });
    const { bin } = await inspector.createBin({});
    await inspector.deleteBin({ binId: bin?.id ?? "" });
    const { id } = await events.erasePass({ passId: "pass-1" });
    const { records } = await access.listAuditRecords({});
    expect(records.map((record) => brief(record).slice(1, 3))).toEqual([
      ["ErasePass", id],
      ["DeleteBin", bin?.id],
      ["CreateBin", bin?.id],
      ["SetDeliverySwitch", "org_a3/started"],
      ["SetDeliverySwitch", "org_a3/stopped"],
      ["SetLimits", "org_a3"],
    ]);
    const { access: operators } = clients("acme");
    await operators.setLimits({ organisationId: "a3", limits: {} });
    await operators.setDeliverySwitch({ scope: DeliverySwitchScope.SERVICE, stopped: true });
    await operators.setDeliverySwitch({ scope: DeliverySwitchScope.SERVICE });
    const told = (await operators.listAuditRecords({ pageSize: 3 })).records;
    expect(told.map(({ target }) => target)).toEqual(["service/started", "service/stopped", "org_a3"]);
  });

  it("keeps who deleted an organisation where it isn't deleted along", async () => {
    const { access } = clients("a4");
    const { key, secret } = await access.createKey({ key: { role: WireRole.ADMIN } });
    const own = clientsOf(secret).access;
    const asked = { organisationId: "a4", confirmation: "a4" };
    await own.deleteOrganisation(asked);
    const { access: operators } = clients("acme");
    const filter = { action: "passbus.v1.AccessService/DeleteOrganisation", target: "org_a4" };
    const { records } = await operators.listAuditRecords(filter);
    expect(records.map(brief)).toEqual([[key?.id, "DeleteOrganisation", "org_a4", false, ""]]);
    await operators.deleteOrganisation(asked);
    expect((await operators.listAuditRecords(filter)).records).toHaveLength(2);
  });

  it("has each refusal, of those who came in and of those whose key does not count", async () => {
    const { access } = clients("a2");
    const { key, secret } = await access.createKey({ key: { role: WireRole.SUBSCRIBER } });
    const subscriber = clientsOf(secret);
    for (let times = 0; times < 2; times++) await failureOf(subscriber.access.listKeys({}));
    await failureOf(subscriber.access.setLimits({ organisationId: "other" }));
    await failureOf(access.setLimits({ organisationId: "other" }));
    const { token, session } = await access.createPortalSession({ entityId: "shop" });
    await failureOf(clientsOf(token).subscriptions.listSubscriptions({ entityId: "cafe" }));
    await failureOf(clientsOf(`${secret.slice(0, -1)}${secret.endsWith("0") ? "1" : "0"}`).access.listKeys({}));
    const records = await eventually(5_000, "the refusals", async () => {
      const listed = (await access.listAuditRecords({ refused: true })).records;
      return listed.length >= 5 ? listed : undefined;
    });
    const found = records.map((record) => [...brief(record), record.count]);
    expect(found).toHaveLength(5);
    expect(found).toEqual(
      expect.arrayContaining([
        [key?.id, "ListKeys", "", true, "role.insufficient", 2n],
        [key?.id, "SetLimits", "", true, "role.insufficient", 1n],
        [expect.stringMatching(/^key_/), "SetLimits", "org_other", true, "role.insufficient", 1n],
        [session?.id, "ListSubscriptions", "", true, "portal.entity", 1n],
        [key?.id, "", "", true, "auth.invalid", 1n],
      ]),
    );
  });
});

describe("bad keys", () => {
  it("are refused with how long to wait after some dozens, and a good one from the same address is not", async () => {
    await using own = await testApi();
    const bad = createClient(AccessService, grpcWithKey(own.url, "a-key-that-does-not-count"));
    const good = createClient(AccessService, grpcWithKey(own.url, own.stage.key("viewer")));
    const errors = await Promise.all(Array.from({ length: 60 }, () => failureOf(bad.getLimits({}))));
    const refused = errors.filter(({ code }) => code === Code.ResourceExhausted);
    expect(errors.filter(({ code }) => code === Code.Unauthenticated).length + refused.length).toBe(60);
    expect(refused.length).toBeGreaterThanOrEqual(25);
    expect(Number(refused[0]?.findDetails(RetryInfoSchema)[0]?.retryDelay?.seconds)).toBeGreaterThan(0);
    expect((await good.getLimits({})).limits).toBeDefined();
  });
});
