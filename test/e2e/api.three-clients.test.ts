/**
 * Three clients of three protocols on the one port of a real passbus: @grpc/grpc-js (gRPC over HTTP/2), plain fetch as
 * curl does it (Connect over HTTP/1.1 with JSON), and gRPC-Web. They make and read the same subscription, and each gets
 * the design's code for each mistake, with a message that names the field.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  create,
  type DescMethodUnary,
  fromBinary,
  fromJson,
  type JsonObject,
  type JsonValue,
  toBinary,
  toJson,
} from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-node";
import * as grpc from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EventService } from "../../gen/passbus/v1/event_service_pb.js";
import { SubscriptionService } from "../../gen/passbus/v1/subscription_service_pb.js";
import { makeKey } from "../../src/access/keys.ts";
import { openAdminStore, type Passbus, startPassbus } from "../../src/compose/compose.ts";
import { type Config, readConfig } from "../../src/config/config.ts";
import { systemClock } from "../../src/kernel/clock.ts";
import { idSource } from "../../src/kernel/ids.ts";
import { LIMITS } from "../../src/kernel/limits.ts";
import { silentLog } from "../../src/kernel/log.ts";
import { systemRandom } from "../../src/kernel/random.ts";

const KEY = "a-bootstrap-key-for-this-test";
const { createSubscription, getSubscription, updateSubscription } = SubscriptionService.method;
const { publishEvents, getEvent } = EventService.method;

/** A call's end: `code` is 0 where it went well, `body` then the response. */
interface Answer {
  readonly code: number;
  readonly message: string;
  readonly body: JsonObject;
}

/** Calls with a request in JSON, whatever the protocol makes of it. Without a key: no `authorization` at all. */
type Call = (method: DescMethodUnary, request: JsonObject, key?: string) => Promise<Answer>;

let config: Config;
let passbus: Passbus;
let otherTenantsKey = "";

beforeAll(async () => {
  config = readConfig({
    PASSBUS_DATA_DIR: await mkdtemp(join(tmpdir(), "passbus-api-")),
    PASSBUS_LISTEN: "127.0.0.1:0",
    PASSBUS_BOOTSTRAP_KEY: KEY,
    PASSBUS_ALLOWED_NETWORKS: "127.0.0.0/8",
    PASSBUS_LOG_LEVEL: "silent",
  });
  passbus = await startPassbus(config, { log: silentLog });
  otherTenantsKey = await newKey("elsewhere");
});

afterAll(async () => {
  await passbus.stop();
  await rm(config.dataDir, { recursive: true });
});

/** As `passbus keys create` makes it, beside the running server. */
async function newKey(organisation: string): Promise<string> {
  const material = { clock: systemClock, ids: idSource(systemClock, systemRandom), random: systemRandom };
  const { record, text } = makeKey({ organisation, environment: "production" }, "admin", material);
  const store = await openAdminStore(config);
  await store.access.insertKey(record);
  await store.close();
  return text;
}

function isObject(json: JsonValue | undefined): json is JsonObject {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}

function objectOf(json: JsonValue | undefined): JsonObject {
  if (!isObject(json)) throw new Error(`not an object: ${JSON.stringify(json)}`);
  return json;
}

const overGrpc: Call = (method, request, key) => {
  const client = new grpc.Client(new URL(passbus.url).host, grpc.credentials.createInsecure());
  const metadata = new grpc.Metadata();
  if (key !== undefined) metadata.set("authorization", `Bearer ${key}`);
  const path = `/${method.parent.typeName}/${method.name}`;
  const bytes = Buffer.from(toBinary(method.input, fromJson(method.input, request)));
  const same = (value: Buffer) => value;
  return new Promise((resolve) => {
    client.makeUnaryRequest(path, same, same, bytes, metadata, {}, (error, response) => {
      client.close();
      if (error !== null) return resolve({ code: error.code, message: error.details, body: {} });
      const message = fromBinary(method.output, response ?? new Uint8Array());
      resolve({ code: 0, message: "", body: objectOf(toJson(method.output, message)) });
    });
  });
};

