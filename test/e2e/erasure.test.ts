/**
 * What is erased is nowhere: after ErasePass and DeleteOrganisation the bytes of the data directory of a running passbus
 * are searched for what made up the pass, and the documents of MongoDB. What is not erased must be found there, or the
 * search would find nothing at all.
 */
import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { Http2SessionManager } from "@connectrpc/connect-node";
import { BSON } from "mongodb";
import { describe, expect, test } from "vitest";
import { AccessService } from "../../gen/passbus/v1/access_service_pb.js";
import { DeliveryService } from "../../gen/passbus/v1/delivery_service_pb.js";
import { EventService } from "../../gen/passbus/v1/event_service_pb.js";
import { InspectorService } from "../../gen/passbus/v1/inspector_service_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { State, WhileDisabled } from "../../gen/passbus/v1/subscription_pb.js";
import { SubscriptionService } from "../../gen/passbus/v1/subscription_service_pb.js";
import { CHILD_ENV } from "../support/child-env.ts";
import { Deployment } from "../support/distributed.ts";
import { DEAD_URL, subscribe, subscribeElsewhere } from "../support/endpoints.ts";
import { failureOf, grpcWithKey } from "../support/grpc.ts";
import { BOOTSTRAP_KEY, DataDirectory, RunningPassbus } from "../support/passbus.ts";
import { allOf } from "../support/requirements.ts";
import { kafka, kafkaBrokers, mongodb, mongodbUri } from "../support/services/services.ts";
import { Sink } from "../support/sink.ts";
import { logState } from "../support/store-files.ts";
import { eventually } from "../support/within.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const SLOW = { timeout: 120_000 };
const SOON_MS = 30_000;

/** All that made up a pass, each with its name in it. */
function eventOf(name: string, number: number, over: { readonly id?: string; readonly points?: string } = {}) {
  return {
    id: over.id ?? `evt-${name}-${number}`,
    type: PassEventType.UPDATED,
    pass: {
      id: `pass-${name}`,
      classId: "class-1",
      personDetails: {
        forename: `forename-${name}`,
        surname: `surname-${name}`,
        emailAddress: `${name}@mail.example`,
        mobileNumber: `+44-${name}`,
      },
      recordData: { "members.member.note": over.points ?? `note-${name}-${number}` },
      externalId: `external-${name}`,
    },
  };
}

const PERSONAL = (name: string) => [
  `pass-${name}`,
  `evt-${name}`,
  `forename-${name}`,
  `surname-${name}`,
  `${name}@mail.example`,
  `+44-${name}`,
  `note-${name}`,
  `external-${name}`,
];

/** A running passbus of either deployment, and all that its store holds, as bytes. */
interface Bed {
  readonly passbus: RunningPassbus;
  /** With its log, where that is passbus's own. */
  bytes(): Promise<readonly (readonly [where: string, bytes: Buffer])[]>;
  command(...args: readonly string[]): Promise<string>;
  /** Whether nothing is left in its log that was not recorded. */
  isRecorded(): Promise<boolean>;
}

/** Where which of the texts stand. */
async function found(bed: Bed, texts: readonly string[]): Promise<readonly string[]> {
  const all = await bed.bytes();
  return all.flatMap(([where, bytes]) =>
    texts.filter((text) => bytes.includes(Buffer.from(text))).map((text) => `${text} in ${where}`),
  );
}

const clientsOf = (url: string, key: string, session: Http2SessionManager) => {
  const transport = grpcWithKey(url, key, session);
  return {
    events: createClient(EventService, transport),
    access: createClient(AccessService, transport),
    deliveries: createClient(DeliveryService, transport),
    inspector: createClient(InspectorService, transport),
    subscriptions: createClient(SubscriptionService, transport),
  };
};

