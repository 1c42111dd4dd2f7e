/**
 * Nothing leaks: a passbus with a canary in every secret, header and personal field goes through every outcome there is,
 * at the most talkative log level; then no log line, metric, error message, probe or audit record has one, and the store
 * has those of secrets nowhere, and those of people only where docs/security.md says.
 */
import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { toJsonString } from "@bufbuild/protobuf";
import { type Client, ConnectError, createClient } from "@connectrpc/connect";
import { Http2SessionManager } from "@connectrpc/connect-node";
import { Kafka, logLevel } from "kafkajs";
import { BSON } from "mongodb";
import { describe, expect, test } from "vitest";
import { AccessService, Role } from "../gen/passbus/v1/access_service_pb.js";
import { DeliveryService } from "../gen/passbus/v1/delivery_service_pb.js";
import { EventService } from "../gen/passbus/v1/event_service_pb.js";
import { InspectorService } from "../gen/passbus/v1/inspector_service_pb.js";
import { PassEventSchema } from "../gen/passbus/v1/pass_event_pb.js";
import { Format } from "../gen/passbus/v1/subscription_pb.js";
import { SubscriptionService } from "../gen/passbus/v1/subscription_service_pb.js";
import { Canaries, canary, canaryEvent, MARK } from "./support/canary.ts";
import { CanaryBin } from "./support/canary-bin.ts";
import { poisonMessages } from "./support/canary-poison.ts";
import { CanaryReceiver } from "./support/canary-receiver.ts";
import { judgeStore } from "./support/canary-store.ts";
import { Deployment } from "./support/distributed.ts";
import { DEAD_URL } from "./support/endpoints.ts";
import { grpcWithKey } from "./support/grpc.ts";
import { DataDirectory, RunningPassbus, ServeProcess } from "./support/passbus.ts";
import { allOf } from "./support/requirements.ts";
import { kafka, kafkaBrokers, mongodb, mongodbUri } from "./support/services/services.ts";
import { logState } from "./support/store-files.ts";
import { eventually, within } from "./support/within.ts";

const SLOW = { timeout: 180_000 };
const SOON_MS = 60_000;

const keyText = (id: string) => `${id}:${randomBytes(32).toString("base64")}`;
const ENCRYPTION_KEY = keyText("k1");
const SIGNING_SEED = keyText("s1");
const BOOTSTRAP = canary("bootstrap-key");

/** What is known from the start, and lies nowhere in the store as it is. */
const SEALED = [BOOTSTRAP, ENCRYPTION_KEY.slice(3), SIGNING_SEED.slice(3), canary("authorization")];

const SETTINGS = {
  PASSBUS_LOG_LEVEL: "trace",
  PASSBUS_BOOTSTRAP_KEY: BOOTSTRAP,
  PASSBUS_ENCRYPTION_KEYS: ENCRYPTION_KEY,
  PASSBUS_SIGNING_SEEDS: SIGNING_SEED,
  PASSBUS_METRICS_LISTEN: "127.0.0.1:0",
};

/** What a call that fails says goes into `heard`; what one answers is for its caller to see. */
class Clients {
  readonly heard: string[] = [];
  readonly events: Client<typeof EventService>;
  readonly access: Client<typeof AccessService>;
  readonly deliveries: Client<typeof DeliveryService>;
  readonly inspector: Client<typeof InspectorService>;
  readonly subscriptions: Client<typeof SubscriptionService>;

  constructor(url: string, key: string, session: Http2SessionManager) {
    const transport = grpcWithKey(url, key, session);
    this.events = createClient(EventService, transport);
    this.access = createClient(AccessService, transport);
    this.deliveries = createClient(DeliveryService, transport);
    this.inspector = createClient(InspectorService, transport);
    this.subscriptions = createClient(SubscriptionService, transport);
  }

