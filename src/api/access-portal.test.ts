/**
 * What portal sessions must say in requests, and what is the organisation's in answers. What they may name,
 * test/walk.test.ts has for every method; what they learn of others' events, portal-events.test.ts.
 */
import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { GetDeliveryStatsResponseSchema } from "../../gen/passbus/v1/delivery_service_pb.js";
import { ListEventsRequestSchema, TailEventsRequestSchema } from "../../gen/passbus/v1/event_service_pb.js";
import type { Principal } from "../access/authenticate.ts";
import { portalRules } from "./access-portal.ts";

const tenant = { organisation: "acme", environment: "production" };
const session: Principal = { tenant, role: "portal", keyId: "ses_1", entityId: "shop" };
const none = () => Promise.reject(new Error("not asked"));
const rules = portalRules({ subscriptions: { get: none }, deliveryLog: { getDelivery: none, getEvent: none } });

function ruleOf(method: string) {
  const rule = rules.get(`passbus.v1.${method}`);
  if (rule === undefined) throw new Error(`${method} has no rule`);
  return rule;
}

test("a list of events is of one pass", async () => {
  const { check } = ruleOf("EventService/ListEvents");
  await expect(check(create(ListEventsRequestSchema, {}), session)).rejects.toThrow(
    "pass_id: is required of a portal session",
  );
  await check(create(ListEventsRequestSchema, { passId: "p1" }), session);
});

test("statistics don't say how many events there were, which are counted for the organisation", () => {
  const counted = { events: 7n, delivered: 3n };
  const response = create(GetDeliveryStatsResponseSchema, { points: [counted, counted], total: counted });
  ruleOf("DeliveryService/GetDeliveryStats").narrow(response);
  const points = [...response.points, response.total].map((point) => [point?.events, point?.delivered]);
  expect(points).toEqual(Array(3).fill([0n, 3n]));
});

test("a session without an entity is a mistake, and sees nothing", async () => {
  const { entityId: _entity, ...nobody } = session;
  const requests = [
    ["EventService/ListEvents", create(ListEventsRequestSchema, { passId: "p1" })],
    ["EventService/TailEvents", create(TailEventsRequestSchema, {})],
  ] as const;
  for (const broken of [nobody, { ...nobody, entityId: "" }]) {
    for (const [method, request] of requests) {
      await expect(ruleOf(method).check(request, broken)).rejects.toThrow("without an entity");
    }
  }
});
