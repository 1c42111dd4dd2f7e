import { once } from "node:events";
import { connect } from "node:net";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { create } from "@bufbuild/protobuf";
import { Code, type ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BadRequestSchema, ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { Health, HealthCheckResponse_ServingStatus as Status } from "../../gen/grpc/health/v1/health_pb.js";
import { Integrations } from "../../gen/io/integrations_pb.js";
import { EventService, PublishFailureSchema } from "../../gen/passbus/v1/event_service_pb.js";
import { PassEventSchema, PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { SubscriptionService } from "../../gen/passbus/v1/subscription_service_pb.js";
import { ADMIN_KEY, emptyDeliveryLog, TENANT, type TestApi, testApi } from "../../test/support/api.ts";
import { failureOf } from "../../test/support/grpc.ts";
import type { Role } from "../access/access-store.ts";
import { CodedError } from "../kernel/errors.ts";
import { LIMITS } from "../kernel/limits.ts";
import { ManualClock } from "../kernel/manual-clock.ts";

const PROTOCOLS = {
  gRPC: (baseUrl: string) => createGrpcTransport({ baseUrl }),
  "gRPC-Web": (baseUrl: string) => createGrpcWebTransport({ baseUrl, httpVersion: "1.1" }),
  "Connect with JSON": (baseUrl: string) =>
    createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: false }),
  "Connect with protobuf over HTTP/2": (baseUrl: string) => createConnectTransport({ baseUrl, httpVersion: "2" }),
} satisfies Record<string, (baseUrl: string) => Transport>;

const PROTOCOL_NAMES = Object.keys(PROTOCOLS) as (keyof typeof PROTOCOLS)[];

const bearer = (key: string) => ({ headers: { authorization: `Bearer ${key}` } });
const asAdmin = bearer(ADMIN_KEY);

const anEvent = () => create(PassEventSchema, { id: "evt_1", type: PassEventType.CREATED, pass: { id: "p1" } });

function fieldsOf(error: ConnectError): string[] {
  return error.findDetails(BadRequestSchema).flatMap((detail) => detail.fieldViolations.map(({ field }) => field));
}

function reasonsOf(error: ConnectError): string[] {
  return error.findDetails(ErrorInfoSchema).map((info) => `${info.domain}/${info.reason}`);
}

let api: TestApi;
beforeAll(async () => {
  api = await testApi();
});
afterAll(() => api.stop(0));

