import { clone } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { Format, State, SubscriptionSchema } from "../../gen/passbus/v1/subscription_pb.js";
import { refusal, subscriptionsRoom, tenant, url } from "../../test/support/subscriptions.ts";
import { DEFAULT_POLICY } from "../domain/subscription.ts";
import { subscriptionMessage } from "./message.ts";

describe("update", () => {
  test("changes what the mask names, and nothing else", async () => {
    const { add, change, clock } = subscriptionsRoom();
    const { subscription } = await add({ description: "old", labels: { a: "1" } });
    clock.advance(5);
    const changed = await change({ id: subscription.id, description: "new", url: `${url}/2` }, [
      "description",
      "labels",
    ]);
    expect(changed).toEqual({ ...subscription, description: "new", labels: {}, updatedAtMs: clock.now(), version: 2 });
  });

  test("changes fields of the policy one by one; one that is unset becomes its default", async () => {
    const { add, change } = subscriptionsRoom();
    const { id } = (await add({ policy: { maxInFlight: 5, retrySchedule: [durationFromMs(500)] } })).subscription;
    const timeout = { attemptTimeout: durationFromMs(2_000) };
    const one = await change({ id, policy: timeout }, ["policy.attempt_timeout"]);
    expect(one.policy).toMatchObject({ attemptTimeoutMs: 2_000, maxInFlight: 5, retryScheduleMs: [500] });
    const two = await change({ id }, ["policy.retry_schedule", "policy.max_in_flight"]);
    expect(two.policy).toEqual({ ...DEFAULT_POLICY, attemptTimeoutMs: 2_000 });
    const three = await change({ id, policy: { maxInFlight: 7 } }, ["policy"]);
    expect(three.policy).toEqual({ ...DEFAULT_POLICY, maxInFlight: 7 });
    const four = await change({ id, policy: timeout }, ["policy", "policy.max_in_flight"]);
    expect(four.policy).toEqual({ ...DEFAULT_POLICY, attemptTimeoutMs: 2_000 });
  });

  test.each([undefined, []])("without a mask (%j) changes what is set", async (paths) => {
    const { add, change } = subscriptionsRoom();
    const { subscription } = await add({ labels: { a: "1" }, policy: { maxInFlight: 5 } });
    const changed = await change(
      { id: subscription.id, description: "new", policy: { attemptTimeout: durationFromMs(2_000) } },
      paths,
    );
    expect(changed.description).toBe("new");
    expect(changed.labels).toEqual({ a: "1" });
    expect(changed.policy).toMatchObject({ maxInFlight: 5, attemptTimeoutMs: 2_000 });
  });

  test("what was read may be written back, and writes nothing", async () => {
    const { add, clock, service, store } = subscriptionsRoom();
    const { subscription } = await add({ entityId: "class-1", headers: { "X-A": "1" }, eventTypes: [1, 2] });
    const message = subscriptionMessage(subscription, clock.now());
    clock.advance(5);
    const fields = SubscriptionSchema.fields.map((field) => field.name);
    const mine = fields.slice(1, fields.indexOf("operational_events") + 1);
    expect(await service.update(tenant, clone(SubscriptionSchema, message), undefined)).toEqual(subscription);
    expect(await service.update(tenant, clone(SubscriptionSchema, message), mine)).toEqual(subscription);
    expect(store.replacements).toBe(0);
  });

  test.each([
    ["nonsense", "is not a field of a subscription"],
    ["policy.nonsense", "is not a field of a subscription"],
    ["policy.attempt_timeout.seconds", "is not a field of a subscription"],
    ["url.host", "is not a field of a subscription"],
    ["eventTypes", "is not a field of a subscription"],
    ["", "is not a field of a subscription"],
    ["id", "is set by passbus"],
    ["created_at", "is set by passbus"],
    ["secrets", "is set by passbus"],
  ])("the path %j %s", async (path, description) => {
    const { add, change } = subscriptionsRoom();
    const { id } = (await add()).subscription;
    const error = await refusal(change({ id, description: "new" }, ["description", path]));
    expect(error.code).toBe("request.invalid");
    expect(error.violations).toEqual([
      { field: "update_mask.paths[1]", description: `${JSON.stringify(path)} ${description}` },
    ]);
  });

  // "Cannot change the scope after subscription creation" (seed 000).
  test("the scope stays what it was", async () => {
    const { add, change } = subscriptionsRoom();
    const { id } = (await add({ entityId: "class-1" })).subscription;
    for (const call of [
      change({ id, entityId: "class-2" }),
      change({ id }, ["entity_id"]),
      change({ id, entityId: "class-2", description: "x" }, ["description"]),
    ]) {
      expect((await refusal(call)).message).toBe("subscription.entity_id: is fixed at creation");
    }
    expect((await change({ id, entityId: "class-1", description: "x" })).description).toBe("x");
  });

  test("needs an id, and another tenant's names are refused", async () => {
    const { add, change } = subscriptionsRoom();
    const { id } = (await add()).subscription;
    expect((await refusal(change({ description: "x" }))).message).toBe("subscription.id: is required");
    const error = await refusal(change({ id, organisationId: "other", description: "x" }));
    expect(error.violations[0]?.field).toBe("subscription.organisation_id");
  });

  test("what comes out is judged as at creation", async () => {
    const { add, change } = subscriptionsRoom();
    const { id } = (await add({ eventTypes: [PassEventType.SCANNED] })).subscription;
    const error = await refusal(change({ id, format: Format.PASSKIT }));
    expect(error.violations[0]?.field).toBe("subscription.event_types[0]");
    expect((await refusal(change({ id }, ["url"]))).message).toBe("subscription.url: is required");
  });

  test("a new URL is checked, and an old one is not checked again", async () => {
    const { add, change, checked } = subscriptionsRoom();
    const { id } = (await add()).subscription;
    await add({ url: `${url}/2` });
    await change({ id, url, description: "x" });
    expect(checked).toHaveLength(2);
    expect((await refusal(change({ id, url: "http://a.example" }))).code).toBe("url.invalid");
    expect((await refusal(change({ id, url: `${url}/2` }))).code).toBe("subscription.duplicate_url");
    expect((await change({ id, url: `${url}/THREE` })).urlKey).toBe(`${url}/three`);
  });

  test("what is wrong with a new URL is said together with what else is", async () => {
    const { add, change, checked } = subscriptionsRoom();
    const { id } = (await add()).subscription;
    const fieldsOf = async (given: Parameters<typeof change>[0], paths?: string[]) =>
      (await refusal(change({ id, ...given }, paths))).violations.map(({ field }) => field);
    const wrong = { url: "http://a.example", filter: "event.", format: 99 };
    expect(await fieldsOf(wrong)).toEqual(["subscription.url", "subscription.format", "subscription.filter"]);
    expect(await fieldsOf(wrong, ["url", "filter"])).toEqual(["subscription.url", "subscription.filter"]);
    // The URL is not looked at where it isn't changed.
    expect(await fieldsOf(wrong, ["filter"])).toEqual(["subscription.filter"]);
    expect(await fieldsOf({ ...wrong, url }, ["url", "filter"])).toEqual(["subscription.filter"]);
    expect(checked).toHaveLength(1);
  });

  test("disabling and enabling keep the span between them", async () => {
    const { add, change, clock } = subscriptionsRoom();
    const { id } = (await add()).subscription;
    const fromMs = clock.now();
    expect(await change({ id, state: State.DISABLED })).toMatchObject({
      state: "disabled",
      disabledReason: "requested",
      disabledSpans: [{ fromMs }],
    });
    clock.advance(10);
    const enabled = await change({ id, state: State.ENABLED });
    expect(enabled).toMatchObject({ state: "enabled", disabledSpans: [{ fromMs, toMs: clock.now() }] });
    expect("disabledReason" in enabled).toBe(false);
  });

  test("a write that comes between is kept, and the change is made on it", async () => {
    const { add, change, store } = subscriptionsRoom();
    const { id } = (await add()).subscription;
    store.beforeReplace = async () => {
      store.beforeReplace = async () => undefined;
      await change({ id, labels: { a: "1" } });
    };
    expect(await change({ id, description: "new" })).toMatchObject({
      description: "new",
      labels: { a: "1" },
      version: 3,
    });
  });

  test("writes that never stop coming between end in version.changed", async () => {
    const { add, change, service, store } = subscriptionsRoom();
    const { id } = (await add()).subscription;
    let count = 0;
    const interfere = async () => {
      store.beforeReplace = async () => undefined;
      await change({ id, labels: { count: String(count++) } });
      store.beforeReplace = interfere;
    };
    store.beforeReplace = interfere;
    expect((await refusal(change({ id, description: "new" }))).code).toBe("version.changed");
    expect((await service.get(tenant, id)).description).toBe("");
  });

  test("one that is deleted meanwhile is not found", async () => {
    const { add, change, store } = subscriptionsRoom();
    const { id } = (await add()).subscription;
    store.beforeReplace = () => store.remove(tenant, id);
    expect((await refusal(change({ id, description: "new" }))).code).toBe("resource.not_found");
  });
});
