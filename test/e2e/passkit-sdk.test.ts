/**
 * PassKit's own API for what seed 003 sets up by hand: its published SDKs, as they come from npm and PyPI, against a
 * whole passbus: every call of sink subscriptions, then an event and its webhook.
 */
import { execFile } from "node:child_process";
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { credentials, Metadata } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CouponEventId } from "../../gen/io/integrations_pb.js";
import { PassProtocol } from "../../gen/io/pass_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { EVENT_TYPES } from "../../src/domain/event.ts";
import { passkit } from "../../src/formats/passkit.ts";
import { sampleEvent } from "../../src/formats/samples.ts";
import { ADMIN_KEY, testApi } from "../support/api.ts";
import { BOOTSTRAP_KEY, DataDirectory, RunningPassbus } from "../support/passbus.ts";
import { nodeSdk } from "../support/passkit/node-sdk.ts";
import { findPythonSdk, probeOf, pythonSdk } from "../support/passkit/python-sdk.ts";
import { type PassKitSdk, SdkError, type Sink } from "../support/passkit/sdk.ts";
import { bodyOf, httpServer, type TestServer } from "../support/receiver.ts";
import { onPath, requirement } from "../support/requirements.ts";
import { eventually } from "../support/within.ts";

const MEMBERSHIP = PassProtocol.MEMBERSHIP;
const [INVALID_ARGUMENT, NOT_FOUND, UNIMPLEMENTED, UNAUTHENTICATED] = [3, 5, 12, 16];

interface Request {
  readonly path: string;
  readonly method: string;
  readonly signature: string;
  readonly body: Buffer;
}

/** A passbus of its own for one SDK, and a receiver that keeps what came. */
class Stage implements AsyncDisposable {
  readonly passbus: RunningPassbus;
  readonly sdk: PassKitSdk;
  readonly #requests: readonly Request[];
  readonly #receiver: TestServer;
  readonly #data: DataDirectory;

  private constructor(
    passbus: RunningPassbus,
    sdk: PassKitSdk,
    receiver: TestServer,
    requests: readonly Request[],
    data: DataDirectory,
  ) {
    this.passbus = passbus;
    this.sdk = sdk;
    this.#receiver = receiver;
    this.#requests = requests;
    this.#data = data;
  }

  static async start(startSdk: (address: string) => PassKitSdk): Promise<Stage> {
    const requests: Request[] = [];
    const receiver = await httpServer(async (request, response) => {
      const signature = String(request.headers["x-passkit-signature"] ?? "");
      const { method = "", url = "" } = request;
      requests.push({ path: url, method, signature, body: await bodyOf(request) });
      response.end();
    });
    const data = new DataDirectory();
    const passbus = await RunningPassbus.start(data.path);
    return new Stage(passbus, startSdk(addressOf(passbus)), receiver, requests, data);
  }

  target(path: string): string {
    return `http://127.0.0.1:${this.#receiver.port}${path}`;
  }

  /** What PassKit requires, with the URL alone in the configuration, behind blanks. */
  sink(classId: string, over: Sink = {}): Sink {
    return {
      classId,
      protocol: MEMBERSHIP,
      passEventId: [1, 2],
      configType: 1,
      configuration: ` \n {"targetUrl":"${this.target(`/${classId}`)}"}`,
      ...over,
    };
  }

  requestsAt(path: string): readonly Request[] {
    return this.#requests.filter((request) => request.path === path);
  }

  /** The first webhook to the path; its signature holds under the secret. */
  async verified(path: string, secret: string): Promise<Request> {
    const request = await eventually(10_000, `a webhook at ${path}`, () => this.requestsAt(path)[0]);
    expect(request.signature).toBe(createHmac("sha256", secret).update(request.body).digest("hex"));
    return request;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.sdk[Symbol.asyncDispose]();
    await this.passbus[Symbol.asyncDispose]();
    await this.#receiver[Symbol.asyncDispose]();
    this.#data[Symbol.dispose]();
  }
}

function addressOf(passbus: RunningPassbus): string {
  return passbus.url.slice("http://".length);
}