  async fails(call: Promise<unknown>): Promise<void> {
    const error = await call.then(
      () => {
        throw new Error("a call succeeded that was to fail");
      },
      (reason: unknown) => ConnectError.from(reason),
    );
    const details = error.details.map((detail) =>
      "value" in detail && detail.value instanceof Uint8Array ? Buffer.from(detail.value).toString("latin1") : "",
    );
    const metadata = [...error.metadata].filter(([name]) => !name.endsWith("-bin"));
    this.heard.push(`${error.message} ${details.join(" ")} ${JSON.stringify(metadata)}`);
  }
}

const PATHS = ["/well", "/passkit", "/ethpass", "/failing", "/gone", "/moved", "/teapot", "/broken"] as const;

/** One subscription for every way in which a delivery ends, all with secrets of their own. */
async function subscribeAll({ subscriptions }: Clients, receiver: CanaryReceiver, canaries: Canaries): Promise<string> {
  const headers = { "x-api-token": canary("header") };
  const create = async (draft: Parameters<typeof subscriptions.createSubscription>[0]["subscription"]) => {
    const { subscription, secret } = await subscriptions.createSubscription({ subscription: { ...draft } as never });
    canaries.add(secret);
    return subscription?.id ?? "";
  };
  const [first = ""] = await Promise.all(
    PATHS.map((path) => {
      const base = { url: receiver.url(path), headers };
      if (path === "/passkit") return create({ ...base, format: Format.PASSKIT });
      if (path !== "/ethpass") return create(base);
      const formatOptions = { ethpassAuthorization: `Bearer ${canary("authorization")}` };
      return create({ ...base, format: Format.ETHPASS, formatOptions });
    }),
  );
  await create({ url: `${DEAD_URL}?token=${canary("dead-query")}`, headers });
  // It fails on the event, which is delivered all the same.
  const note = 'event.pass.recordData["members.member.note"]';
  const filter = `!("members.member.note" in event.pass.recordData) || int(${note}) > 3`;
  await create({ url: receiver.url("/filtered"), filter });
  return first;
}

/** What is wrong, or nobody's business, in every way of asking. */
async function misbehave(clients: Clients, url: string, session: Http2SessionManager, event: string): Promise<void> {
  const { events, subscriptions, deliveries, access } = clients;
  const full = canaryEvent(event, "pass-1");
  const badTimes = { ...full, id: "evt-bad", environment: canary("environment") };
  await clients.fails(events.publishEvents({ events: [badTimes] }));
  const longId = canary("x".repeat(200));
  await clients.fails(events.publishEvents({ events: [{ ...full, id: longId }] }));
  const userinfo = `https://${canary("user")}:${canary("password")}@host.example/`;
  await clients.fails(subscriptions.createSubscription({ subscription: { url: userinfo } }));
  const header = { authorization: canary("header-authorization") };
  await clients.fails(
    subscriptions.createSubscription({ subscription: { url: "https://a.example/", headers: header } }),
  );
  const formatOptions = { ethpassAuthorization: `${canary("authorization")}\r\nx: y` };
  const broken = { url: "https://a.example/", format: Format.ETHPASS, formatOptions };
  await clients.fails(subscriptions.createSubscription({ subscription: broken }));
  await clients.fails(deliveries.getDelivery({ id: "dlv_unknown" }));
  await clients.fails(access.revokeKey({ id: "key_unknown" }));
  const jwt = ["eyJhbGciOiJSUzI1NiJ9", Buffer.from(JSON.stringify({ sub: MARK })).toString("base64url"), canary("sig")];
  const keys = [
    `pb_production_${"0".repeat(32)}_${canary("key")}`,
    jwt.join("."),
    canary("token"),
    `pbs_${canary("session")}`,
  ];
  for (const key of keys) {
    const stranger = new Clients(url, key, session);
    await clients.fails(stranger.events.listEvents({}));
    await clients.fails(stranger.subscriptions.listSubscriptions({}));
  }
  for (const [type, body] of [
    ["application/json", `{"events":[{"id":"${canary("json")}"`],
    // V8 quotes what it can't parse.
    ["application/json", `${canary("json")} is none`],
    ["application/json", `{"events":[{"id": ${canary("json")}}]}`],
    ["application/json", `{"events":[{"${canary("field")}":1}]}`],
    ["application/json", `{"events":[{"occurredAt":"${canary("time")}"}]}`],
    ["application/json", `{"events":[{"type":"${canary("enum")}"}]}`],
    ["application/proto", canary("protobuf")],
  ] as const) {
    const answer = await fetch(`${url}/passbus.v1.EventService/PublishEvents`, {
      method: "POST",
      headers: { "content-type": type, authorization: `Bearer ${BOOTSTRAP}` },
      body,
    });
    // What a field is called, or what stands in an enum, is the caller's own mistake and told to nobody else.
    const text = await answer.text();
    if (!body.includes(canary("field")) && !body.includes(canary("enum"))) clients.heard.push(text);
    expect(answer.status).toBe(400);
  }
  await fetch(`${url}/${canary("path")}?key=${canary("url")}`, { headers: { cookie: canary("cookie") } });
}

