/** What portal sessions are told of lists and streams; what they may name, test/walk.test.ts has for every method. */
import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import {
  ExplainEventResponseSchema,
  ListEventsRequestSchema,
  ListEventsResponseSchema,
  TailEventsResponseSchema,
} from "../../gen/passbus/v1/event_service_pb.js";
import type { Principal } from "../access/authenticate.ts";
import { portalRules } from "./access-portal.ts";

const tenant = { organisation: "acme", environment: "production" };
const session: Principal = { tenant, role: "portal", keyId: "ses_1", entityId: "shop" };
const none = () => Promise.reject(new Error("not asked"));
const rules = portalRules({ subscriptions: { get: none }, deliveryLog: { getDelivery: none, getEvent: none } });

function ruleOf(method: string) {
  const rule = rules.get(`passbus.v1.EventService/${method}`);
  if (rule === undefined) throw new Error(`${method} has no rule`);
  return rule;
}

const eventOf = (id: string, entityId: string) => ({ event: { id, entityId } });

test("a list of events has those of the entity, and is of one pass", async () => {
  const events = [eventOf("evt_1", "shop"), eventOf("evt_2", "cafe"), eventOf("evt_3", ""), {}];
  const response = create(ListEventsResponseSchema, { events, nextPageToken: "more" });
  expect(ruleOf("ListEvents").narrow(response, session)).toBe(true);
  expect(response.events.map(({ event }) => event?.id)).toEqual(["evt_1"]);
  const asked = ruleOf("ListEvents").check(create(ListEventsRequestSchema, {}), session);
  await expect(asked).rejects.toThrow("pass_id: is required of a portal session");
  await ruleOf("ListEvents").check(create(ListEventsRequestSchema, { passId: "p1" }), session);
});

test.each([
  ["of the entity", eventOf("evt_1", "shop"), 0n, true, "evt_1"],
  ["that says it goes on", {}, 0n, true, undefined],
  ["of another", eventOf("evt_1", "cafe"), 0n, false, undefined],
  ["of the organisation", eventOf("evt_1", ""), 0n, false, undefined],
  ["of another, after some that were skipped", eventOf("evt_1", "cafe"), 3n, true, undefined],
])("of a tail, a message %s", (_, event, skipped, leaves, id) => {
  const stored = "event" in event ? { event } : {};
  const response = create(TailEventsResponseSchema, { ...stored, skipped });
  expect(ruleOf("TailEvents").narrow(response, session)).toBe(leaves);
  expect(response.event?.event?.id).toBe(id);
});

test("dead letters explain nothing to it", () => {
  const response = create(ExplainEventResponseSchema, {
    explanations: [
      { reason: "event.conflict", message: "the dead letter" },
      { subscriptionId: "sub_1", reason: "x" },
    ],
  });
  ruleOf("ExplainEvent").narrow(response, session);
  expect(response.explanations.map(({ subscriptionId }) => subscriptionId)).toEqual(["sub_1"]);
});

test("a session without an entity is a mistake, and sees nothing", () => {
  const { entityId: _entity, ...nobody } = session;
  const response = create(ListEventsResponseSchema, { events: [eventOf("evt_1", "")] });
  for (const broken of [nobody, { ...nobody, entityId: "" }]) {
    expect(() => ruleOf("ListEvents").narrow(response, broken)).toThrow("without an entity");
  }
});