async function wholeRound(stage: Stage): Promise<void> {
  const { sdk } = stage;
  const classId = "tour";
  const id = await sdk.create(stage.sink(classId));
  const read = await sdk.get(MEMBERSHIP, id);
  expect(read).toMatchObject({ id, classId, protocol: MEMBERSHIP, passEventId: [1, 2], status: 2, configType: 1 });
  expect(read.hasTimes).toBe(true);
  const { signingSecret, ...config } = JSON.parse(read.configuration);
  expect(config).toEqual({ targetUrl: stage.target("/tour") });
  expect(signingSecret).toMatch(/^whsec_/);

  const other = await sdk.create(stage.sink(classId, { status: 1, passEventId: [32] }));
  expect((await sdk.list({ classId, protocol: MEMBERSHIP, limit: -1 })).map((each) => each.id).toSorted()).toEqual(
    [id, other].toSorted(),
  );
  const active = [{ field: "status", value: "INTEGRATION_ACTIVE" }];
  for (const list of [await sdk.list({ classId, filters: active }), await sdk.listDeprecated({ filters: active })]) {
    expect(list.map((each) => each.id)).toEqual([id]);
    expect(list[0]?.configuration).not.toContain("signingSecret");
  }
  expect(await sdk.list({ classId, limit: 1, offset: 1 })).toHaveLength(1);

  const { hasTimes: _, membershipEvents: _m, couponEvents: _c, ...back } = read;
  expect(await sdk.update({ ...back, passEventId: [4, 8], status: 0, membershipEvents: [1] })).toBe(id);
  const changed = await sdk.get(MEMBERSHIP, id);
  expect(changed).toMatchObject({ passEventId: [4, 8], status: 2, membershipEvents: [1] });
  expect(changed.configuration).toBe(read.configuration);

  const sample = await sdk.sample(id);
  expect(JSON.parse(sample.configuration)).toMatchObject({
    event: "PASS_EVENT_RECORD_UPDATED",
    pass: { classId, protocol: MEMBERSHIP },
  });

  await sdk.remove(MEMBERSHIP, other);
  await expect(sdk.get(MEMBERSHIP, other)).rejects.toMatchObject({ code: NOT_FOUND });
  const { subscriptions } = await stage.passbus.api.subscriptions.listSubscriptions({ entityId: classId });
  expect(subscriptions.map((each) => [each.id, each.url])).toEqual([[id, stage.target("/tour")]]);
}

async function anEvent(stage: Stage): Promise<void> {
  const { sdk } = stage;
  const classId = "delivered";
  const id = await sdk.create(stage.sink(classId));
  const { signingSecret } = JSON.parse((await sdk.get(MEMBERSHIP, id)).configuration);
  const pass = { id: "pass-1", classId, protocol: MEMBERSHIP, recordData: { "person.displayName": "A & B" } };
  await stage.passbus.api.events.publishEvents({ events: [{ type: PassEventType.INSTALLED, pass }] });
  const request = await stage.verified(`/${classId}`, signingSecret);
  expect(request.method).toBe("PUT");
  expect(request.body.toString("utf8")).toBe(
    `{"event":"PASS_EVENT_INSTALLED","pass":{"id":"pass-1","classId":"delivered","protocol":100,` +
      `"recordData":{"person.displayName":"A \\u0026 B"}}}`,
  );
}

async function aProtocolEvent(stage: Stage): Promise<void> {
  const { sdk } = stage;
  const classId = "redeemed";
  const protocol = PassProtocol.SINGLE_USE_COUPON;
  const id = await sdk.create(stage.sink(classId, { protocol, passEventId: [], couponEvents: [2] }));
  const { signingSecret } = JSON.parse((await sdk.get(protocol, id)).configuration);
  const pass = { id: "pass-2", classId, protocol };
  const event = (couponEvent: CouponEventId) => ({
    type: PassEventType.UPDATED,
    pass,
    protocolEvent: { case: "couponEvent" as const, value: couponEvent },
  });
  const both = [event(CouponEventId.COUPON_EVENT_UPDATED), event(CouponEventId.COUPON_EVENT_REDEEMED)];
  await stage.passbus.api.events.publishEvents({ events: both });
  const request = await stage.verified(`/${classId}`, signingSecret);
  expect(JSON.parse(request.body.toString("utf8")).event).toBe("COUPON_EVENT_REDEEMED");
  const delivered = await eventually(5_000, "its delivery in the log", async () => {
    const { deliveries } = await stage.passbus.api.deliveries.listDeliveries({ subscriptionId: id });
    return deliveries.length > 0 ? deliveries : undefined;
  });
  expect(delivered).toHaveLength(1);
  expect(stage.requestsAt(`/${classId}`)).toHaveLength(1);
}