interface Bed {
  readonly passbus: RunningPassbus;
  /** Its events' payloads are, in the store. */
  readonly isEncrypted: boolean;
  /** Sends records that are poison, where a producer of its own can. */
  poison(): Promise<number>;
  /** Whether nothing is left in its log that was not recorded. */
  isRecorded(): Promise<boolean>;
  /** By the name of the table or collection. */
  contents(): Promise<ReadonlyMap<string, string>>;
}

async function everything(bed: Bed, receiver: CanaryReceiver): Promise<void> {
  const { url } = bed.passbus;
  const canaries = new Canaries();
  canaries.add(ENCRYPTION_KEY.slice(3), SIGNING_SEED.slice(3));
  const session = new Http2SessionManager(url);
  const clients = new Clients(url, BOOTSTRAP, session);
  const { events, subscriptions, deliveries, access } = clients;

  const { secret: operatorKey } = await access.createKey({
    key: { role: Role.OPERATOR, description: "for the canary" },
  });
  const { token } = await access.createPortalSession({ entityId: "class-1" });
  canaries.add(operatorKey, token);
  const first = await subscribeAll(clients, receiver, canaries);
  const bin = await CanaryBin.fill(clients, canaries);
  const event = canaryEvent("evt-1", "pass-1");
  await events.publishEvents({ events: [event] });
  await eventually(SOON_MS, "an attempt at each path", () =>
    [...PATHS, "/filtered"].every((path) => path === "/ethpass" || (receiver.seen.get(path) ?? 0) > 0)
      ? true
      : undefined,
  );
  // Another content under an id that is taken, and whatever else is poison.
  if (event.pass !== undefined) event.pass.externalId = canary("conflict");
  await events.publishEvents({ events: [event] });
  const letters = 1 + (await bed.poison());
  await eventually(SOON_MS, "the dead letters", async () =>
    (await events.listDeadLetters({})).deadLetters.length === letters ? true : undefined,
  );
  const { secret } = await subscriptions.rotateSecret({ id: first });
  canaries.add(secret);
  await subscriptions.testSubscription({ id: first });
  const [failing] = (await deliveries.listDeliveries({ pageSize: 500 })).deliveries;
  await deliveries.retryDelivery({ id: failing?.id ?? "" });
  const [letter] = (await events.listDeadLetters({})).deadLetters;
  await events.redriveDeadLetters({ ids: [letter?.id ?? ""] });
  await misbehave(clients, url, session, "evt-2");
  await bin.forgetPass(bed);
  await subscriptions.deleteSubscription({ id: first });
  await access.revokeKey({ id: (await access.listKeys({})).keys[0]?.id ?? "" });

  const said = new Map<string, string>([["error messages", clients.heard.join("\n")]]);
  const { deliveries: made } = await deliveries.listDeliveries({ pageSize: 500 });
  const errors = made.flatMap(({ attempts }) =>
    attempts.map(({ errorCode, errorMessage }) => `${errorCode} ${errorMessage}`),
  );
  expect(new Set(errors).size).toBeGreaterThan(4);
  said.set("errors of attempts", errors.join("\n"));
  const { deadLetters } = await events.listDeadLetters({});
  said.set("messages of dead letters", deadLetters.map(({ message }) => message).join("\n"));
  const { explanations } = await events.explainEvent({ eventId: "evt-1" });
  said.set("explanations", explanations.map(({ reason, message }) => `${reason} ${message}`).join("\n"));
  said.set("metrics", await (await fetch(String(bed.passbus.logged("metrics.served")[0]?.url))).text());
  for (const path of ["healthz", "readyz"]) said.set(path, await (await fetch(`${url}/${path}`)).text());
  const records = await eventually(SOON_MS, "refusals in the audit log", async () => {
    const { records: found } = await access.listAuditRecords({ pageSize: 500 });
    return found.some(({ refused }) => refused) ? found : undefined;
  });
  said.set(
    "audit records",
    JSON.stringify(records, (_, value) => (typeof value === "bigint" ? String(value) : value)),
  );
  session.abort();
  await judgeStore(bed, { canaries, receiver, secrets: [operatorKey, token, secret, ...SEALED] });
  await bed.passbus.end("SIGTERM");
  said.set("log", bed.passbus.output);
  expect(bed.passbus.output).toContain('"level":"debug"');
  for (const [where, text] of said) expect(text.length, where).toBeGreaterThan(1);
  expect([...said].flatMap(([where, text]) => canaries.foundIn(where, text))).toEqual([]);
}