/** A Connect call as curl makes it. */
async function post(path: string, body: string | Uint8Array, headers: Record<string, string> = {}) {
  const response = await fetch(`${api.url}/passbus.v1.${path}`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${ADMIN_KEY}`, ...headers },
    body: typeof body === "string" ? body : new Uint8Array(body),
  });
  const answer: unknown = await response.json();
  return { status: response.status, answer };
}

describe.each(PROTOCOL_NAMES)("over %s", (name) => {
  const client = () => createClient(SubscriptionService, PROTOCOLS[name](api.url));
  const events = () => createClient(EventService, PROTOCOLS[name](api.url));

  it("creates a subscription and reads it back", async () => {
    const url = `https://example.com/${encodeURIComponent(name)}`;
    const created = await client().createSubscription({ subscription: { url, entityId: name } }, asAdmin);
    expect(created.secret).toMatch(/^whsec_/);
    const read = await client().getSubscription({ id: created.subscription?.id ?? "" }, asAdmin);
    expect(read.subscription).toEqual(created.subscription);
    expect(read.subscription?.url).toBe(url);
  });

  it("answers a wrong call with its code and the reason", async () => {
    const missing = await failureOf(client().getSubscription({ id: "sub_x" }));
    expect([missing.code, reasonsOf(missing)]).toEqual([Code.Unauthenticated, ["passbus/auth.missing"]]);
    const wrong = await failureOf(client().getSubscription({ id: "sub_x" }, bearer("not-a-key-of-anyone")));
    expect([wrong.code, reasonsOf(wrong)]).toEqual([Code.Unauthenticated, ["passbus/auth.invalid"]]);
    const unknown = await failureOf(client().getSubscription({ id: "sub_x" }, asAdmin));
    expect([unknown.code, reasonsOf(unknown)]).toEqual([Code.NotFound, ["passbus/resource.not_found"]]);
    expect(unknown.rawMessage).toContain('id: there is no subscription "sub_x"');
    const empty = await failureOf(client().getSubscription({}, asAdmin));
    expect([empty.code, fieldsOf(empty)]).toEqual([Code.InvalidArgument, ["id"]]);
  });

  it("names the field by its path, in the message and in the detail", async () => {
    const error = await failureOf(
      events().publishEvents({ events: [anEvent(), { type: PassEventType.CREATED }] }, asAdmin),
    );
    expect(error.code).toBe(Code.InvalidArgument);
    expect(error.rawMessage).toContain("events[1].pass: is required");
    expect(fieldsOf(error)).toEqual(["events[1].pass"]);
  });

  it("refuses a body over the limit", async () => {
    const details = { downloadUrl: "x".repeat(LIMITS.requestBytes) };
    const error = await failureOf(events().publishEvents({ events: [{ details }] }, asAdmin));
    expect([error.code, reasonsOf(error)]).toEqual([Code.ResourceExhausted, ["passbus/limit.request_bytes"]]);
    expect(error.rawMessage).toContain(`${LIMITS.requestBytes} bytes`);
  });

  it("refuses a deadline over the limit", async () => {
    const long = await failureOf(events().listEvents({}, { ...asAdmin, timeoutMs: LIMITS.requestDeadlineMs + 1_000 }));
    expect(long.code).toBe(Code.InvalidArgument);
    expect(long.rawMessage).toContain("timeout");
  });

  it("says nothing of what broke inside", async () => {
    const broken = await testApi({
      deliveryLog: { ...emptyDeliveryLog, getEvent: () => Promise.reject(new Error("a secret of the house")) },
    });
    const client = createClient(EventService, PROTOCOLS[name](broken.url));
    const error = await failureOf(client.getEvent({ id: "evt_1" }, asAdmin));
    await broken.stop(0);
    expect([error.code, reasonsOf(error)]).toEqual([Code.Internal, ["passbus/internal"]]);
    expect(error.message).not.toContain("secret");
    expect(broken.stage.errors).toEqual([
      { event: "api.call_failed", fields: { method: "passbus.v1.EventService/GetEvent", err: expect.any(Error) } },
    ]);
  });

  it("says which events are durable where not all are", async () => {
    const half = await testApi();
    half.stage.append = async () => [{ durable: true }, { durable: false, reason: "disk full at /var/lib" }];
    const client = createClient(EventService, PROTOCOLS[name](half.url));
    const two = [anEvent(), { ...anEvent(), id: "evt_2" }];
    const error = await failureOf(client.publishEvents({ events: two }, asAdmin));
    await half.stop(0);
    expect(error.code).toBe(Code.Unavailable);
    expect(error.message).not.toContain("/var/lib");
    const [failure] = error.findDetails(PublishFailureSchema);
    expect(failure?.outcomes).toMatchObject([
      { eventId: "evt_1", durable: true },
      { eventId: "evt_2", durable: false },
    ]);
  });
});

describe("a body that does not parse", () => {
  const cases: readonly [name: string, path: string, body: string, field: string, says: string][] = [
    ["an unknown enum name", "EventService/ListEvents", '{"type":"CREATED"}', "type", "PASS_EVENT_TYPE_CREATED"],
    [
      "an unknown enum name deep inside",
      "EventService/PublishEvents",
      '{"events":[{"pass":{"id":"a"}},{"pass":{"id":"b","protocol":"X"}}]}',
      "events[1].pass.protocol",
      "must be one of",
    ],
    ["an unknown enum number", "EventService/ListEvents", '{"type":99}', "type", "99"],
    [
      "an unknown enum name in a list",
      "SubscriptionService/CreateSubscription",
      '{"subscription":{"eventTypes":["PASS_EVENT_TYPE_CREATED","X"]}}',
      "subscription.event_types[1]",
      "must be one of",
    ],
    ["a field that is none", "EventService/ListEvents", '{"pageSise":1}', "pageSise", "is not a field"],
    ["a value of another type", "EventService/ListEvents", '{"page_size":"many"}', "page_size", "int32"],
    ["a time that is none", "EventService/ListEvents", '{"startTime":"noon"}', "start_time", "Timestamp"],
    [
      "a map value of another type",
      "SubscriptionService/CreateSubscription",
      '{"subscription":{"labels":{"a":"b","c":1}}}',
      'subscription.labels["c"]',
      "string",
    ],
  ];

  it.each(cases)("names the field of %s", async (_, path, body, field, says) => {
    const { status, answer } = await post(path, body);
    expect(status).toBe(400);
    expect(answer).toMatchObject({ code: "invalid_argument" });
    expect(answer).toHaveProperty("message", expect.stringContaining(`${field}: `));
    expect(answer).toHaveProperty("message", expect.stringContaining(says));
    expect(answer).toHaveProperty("details[1].debug.fieldViolations[0].field", field);
  });

  it("is INVALID_ARGUMENT where it is no JSON, or no protobuf", async () => {
    const json = await post("EventService/ListEvents", '{"type"');
    expect(json.answer).toMatchObject({ code: "invalid_argument", message: expect.stringContaining("JSON") });
    const binary = await post("EventService/ListEvents", new Uint8Array([0x0a, 0xff]), {
      "content-type": "application/proto",
    });
    expect(binary.answer).toMatchObject({
      code: "invalid_argument",
      message: expect.stringContaining("does not parse"),
      details: [{ debug: { reason: "request.invalid" } }],
    });
  });

  it("is refused where it unpacks to more than the limit", async () => {
    const bomb = Buffer.alloc(4 * LIMITS.requestBytes, " ");
    for (const [encoding, packed] of [
      ["gzip", gzipSync(bomb)],
      ["br", brotliCompressSync(bomb)],
    ] as const) {
      expect(packed.length).toBeLessThan(LIMITS.requestBytes / 10);
      const { answer } = await post("EventService/ListEvents", packed, { "content-encoding": encoding });
      expect(answer).toMatchObject({ code: "resource_exhausted" });
    }
  });

  it("is refused where it is nested too deep", async () => {
    const deep = `${'{"a":'.repeat(200)}1${"}".repeat(200)}`;
    const { answer } = await post("EventService/PublishEvents", `{"events":[{"details":{"content":${deep}}}]}`);
    expect(answer).toMatchObject({
      code: "invalid_argument",
      message: expect.stringContaining("events[0].details.content"),
    });
  });
});

