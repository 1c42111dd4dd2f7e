import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { MembershipEventId } from "../../gen/io/integrations_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { Format, State, SubscriptionSchema } from "../../gen/passbus/v1/subscription_pb.js";
import { refusal, subscriptionsRoom, tenant } from "../../test/support/subscriptions.ts";
import { CodedError, type FieldViolation } from "../kernel/errors.ts";
import { subscriptionMessage } from "./message.ts";
import { readSettings } from "./settings.ts";
import { Violations } from "./violations.ts";

type Init = MessageInitShape<typeof SubscriptionSchema>;

const url = "https://a.example/hook";

function violations(init: Init): readonly FieldViolation[] {
  const wrong = new Violations("subscription");
  readSettings(create(SubscriptionSchema, { url, ...init }), wrong);
  try {
    wrong.throwIfAny();
  } catch (error) {
    if (error instanceof CodedError) return error.violations;
    throw error;
  }
  return [];
}

const SCANS = `event.scan.reader.type == "VtapReader"`;
/** A "scanned" sample has none. */
const MEMBERS = `event.pass.recordData["members.tier.id"] == "bronze"`;

describe("a filter", () => {
  test("is kept as it stands, and shown", async () => {
    const { add, clock, service } = subscriptionsRoom();
    const { subscription } = await add({ filter: ` ${SCANS}\n` });
    expect(subscription.filter).toBe(` ${SCANS}\n`);
    const stored = await service.get(tenant, subscription.id);
    expect(subscriptionMessage(stored, clock.now()).filter).toBe(` ${SCANS}\n`);
  });

  test("that is empty is none", async () => {
    const { add } = subscriptionsRoom();
    expect((await add({ filter: "" })).subscription).not.toHaveProperty("filter");
  });

  test("that is wrong is refused under its field, with the place and what would be right", async () => {
    const { add, store } = subscriptionsRoom();
    const error = await refusal(add({ filter: `event.typ == "INSTALLED"` }));
    expect(error.code).toBe("request.invalid");
    expect(error.violations.map(({ field }) => field)).toEqual(["subscription.filter"]);
    expect(error.message).toMatch(/^subscription.filter: at line 1, column 6: .* has no "typ"; it has id, type/);
    expect((await store.list(tenant, {}, { size: 10 })).items).toEqual([]);
  });

  test.each<[string, Init, string]>([
    ["all types of the format", { filter: MEMBERS }, "SCANNED"],
    ["a type that is named", { filter: MEMBERS, eventTypes: [PassEventType.SCANNED] }, "SCANNED"],
    [
      "any type where protocol events are named",
      {
        filter: MEMBERS,
        format: Format.PASSKIT,
        eventTypes: [PassEventType.INSTALLED],
        membershipEvents: [MembershipEventId.MEMBER_EVENT_ENROLLED],
      },
      "SCANNED",
    ],
  ])("is tried on the samples of %s", (_, init, type) => {
    const [violation] = violations(init);
    expect(violation?.field).toBe("subscription.filter");
    expect(violation?.description).toContain(`fails on the sample of ${type}: field not found: members.tier.id`);
  });

  test("is not tried on samples that it can't meet", () => {
    const eventTypes = [PassEventType.INSTALLED, PassEventType.CREATED];
    expect(violations({ filter: MEMBERS, eventTypes })).toEqual([]);
    expect(violations({ filter: MEMBERS, format: Format.PASSKIT })).toEqual([]);
  });

  test("sees the samples as events are matched: with an id, an organisation, an environment, an entity", () => {
    const set = ["id", "organisation_id", "environment"].map((name) => `event.${name} != ""`).join(" && ");
    const failsUnless = (condition: string) => `(${condition}) || event.details.content.nothing == 1`;
    expect(violations({ filter: failsUnless(set) })).toEqual([]);
    expect(violations({ filter: failsUnless(`event.entity_id == "mine"`), entityId: "mine" })).toEqual([]);
    expect(violations({ filter: failsUnless(`event.entity_id == event.pass.classId`) })).toEqual([]);
  });

  test("can be changed, and taken away; what does not name it leaves it", async () => {
    const { add, change, service } = subscriptionsRoom();
    const { subscription } = await add({ filter: SCANS });
    const { id } = subscription;
    expect((await change({ id, description: "scans" }, ["description"])).filter).toBe(SCANS);
    expect((await change({ id, filter: `!(${SCANS})` })).filter).toBe(`!(${SCANS})`);
    expect((await refusal(change({ id, filter: "event." }, ["filter"]))).violations[0]?.field).toBe(
      "subscription.filter",
    );
    expect((await service.get(tenant, id)).filter).toBe(`!(${SCANS})`);
    expect(await change({ id }, ["filter"])).not.toHaveProperty("filter");
    expect(await service.get(tenant, id)).not.toHaveProperty("filter");
  });

  test("that this version refuses stands in no other change's way, and is judged where one touches it", async () => {
    const { add, change, service, store, clock } = subscriptionsRoom();
    const { subscription } = await add({ eventTypes: [PassEventType.SCANNED] });
    const filter = "event.of_another_version";
    const { id, version } = subscription;
    expect(await store.replace({ ...subscription, filter, version: version + 1 })).toBe("replaced");
    expect(await change({ id, state: State.DISABLED })).toMatchObject({ filter, state: "disabled" });
    const read = subscriptionMessage(await service.get(tenant, id), clock.now());
    const paths = ["filter", "event_types", "format", "description"];
    expect(await change({ ...read, description: "as it was" }, paths)).toMatchObject({ filter });
    for (const touching of [
      { filter: "event.of_a_third" },
      { eventTypes: [PassEventType.CREATED] },
      { format: Format.CLOUDEVENTS },
      { protocol: 100 },
      { operationalEvents: [4] },
      { membershipEvents: [1] },
      { couponEvents: [1] },
    ]) {
      const error = await refusal(change({ id, ...touching }));
      expect(error.violations.map(({ field }) => field)).toEqual(["subscription.filter"]);
    }
    expect(await change({ id }, ["filter"])).not.toHaveProperty("filter");
  });

  test("must suit the types that a change brings", async () => {
    const { add, change } = subscriptionsRoom();
    const { subscription } = await add({ filter: MEMBERS, eventTypes: [PassEventType.INSTALLED] });
    const error = await refusal(change({ id: subscription.id, eventTypes: [PassEventType.SCANNED] }));
    expect(error.message).toMatch(/^subscription.filter: .*fails on the sample of SCANNED/);
  });
});
