/**
 * What the vendors' documents promise a subscriber (seeds 000 to 003), over the wire: one passbus in a process of its
 * own, an endpoint for each vendor, each published sample once. What is in the bodies to the letter is in test/golden.
 */
import { createHmac } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { clone, create } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DeliveryStatus } from "../../gen/passbus/v1/delivery_pb.js";
import { type PassEvent, PassEventSchema, PassEventType, ScanSchema } from "../../gen/passbus/v1/pass_event_pb.js";
import { Format } from "../../gen/passbus/v1/subscription_pb.js";
import { EVENT_TYPES } from "../../src/domain/event.ts";
import { sampleEvent } from "../../src/formats/samples.ts";
import { deliveriesOf } from "../support/api-log.ts";
import { type Clients, DataDirectory, RunningPassbus } from "../support/passbus.ts";
import { bodyOf, httpServer, type TestServer } from "../support/receiver.ts";
import { eventually } from "../support/within.ts";

/** The class of PassKit's samples. */
const PROJECT = "24hmYozRggBJTtPt0Y2e3X";
const AUTHORIZATION = "Bearer the-project-secret";
/** "Webhooks are instant, and you can expect to receive them within seconds" (seed 003). */
const SECONDS_MS = 5_000;

interface Received {
  readonly method: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly atMs: number;
}

/** Any 2xx takes a webhook, whatever stands in it: "The response is of type any" (seed 002). */
const ANSWERS: Readonly<Record<string, readonly [status: number, body: string]>> = {
  "/passentry": [200, '{"status":"ok"}'],
  "/ethpass": [200, '"\u0000}{'],
  "/passkit": [200, ""],
  "/installs": [204, ""],
};

/** How many webhooks each endpoint gets of what is published. */
const EXPECTED: Readonly<Record<string, number>> = {
  "/passentry": 5,
  "/ethpass": 6,
  "/passkit": 6,
  "/installs": 1,
};

const received = new Map<string, Received[]>();
const made = new Map<string, { readonly id: string; readonly secret: string }>();
let server: TestServer;
let data: DataDirectory;
let passbus: RunningPassbus;
let publishedAtMs = 0;

const at = (path: string) => received.get(path) ?? [];
const json = ({ body }: Received) => JSON.parse(body.toString("utf8"));

/** The samples, and a scan of a barcode beside that of an NFC pass. */
function events(): readonly PassEvent[] {
  const samples = EVENT_TYPES.map((type) => {
    const sample = sampleEvent(type);
    if (sample === undefined) throw new Error("no sample");
    return { ...sample, id: `evt-${PassEventType[type]}` };
  });
  const barcode = clone(PassEventSchema, sampleEvent(PassEventType.SCANNED) ?? create(PassEventSchema));
  const scan = create(ScanSchema, { id: "scan-2", type: "barcode", value: "123abcd", status: "successful" });
  return [...samples, { ...barcode, id: "evt-barcode", scan }];
}

type Draft = NonNullable<Parameters<Clients["subscriptions"]["createSubscription"]>[0]["subscription"]>;

async function subscribe(path: string, draft: Draft): Promise<void> {
  const url = `http://127.0.0.1:${server.port}${path}`;
  const { subscription, secret } = await passbus.api.subscriptions.createSubscription({
    subscription: { url, ...draft },
  });
  made.set(path, { id: subscription?.id ?? "", secret });
}

beforeAll(async () => {
  server = await httpServer(async (request, response) => {
    const { method, headers, url = "" } = request;
    const one = { method, headers, body: await bodyOf(request), atMs: Date.now() };
    received.set(url, [...at(url), one]);
    const [status, body] = ANSWERS[url] ?? [500, ""];
    response.writeHead(status).end(body);
  });
  data = new DataDirectory();
  passbus = await RunningPassbus.start(data.path);
  await subscribe("/passentry", { format: Format.PASSENTRY });
  await subscribe("/ethpass", { format: Format.ETHPASS, formatOptions: { ethpassAuthorization: AUTHORIZATION } });
  await subscribe("/passkit", { format: Format.PASSKIT });
  const installs = { entityId: PROJECT, eventTypes: [PassEventType.INSTALLED] };
  await subscribe("/installs", { format: Format.PASSKIT, ...installs });
  await subscribe("/another-project", { format: Format.PASSKIT, entityId: "another" });
  publishedAtMs = Date.now();
  await passbus.api.events.publishEvents({ events: [...events()] });
  const counts = () => Object.keys(EXPECTED).every((path) => at(path).length >= (EXPECTED[path] ?? 0));
  await eventually(20_000, "every webhook", () => (counts() ? true : undefined));
}, 60_000);
afterAll(async () => {
  await passbus[Symbol.asyncDispose]();
  data[Symbol.dispose]();
  await server[Symbol.asyncDispose]();
});

