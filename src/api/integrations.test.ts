import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { type FileDescriptorProto, FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BadRequestSchema } from "../../gen/google/rpc/error_details_pb.js";
import { ServerReflection } from "../../gen/grpc/reflection/v1/reflection_pb.js";
import {
  IntegrationStatus,
  Integrations,
  type SinkSubscription,
  type SinkSubscriptionSchema,
} from "../../gen/io/integrations_pb.js";
import { PassProtocol } from "../../gen/io/pass_pb.js";
import { EventService } from "../../gen/passbus/v1/event_service_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { Format, State } from "../../gen/passbus/v1/subscription_pb.js";
import { SubscriptionService } from "../../gen/passbus/v1/subscription_service_pb.js";
import { ADMIN_KEY, type TestApi, testApi } from "../../test/support/api.ts";
import { eventually } from "../../test/support/within.ts";
import { LIMITS } from "../kernel/limits.ts";
import { type LogFields, silentLog } from "../kernel/log.ts";

const logged: { readonly event: string; readonly fields: LogFields | undefined }[] = [];
let api: TestApi;
beforeAll(async () => {
  api = await testApi({ log: { ...silentLog, info: (event, fields) => void logged.push({ event, fields }) } });
});
afterAll(() => api.stop(0));

const BUF = join(import.meta.dirname, "..", "..", "node_modules", ".bin", "buf");

const bearer = (key: string) => ({ headers: { authorization: `Bearer ${key}` } });
const admin = bearer(ADMIN_KEY);
const passkit = () => createClient(Integrations, createGrpcTransport({ baseUrl: api.url }));
const ours = () => createClient(SubscriptionService, createGrpcTransport({ baseUrl: api.url }));

type SinkInit = MessageInitShape<typeof SinkSubscriptionSchema>;

const sink = (over: SinkInit = {}): SinkInit => ({
  classId: "class-1",
  protocol: PassProtocol.MEMBERSHIP,
  passEventId: [1, 2],
  configType: 1,
  configuration: `{"targetUrl":"https://a.example/hook"}`,
  ...over,
});
const make = async (over: SinkInit = {}) => (await passkit().createSinkSubscription(sink(over), admin)).id;
const show = (subscriptionId: string, headers = admin) => passkit().getSinkSubscription({ subscriptionId }, headers);

async function all(sinks: AsyncIterable<SinkSubscription>): Promise<readonly SinkSubscription[]> {
  const found: SinkSubscription[] = [];
  for await (const each of sinks) found.push(each);
  return found;
}

async function failure(work: Promise<unknown>) {
  const error = ConnectError.from(
    await work.then(
      () => undefined,
      (reason: unknown) => reason,
    ),
  );
  const [detail] = error.findDetails(BadRequestSchema);
  return { code: error.code, message: error.rawMessage, fields: detail?.fieldViolations.map(({ field }) => field) };
}

describe("the signing secret", () => {
  test("is shown by get alone, to those who may manage subscriptions, and that is audited", async () => {
    const id = await make();
    logged.length = 0;
    const secret = (text: string) => JSON.parse(text).signingSecret;
    expect(secret((await show(id)).configuration)).toMatch(/^whsec_/);
    expect(logged).toEqual([
      {
        event: "audit.secret_shown",
        fields: {
          organisation: "acme",
          environment: "production",
          role: "admin",
          keyId: "bootstrap",
          subscriptionId: id,
          secretId: expect.stringMatching(/^sec_/),
        },
      },
    ]);
    logged.length = 0;
    expect(secret((await show(id, bearer(api.stage.key("subscriber")))).configuration)).toMatch(/^whsec_/);
    expect(logged).toHaveLength(1);
    expect(secret((await show(id, bearer(api.stage.key("viewer")))).configuration)).toBeUndefined();
    for (const listed of await all(passkit().listSinkSubscriptions({}, admin))) {
      expect(listed.configuration).not.toContain("signingSecret");
    }
    expect((await passkit().getSampleSubscriptionEvent({ id }, admin)).configuration).not.toContain("whsec_");
    expect(logged).toHaveLength(1);
  });

  test("may come back with an update as it was read, and not otherwise", async () => {
    const read = await show(await make());
    await passkit().updateSinkSubscription({ ...read, passEventId: [4] }, admin);
    expect((await show(read.id)).passEventId).toEqual([4]);
    const configuration = `{"targetUrl":"https://a.example/hook","signingSecret":"whsec_another"}`;
    const error = await failure(passkit().updateSinkSubscription({ ...read, configuration }, admin));
    expect(error).toMatchObject({ code: Code.InvalidArgument, fields: ["configuration.signingSecret"] });
  });
});