/** Deliveries of all kinds of two passes, among those of others; then one of them is erased. */
async function erasesAPass(bed: Bed, sink: Sink): Promise<void> {
  const { api } = bed.passbus;
  const well = await subscribe(api, sink, "/well");
  await sink.answer("/failing", { status: 500 });
  await subscribe(api, sink, "/failing");
  await sink.answer("/hold", "hold");
  await subscribe(api, sink, "/hold");
  await subscribeElsewhere(api, DEAD_URL);
  const held = { state: State.DISABLED, policy: { whileDisabled: WhileDisabled.HOLD } };
  await subscribe(api, sink, "/held", held);
  await using stack = new AsyncDisposableStack();
  const session = stack.adopt(new Http2SessionManager(bed.passbus.url), (one) => one.abort());
  const { inspector } = clientsOf(bed.passbus.url, BOOTSTRAP_KEY, session);
  const { bin } = await inspector.createBin({});
  await subscribeElsewhere(api, bin?.url ?? "");
  const inBin = async () => (await inspector.listBinRequests({ binId: bin?.id ?? "", pageSize: 500 })).requests;
  const names = ["ada", "mallory", "grace"];
  for (let number = 0; number < 20; number++) {
    await api.events.publishEvents({ events: names.map((name) => eventOf(name, number)) });
  }
  // Another content under an id that is taken: a dead letter with all that it says.
  await api.events.publishEvents({ events: [eventOf("mallory", 0, { points: "note-mallory-of-a-conflict" })] });
  await sink.accepted(well.path, 60, SOON_MS);
  const letters = () => api.events.listDeadLetters({});
  await eventually(SOON_MS, "the dead letter", async () =>
    (await letters()).deadLetters.length === 1 ? true : undefined,
  );
  const ofMallory = () => api.deliveries.listDeliveries({ passId: "pass-mallory", pageSize: 500 });
  await eventually(SOON_MS, "every delivery's row", async () =>
    (await ofMallory()).deliveries.length === 120 ? true : undefined,
  );
  const binned = await eventually(SOON_MS, "every webhook in the bin", async () => {
    const requests = await inBin();
    return requests.length >= 60 ? requests : undefined;
  });
  expect(binned.filter(({ body }) => Buffer.from(body).includes("surname-mallory")).length).toBeGreaterThanOrEqual(20);
  expect(new Set((await found(bed, PERSONAL("mallory"))).map((where) => where.split(" in ")[0])).size).toBe(8);

  await eventually(SOON_MS, "a log without a backlog", async () => ((await bed.isRecorded()) ? true : undefined));
  const erased = await api.events.erasePass({ passId: "pass-mallory" });
  expect(erased).toMatchObject({ events: 20n, deliveries: 120n, deadLetters: 1n, done: true });
  expect(await found(bed, PERSONAL("mallory"))).toEqual([]);
  expect((await ofMallory()).deliveries).toEqual([]);
  expect(await inBin()).toEqual([]);
  for (const name of ["ada", "grace"]) {
    const { deliveries } = await api.deliveries.listDeliveries({ passId: `pass-${name}`, pageSize: 500 });
    expect(deliveries).toHaveLength(120);
    expect(new Set((await found(bed, PERSONAL(name))).map((where) => where.split(" in ")[0])).size).toBe(8);
  }
  // What was in flight ends, and writes nothing of it.
  await sink.release("/hold");
  await api.events.publishEvents({ events: [eventOf("ada", 99)] });
  await sink.accepted("/hold", 41, SOON_MS);
  await sink.accepted(well.path, 61, SOON_MS);
  expect(await found(bed, PERSONAL("mallory"))).toEqual([]);
  // The pass lives on: what comes later stays.
  await api.events.publishEvents({ events: [eventOf("mallory", 1_000)] });
  await sink.accepted(well.path, 62, SOON_MS);
  const idsOf = async () =>
    (await api.events.listEvents({ passId: "pass-mallory" })).events.map(({ event }) => event?.id);
  const ids = await eventually(SOON_MS, "the later event", async () =>
    (await idsOf()).length > 0 ? idsOf() : undefined,
  );
  expect(ids).toEqual(["evt-mallory-1000"]);
}

