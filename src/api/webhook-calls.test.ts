/** TestSubscription, PreviewPayload and the challenge at creation, called over gRPC, against real endpoints. */
import type { IncomingHttpHeaders } from "node:http";
import { create, toBinary } from "@bufbuild/protobuf";
import { durationMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { Code, type ConnectError, createClient } from "@connectrpc/connect";
import { Webhook } from "standardwebhooks";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { PassEventSchema, PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { Format, State } from "../../gen/passbus/v1/subscription_pb.js";
import { SubscriptionService } from "../../gen/passbus/v1/subscription_service_pb.js";
import { ADMIN_KEY, emptyDeliveryLog, TENANT, type TestApi, testApi } from "../../test/support/api.ts";
import { failureOf, grpcWithKey } from "../../test/support/grpc.ts";
import { bodyOf, httpServer, type TestServer } from "../../test/support/receiver.ts";
import type { StoredEvent } from "../domain/event.ts";
import { LIMITS } from "../kernel/limits.ts";

interface Received {
  readonly method: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** What the endpoint does with a request; a test may set another. */
let react: (received: Received) => { readonly status: number; readonly text: string } | undefined;
const received: Received[] = [];
const stored = new Map<string, StoredEvent>();
let api: TestApi;
let server: TestServer;

beforeAll(async () => {
  server = await httpServer(async (request, response) => {
    const one = { method: request.method, headers: request.headers, body: await bodyOf(request) };
    received.push(one);
    const answer = react(one);
    if (answer !== undefined) response.writeHead(answer.status, { "x-receiver": "r1" }).end(answer.text);
  });
  const getEvent = async ({ tenant, id }: { readonly tenant: typeof TENANT; readonly id: string }) =>
    stored.get(`${tenant.organisation}/${tenant.environment}/${id}`);
  api = await testApi({ deliveryLog: { ...emptyDeliveryLog, getEvent } });
});
afterEach(() => {
  received.length = 0;
});
afterAll(async () => {
  await api.stop(0);
  await server[Symbol.asyncDispose]();
});

function client(key = ADMIN_KEY) {
  return createClient(SubscriptionService, grpcWithKey(api.url, key));
}

type Draft = NonNullable<Parameters<ReturnType<typeof client>["createSubscription"]>[0]["subscription"]>;

const takes = () => ({ status: 200, text: "taken" });
const endpoint = (path: string) => `http://127.0.0.1:${server.port}${path}`;

async function subscribe(draft: Draft = {}) {
  react = takes;
  const entityId = `e${Math.floor(performance.now() * 1_000)}`;
  const made = await client().createSubscription({ subscription: { url: endpoint("/hook"), entityId, ...draft } });
  if (made.subscription === undefined) throw new Error("no subscription");
  return { subscription: made.subscription, id: made.subscription.id, secret: made.secret };
}

const reasonOf = (error: ConnectError) => error.findDetails(ErrorInfoSchema)[0]?.reason;
const plain = (headers: IncomingHttpHeaders | Record<string, string>) =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]));

