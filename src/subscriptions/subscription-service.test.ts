/** What may be created, and what becomes of it: PassEntry's rules of webhook subscriptions (seed 000). */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Duration, durationFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { DisabledReason, Format, State, SubscriptionSchema } from "../../gen/passbus/v1/subscription_pb.js";
import { ListSubscriptionsRequestSchema } from "../../gen/passbus/v1/subscription_service_pb.js";
import {
  refusal,
  type SubscriptionInit,
  stranger,
  subscriptionsRoom,
  tenant,
  url,
} from "../../test/support/subscriptions.ts";
import { openSecret } from "../signing/secrets.ts";
import { subscriptionMessage } from "./message.ts";

describe("create", () => {
  test("stores what was asked, with the secret sealed for this subscription", async () => {
    const { add, clock, keyring, service } = subscriptionsRoom();
    const { subscription, secret } = await add({ url: "https://A.example/hook", entityId: "class-1" });
    expect(subscription).toMatchObject({
      id: expect.stringMatching(/^sub_[0-9a-f]{32}$/),
      tenant,
      entityId: "class-1",
      url: "https://A.example/hook",
      urlKey: "https://a.example/hook",
      state: "enabled",
      createdAtMs: clock.now(),
      updatedAtMs: clock.now(),
      version: 1,
    });
    expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    const [sealed] = subscription.secrets;
    expect(subscription.secrets).toHaveLength(1);
    expect(JSON.stringify(subscription)).not.toContain(secret);
    expect(sealed && openSecret(keyring, subscription, sealed)).toBe(secret);
    expect(await service.get(tenant, subscription.id)).toEqual(subscription);
  });

  test("needs a subscription", async () => {
    expect((await refusal(subscriptionsRoom().service.create(tenant, undefined))).message).toBe(
      "subscription: is required",
    );
  });

  test.each<[string, SubscriptionInit]>([
    ["id", { id: "sub_mine" }],
    ["organisation_id", { organisationId: "other" }],
    ["environment", { environment: "staging" }],
    ["entity_id", { entityId: "x".repeat(129) }],
    ["policy.max_in_flight", { policy: { maxInFlight: 999 } }],
  ])("refuses %s, before the endpoint is looked at", async (field, init) => {
    const { add, checked } = subscriptionsRoom();
    const error = await refusal(add(init));
    expect(error.violations.map((violation) => violation.field)).toEqual([`subscription.${field}`]);
    expect(checked).toEqual([]);
  });

  test.each(["http://a.example", "https://10.0.0.1"])(
    "an endpoint that is refused (%s) is a wrong field",
    async (wrong) => {
      const error = await refusal(subscriptionsRoom().add({ url: wrong }));
      expect(error.code).toBe("url.invalid");
      expect(error.message).toMatch(/^subscription\.url: must/);
      expect(error.violations[0]?.field).toBe("subscription.url");
    },
  );

  test("what is wrong with the URL is said with what is wrong besides", async () => {
    const { add, service, checked } = subscriptionsRoom();
    const wrong = { url: "https://10.0.0.1/", filter: "event.x &&" };
    const draft = create(SubscriptionSchema, wrong);
    for (const error of [await refusal(add(wrong)), await refusal(service.draft(tenant, draft))]) {
      expect(error.code).toBe("request.invalid");
      expect(error.violations.map(({ field }) => field)).toEqual(["subscription.url", "subscription.filter"]);
    }
    expect(checked).toEqual([]);
  });

  test("a URL stands once in a scope, in normal form", async () => {
    const { add, service } = subscriptionsRoom();
    await add();
    const error = await refusal(add({ url: url.toUpperCase() }));
    expect(error.code).toBe("subscription.duplicate_url");
    expect(error.violations[0]?.field).toBe("subscription.url");
    await add({ entityId: "class-1" });
    await service.create(stranger, create(SubscriptionSchema, { url }));
  });

  test("the organisation and each entity may have ten", async () => {
    const { add } = subscriptionsRoom();
    const numbered = (entityId: string, at: number) => add({ entityId, url: `${url}/${at}` });
    for (const entityId of ["", "class-1", "class-2"]) {
      for (let at = 0; at < 10; at++) await numbered(entityId, at);
    }
    const error = await refusal(numbered("", 10));
    expect(error.code).toBe("limit.subscriptions");
    expect(error.message).toMatch(
      /^the organisation has 10 subscriptions, its limit; .* raises organisation_sub.*SetLimits$/,
    );
    expect((await refusal(numbered("class-1", 10))).message).toMatch(
      /^the entity "class-1" has 10 subscriptions, its limit; .* raises entity_subscriptions with .*SetLimits$/,
    );
  });
});