async function refusals(stage: Stage): Promise<void> {
  const { sdk } = stage;
  const refused = async (work: Promise<unknown>) => {
    const error: unknown = await work.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    if (!(error instanceof SdkError)) throw new Error(`no refusal: ${String(error)}`);
    return [error.code, error.message.split(/[:;]/, 1)[0]];
  };
  expect(await refused(sdk.create(stage.sink("c", { passEventId: [3] })))).toEqual([
    INVALID_ARGUMENT,
    "passEventId[0]",
  ]);
  expect(await refused(sdk.create(stage.sink("c", { status: 9 })))).toEqual([INVALID_ARGUMENT, "status"]);
  expect(await refused(sdk.create(stage.sink("c", { configType: 6 })))).toEqual([INVALID_ARGUMENT, "configType"]);
  expect(await refused(sdk.create(stage.sink("")))).toEqual([INVALID_ARGUMENT, "classId"]);
  const where = "filters.filterGroups[0].fieldFilters[0].filterValue";
  const filters = [{ field: "status", value: "2" }];
  expect(await refused(sdk.list({ filters }))).toEqual([INVALID_ARGUMENT, where]);
  expect((await refused(sdk.getIntegrations(MEMBERSHIP, "c")))[0]).toBe(UNIMPLEMENTED);
  await using stranger = nodeSdk(addressOf(stage.passbus), "no-key-of-this-passbus");
  expect((await refused(stranger.list({})))[0]).toBe(UNAUTHENTICATED);
}

async function aHundred(stage: Stage): Promise<void> {
  const { sdk } = stage;
  const classId = "many";
  for (let made = 0; made < 100; made += 1) await sdk.create(stage.sink(classId));
  await expect(sdk.create(stage.sink(classId))).rejects.toMatchObject({
    code: 8,
    message: expect.stringContaining("100"),
  });
  expect(await sdk.list({ classId, limit: -1 })).toHaveLength(100);
}

/** What both SDKs are put through, each against a passbus of its own. */
function tour(startSdk: (address: string) => PassKitSdk): void {
  let stage: Stage;
  beforeAll(async () => {
    stage = await Stage.start(startSdk);
  }, 30_000);
  afterAll(() => stage[Symbol.asyncDispose]());

  test("create, get, list, update, sample, delete", () => wholeRound(stage));
  test("an event, and a webhook with PassKit's signature", () => anEvent(stage));
  test("an event of the protocol, under its own name", () => aProtocolEvent(stage));
  test("what can't be is refused with a reason", () => refusals(stage));
  test("a class has a hundred with one URL, and no more", () => aHundred(stage), 60_000);
}

describe("npm's passkit-node-sdk", () => {
  tour((address) => nodeSdk(address, BOOTSTRAP_KEY));

  test("over TLS, with the key in the channel's credentials", async () => {
    const file = (name: string) => readFileSync(join(import.meta.dirname, "..", "support", "tls", name));
    const tls = { cert: file("cert.pem").toString(), key: file("key.pem").toString() };
    await using api = await testApi({ tls });
    const key = credentials.createFromMetadataGenerator((_, done) => {
      const metadata = new Metadata();
      metadata.set("authorization", `Bearer ${ADMIN_KEY}`);
      done(null, metadata);
    });
    const channel = credentials.combineChannelCredentials(credentials.createSsl(file("cert.pem")), key);
    await using sdk = nodeSdk(`localhost:${api.port}`, undefined, channel);
    expect(await sdk.list({})).toEqual([]);
  });
});

/** What a Go program with PassKit's structs makes of the payloads: read strictly, and written by encoding/json. */
async function writtenByGo(payloads: readonly string[]): Promise<readonly string[]> {
  const program = join(import.meta.dirname, "..", "golden", "go", "main.go");
  const running = promisify(execFile)("go", ["run", program, "again"]);
  running.child.stdin?.end(payloads.join("\n"));
  const { stdout } = await running;
  return stdout.trimEnd().split("\n");
}

const go = requirement("go", () => onPath("go"));

describe.skipIf(!go.present)(go.title("a subscriber's Go program behind what PassKit's SDK set up"), () => {
  test("reads every sample's webhook, and writes the same bytes", async () => {
    await using stage = await Stage.start((address) => nodeSdk(address, BOOTSTRAP_KEY));
    const samples = EVENT_TYPES.filter((type) => passkit.types.includes(type)).flatMap(
      (type) => sampleEvent(type) ?? [],
    );
    expect(samples).toHaveLength(6);
    const [classId = ""] = new Set(samples.map(({ pass }) => pass?.classId ?? ""));
    await stage.sdk.create(stage.sink(classId, { passEventId: [1, 2, 4, 8, 16, 32] }));
    await stage.passbus.api.events.publishEvents({ events: samples });
    const requests = await eventually(10_000, "six webhooks", () => {
      const came = stage.requestsAt(`/${classId}`);
      return came.length === 6 ? came : undefined;
    });
    const bodies = requests.map(({ body }) => body.toString("utf8"));
    expect(await writtenByGo(bodies)).toEqual(bodies);
  }, 60_000);
});

const python = await findPythonSdk();
const hasPython = requirement("python", probeOf(python));

describe.skipIf(!hasPython.present)(hasPython.title("PyPI's passkit-python-grpc-sdk"), () => {
  tour((address) => pythonSdk("command" in python ? python.command : "", address, BOOTSTRAP_KEY));
});
