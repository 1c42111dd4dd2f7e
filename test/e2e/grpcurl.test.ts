/** The README's tour with a client that we didn't write, and that knows of the API only what reflection tells it. */
import { execFile } from "node:child_process";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Embedded, startEmbedded } from "../support/embedded.ts";
import { BOOTSTRAP_KEY, type RunningPassbus } from "../support/passbus.ts";
import { onPath, requirement } from "../support/requirements.ts";
import type { Sink } from "../support/sink.ts";
import { eventually } from "../support/within.ts";

const grpcurl = requirement("grpcurl", () => onPath("grpcurl"));

interface Answer {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

describe.skipIf(!grpcurl.present)(grpcurl.title("grpcurl"), () => {
  let embedded: Embedded;
  let sink: Sink;
  let passbus: RunningPassbus;
  beforeAll(async () => {
    embedded = await startEmbedded();
    ({ sink, passbus } = embedded);
  }, 30_000);
  afterAll(() => embedded[Symbol.asyncDispose]());

  const run = (options: readonly string[], ...words: readonly string[]): Promise<Answer> =>
    new Promise((resolve) => {
      const args = ["-plaintext", ...options, passbus.url.slice("http://".length), ...words];
      execFile("grpcurl", args, (error, out, err) =>
        resolve({ code: error === null ? 0 : Number(error.code), out, err }),
      );
    });
  const call = async (method: string, request: object) => {
    const key = ["-H", `authorization: Bearer ${BOOTSTRAP_KEY}`];
    const { code, out, err } = await run([...key, "-d", JSON.stringify(request)], method);
    if (code !== 0) throw new Error(err);
    return JSON.parse(out);
  };

  test("lists the services that are there, and describes every message of them", async () => {
    const { out } = await run([], "list");
    const services = out.trim().split("\n");
    expect(services).toEqual([
      "grpc.health.v1.Health",
      "grpc.reflection.v1.ServerReflection",
      "io.Integrations",
      "passbus.v1.AccessService",
      "passbus.v1.DeliveryService",
      "passbus.v1.EventService",
      "passbus.v1.InspectorService",
      "passbus.v1.SubscriptionService",
    ]);
    for (const service of services) expect((await run([], "describe", service)).code).toBe(0);
    expect((await run([], "describe", "io.Pass")).out).toContain("message Pass");
  });

  test("health needs no key", async () => {
    const { out } = await run([], "grpc.health.v1.Health/Check");
    expect(JSON.parse(out)).toEqual({ status: "SERVING" });
  });

  test("creates, publishes, and sees what was delivered", async () => {
    const url = sink.url("/grpcurl");
    const { subscription, secret } = await call("passbus.v1.SubscriptionService/CreateSubscription", {
      subscription: { url },
    });
    await sink.expectSecrets("/grpcurl", secret);
    const event = { id: "evt-grpcurl", type: "PASS_EVENT_TYPE_INSTALLED", pass: { id: "p1", classId: "c1" } };
    await call("passbus.v1.EventService/PublishEvents", { events: [event] });
    const delivered = await eventually(10_000, "the delivery", async () => {
      const { deliveries = [] } = await call("passbus.v1.DeliveryService/ListDeliveries", { eventId: event.id });
      return deliveries[0]?.status === "DELIVERY_STATUS_DELIVERED" ? deliveries[0] : undefined;
    });
    expect(delivered).toMatchObject({ eventId: event.id, subscriptionId: subscription.id, passId: "p1" });
    const stored = await call("passbus.v1.EventService/GetEvent", { id: event.id });
    expect(stored.event.event).toMatchObject(event);
  });

  test("a mistake comes back with its code and the field's path", async () => {
    const key = ["-H", `authorization: Bearer ${BOOTSTRAP_KEY}`];
    const bad = ["-d", '{"events": [{"type": "PASS_EVENT_TYPE_INSTALLED"}]}'];
    const { code, err } = await run([...key, ...bad], "passbus.v1.EventService/PublishEvents");
    expect(code).not.toBe(0);
    expect(err).toContain("Code: InvalidArgument");
    expect(err).toContain("events[0].pass: is required");
    const refused = await run(bad, "passbus.v1.EventService/PublishEvents");
    expect(refused.err).toContain("Code: Unauthenticated");
  });
});
