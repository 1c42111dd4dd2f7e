/** Test sends, challenges and limits with nothing faked: a passbus in a process of its own, an endpoint over HTTP. */
import type { IncomingHttpHeaders, ServerResponse } from "node:http";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { AccessService } from "../../gen/passbus/v1/access_service_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { State } from "../../gen/passbus/v1/subscription_pb.js";
import { deliveriesOf } from "../support/api-log.ts";
import { grpcWithKey } from "../support/grpc.ts";
import { numberedEvent } from "../support/paced-publisher.ts";
import { BOOTSTRAP_KEY, type Clients, DataDirectory, RunningPassbus } from "../support/passbus.ts";
import { bodyOf, httpServer, type TestServer } from "../support/receiver.ts";
import { eventually } from "../support/within.ts";

const SOON_MS = 10_000;

interface Received {
  readonly path: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly response: ServerResponse;
}

const received: Received[] = [];
let react: (one: Received) => void;
let server: TestServer;
let data: DataDirectory;
let passbus: RunningPassbus;
let api: Clients;

beforeAll(async () => {
  server = await httpServer(async (request, response) => {
    const one = { path: request.url, headers: request.headers, body: (await bodyOf(request)).toString(), response };
    received.push(one);
    react(one);
  });
  data = new DataDirectory();
  passbus = await RunningPassbus.start(data.path);
  api = passbus.api;
}, 30_000);
beforeEach(() => {
  received.length = 0;
  react = ({ response }) => response.end("taken");
});
afterAll(async () => {
  await passbus[Symbol.asyncDispose]();
  data[Symbol.dispose]();
  await server[Symbol.asyncDispose]();
});

const urlOf = (path: string) => `http://127.0.0.1:${server.port}${path}`;

async function idOf(call: ReturnType<Clients["subscriptions"]["createSubscription"]>): Promise<string> {
  return (await call).subscription?.id ?? "";
}

describe("a test send of a running passbus", { timeout: 60_000 }, () => {
  test("goes out for a disabled subscription, and no log has a delivery or an event of it", async () => {
    const subscription = { url: urlOf("/off"), entityId: "off", state: State.DISABLED };
    const id = await idOf(api.subscriptions.createSubscription({ subscription }));
    const { attempt } = await api.subscriptions.testSubscription({ id, eventType: PassEventType.SCANNED });
    expect(attempt).toMatchObject({ statusCode: 200, responseExcerpt: "taken" });
    expect(received.map(({ headers }) => headers["webhook-test"])).toEqual(["true"]);
    expect(await deliveriesOf(api, id)).toEqual([]);
    expect((await api.events.listEvents({})).events).toEqual([]);
  });

  test("can be previewed, with options that the stored subscription lacks", async () => {
    const id = await idOf(api.subscriptions.createSubscription({ subscription: { url: urlOf("/p"), entityId: "p" } }));
    const signatures = async (ed25519Signature: boolean) => {
      const { headers } = await api.subscriptions.previewPayload({ subscription: { id, ed25519Signature } });
      return headers["webhook-signature"]?.split(" ").map((signature) => signature.split(",")[0]);
    };
    expect(await signatures(false)).toEqual(["v1"]);
    expect(await signatures(true)).toEqual(["v1", "v1a"]);
    expect(received).toEqual([]);
  });

  test("waits for no request that is in flight, though the endpoint may have one at a time", async () => {
    const subscription = { url: urlOf("/one"), entityId: "one", policy: { maxInFlight: 1 } };
    const id = await idOf(api.subscriptions.createSubscription({ subscription }));
    react = ({ headers, response }) => {
      if (headers["webhook-test"] === "true") response.end();
    };
    await api.events.publishEvents({ events: [numberedEvent(1, "one"), numberedEvent(2, "one")] });
    await eventually(SOON_MS, "the first webhook", () => (received.length > 0 ? received : undefined));
    const { attempt } = await api.subscriptions.testSubscription({ id });
    expect(attempt?.statusCode).toBe(200);
    expect(received.map(({ headers }) => headers["webhook-test"])).toEqual([undefined, "true"]);
    expect(JSON.parse(received[1]?.body ?? "").data.entityId).toBe("one");
    received[0]?.response.end();
  });

  test("is held by the guard, whatever was allowed when the subscription was made", async () => {
    using own = new DataDirectory();
    let id = "";
    {
      await using open = await RunningPassbus.start(own.path);
      id = await idOf(open.api.subscriptions.createSubscription({ subscription: { url: urlOf("/closed") } }));
    }
    await using closed = await RunningPassbus.start(own.path, { PASSBUS_ALLOWED_NETWORKS: "" });
    const { attempt } = await closed.api.subscriptions.testSubscription({ id });
    expect(attempt).toMatchObject({ statusCode: 0, errorCode: "guard.refused" });
    // Of another test's events there may be some.
    expect(received.map(({ path }) => path)).not.toContain("/closed");
  });
});

describe("a creation of a running passbus", { timeout: 60_000 }, () => {
  test("that verifies its endpoint", async () => {
    const create = () =>
      api.subscriptions.createSubscription({
        subscription: { url: urlOf("/verified"), entityId: "verified" },
        verifyEndpoint: true,
      });
    const refused = await create().catch((error: unknown) => ConnectError.from(error));
    expect(refused).toMatchObject({ code: Code.FailedPrecondition, rawMessage: expect.stringContaining('"taken"') });
    react = ({ body, response }) => {
      response.setHeader("webhook-challenge", JSON.parse(body).challenge);
      response.writeHead(204).end();
    };
    expect(await idOf(create())).toMatch(/^sub_/);
  });

  test("is refused at the limit that the organisation was given, and made once that was raised", async () => {
    const transport = grpcWithKey(passbus.url, BOOTSTRAP_KEY);
    const access = createClient(AccessService, transport);
    const create = (at: number) =>
      api.subscriptions.createSubscription({ subscription: { url: urlOf(`/${at}`), entityId: "few" } });
    await access.setLimits({ limits: { entitySubscriptions: 1 } });
    await create(1);
    await expect(create(2)).rejects.toMatchObject({ code: Code.ResourceExhausted });
    await access.setLimits({ limits: { entitySubscriptions: 2 } });
    await create(2);
    await access.setLimits({ limits: {} });
  });
});