describe("with a canary everywhere", SLOW, () => {
  test("a search that finds nothing would find one", () => {
    const canaries = new Canaries();
    canaries.add("whsec_0123456789");
    expect(canaries.foundIn("log", `{"event":"x","to":"${canary("surname").toUpperCase()}"}`)).toHaveLength(1);
    expect(canaries.foundIn("log", "… whsec_0123456789 …")).toHaveLength(1);
    expect(canaries.foundIn("log", "nothing")).toEqual([]);
    const event = toJsonString(PassEventSchema, canaryEvent("evt-1", "pass-1"));
    for (const field of ["surname", "emailAddress", "mobileNumber", "externalId", "recordData", "owner_address"]) {
      expect(event, field).toMatch(new RegExp(`${MARK}[a-zA-Z_-]*${field}`));
    }
  });

  test("the embedded deployment tells none of them", async () => {
    using data = new DataDirectory();
    await using receiver = await CanaryReceiver.start();
    await using passbus = await RunningPassbus.start(data.path, { ...SETTINGS, PASSBUS_ENCRYPT_PAYLOADS: "true" });
    const contents = async () => {
      const database = new DatabaseSync(join(data.path, "store.db"), { readOnly: true });
      try {
        const tables = database.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all();
        return new Map(
          tables.map(({ name }) => {
            const rows = database.prepare(`SELECT * FROM "${name}"`).all();
            const text = rows
              .flatMap((row) => Object.values(row))
              .map((value) => (value instanceof Uint8Array ? Buffer.from(value).toString("latin1") : String(value)));
            return [String(name), text.join("\n")];
          }),
        );
      } finally {
        database.close();
      }
    };
    const isRecorded = async () => {
      const { committed, end } = logState(data.path);
      return committed === end;
    };
    await everything({ passbus, isEncrypted: true, poison: async () => 0, isRecorded, contents }, receiver);
    // Secrets are in no file either, but for those that docs/security.md names: none, where they come from the settings.
    for (const name of readdirSync(data.path)) {
      const bytes = readFileSync(join(data.path, name));
      if (name.startsWith("log.db")) expect(bytes.includes(Buffer.from(MARK)), name).toBe(false);
      for (const secret of [BOOTSTRAP, ENCRYPTION_KEY.slice(3), canary("authorization")]) {
        expect(bytes.includes(Buffer.from(secret)), `${secret} in ${name}`).toBe(false);
      }
    }
  });

  test("a start that fails, and a proxy that refuses, tell no password", async () => {
    using data = new DataDirectory();
    const credentials = `${canary("user")}:${canary("password")}`;
    const nowhere = {
      PASSBUS_ENCRYPTION_KEYS: ENCRYPTION_KEY,
      PASSBUS_MONGODB_URI: `mongodb://${credentials}@127.0.0.1:1/x?replicaSet=rs0`,
      PASSBUS_KAFKA_BROKERS: "127.0.0.1:1",
      PASSBUS_KAFKA_SASL_MECHANISM: "plain",
      PASSBUS_KAFKA_SASL_USERNAME: canary("sasl-user"),
      PASSBUS_KAFKA_SASL_PASSWORD: canary("sasl-password"),
      PASSBUS_LOG_LEVEL: "trace",
    };
    await using refused = new ServeProcess(data.path, nowhere);
    expect((await within(SOON_MS, "the end of a start without its services", refused.exited)).code).toBe(1);
    await using wrong = new ServeProcess(data.path, {
      PASSBUS_ENCRYPTION_KEYS: canary("not-a-key"),
      PASSBUS_LOG_LEVEL: "trace",
    });
    expect((await within(SOON_MS, "the end of a start with a wrong key", wrong.exited)).code).toBe(2);
    await using passbus = await RunningPassbus.start(data.path, {
      ...SETTINGS,
      PASSBUS_OUTBOUND_PROXY: `http://${credentials}@127.0.0.1:2/`,
    });
    const session = new Http2SessionManager(passbus.url);
    const clients = new Clients(passbus.url, BOOTSTRAP, session);
    await clients.subscriptions.createSubscription({ subscription: { url: "http://127.0.0.1:3/" } });
    await clients.events.publishEvents({ events: [canaryEvent("evt-1", "pass-1")] });
    const attempts = await eventually(SOON_MS, "an attempt", async () => {
      const [delivery] = (await clients.deliveries.listDeliveries({})).deliveries;
      return delivery === undefined || delivery.attempts.length === 0 ? undefined : delivery.attempts;
    });
    session.abort();
    await passbus.end("SIGTERM");
    const said = [refused.output, wrong.output, passbus.output, ...attempts.map(({ errorMessage }) => errorMessage)];
    expect(said.flatMap((text, at) => new Canaries().foundIn(String(at), text))).toEqual([]);
  });
});