const overConnectJson: Call = async (method, request, key) => {
  const response = await fetch(`${passbus.url}/${method.parent.typeName}/${method.name}`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
    },
    body: JSON.stringify(request),
  });
  const body = objectOf((await response.json()) as JsonValue);
  if (response.ok) return { code: 0, message: "", body };
  return { code: codeOf(body.code), message: String(body.message), body };
};

/** `not_found` is Code.NotFound. */
function codeOf(name: JsonValue | undefined): number {
  const found = Object.entries(Code).find(
    ([key]) => key.replace(/(?<=[a-z])[A-Z]/g, (letter) => `_${letter}`).toLowerCase() === name,
  );
  if (typeof found?.[1] !== "number") throw new Error(`no code: ${JSON.stringify(name)}`);
  return found[1];
}

const overGrpcWeb: Call = async (method, request, key) => {
  const transport = createGrpcWebTransport({ baseUrl: passbus.url, httpVersion: "1.1" });
  const header: Record<string, string> = key === undefined ? {} : { authorization: `Bearer ${key}` };
  try {
    const message = create(method.input, fromJson(method.input, request));
    const response = await transport.unary(method, undefined, undefined, header, message);
    return { code: 0, message: "", body: objectOf(toJson(method.output, response.message)) };
  } catch (reason) {
    const error = ConnectError.from(reason);
    return { code: error.code, message: error.rawMessage, body: {} };
  }
};

const CLIENTS: Readonly<Record<string, Call>> = {
  "@grpc/grpc-js": overGrpc,
  "Connect over HTTP/1.1 with JSON": overConnectJson,
  "gRPC-Web": overGrpcWeb,
};

describe("the same subscription", () => {
  it.each(Object.entries(CLIENTS))("made with %s reads the same with all three", async (name, call) => {
    const subscription = {
      url: `https://127.0.0.1/${encodeURIComponent(name)}`,
      entityId: "project-1",
      eventTypes: ["PASS_EVENT_TYPE_INSTALLED"],
      format: "FORMAT_PASSKIT",
      labels: { made: name },
      policy: { retrySchedule: ["0.500s", "60s"], maxInFlight: 3 },
    };
    const made = await call(createSubscription, { subscription }, KEY);
    expect(made).toMatchObject({ code: 0, body: { subscription, secret: expect.stringMatching(/^whsec_/) } });
    const { id } = objectOf(made.body.subscription);
    for (const read of Object.values(CLIENTS)) {
      const answer = await read(getSubscription, { id: id ?? null }, KEY);
      expect(answer.body).toEqual({ subscription: made.body.subscription });
    }
  });

  it.each(Object.entries(CLIENTS))("takes events from %s", async (name, call) => {
    const event = { id: name.replaceAll(" ", "-"), type: "PASS_EVENT_TYPE_CREATED", pass: { id: "p1" } };
    const published = await call(publishEvents, { events: [event] }, KEY);
    expect(published).toMatchObject({ code: 0, body: { results: [{ eventId: event.id }] } });
    await expect
      .poll(() => call(getEvent, { id: event.id }, KEY), { timeout: 5_000 })
      .toMatchObject({ code: 0, body: { event: { event: { ...event, organisationId: "default" } } } });
  });
});