describe("the gate", () => {
  const grpc = () => createGrpcTransport({ baseUrl: api.url });

  it.each<[Role, boolean, boolean, boolean]>([
    ["admin", true, true, true],
    ["operator", true, true, true],
    ["publisher", true, false, false],
    ["subscriber", false, true, true],
    ["viewer", false, false, true],
  ])("lets %s publish %s, subscribe %s, read %s", async (role, publishes, subscribes, reads) => {
    const key = bearer(api.stage.key(role));
    const subscriptions = createClient(SubscriptionService, grpc());
    const calls = [
      [publishes, () => createClient(EventService, grpc()).publishEvents({ events: [anEvent()] }, key)],
      [
        subscribes,
        () => subscriptions.createSubscription({ subscription: { url: "https://a.b/", entityId: role } }, key),
      ],
      [reads, () => subscriptions.listSubscriptions({}, key)],
    ] as const;
    for (const [allowed, call] of calls) {
      if (allowed) await expect(call()).resolves.toBeDefined();
      else await expect(call()).rejects.toMatchObject({ code: Code.PermissionDenied });
    }
  });

  it("shows no tenant what belongs to another", async () => {
    const client = createClient(SubscriptionService, grpc());
    const created = await client.createSubscription(
      { subscription: { url: "https://mine/", entityId: "mine" } },
      asAdmin,
    );
    const id = created.subscription?.id ?? "";
    for (const tenant of [
      { ...TENANT, organisation: "other" },
      { ...TENANT, environment: "test" },
    ]) {
      const key = bearer(api.stage.key("admin", tenant));
      for (const call of [
        () => client.getSubscription({ id }, key),
        () => client.deleteSubscription({ id }, key),
        () => client.rotateSecret({ id }, key),
        () => client.updateSubscription({ subscription: { id, description: "theirs" } }, key),
      ]) {
        expect((await failureOf(call())).code).toBe(Code.NotFound);
      }
      expect((await client.listSubscriptions({}, key)).subscriptions).toEqual([]);
    }
    await expect(client.getSubscription({ id }, asAdmin)).resolves.toBeDefined();
  });

  it("takes the tenant of what is published from the key alone", async () => {
    const client = createClient(EventService, grpc());
    const key = bearer(api.stage.key("publisher", { organisation: "third", environment: "test" }));
    await client.publishEvents({ events: [anEvent()] }, key);
    expect(api.stage.records.at(-1)?.headers).toMatchObject({ "organisation-id": "third", environment: "test" });
    const foreign = { ...anEvent(), organisationId: "acme" };
    const error = await failureOf(client.publishEvents({ events: [foreign] }, key));
    expect([error.code, fieldsOf(error)]).toEqual([Code.PermissionDenied, ["events[0].organisation_id"]]);
  });

  it("asks for a key before it says that a method is not there", async () => {
    const passkit = createClient(Integrations, grpc());
    expect((await failureOf(passkit.getIntegrations({}))).code).toBe(Code.Unauthenticated);
    expect((await failureOf(passkit.getIntegrations({}, asAdmin))).code).toBe(Code.Unimplemented);
  });

  it("refuses before it has read the body", async () => {
    const socket = connect(api.port, "127.0.0.1");
    socket.write(
      "POST /passbus.v1.EventService/PublishEvents HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n\r\n{",
    );
    const [head] = await once(socket, "data");
    expect(String(head)).toContain("401 Unauthorized");
    socket.destroy();
  });

  it("answers UNAVAILABLE where keys cannot be looked up", async () => {
    const broken = await testApi({
      authenticate: () => Promise.reject(new CodedError("store.unavailable", "SQLITE_BUSY at 0x1")),
    });
    const client = createClient(EventService, createGrpcTransport({ baseUrl: broken.url }));
    const error = await failureOf(client.getEvent({ id: "evt_1" }, asAdmin));
    await broken.stop(0);
    expect(error.code).toBe(Code.Unavailable);
    expect(error.message).not.toContain("SQLITE");
  });
});