test("a list counts among the streams that a key may have open", async () => {
  const key = bearer(api.stage.key("viewer"));
  const going = new AbortController();
  const events = createClient(EventService, createGrpcTransport({ baseUrl: api.url }));
  const open = async () => {
    await events
      .tailEvents({}, { ...key, signal: going.signal })
      [Symbol.asyncIterator]()
      .next();
  };
  await Promise.all(Array.from({ length: LIMITS.streamsPerKey }, open));
  for (const list of [passkit().listSinkSubscriptions({}, key), passkit().listSinkSubscriptionsDeprecated({}, key)]) {
    expect(await failure(all(list))).toMatchObject({ code: Code.ResourceExhausted });
  }
  going.abort();
  await eventually(5_000, "a free stream", async () => {
    return all(passkit().listSinkSubscriptions({}, key)).then(
      () => true,
      () => undefined,
    );
  });
});

describe("PassKit's API and passbus.v1", () => {
  test("what PassKit's makes is seen in passbus.v1, and its changes", async () => {
    const id = await make({
      configuration: `{"targetUrl":"https://a.example/x","actionMethod":"METHOD_PUT"}`,
      protocolEventId: { case: "membershipEvents", value: { ids: [1] } },
    });
    const { subscription } = await ours().getSubscription({ id }, admin);
    expect(subscription).toMatchObject({
      entityId: "class-1",
      format: Format.PASSKIT,
      url: "https://a.example/x",
      eventTypes: [PassEventType.CREATED, PassEventType.INSTALLED],
      membershipEvents: [1],
      protocol: PassProtocol.MEMBERSHIP,
      formatOptions: { passkitMethod: 2 },
    });
    await ours().updateSubscription({ subscription: { id, state: State.DISABLED, description: "kept" } }, admin);
    const read = await show(id);
    expect(read).toMatchObject({ status: IntegrationStatus.INTEGRATION_DISABLED, passEventId: [1, 2] });
    const change = { ...read, status: 0, configuration: `{"targetUrl":"https://b.example/"}` };
    expect((await passkit().updateSinkSubscription(change, admin)).id).toBe(id);
    const changed = (await ours().getSubscription({ id }, admin)).subscription;
    expect(changed).toMatchObject({ url: "https://b.example/", state: State.DISABLED, description: "kept" });
    expect(changed?.formatOptions?.passkitMethod).toBe(0);
    await passkit().deleteSinkSubscription({ subscriptionId: id }, admin);
    expect((await failure(ours().getSubscription({ id }, admin))).code).toBe(Code.NotFound);
  });

  test("what passbus.v1 makes in FORMAT_PASSKIT is seen in PassKit's, the rest refused with a reason", async () => {
    const url = "https://ours.example/";
    const scope = { entityId: "class-ours", url };
    const made = await ours().createSubscription({ subscription: { ...scope, format: Format.PASSKIT } }, admin);
    const id = made.subscription?.id ?? "";
    expect(await show(id)).toMatchObject({ classId: "class-ours", protocol: 0, passEventId: [1, 2, 4, 8, 16, 32] });
    expect(JSON.parse((await show(id)).configuration)).toEqual({ targetUrl: url, signingSecret: made.secret });
    const other = { ...scope, url: "https://other.example/" };
    const standard = await ours().createSubscription({ subscription: other }, admin);
    const refused = await failure(show(standard.subscription?.id ?? ""));
    expect(refused.code).toBe(Code.FailedPrecondition);
    expect(refused.message).toContain("FORMAT_STANDARD; use passbus.v1.SubscriptionService");
    const listed = await all(passkit().listSinkSubscriptions({ classId: "class-ours" }, admin));
    expect(listed.map((each) => each.id)).toEqual([id]);
  });

  test("a proprietary protocol has a number and no name (seed 003)", async () => {
    const protocol = 1_000 as PassProtocol;
    const id = await make({ protocol });
    expect((await ours().getSubscription({ id }, admin)).subscription?.protocol).toBe(protocol);
    expect(await passkit().getSinkSubscription({ subscriptionId: id, protocol }, admin)).toMatchObject({ protocol });
    const listed = await all(passkit().listSinkSubscriptions({ protocol }, admin));
    // One for any protocol is listed under each.
    expect(listed.filter((each) => each.protocol !== 0).map((each) => each.id)).toEqual([id]);
    const other = { subscriptionId: id, protocol: 1_001 as PassProtocol };
    expect((await failure(passkit().getSinkSubscription(other, admin))).code).toBe(Code.NotFound);
  });

  test("another tenant's, another protocol's and an unknown one are not found alike", async () => {
    const id = await make();
    const stranger = bearer(api.stage.key("admin", { organisation: "globex", environment: "production" }));
    const request = { subscriptionId: id };
    const attempts = [
      () => passkit().getSinkSubscription(request, stranger),
      () => passkit().deleteSinkSubscription(request, stranger),
      () => passkit().updateSinkSubscription({ ...sink(), id }, stranger),
      () => passkit().getSampleSubscriptionEvent({ id }, stranger),
      () => passkit().getSinkSubscription({ ...request, protocol: PassProtocol.SINGLE_USE_COUPON }, admin),
      () => passkit().getSinkSubscription({ subscriptionId: "sub_unknown" }, admin),
    ];
    for (const attempt of attempts) expect((await failure(attempt())).code).toBe(Code.NotFound);
    expect(await all(passkit().listSinkSubscriptions({}, stranger))).toEqual([]);
    expect(await show(id)).toMatchObject({ id });
  });
});