/** An organisation with an environment more, which is deleted by its own administrator. */
async function deletesAnOrganisation(bed: Bed, sink: Sink): Promise<void> {
  const key = async (...more: readonly string[]) =>
    (await bed.command("keys", "create", "--organisation", "globex", "--role", "admin", ...more)).trim();
  const [production, staging] = [await key(), await key("--environment", "staging")];
  await using stack = new AsyncDisposableStack();
  const session = stack.adopt(new Http2SessionManager(bed.passbus.url), (one) => one.abort());
  const theirs = clientsOf(bed.passbus.url, production, session);
  const others = clientsOf(
    bed.passbus.url,
    staging,
    stack.adopt(new Http2SessionManager(bed.passbus.url), (one) => one.abort()),
  );
  for (const { subscriptions } of [theirs, others]) {
    await subscriptions.createSubscription({
      subscription: { url: sink.url("/globex"), headers: { "x-team": "hooli-team" } },
    });
  }
  await theirs.events.publishEvents({ events: [eventOf("eve", 1)] });
  await others.events.publishEvents({ events: [eventOf("eve", 2)] });
  await sink.accepted("/globex", 2, SOON_MS);
  const texts = [...PERSONAL("eve"), "hooli-team", '/globex"'];
  await eventually(SOON_MS, "all of it in the store", async () =>
    new Set((await found(bed, texts)).map((where) => where.split(" in ")[0])).size === texts.length ? true : undefined,
  );
  await eventually(SOON_MS, "a log without a backlog", async () => ((await bed.isRecorded()) ? true : undefined));
  const asked = { organisationId: "globex", confirmation: "globex" };
  expect((await failureOf(theirs.access.deleteOrganisation({ ...asked, confirmation: "" }))).rawMessage).toContain(
    "confirmation",
  );
  expect(
    (await failureOf(theirs.access.deleteOrganisation({ organisationId: "default", confirmation: "default" })))
      .rawMessage,
  ).toContain("its own administrators");
  expect((await failureOf(others.access.deleteOrganisation(asked))).code).toBe(Code.PermissionDenied);
  expect(await theirs.access.deleteOrganisation(asked)).toMatchObject({ id: "org_globex", done: true });
  // Attempts in flight may have been recorded after the last step: the next call takes them along.
  const operator = clientsOf(bed.passbus.url, BOOTSTRAP_KEY, session).access;
  expect(await operator.deleteOrganisation(asked)).toMatchObject({ done: true });
  expect(await found(bed, texts)).toEqual([]);
  // A key counts for a second after it went.
  const refusal = await eventually(SOON_MS, "a refusal of the key", () =>
    theirs.events.listEvents({}).then(
      () => undefined,
      (reason: unknown) => ConnectError.from(reason),
    ),
  );
  expect(refusal.code).toBe(Code.Unauthenticated);
  const { records } = await operator.listAuditRecords({ action: "passbus.v1.AccessService/DeleteOrganisation" });
  expect(records.map(({ target }) => target)).toEqual(["org_globex", "org_globex"]);
  expect(records.map(({ actor }) => actor)).toEqual(["bootstrap", expect.stringMatching(/^key_/)]);
  expect(
    (await failureOf(operator.deleteOrganisation({ organisationId: "default", confirmation: "default" }))).rawMessage,
  ).toContain("can't be deleted");
}

async function erases(bed: Bed, sink: Sink): Promise<void> {
  await erasesAPass(bed, sink);
  await deletesAnOrganisation(bed, sink);
}

describe("erasing in the embedded deployment", SLOW, () => {
  async function withBed(use: (bed: Bed, sink: Sink) => Promise<void>): Promise<void> {
    using data = new DataDirectory();
    await using sink = await Sink.start();
    await using passbus = await RunningPassbus.start(data.path);
    const bytes = async () =>
      readdirSync(data.path).map((name) => [name, readFileSync(join(data.path, name))] as const);
    const command = async (...args: readonly string[]) => {
      const main = join(ROOT, "src", "main.ts");
      const env = { ...CHILD_ENV, PASSBUS_DATA_DIR: data.path };
      const given = ["--disable-warning=ExperimentalWarning", main, ...args];
      return (await promisify(execFile)(process.execPath, given, { cwd: ROOT, env, timeout: 60_000 })).stdout;
    };
    const isRecorded = async () => {
      const { committed, end } = logState(data.path);
      return committed === end;
    };
    await use({ passbus, bytes, command, isRecorded }, sink);
  }

  test("a pass and an organisation: no byte of them is left in the store's or the log's files, but for the audit log", () =>
    withBed(erases));
});

const needed = allOf(kafka, mongodb);

describe.skipIf(!needed.present)(needed.title("erasing in the distributed deployment"), SLOW, () => {
  async function withBed(use: (bed: Bed, sink: Sink) => Promise<void>): Promise<void> {
    await using deployment = await Deployment.make({ brokers: kafkaBrokers(), mongodbUri: mongodbUri() });
    await using sink = await Sink.start();
    await using passbus = await deployment.start("api,worker");
    const bytes = async () => {
      const names = await deployment.database.listCollections({}, { nameOnly: true }).toArray();
      const all = names.map(async ({ name }) => {
        const documents = await deployment.database.collection(name).find().toArray();
        return [name, Buffer.concat(documents.map((document) => BSON.serialize(document)))] as const;
      });
      return Promise.all(all);
    };
    const isRecorded = async () => {
      const { committed, end } = await deployment.progress();
      return committed === end;
    };
    await use({ passbus, bytes, isRecorded, command: (...args) => deployment.command(...args) }, sink);
  }

  test("a pass and an organisation: no document of them is left but in the audit log", () => withBed(erases));
});
