/** Requests that are small on the wire and large once they are read. */
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, it } from "vitest";
import { BadRequestSchema } from "../../gen/google/rpc/error_details_pb.js";
import { CreateSubscriptionRequestSchema, SubscriptionService } from "../../gen/passbus/v1/subscription_service_pb.js";
import { type TestApi, testApi } from "../../test/support/api.ts";
import { failureOf, grpcWithKey } from "../../test/support/grpc.ts";
import { LIMITS } from "../kernel/limits.ts";

let api: TestApi;
beforeAll(async () => {
  api = await testApi();
});
afterAll(() => api.stop(0));

const url = "https://a.example/";
const many = <T>(item: T, count = LIMITS.requestItems + 1) => Array<T>(count).fill(item);
const duration = { seconds: 1n };

it.each([
  ["subscription.event_types", { url, eventTypes: many(1) }],
  ["subscription.operational_events", { url, operationalEvents: many(1) }],
  ["subscription.policy.retry_schedule", { url, policy: { retrySchedule: many(duration) } }],
  ["subscription.labels", { url, labels: Object.fromEntries(many("").map((_, at) => [`l${at}`, "x"])) }],
])("refuses a list that is too long, whatever is in it: %s", async (field, subscription) => {
  const subscriptions = createClient(SubscriptionService, grpcWithKey(api.url, api.stage.key("subscriber")));
  const error = await failureOf(subscriptions.createSubscription({ subscription }));
  expect(error.code).toBe(Code.InvalidArgument);
  const [{ fieldViolations } = { fieldViolations: [] }] = error.findDetails(BadRequestSchema);
  expect(fieldViolations).toMatchObject([{ field, description: `must have at most ${LIMITS.requestItems} items` }]);
});

it("names no more mistakes than it may, however many there are", async () => {
  const subscriptions = createClient(SubscriptionService, grpcWithKey(api.url, api.stage.key("subscriber")));
  const wrong = { url, filter: "true", eventTypes: many(99, LIMITS.requestItems) };
  const error = await failureOf(subscriptions.createSubscription({ subscription: wrong }));
  const [{ fieldViolations } = { fieldViolations: [] }] = error.findDetails(BadRequestSchema);
  expect(fieldViolations.length).toBe(LIMITS.namedViolations);
});

it("answers four million numbers at once, and everybody else meanwhile", async () => {
  const subscription = { url, filter: "true", eventTypes: many(1, 4_000_000) };
  const body = toBinary(CreateSubscriptionRequestSchema, create(CreateSubscriptionRequestSchema, { subscription }));
  const headers = { "content-type": "application/proto", authorization: `Bearer ${api.stage.key("subscriber")}` };
  const startMs = performance.now();
  const refused = await fetch(`${api.url}/passbus.v1.SubscriptionService/CreateSubscription`, {
    method: "POST",
    headers,
    body,
  });
  expect(refused.status).toBe(400);
  expect(performance.now() - startMs).toBeLessThan(5_000);
});

it("reads no fields that nobody knows, of which four kilobytes unpack to two million", async () => {
  // Field 15, a number: known to none of the requests.
  const unknown = Buffer.alloc(LIMITS.requestBytes - 2);
  for (let at = 0; at < unknown.length; at += 2) unknown[at] = 0x78;
  const headers = { "content-type": "application/proto", authorization: `Bearer ${api.stage.key("viewer")}` };
  const startBytes = process.memoryUsage().rss;
  for (const method of ["ListEvents", "GetEvent", "ListDeadLetters"]) {
    const url = `${api.url}/passbus.v1.EventService/${method}`;
    const startMs = performance.now();
    const answer = await fetch(url, { method: "POST", headers, body: unknown });
    expect(answer.status).toBeLessThan(500);
    expect(performance.now() - startMs, method).toBeLessThan(3_000);
  }
  expect(process.memoryUsage().rss - startBytes).toBeLessThan(256 * 1_024 * 1_024);
});