describe("what is refused", () => {
  test("names the fields as PassKit does, also those that passbus.v1 judges", async () => {
    const refuse = async (over: SinkInit) => (await failure(make(over))).fields;
    expect(await refuse({ passEventId: [3 as never] })).toEqual(["passEventId[0]"]);
    expect(await refuse({ configuration: `{"targetUrl":"ftp://a.example/"}` })).toEqual(["configuration.targetUrl"]);
    expect(await refuse({ classId: "a\u0000b" })).toEqual(["classId"]);
    const mapping = `{"targetUrl":"https://a.example/","fieldMapping":{"destinationFieldKey":"x"}}`;
    expect(await refuse({ configuration: mapping })).toEqual(["configuration.fieldMapping.sourceFieldUniqueName"]);
    expect((await failure(passkit().getSinkSubscription({ subscriptionId: "" }, admin))).fields).toEqual([
      "subscriptionId",
    ]);
    const unknown = { subscriptionId: "x", protocol: 99 as never };
    expect((await failure(passkit().getSinkSubscription(unknown, admin))).fields).toEqual(["protocol"]);
  });

  test("in a stream too, with its code and its fields", async () => {
    const error = await failure(all(passkit().listSinkSubscriptions({ filters: { limit: -5 } }, admin)));
    expect(error).toMatchObject({ code: Code.InvalidArgument, fields: ["filters.limit"] });
    const keyless = await failure(all(passkit().listSinkSubscriptions({})));
    expect(keyless.code).toBe(Code.Unauthenticated);
  });

  test("a viewer changes nothing, a publisher sees nothing", async () => {
    const viewer = bearer(api.stage.key("viewer"));
    const publisher = bearer(api.stage.key("publisher"));
    for (const attempt of [
      () => passkit().createSinkSubscription(sink(), viewer),
      () => passkit().updateSinkSubscription(sink(), viewer),
      () => passkit().deleteSinkSubscription({ subscriptionId: "x" }, viewer),
      () => passkit().getSinkSubscription({ subscriptionId: "x" }, publisher),
    ]) {
      expect((await failure(attempt())).code).toBe(Code.PermissionDenied);
    }
  });

  test("the other methods say what to use instead", async () => {
    for (const attempt of [
      () => passkit().createIntegrations({}, admin),
      () => passkit().getIntegrations({}, admin),
      () => passkit().updateIntegrations({}, admin),
      () => passkit().deleteIntegrations({}, admin),
      () => passkit().callDynamicApi({}, admin),
    ]) {
      const { code, message } = await failure(attempt());
      expect([code, message]).toEqual([Code.Unimplemented, expect.stringContaining("createSinkSubscription")]);
    }
  });
});

