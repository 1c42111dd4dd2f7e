/** v1a signatures as a setting of a subscription, and drafts that nobody stores. */
import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { CouponEventId, MembershipEventId } from "../../gen/io/integrations_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { Format, State, SubscriptionSchema } from "../../gen/passbus/v1/subscription_pb.js";
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
import { sampleFor } from "./sample.ts";

describe("ed25519_signature", () => {
  test("is off, is kept and shown, and can be turned on and off", async () => {
    const { add, change, clock } = subscriptionsRoom();
    const plain = (await add()).subscription;
    expect(plain.ed25519Signature).toBeUndefined();
    const on = await change({ id: plain.id, ed25519Signature: true });
    expect(on.ed25519Signature).toBe(true);
    expect(subscriptionMessage(on, clock.now()).ed25519Signature).toBe(true);
    const other = await change({ id: plain.id, description: "x" });
    expect(other.ed25519Signature).toBe(true);
    const off = await change({ id: plain.id }, ["ed25519_signature"]);
    expect("ed25519Signature" in off).toBe(false);
  });

  test("is refused where there are no keys, and what had it can still be changed and lose it", async () => {
    const { add, change, service, store } = subscriptionsRoom({ signsEd25519: false });
    const error = await refusal(add({ ed25519Signature: true }));
    expect(error.message).toBe(
      "subscription.ed25519_signature: this passbus has no keys for it: its operator sets PASSBUS_SIGNING_SEEDS",
    );
    const { id } = (await add()).subscription;
    expect((await refusal(change({ id, ed25519Signature: true }))).violations).toEqual(error.violations);
    const stored = await service.get(tenant, id);
    await store.replace({ ...stored, ed25519Signature: true, version: stored.version + 1 });
    expect((await change({ id, description: "x" })).ed25519Signature).toBe(true);
    expect((await change({ id }, ["ed25519_signature"])).ed25519Signature).toBeUndefined();
  });
});

describe("a draft", () => {
  const room = () => {
    const { checked, keyring, service, store, ...rest } = subscriptionsRoom();
    const draft = (init: SubscriptionInit) => service.draft(tenant, create(SubscriptionSchema, init));
    return { ...rest, checked, keyring, service, store, draft };
  };

  test("is what create would make, with its secret; its host is not resolved, and nothing is stored", async () => {
    const { draft, checked, keyring, service } = room();
    const { subscription, secret = "" } = await draft({ url: "https://nowhere.example", format: Format.PASSKIT });
    expect(subscription).toMatchObject({ url: "https://nowhere.example", format: "PASSKIT", version: 1 });
    const [sealed] = subscription.secrets;
    expect(sealed && openSecret(keyring, subscription, sealed)).toBe(secret);
    expect(checked).toEqual([]);
    expect((await refusal(service.get(tenant, subscription.id))).code).toBe("resource.not_found");
  });

  test("of a stored one is that with what is set in place of its own; the stored one stays", async () => {
    const { add, draft, service, store } = room();
    const { subscription } = await add({ description: "mine", labels: { a: "1" } });
    const changed = await draft({ id: subscription.id, format: Format.ETHPASS, url: "https://other.example/" });
    expect(changed.secret).toBeUndefined();
    expect(changed.subscription).toEqual({ ...subscription, format: "ETHPASS", url: "https://other.example/" });
    expect(await service.get(tenant, subscription.id)).toEqual(subscription);
    expect(store.replacements).toBe(0);
    expect((await refusal(draft({ id: subscription.id, url: "http://10.0.0.1" }))).code).toBe("url.invalid");
    const asDisabled = await draft({ id: subscription.id, state: State.DISABLED });
    expect(asDisabled.subscription.state).toBe("enabled");
  });

  test("of another tenant's, or one that could not be made, is refused", async () => {
    const { add, draft, service } = room();
    const { id } = (await add()).subscription;
    const theirs = service.draft(stranger, create(SubscriptionSchema, { id }));
    expect((await refusal(theirs)).code).toBe("resource.not_found");
    const wrong = await refusal(
      draft({ headers: { host: "x" }, eventTypes: [PassEventType.UPDATED], format: Format.PASSENTRY }),
    );
    expect(wrong.violations.map(({ field }) => field)).toEqual([
      "subscription.event_types[0]",
      'subscription.headers["host"]',
    ]);
  });
});