describe("what PassEntry's documents promise (seeds 000 and 002)", () => {
  test("each event is an HTTP POST to the endpoint, with its details", () => {
    const types = at("/passentry").map((one) => json(one).data.attributes.webhookType);
    expect(types.sort()).toEqual(["passCreated", "passInstalled", "passRemoved", "passScanned", "passScanned"]);
    expect(new Set(at("/passentry").map(({ method }) => method))).toEqual(new Set(["POST"]));
  });

  test("a pass that is scanned by NFC or by its barcode triggers one", () => {
    const resources: { readonly type: string; readonly attributes: { readonly scanType?: string } }[] = at(
      "/passentry",
    ).flatMap((one) => json(one).included);
    const scans = resources.filter(({ type }) => type === "scan").map(({ attributes }) => attributes.scanType);
    expect(scans.sort()).toEqual(["barcode", "nfc"]);
  });

  test("X-Webhook-Signature is made of the payload and the secret that the creation returned", () => {
    const { secret = "" } = made.get("/passentry") ?? {};
    for (const { headers, body } of at("/passentry")) {
      expect(headers["x-webhook-signature"]).toBe(createHmac("sha256", secret).update(body).digest("hex"));
    }
  });
});

describe("what ethpass's document promises (seed 001)", () => {
  test("a registered endpoint gets all of the five events, each with the pass as its result", () => {
    const bodies = at("/ethpass").map(json);
    const five = ["pass:create", "pass:expire", "pass:register", "pass:scan", "pass:unregister"];
    expect([...new Set(bodies.map(({ event }) => event))].sort()).toEqual(five);
    for (const body of bodies) {
      expect(Object.keys(body)).toEqual(["event", "result"]);
      expect(body.result.id).toMatch(/^\w+$/);
    }
  });

  test("each request carries the secret that was saved as the Authorization header", () => {
    const shown = at("/ethpass").map(({ headers }) => headers.authorization);
    expect(new Set(shown)).toEqual(new Set([AUTHORIZATION]));
    for (const path of ["/passentry", "/passkit"]) {
      for (const { headers } of at(path)) expect(headers).not.toHaveProperty("authorization");
    }
  });
});

describe("what PassKit's document promises (seed 003)", () => {
  test("created is a POST, installed, uninstalled and updated are PUTs, deleted is a DELETE", () => {
    const sent = at("/passkit").map((one) => `${one.method} ${json(one).event} ${json(one).pass.metadata.status ?? 0}`);
    expect(sent.sort()).toEqual([
      "DELETE PASS_EVENT_RECORD_DELETED 3",
      "POST PASS_EVENT_RECORD_CREATED 0",
      "PUT PASS_EVENT_INSTALLED 1",
      "PUT PASS_EVENT_INVALIDATED 3",
      "PUT PASS_EVENT_RECORD_UPDATED 1",
      "PUT PASS_EVENT_RECORD_UPDATED 2",
    ]);
  });

  test("a project has webhooks to different endpoints for different events, and gets no other project's", () => {
    const installs = at("/installs").map(json);
    expect(installs.map(({ event, pass }) => [event, pass.classId])).toEqual([["PASS_EVENT_INSTALLED", PROJECT]]);
    expect(at("/another-project").map((one) => json(one).event)).toEqual([]);
  });
});

test("webhooks come within seconds of their events (seeds 000 and 003)", () => {
  const latest = Math.max(...[...received.values()].flat().map(({ atMs }) => atMs));
  expect(latest - publishedAtMs).toBeLessThan(SECONDS_MS);
});

test("a 2xx with any body acknowledges receipt, and nothing is sent twice (seeds 000, 002 and 003)", async () => {
  for (const [path, count] of Object.entries(EXPECTED)) {
    const { id = "" } = made.get(path) ?? {};
    const delivered = await eventually(SECONDS_MS, `${path} in the log`, async () => {
      const all = await deliveriesOf(passbus.api, id);
      return all.length === count && all.every(({ status }) => status === DeliveryStatus.DELIVERED) ? all : undefined;
    });
    expect(delivered.map(({ attemptCount }) => attemptCount)).toEqual(Array.from({ length: count }, () => 1));
    expect(at(path)).toHaveLength(count);
  }
});