// "Use the “Test webhook” functionality" (seed 000), "you can quickly trigger an event" (seed 001).
describe("TestSubscription", () => {
  it("sends now, and answers the request as sent and the response as received", async () => {
    const { id, secret } = await subscribe({ headers: { "x-team": "ops" } });
    const answer = await client().testSubscription({ id, eventType: PassEventType.INSTALLED });
    const [got] = received;
    if (got === undefined) throw new Error("nothing was received");
    expect(got.headers).toMatchObject({ "webhook-test": "true", "x-team": "ops" });
    new Webhook(secret).verify(got.body, plain(got.headers));
    expect(JSON.parse(got.body.toString()).type).toBe("pass.installed");
    expect(answer.request).toMatchObject({ method: got.method, url: endpoint("/hook") });
    expect(Buffer.from(answer.request?.body ?? [])).toEqual(got.body);
    for (const [name, value] of Object.entries(answer.request?.headers ?? {})) expect(got.headers[name]).toBe(value);
    expect(answer.attempt).toMatchObject({
      statusCode: 200,
      errorCode: "",
      responseExcerpt: "taken",
      responseHeaders: { "x-receiver": "r1" },
    });
    expect(answer.response).toMatchObject({ statusCode: 200, headers: { "x-receiver": "r1" }, truncated: false });
    expect(Buffer.from(answer.response?.body ?? []).toString()).toBe("taken");
    const { connect, firstByte, total, tls } = answer.timings ?? {};
    if (connect === undefined || firstByte === undefined || total === undefined) throw new Error("a phase is missing");
    expect(durationMs(connect) + durationMs(firstByte)).toBeLessThanOrEqual(durationMs(total));
    expect(durationMs(total)).toBeGreaterThan(0);
    expect(tls).toBeUndefined();
  });

  it("works on a disabled subscription, and leaves it as it was", async () => {
    const { id, subscription } = await subscribe({ state: State.DISABLED });
    // Of a delivery, 410 would disable it, as gone.
    react = () => ({ status: 410, text: "" });
    const answer = await client().testSubscription({ id });
    expect(received).toHaveLength(1);
    expect(answer.attempt).toMatchObject({ statusCode: 410, errorCode: "http.gone" });
    expect((await client().getSubscription({ id })).subscription).toEqual(subscription);
  });

  it("answers a response's first bytes, and says that there were more", async () => {
    const { id } = await subscribe();
    react = () => ({ status: 200, text: "é".repeat(3_000) });
    const { response } = await client().testSubscription({ id });
    expect([response?.body.length, response?.truncated]).toEqual([4_096, true]);
  });

  it("has a webhook-id of its own each time", async () => {
    const { id } = await subscribe();
    await client().testSubscription({ id });
    await client().testSubscription({ id });
    const [first, second] = received.map(({ headers }) => headers["webhook-id"]);
    expect(first).toMatch(/^dlv_/);
    expect(second).not.toBe(first);
  });

  it("takes the first type that the subscription gets where none is named", async () => {
    const { id } = await subscribe({ eventTypes: [PassEventType.SCANNED, PassEventType.CREATED] });
    await client().testSubscription({ id });
    expect(JSON.parse(received[0]?.body.toString() ?? "").type).toBe("pass.scanned");
  });

  it("refuses a type that the format can't say, and an id of nobody", async () => {
    const { id } = await subscribe({ format: Format.PASSENTRY });
    const wrong = await failureOf(client().testSubscription({ id, eventType: PassEventType.DELETED }));
    expect(wrong.code).toBe(Code.InvalidArgument);
    expect(wrong.rawMessage).toMatch(/^event_type: FORMAT_PASSENTRY can't say PASS_EVENT_TYPE_DELETED; it can say /);
    const strangers = api.stage.key("admin", { organisation: "acme", environment: "staging" });
    expect((await failureOf(client(strangers).testSubscription({ id }))).code).toBe(Code.NotFound);
    expect((await failureOf(client(api.stage.key("viewer")).testSubscription({ id }))).code).toBe(
      Code.PermissionDenied,
    );
    expect(received).toHaveLength(0);
  });

  it("says what failed where there is no response", async () => {
    const { id } = await subscribe({ url: "http://127.0.0.1:2/" });
    const { attempt, request, timings } = await client().testSubscription({ id });
    expect(attempt).toMatchObject({ statusCode: 0, errorCode: "connect.refused" });
    expect(request?.url).toBe("http://127.0.0.1:2/");
    expect(timings?.firstByte).toBeUndefined();
  });

  it("shows of a stored authorization that it was sent, and not what it is", async () => {
    const { id } = await subscribe({ format: Format.ETHPASS, formatOptions: { ethpassAuthorization: "Basic hush" } });
    const { request } = await client().testSubscription({ id });
    expect(received[0]?.headers.authorization).toBe("Basic hush");
    expect(request?.headers.authorization).toBe("");
  });

  it("has no more of an organisation in flight than may be, and answers those beyond at once", async () => {
    const { id } = await subscribe();
    const { promise: all, resolve: allArrived } = Promise.withResolvers<void>();
    react = () => {
      if (received.length === LIMITS.directSendsPerOrganisation) allArrived();
      return undefined;
    };
    const cut = new AbortController();
    const calls = Array.from({ length: LIMITS.directSendsPerOrganisation }, () =>
      client()
        .testSubscription({ id })
        .catch(() => undefined),
    );
    await all;
    const refused = await failureOf(client().testSubscription({ id }, { signal: cut.signal }));
    expect([refused.code, reasonOf(refused)]).toEqual([Code.ResourceExhausted, "limit.direct_sends"]);
    server.cut();
    await Promise.all(calls);
    react = takes;
    await client().testSubscription({ id });
  });

  it("leaves an organisation's keys theirs, whatever its customers' browsers send", async () => {
    const { id, subscription } = await subscribe();
    const { promise: arrived, resolve: arrive } = Promise.withResolvers<void>();
    react = () => void arrive();
    const session = client(api.stage.session(subscription.entityId));
    const held = session.testSubscription({ id }).catch(() => undefined);
    await arrived;
    for (const call of [
      session.testSubscription({ id }),
      session.createSubscription({ subscription: { url: endpoint("/other") }, verifyEndpoint: true }),
    ]) {
      const refused = await failureOf(call);
      expect(reasonOf(refused)).toBe("limit.direct_sends");
      expect(refused.rawMessage).toMatch(/^1 test sends and challenges of the portal session are in flight/);
    }
    react = takes;
    await client().testSubscription({ id });
    server.cut();
    await held;
    await session.testSubscription({ id });
  });
});

// "To preview webhook activity without implementing your own endpoint" (seed 001), "inspect the payloads" (seed 003).
describe("PreviewPayload", () => {
  it("shows what a test send of the same would send, signed", async () => {
    const { id, secret } = await subscribe();
    const preview = await client().previewPayload({
      subscription: { id },
      source: { case: "sample", value: PassEventType.CREATED },
    });
    expect(preview).toMatchObject({ method: "POST", url: endpoint("/hook"), draftSecret: "" });
    new Webhook(secret).verify(Buffer.from(preview.body), preview.headers);
    const signedAtMs = preview.signedAt === undefined ? 0 : timestampMs(preview.signedAt);
    expect(preview.headers["webhook-timestamp"]).toBe(String(Math.floor(signedAtMs / 1_000)));
    expect(received).toHaveLength(0);
    await client().testSubscription({ id, eventType: PassEventType.CREATED });
    const data = (body: Uint8Array) => ({ ...JSON.parse(Buffer.from(body).toString()).data, id: "" });
    expect(data(received[0]?.body ?? Buffer.from("{}"))).toEqual(data(preview.body));
    const names = Object.keys(received[0]?.headers ?? {}).filter((name) => name in preview.headers);
    expect(names.sort()).toEqual(Object.keys(preview.headers).sort());
  });

  it("shows a stored event, under the webhook-id that its delivery has", async () => {
    const { id, subscription } = await subscribe({ format: Format.PASSKIT });
    const event = create(PassEventSchema, { id: "evt-7", type: PassEventType.UPDATED, pass: { id: "pass-7" } });
    const value = toBinary(PassEventSchema, event);
    const row = { tenant: TENANT, id: "evt-7", type: event.type, passId: "pass-7", entityId: subscription.entityId };
    stored.set("acme/production/evt-7", { ...row, loggedAtMs: 1, value, contentHash: "h" });
    const ask = () => client().previewPayload({ subscription: { id }, source: { case: "eventId", value: "evt-7" } });
    const preview = await ask();
    expect(preview.method).toBe("PUT");
    expect(JSON.parse(Buffer.from(preview.body).toString())).toEqual({
      event: "PASS_EVENT_RECORD_UPDATED",
      pass: { id: "pass-7" },
    });
    expect(preview.headers["x-passkit-signature"]).toMatch(/^[0-9a-f]{64}$/);
    expect((await ask()).headers["webhook-id"]).toBe(preview.headers["webhook-id"]);
    const strangers = api.stage.key("admin", { organisation: "globex", environment: "production" });
    const theirs = await failureOf(
      client(strangers).previewPayload({ subscription: {}, source: { case: "eventId", value: "evt-7" } }),
    );
    expect(theirs.rawMessage).toBe('event_id: there is no event "evt-7"');
  });

  it.each([
    [Format.STANDARD, "application/json"],
    [Format.PASSKIT, "application/json"],
    [Format.PASSENTRY, "application/json"],
    [Format.ETHPASS, "application/json"],
    [Format.CLOUDEVENTS, "application/cloudevents+json"],
  ])("shows a stored subscription in another format: %s", async (format, type) => {
    const { id, subscription } = await subscribe();
    const { headers } = await client().previewPayload({ subscription: { id, format } });
    expect(headers["content-type"]).toBe(type);
    expect((await client().getSubscription({ id })).subscription).toEqual(subscription);
  });

  it("says why the subscription would not get the event, which its age is no reason for", async () => {
    const event = create(PassEventSchema, { id: "evt-8", type: PassEventType.UPDATED, pass: { id: "pass-8" } });
    const value = toBinary(PassEventSchema, event);
    const row = { tenant: TENANT, id: "evt-8", type: event.type, passId: "pass-8", entityId: "" };
    stored.set("acme/production/evt-8", { ...row, loggedAtMs: 1, value, contentHash: "h" });
    const verdict = async (subscription: Draft) => {
      const source = { case: "eventId", value: "evt-8" } as const;
      const { refusal, refusalMessage } = await client().previewPayload({ subscription, source });
      return [refusal, refusalMessage.includes("pass-9")];
    };
    expect(await verdict({})).toEqual(["", false]);
    expect(await verdict({ filter: 'event.pass.id == "pass-8"' })).toEqual(["", false]);
    expect(await verdict({ filter: 'event.pass.id == "pass-9"' })).toEqual(["match.filter", true]);
    expect(await verdict({ entityId: "shop-7" })).toEqual(["match.scope", false]);
  });

  it("says of a draft's URL what its creation would, and nothing of one that stays as it is stored", async () => {
    const preview = (subscription: Draft) => client().previewPayload({ subscription });
    const wrong = async (subscription: Draft) => (await failureOf(preview(subscription))).message;
    expect(await wrong({ url: "hooks.example.com" })).toContain("subscription.url: must begin with https://");
    const { id, subscription } = await subscribe();
    expect(await wrong({ id, url: "hooks.example.com" })).toContain("subscription.url: must begin with https://");
    expect((await preview({ id, url: subscription?.url ?? "" })).url).toBe(subscription?.url);
  });

  it("shows a draft without a URL, with a secret to try the signature with", async () => {
    const { draftSecret, body, headers, url } = await client().previewPayload({
      subscription: { format: Format.PASSKIT },
    });
    expect(url).toBe("");
    new Webhook(draftSecret).verify(Buffer.from(body), headers);
    expect((await client().listSubscriptions({ text: "url.invalid" })).subscriptions).toEqual([]);
  });

  it("signs with ed25519 where the draft asks for it, whatever the stored one does", async () => {
    const { id } = await subscribe();
    const plainOne = await client().previewPayload({ subscription: { id } });
    expect(plainOne.headers["webhook-signature"]).toMatch(/^v1,\S+$/);
    const { headers } = await client().previewPayload({ subscription: { id, ed25519Signature: true } });
    expect(headers["webhook-signature"]).toMatch(/^v1,\S+ v1a,\S+$/);
  });

  it("refuses what the format can't say and a draft that could not be created, by name", async () => {
    const { id } = await subscribe({ format: Format.PASSENTRY });
    const call = (source: Parameters<ReturnType<typeof client>["previewPayload"]>[0]["source"]) =>
      client().previewPayload({ subscription: { id }, ...(source && { source }) });
    const sample = await failureOf(call({ case: "sample", value: PassEventType.UPDATED }));
    expect([sample.code, sample.rawMessage.split(";")[0]]).toEqual([
      Code.InvalidArgument,
      "sample: FORMAT_PASSENTRY can't say PASS_EVENT_TYPE_UPDATED",
    ]);
    const event = await failureOf(call({ case: "eventId", value: "evt-7" }));
    expect([event.code, event.rawMessage]).toEqual([Code.InvalidArgument, "event_id: PASSENTRY cannot say UPDATED"]);
    const draft = await failureOf(client().previewPayload({ subscription: { headers: { host: "x" } } }));
    expect(draft.rawMessage).toBe('subscription.headers["host"]: passbus sets host itself');
    expect((await failureOf(client().previewPayload({}))).rawMessage).toBe("subscription: is required");
    expect((await failureOf(client(api.stage.key("viewer")).previewPayload({ subscription: { id } }))).code).toBe(
      Code.PermissionDenied,
    );
  });
});

describe("a creation that verifies its endpoint", () => {
  const verified = (path: string) =>
    client().createSubscription({ subscription: { url: endpoint(path) }, verifyEndpoint: true });

  it("makes the subscription where the endpoint echoes the challenge", async () => {
    react = ({ body }) => ({ status: 200, text: JSON.parse(body.toString()).challenge });
    const { subscription, secret } = await verified("/echo");
    expect(received.map(({ method, body }) => [method, JSON.parse(body.toString()).type])).toEqual([
      ["POST", "webhook.verification"],
    ]);
    // By the secret that the answer shows only afterwards.
    new Webhook(secret).verify(received[0]?.body ?? "", plain(received[0]?.headers ?? {}));
    expect((await client().getSubscription({ id: subscription?.id ?? "" })).subscription).toEqual(subscription);
  });

  it("makes none where it doesn't, and says what came back", async () => {
    react = takes;
    const error = await failureOf(verified("/deaf"));
    expect([error.code, reasonOf(error)]).toEqual([Code.FailedPrecondition, "endpoint.unverified"]);
    expect(error.rawMessage).toBe(
      'subscription.url: the endpoint did not echo the challenge: it answered 200 with the body "taken"',
    );
    expect((await client().listSubscriptions({ text: "/deaf" })).subscriptions).toEqual([]);
  });

  it("asks nothing where nobody wants that", async () => {
    await subscribe();
    expect(received).toEqual([]);
  });
});