describe.each(Object.entries(CLIENTS))("a wrong call with %s", (name, call) => {
  const at = (url: string) => ({ subscription: { url, entityId: name } });

  it("without a key, or with a wrong one, is UNAUTHENTICATED", async () => {
    const oneDigitOff = otherTenantsKey.replace(/.$/, (digit) => (digit === "0" ? "1" : "0"));
    for (const key of [undefined, "not-the-bootstrap-key", oneDigitOff]) {
      const answer = await call(getSubscription, { id: "sub_1" }, key);
      expect(answer).toMatchObject({ code: Code.Unauthenticated, message: expect.stringContaining("authorization") });
    }
  });

  it("for another tenant's subscription, or an unknown one, is NOT_FOUND in the same words", async () => {
    const made = await call(createSubscription, at("https://127.0.0.1/mine"), KEY);
    const id = String(objectOf(made.body.subscription).id);
    expect(await call(getSubscription, { id }, KEY)).toMatchObject({ code: 0 });
    const foreign = await call(getSubscription, { id }, otherTenantsKey);
    const unknown = await call(getSubscription, { id: "sub_1" }, KEY);
    for (const answer of [foreign, unknown]) {
      expect(answer).toMatchObject({ code: Code.NotFound, message: expect.stringContaining("id: ") });
    }
    expect(foreign.message.replace(id, "")).toBe(unknown.message.replace("sub_1", ""));
    const change = { subscription: { id, description: "taken over" } };
    expect(await call(updateSubscription, change, otherTenantsKey)).toMatchObject({ code: Code.NotFound });
  });

  it("is answered in words that arrive as they were said", async () => {
    const answer = await call(getSubscription, { id: "ü, 100 % of 𝄞" }, KEY);
    expect(answer.message).toBe('id: there is no subscription "ü, 100 % of 𝄞"');
  });

  it.each([
    ["not a url"],
    ["http://127.0.0.1/plain"],
    ["https://user:password@127.0.0.1/"],
    ["https://10.0.0.1/"],
    ["https://169.254.169.254/latest/meta-data"],
    [""],
  ])("with the URL %j is INVALID_ARGUMENT, for subscription.url", async (url) => {
    const answer = await call(createSubscription, at(url), KEY);
    expect(answer).toMatchObject({
      code: Code.InvalidArgument,
      message: expect.stringContaining("subscription.url: "),
    });
  });

  it("with a URL that the scope has already is ALREADY_EXISTS, for subscription.url", async () => {
    await call(createSubscription, at("https://127.0.0.1/twice"), KEY);
    const answer = await call(createSubscription, at("https://127.0.0.1:443/twice"), KEY);
    expect(answer).toMatchObject({ code: Code.AlreadyExists, message: expect.stringContaining("subscription.url: ") });
  });

  it("with an unknown enum is INVALID_ARGUMENT, for its field", async () => {
    const format = await call(createSubscription, { subscription: { url: "https://127.0.0.1/e", format: 99 } }, KEY);
    expect(format).toMatchObject({
      code: Code.InvalidArgument,
      message: expect.stringContaining("subscription.format: "),
    });
    const events = [
      { type: "PASS_EVENT_TYPE_CREATED", pass: { id: "p" } },
      { type: 99, pass: { id: "p" } },
    ];
    const type = await call(publishEvents, { events }, KEY);
    expect(type).toMatchObject({ code: Code.InvalidArgument, message: expect.stringContaining("events[1].type: ") });
  });

  it("with a body or an event that is too large is RESOURCE_EXHAUSTED", async () => {
    const event = (bytes: number) => ({
      type: "PASS_EVENT_TYPE_CREATED",
      pass: { id: "p" },
      details: { downloadUrl: "x".repeat(bytes) },
    });
    const body = await call(publishEvents, { events: [event(LIMITS.requestBytes)] }, KEY);
    expect(body).toMatchObject({
      code: Code.ResourceExhausted,
      message: expect.stringContaining(`${LIMITS.requestBytes} bytes`),
    });
    const large = await call(publishEvents, { events: [event(1), event(LIMITS.eventBytes)] }, KEY);
    expect(large).toMatchObject({ code: Code.ResourceExhausted, message: expect.stringContaining("events[1]: ") });
  });
});

describe("an unknown enum name, which JSON alone can hold", () => {
  it("is INVALID_ARGUMENT, for its field", async () => {
    const subscription = {
      url: "https://127.0.0.1/e",
      eventTypes: ["PASS_EVENT_TYPE_CREATED", "PASS_EVENT_TYPE_LOST"],
    };
    const answer = await overConnectJson(createSubscription, { subscription }, KEY);
    expect(answer).toMatchObject({
      code: Code.InvalidArgument,
      message: expect.stringContaining("subscription.event_types[1]: must be one of"),
      body: { details: [{}, { debug: { fieldViolations: [{ field: "subscription.event_types[1]" }] } }] },
    });
  });
});