const needed = allOf(kafka, mongodb);

describe.skipIf(!needed.present)(needed.title("with a canary everywhere, distributed"), SLOW, () => {
  test.each([
    ["with payloads in the clear", false],
    ["with payloads encrypted", true],
  ])("the distributed deployment tells none of them, %s", async (_, isEncrypted) => {
    const settings = { ...SETTINGS, PASSBUS_ENCRYPT_PAYLOADS: String(isEncrypted) };
    await using deployment = await Deployment.make({ brokers: kafkaBrokers(), mongodbUri: mongodbUri() }, settings);
    await using receiver = await CanaryReceiver.start();
    await using passbus = await deployment.start("api,worker");
    const poison = async () => {
      const producer = new Kafka({ brokers: kafkaBrokers().split(","), logLevel: logLevel.NOTHING }).producer();
      await producer.connect();
      const messages = poisonMessages();
      await producer.send({ topic: deployment.topic, messages });
      await producer.disconnect();
      return messages.length;
    };
    const contents = async () => {
      const names = await deployment.database.listCollections({}, { nameOnly: true }).toArray();
      const all = names.map(async ({ name }) => {
        const documents = await deployment.database.collection(name).find().toArray();
        return [name, documents.map((one) => Buffer.from(BSON.serialize(one)).toString("latin1")).join("\n")] as const;
      });
      return new Map(await Promise.all(all));
    };
    const isRecorded = async () => {
      const { committed, end } = await deployment.progress();
      return committed === end;
    };
    await everything({ passbus, isEncrypted, poison, isRecorded, contents }, receiver);
  });
});