/** What stops within its test stopped without waiting for so long. */
const LONGER_THAN_A_TEST_MS = 60_000;

describe("a call's life", () => {
  it("ends at our deadline where the caller names none", async () => {
    const clock = new ManualClock();
    const asked = Promise.withResolvers<void>();
    const slow = await testApi({
      clock,
      deliveryLog: {
        ...emptyDeliveryLog,
        getEvent: () => {
          asked.resolve();
          return new Promise(() => {});
        },
      },
    });
    const client = createClient(EventService, createGrpcTransport({ baseUrl: slow.url }));
    const failure = failureOf(client.getEvent({ id: "evt_1" }, asAdmin));
    await asked.promise;
    clock.advance(LIMITS.requestDeadlineMs);
    expect((await failure).code).toBe(Code.DeadlineExceeded);
    await slow.stop(0);
  });

  it("is cut where its body trickles in for longer than that", async () => {
    const clock = new ManualClock();
    const slow = await testApi({ clock });
    const socket = connect(slow.port, "127.0.0.1");
    socket.write(
      `POST /passbus.v1.EventService/ListEvents HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ${ADMIN_KEY}\r\nexpect: 100-continue\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{`,
    );
    // "100 Continue" says that the call has begun.
    await once(socket, "data");
    const closed = once(socket, "close");
    clock.advance(LIMITS.requestDeadlineMs + 5_000);
    await closed;
    await slow.stop(0);
  });

  it("leaves no connection behind where a caller stops half-way through a body that is too large", async () => {
    const clock = new ManualClock();
    const stopping = await testApi({ clock });
    const socket = connect(stopping.port, "127.0.0.1");
    socket.write(
      `POST /passbus.v1.EventService/ListEvents HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ${ADMIN_KEY}\r\ncontent-type: application/json\r\ncontent-length: 99999999\r\n\r\n{`,
    );
    const [head] = await once(socket, "data");
    expect(String(head)).toContain("429");
    const stopped = stopping.stop(60_000);
    clock.advance(1_999);
    expect(socket.closed).toBe(false);
    clock.advance(1);
    await stopped;
  });

  it("leaves no connection behind where a body without a length was too large", async () => {
    const stopping = await testApi();
    const socket = connect(stopping.port, "127.0.0.1");
    socket.write(
      `POST /passbus.v1.EventService/ListEvents HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ${ADMIN_KEY}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n`,
    );
    const chunk = Buffer.alloc(1_024 * 1_024, " ");
    for (let sent = 0; sent < 8; sent++) {
      socket.write(`${chunk.length.toString(16)}\r\n`);
      socket.write(chunk);
      socket.write("\r\n");
    }
    const [head] = await once(socket, "data");
    expect(String(head)).toContain("429");
    socket.destroy();
    await stopping.stop(LONGER_THAN_A_TEST_MS);
  });

  it("is not held up by a health watcher when the server stops", async () => {
    const stopping = await testApi();
    const client = createClient(Health, createGrpcTransport({ baseUrl: stopping.url }));
    const seen: Status[] = [];
    for await (const { status } of client.watch({})) {
      seen.push(status);
      if (seen.length === 1) void stopping.stop(LONGER_THAN_A_TEST_MS);
    }
    expect(seen).toEqual([Status.SERVING, Status.NOT_SERVING]);
    await stopping.stop(LONGER_THAN_A_TEST_MS);
  });
});
