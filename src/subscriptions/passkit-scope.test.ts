/** PassKit's rules of scope (seed 003) beside passbus.v1's, and what both kinds may say of protocol events. */
import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { Format, Origin, type Subscription, SubscriptionSchema } from "../../gen/passbus/v1/subscription_pb.js";
import { refusal, type SubscriptionInit, subscriptionsRoom, tenant, url } from "../../test/support/subscriptions.ts";
import { LIMITS } from "../kernel/limits.ts";
import { subscriptionMessage } from "./message.ts";

function room() {
  const { service, ...rest } = subscriptionsRoom();
  const addPassKit = (init: SubscriptionInit = {}) => {
    const draft = create(SubscriptionSchema, { entityId: "class-1", format: Format.PASSKIT, url, ...init });
    return service.create(tenant, draft, "passkit");
  };
  return { service, addPassKit, ...rest };
}

describe("PassKit's rules of scope", () => {
  test("several of a class may share a URL, also with one of passbus.v1, and after a change", async () => {
    const { add, addPassKit, change } = room();
    await add({ entityId: "class-1" });
    const first = await addPassKit();
    const second = await addPassKit();
    expect(first.subscription.id).not.toBe(second.subscription.id);
    const moved = await addPassKit({ url: "https://b.example/" });
    const back = await change({ id: moved.subscription.id, url });
    expect(back).toMatchObject({ url, origin: "passkit" });
    expect((await change({ id: back.id, url: "https://b.example/" })).url).toBe("https://b.example/");
    const error = await refusal(add({ entityId: "class-1" }));
    expect(error.code).toBe("subscription.duplicate_url");
  });

  test("a class has a hundred, whoever made them", async () => {
    const { add, addPassKit } = room();
    await add({ entityId: "class-1", url: "https://other.example/" });
    for (let made = 1; made < LIMITS.passkitClassSubscriptions; made += 1) await addPassKit();
    expect((await refusal(addPassKit())).code).toBe("limit.subscriptions");
    await addPassKit({ entityId: "class-2" });
  });

  test("the origin is shown, and an update can't name it", async () => {
    const { add, addPassKit, change, clock } = room();
    const ours = subscriptionMessage((await add()).subscription, clock.now());
    const theirs = subscriptionMessage((await addPassKit()).subscription, clock.now());
    expect([ours.origin, theirs.origin]).toEqual([Origin.PASSBUS, Origin.PASSKIT]);
    expect((await refusal(change({ id: ours.id }, ["origin"]))).message).toContain("is set by passbus");
  });

  test("come with the format: a change of it would take the place of one that passbus.v1 refuses", async () => {
    const { add, addPassKit, change } = room();
    const { id } = (await addPassKit()).subscription;
    const error = await refusal(change({ id, format: Format.STANDARD }));
    expect(error.message).toContain("subscription.format: was made by PassKit's API");
    expect((await refusal(change({ id }, ["format"]))).violations.map(({ field }) => field)).toEqual([
      "subscription.format",
    ]);
    expect(await change({ id, format: Format.PASSKIT, description: "kept" })).toMatchObject({ format: "PASSKIT" });
    const ours = (await add({ format: Format.PASSKIT })).subscription;
    expect(await change({ id: ours.id, format: Format.STANDARD })).toMatchObject({ format: "STANDARD" });
  });

  test("the current secret is the newest that signs", async () => {
    const { addPassKit, service } = room();
    const made = await addPassKit();
    expect(service.currentSecret(made.subscription).text).toBe(made.secret);
    const rotated = await service.rotateSecret(tenant, made.subscription.id, undefined);
    expect(rotated.secret).not.toBe(made.secret);
    expect(service.currentSecret(rotated.subscription)).toEqual({
      id: rotated.subscription.secrets[0]?.id,
      text: rotated.secret,
    });
  });
});

describe("protocol events", () => {
  const shown = async (work: Promise<{ readonly subscription: Parameters<typeof subscriptionMessage>[0] }>) =>
    subscriptionMessage((await work).subscription, 0);
  const named = ({ membershipEvents, couponEvents }: Subscription) => [membershipEvents, couponEvents];

  test("are kept, shown, changed and taken away", async () => {
    const { add, change } = room();
    const made = await shown(add({ membershipEvents: [1, 2], couponEvents: [8] }));
    expect(named(made)).toEqual([[1, 2], [8]]);
    const some = await change({ id: made.id, membershipEvents: [2] }, ["membership_events"]);
    expect(some).toMatchObject({ membershipEvents: [2], couponEvents: [8] });
    const none = await change({ id: made.id }, ["membership_events", "coupon_events"]);
    expect(named(subscriptionMessage(none, 0))).toEqual([[], []]);
    expect(none).not.toHaveProperty("membershipEvents");
  });

  test.each<[SubscriptionInit, string]>([
    [{ membershipEvents: [0] }, "subscription.membership_events[0]"],
    [{ membershipEvents: [3 as never] }, "subscription.membership_events[0]"],
    [{ couponEvents: [1, 3 as never] }, "subscription.coupon_events[1]"],
    [{ couponEvents: [1, 1] }, "subscription.coupon_events[1]"],
    [{ couponEvents: [1], format: Format.ETHPASS }, "subscription.coupon_events"],
    [{ membershipEvents: [1], format: Format.PASSENTRY }, "subscription.membership_events"],
    [{ membershipEvents: [1], couponEvents: [1], format: Format.PASSKIT }, "subscription.coupon_events"],
  ])("%j is refused", async (init, field) => {
    const error = await refusal(room().add(init));
    expect(error.violations.map((violation) => violation.field)).toEqual([field]);
  });
});

describe("a field's other name", () => {
  const passkitFieldMapping = { destinationFieldKey: "mail", sourceFieldUniqueName: "person.emailAddress" };

  test("is kept, shown and taken away", async () => {
    const { add, change } = room();
    const { subscription } = await add({ formatOptions: { passkitFieldMapping } });
    expect(subscriptionMessage(subscription, 0).formatOptions?.passkitFieldMapping).toMatchObject(passkitFieldMapping);
    const none = await change({ id: subscription.id }, ["format_options.passkit_field_mapping"]);
    expect(none.formatOptions).not.toHaveProperty("passkitFieldMapping");
  });

  test.each([
    [{ ...passkitFieldMapping, destinationFieldKey: "" }, "destinationFieldKey"],
    [{ ...passkitFieldMapping, sourceFieldUniqueName: "a\nb" }, "sourceFieldUniqueName"],
    [{ ...passkitFieldMapping, destinationFieldDataType: 14 as never }, "destinationFieldDataType"],
  ])("%j is refused", async (mapping, field) => {
    const error = await refusal(room().add({ formatOptions: { passkitFieldMapping: mapping } }));
    const root = "subscription.format_options.passkit_field_mapping";
    expect(error.violations.map((violation) => violation.field)).toEqual([`${root}.${field}`]);
  });
});