describe("lists", () => {
  test("have pages, orders and filters of PassKit's sort, over as many as there are", async () => {
    const classId = "class-many";
    const ids: string[] = [];
    for (let made = 0; made < 7; made += 1) ids.push(await make({ classId, status: made === 0 ? 1 : 2 }));
    const list = async (filters: object = {}) =>
      (await all(passkit().listSinkSubscriptions({ classId, filters }, admin))).map(({ id }) => id);
    const ascending = { orderBy: "id", orderAsc: true };
    expect(await list({ ...ascending, limit: -1 })).toEqual(ids);
    expect(await list({ ...ascending, limit: 3, offset: 2 })).toEqual(ids.slice(2, 5));
    expect((await list({ limit: 4 })).concat(await list({ limit: 4, offset: 4 })).toSorted()).toEqual(ids);
    const disabled = { filterField: "status", filterValue: "INTEGRATION_DISABLED", filterOperator: "eq" };
    expect(await list({ filterGroups: [{ fieldFilters: [disabled] }] })).toEqual([ids[0]]);
    const pagination = {
      limit: 2,
      filterField: ["status"],
      filterValue: ["INTEGRATION_ACTIVE"],
      filterOperator: ["eq"],
    };
    const deprecated = await all(passkit().listSinkSubscriptionsDeprecated({ classId, pagination }, admin));
    expect(deprecated).toHaveLength(2);
  });

  test("go on over the store's pages", async () => {
    const headers = bearer(api.stage.key("admin", { organisation: "many", environment: "production" }));
    const client = passkit();
    for (let made = 0; made < 520; made += 1) {
      await client.createSinkSubscription(sink({ classId: `class-${made % 6}` }), headers);
    }
    const ids = (await all(client.listSinkSubscriptions({}, headers))).map(({ id }) => id);
    expect([ids.length, new Set(ids).size]).toEqual([520, 520]);
    const filters = { limit: 30, offset: 490 };
    const page = await all(client.listSinkSubscriptions({ filters }, headers));
    expect(page.map(({ id }) => id)).toEqual(ids.slice(490));
  });
});

describe("the sample", () => {
  test.each<[string, SinkInit, string]>([
    ["the first event", { passEventId: [2, 1] }, "PASS_EVENT_INSTALLED"],
    [
      "the protocol's",
      { passEventId: [], protocolEventId: { case: "membershipEvents", value: { ids: [2] } } },
      "MEMBER_EVENT_UPDATED",
    ],
    [
      "a coupon's",
      {
        passEventId: [],
        protocol: PassProtocol.SINGLE_USE_COUPON,
        protocolEventId: { case: "couponEvents", value: { ids: [8] } },
      },
      "COUPON_EVENT_DELETED",
    ],
  ])("is %s, of the subscription's class and protocol", async (_, over, event) => {
    const id = await make({ classId: "class-sample", ...over });
    const answer = await passkit().getSampleSubscriptionEvent({ id }, admin);
    expect(answer).toMatchObject({ id, classId: "class-sample", status: IntegrationStatus.INTEGRATION_ACTIVE });
    const payload = JSON.parse(answer.configuration);
    expect(payload).toMatchObject({ event, pass: { classId: "class-sample", protocol: over.protocol ?? 100 } });
  });
});

describe("reflection of io.Integrations", () => {
  test("gives every import: buf builds it", async () => {
    const client = createClient(ServerReflection, createGrpcTransport({ baseUrl: api.url }));
    const question = { case: "fileContainingSymbol" as const, value: "io.Integrations" };
    const files: FileDescriptorProto[] = [];
    for await (const { messageResponse } of client.serverReflectionInfo(
      (async function* () {
        yield { host: "", messageRequest: question };
      })(),
    )) {
      if (messageResponse.case !== "fileDescriptorResponse") throw new Error(`answered ${messageResponse.case}`);
      for (const bytes of messageResponse.value.fileDescriptorProto) {
        files.push(fromBinary(FileDescriptorProtoSchema, bytes));
      }
    }
    expect(files.map(({ name }) => name).toSorted()).toEqual([
      "google/protobuf/empty.proto",
      "google/protobuf/timestamp.proto",
      "io/integrations.proto",
      "io/pass.proto",
      "io/query.proto",
    ]);
    const directory = mkdtempSync(join(tmpdir(), "passbus-reflection-"));
    try {
      const image = join(directory, "reflected.binpb");
      const buf = (...words: string[]) => promisify(execFile)(BUF, words, { cwd: directory });
      const write = (file: FileDescriptorProto[]) =>
        writeFileSync(image, toBinary(FileDescriptorSetSchema, create(FileDescriptorSetSchema, { file })));
      write(files);
      await buf("build", image, "-o", "built.binpb");
      // `build` takes an image's word for its imports; `breaking` resolves each.
      await buf("breaking", image, "--against", "built.binpb");
      write(files.filter(({ name }) => name !== "io/pass.proto"));
      await expect(buf("breaking", image, "--against", "built.binpb")).rejects.toThrow("could not resolve import");
    } finally {
      rmSync(directory, { recursive: true });
    }
  }, 20_000);
});