describe("a creation with a proof", () => {
  test("stands from the moment of the proof on, and is proven as it will be", async () => {
    const { clock, service } = subscriptionsRoom();
    const beganMs = clock.now();
    const proven: unknown[] = [];
    const { subscription } = await service.create(
      tenant,
      create(SubscriptionSchema, { url, state: State.DISABLED }),
      undefined,
      async (made) => {
        proven.push(made.id, made.secrets, made.url);
        clock.advance(7_000);
      },
    );
    expect(proven).toEqual([subscription.id, subscription.secrets, url]);
    expect(subscription).toMatchObject({
      createdAtMs: beganMs + 7_000,
      updatedAtMs: beganMs + 7_000,
      disabledSpans: [{ fromMs: beganMs + 7_000 }],
    });
  });

  test("that fails stores nothing, and is not asked for where the draft is wrong", async () => {
    const { service } = subscriptionsRoom();
    const draft = (init: SubscriptionInit) => create(SubscriptionSchema, { url, ...init });
    const failing = service.create(tenant, draft({}), undefined, () => Promise.reject(new Error("no echo")));
    await expect(failing).rejects.toThrow("no echo");
    let asked = 0;
    const proof = async () => void asked++;
    await refusal(service.create(tenant, draft({ id: "mine" }), undefined, proof));
    await refusal(service.create(tenant, draft({ url: "http://a.example" }), undefined, proof));
    expect(asked).toBe(0);
    await service.create(tenant, draft({}), undefined, proof);
    expect(asked).toBe(1);
  });
});

describe("the sample for a subscription", () => {
  const sample = (init: SubscriptionInit, type = PassEventType.UNSPECIFIED) =>
    subscriptionsRoom()
      .add(init)
      .then(({ subscription }) => sampleFor(subscription, { type }, "event_type", "evt_1", 5).event);

  test("is of the type that is asked for alone, whatever the subscription names", async () => {
    const coupon = { couponEvents: [CouponEventId.COUPON_EVENT_REDEEMED] };
    const scanned = await sample(coupon, PassEventType.SCANNED);
    expect([scanned.type, scanned.protocolEvent.case]).toEqual([PassEventType.SCANNED, undefined]);
    const named = await sample(coupon);
    expect([named.type, named.protocolEvent]).toEqual([
      PassEventType.UPDATED,
      { case: "couponEvent", value: CouponEventId.COUPON_EVENT_REDEEMED },
    ]);
    const first = await sample({ ...coupon, eventTypes: [PassEventType.INSTALLED] });
    expect([first.type, first.protocolEvent.case]).toEqual([PassEventType.INSTALLED, undefined]);
  });

  test("is one that it would get: of its tenant, entity, protocol, and first type", async () => {
    const event = await sample({ entityId: "shop", protocol: 100, eventTypes: [PassEventType.DELETED] });
    expect(event).toMatchObject({
      id: "evt_1",
      type: PassEventType.DELETED,
      organisationId: tenant.organisation,
      environment: tenant.environment,
      entityId: "shop",
      pass: { classId: "shop", protocol: 100 },
    });
  });

  test("carries the protocol event that it names", async () => {
    const membershipEvents = [MembershipEventId.MEMBER_EVENT_ENROLLED];
    const event = await sample({ membershipEvents, format: Format.PASSKIT, protocol: 100 });
    expect(event.protocolEvent).toEqual({ case: "membershipEvent", value: MembershipEventId.MEMBER_EVENT_ENROLLED });
  });
});