describe("get, list and delete", () => {
  test("another tenant's subscription is not found, as an unknown one", async () => {
    const { add, service } = subscriptionsRoom();
    const { id, urlKey } = (await add()).subscription;
    for (const call of [
      service.get(stranger, id),
      service.delete(stranger, id),
      service.rotateSecret(stranger, id, undefined),
      service.update(stranger, create(SubscriptionSchema, { id, description: "x" }), undefined),
      service.get(tenant, "sub_unknown"),
    ]) {
      expect((await refusal(call)).code).toBe("resource.not_found");
    }
    expect(await service.disable(stranger, id, "gone", urlKey)).toBeUndefined();
    expect((await service.get(tenant, id)).version).toBe(1);
  });

  test("what is deleted is gone, and its URL is free", async () => {
    const { add, service } = subscriptionsRoom();
    const { id } = (await add()).subscription;
    await service.delete(tenant, id);
    expect((await refusal(service.get(tenant, id))).code).toBe("resource.not_found");
    expect((await refusal(service.delete(tenant, id))).code).toBe("resource.not_found");
    await add();
  });

  test("a list is narrowed and paged", async () => {
    const { add, service } = subscriptionsRoom();
    const one = (await add({ url: `${url}/1` })).subscription;
    const two = (await add({ url: `${url}/2`, format: Format.PASSKIT })).subscription;
    const three = (await add({ url: `${url}/3`, entityId: "class-1", state: State.DISABLED })).subscription;
    const ids = async (init: MessageInitShape<typeof ListSubscriptionsRequestSchema>) =>
      (await service.list(tenant, create(ListSubscriptionsRequestSchema, init))).items.map((item) => item.id);
    expect(await ids({})).toEqual([three.id, two.id, one.id]);
    expect(await ids({ pageSize: 2 })).toEqual([three.id, two.id]);
    expect(await ids({ format: Format.PASSKIT })).toEqual([two.id]);
    expect(await ids({ state: State.DISABLED })).toEqual([three.id]);
    expect(await ids({ state: State.ENABLED })).toEqual([two.id, one.id]);
    expect(await ids({ entityId: "class-1" })).toEqual([three.id]);
    const wrong = create(ListSubscriptionsRequestSchema, { state: 9 as never, format: 9 as never });
    expect((await refusal(service.list(tenant, wrong))).violations.map((violation) => violation.field)).toEqual([
      "state",
      "format",
    ]);
    const large = create(ListSubscriptionsRequestSchema, { pageSize: 501 });
    expect((await refusal(service.list(tenant, large))).violations[0]?.field).toBe("page_size");
  });
});

describe("rotateSecret", () => {
  test("the old secret signs for a day beside the new one", async () => {
    const { add, clock, keyring, service } = subscriptionsRoom();
    const made = await add();
    clock.advance(5);
    const { subscription, secret } = await service.rotateSecret(tenant, made.subscription.id, undefined);
    expect(secret).not.toBe(made.secret);
    expect(subscription.secrets.map((sealed) => openSecret(keyring, subscription, sealed))).toEqual([
      secret,
      made.secret,
    ]);
    expect(subscription.secrets.map((sealed) => sealed.expiresAtMs)).toEqual([undefined, clock.now() + 86_400_000]);
    expect(subscription.version).toBe(2);
  });

  test("with an overlap of 0 it ends at once", async () => {
    const { add, service } = subscriptionsRoom();
    const { id } = (await add()).subscription;
    const { subscription } = await service.rotateSecret(tenant, id, durationFromMs(0));
    expect(subscription.secrets).toHaveLength(1);
  });

  test.each<[string, Partial<Duration>]>([
    ["-1 ms", durationFromMs(-1)],
    ["more than 7 days", durationFromMs(7 * 86_400_000 + 1)],
    ["no duration", { seconds: 1n, nanos: -1 }],
  ])("an overlap of %s is refused", async (_, overlap) => {
    const { add, service } = subscriptionsRoom();
    const { id } = (await add()).subscription;
    const error = await refusal(service.rotateSecret(tenant, id, { ...durationFromMs(0), ...overlap }));
    expect(error.message).toBe("overlap: must be 0 s to 7 days");
  });
});

describe("disable", () => {
  test("an endpoint that is gone is disabled without a span", async () => {
    const { add, service } = subscriptionsRoom();
    const { id, urlKey } = (await add()).subscription;
    expect(await service.disable(tenant, id, "gone", urlKey)).toMatchObject({
      state: "disabled",
      disabledReason: "gone",
      disabledSpans: [],
      version: 2,
    });
    expect((await service.disable(tenant, id, "failing", urlKey))?.disabledReason).toBe("gone");
  });

  test("one that has got another URL since stays as it is", async () => {
    const { add, change, service } = subscriptionsRoom();
    const { id, urlKey } = (await add()).subscription;
    const corrected = await change({ id, url: "https://b.example/hook" }, ["url"]);
    expect(await service.disable(tenant, id, "gone", urlKey)).toEqual(corrected);
    expect((await service.get(tenant, id)).state).toBe("enabled");
  });
});

describe("subscriptionMessage", () => {
  test("shows who disabled it, and of its secrets the live ones without text", async () => {
    const { add, clock, service } = subscriptionsRoom();
    const { id } = (await add()).subscription;
    await service.rotateSecret(tenant, id, durationFromMs(1_000));
    const disabled = await service.disable(tenant, id, "failing", url);
    if (disabled === undefined) throw new Error("it is gone");
    const message = subscriptionMessage(disabled, clock.now());
    expect(message).toMatchObject({
      organisationId: "acme",
      environment: "production",
      state: State.DISABLED,
      disabledReason: DisabledReason.FAILING,
      version: 3n,
    });
    expect(message.secrets.map((secret) => [secret.id, secret.expiresAt === undefined])).toEqual([
      [disabled.secrets[0]?.id, true],
      [disabled.secrets[1]?.id, false],
    ]);
    expect(subscriptionMessage(disabled, clock.now() + 1_000).secrets).toHaveLength(1);
  });
});
