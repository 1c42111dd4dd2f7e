/**
 * One event by every way in: published by gRPC, on a stream and as JSON, and produced to Kafka in every form by kcat. It
 * gives the same webhooks each time, and is one event where its id is the same.
 */
import { create } from "@bufbuild/protobuf";
import { createClient, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { describe, expect, test } from "vitest";
import { EventService } from "../../gen/passbus/v1/event_service_pb.js";
import { type PassEvent, PassEventSchema, PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { Format } from "../../gen/passbus/v1/subscription_pb.js";
import { sampleEvent } from "../../src/formats/samples.ts";
import { Deployment } from "../support/distributed.ts";
import { KAFKA_FORMS, type KafkaForm } from "../support/kafka-forms.ts";
import { kcatSend } from "../support/kcat.ts";
import { BOOTSTRAP_KEY, DataDirectory, RunningPassbus } from "../support/passbus.ts";
import { bodyOf, httpServer, type TestServer } from "../support/receiver.ts";
import { allOf } from "../support/requirements.ts";
import { kafka, kafkaBrokers, kcat, mongodb, mongodbUri } from "../support/services/services.ts";
import { logState } from "../support/store-files.ts";
import { eventually } from "../support/within.ts";

const LIMIT_MS = 30_000;
/** Stands in ids, and nowhere else in an event. */
const NUMBER = /way-\d\d/g;

interface Way {
  readonly name: string;
  readonly saysPassAlone?: true;
  readonly send: (event: PassEvent) => Promise<void>;
}

interface Webhook {
  readonly path: string;
  readonly method: string;
  readonly body: string;
}

/** Seed 003's installed pass with all that the other dialects say, in a way's own ids. */
function fullEvent(number: number): PassEvent {
  const event = sampleEvent(PassEventType.INSTALLED);
  if (event?.pass === undefined) throw new Error("no sample");
  const name = `way-${String(number).padStart(2, "0")}`;
  event.pass.id = `pass-${name}`;
  return Object.assign(event, { id: `evt-${name}`, organisationId: "default", environment: "production" });
}

/** No more of it than PassKit's payload says. */
function passAlone(number: number): PassEvent {
  const { id, type, pass } = fullEvent(number);
  return create(PassEventSchema, { id, type, ...(pass && { pass }) });
}

function waysOfTheApi({ api, url }: RunningPassbus): readonly Way[] {
  const withKey: Interceptor = (next) => (request) => {
    request.header.set("authorization", `Bearer ${BOOTSTRAP_KEY}`);
    return next(request);
  };
  const transport = createConnectTransport({
    baseUrl: url,
    httpVersion: "1.1",
    interceptors: [withKey],
    useBinaryFormat: false,
  });
  const json = createClient(EventService, transport);
  const stream = async (event: PassEvent) => {
    const one = async function* () {
      yield { event };
    };
    for await (const { result, error } of api.events.publishEventStream(one())) {
      expect({ id: result?.eventId, error }).toEqual({ id: event.id, error: undefined });
    }
  };
  return [
    { name: "PublishEvents, gRPC", send: async (event) => void (await api.events.publishEvents({ events: [event] })) },
    { name: "PublishEvents, JSON", send: async (event) => void (await json.publishEvents({ events: [event] })) },
    { name: "PublishEventStream", send: stream },
  ];
}

function wayOf(topic: string, { record, ...form }: KafkaForm): Way {
  return {
    ...form,
    send(event) {
      const { headers, value } = record(event);
      return kcatSend({ brokers: kafkaBrokers(), topic, headers }, [{ key: event.pass?.id ?? "", value }]);
    },
  };
}

/** Answers everything, and keeps it. */
class Receiver implements AsyncDisposable {
  readonly webhooks: readonly Webhook[];
  readonly #server: TestServer;

  private constructor(server: TestServer, webhooks: readonly Webhook[]) {
    this.#server = server;
    this.webhooks = webhooks;
  }

  static async start(): Promise<Receiver> {
    const webhooks: Webhook[] = [];
    const server = await httpServer(async (request, response) => {
      const body = (await bodyOf(request)).toString();
      webhooks.push({ path: request.url ?? "", method: request.method ?? "", body });
      response.writeHead(200).end();
    });
    return new Receiver(server, webhooks);
  }

  async subscribe({ api }: RunningPassbus, formats: readonly Format[]): Promise<void> {
    for (const format of formats) {
      const url = `http://127.0.0.1:${this.#server.port}/${Format[format]}`;
      await api.subscriptions.createSubscription({ subscription: { url, format } });
    }
  }

  /** Resolves with what came at a path for each way's event, each once. */
  async of(format: Format, ways: number): Promise<readonly Webhook[]> {
    const path = `/${Format[format]}`;
    const all = () => this.webhooks.filter((webhook) => webhook.path === path);
    await eventually(LIMIT_MS, `${ways} webhooks at ${path}`, () => (all().length >= ways ? true : undefined));
    const names = all().map(({ body }) => body.match(NUMBER)?.[0]);
    expect([...names].sort()).toEqual([...new Set(names)].sort());
    return all();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]();
  }
}

const FORMATS = [Format.STANDARD, Format.PASSKIT, Format.PASSENTRY, Format.CLOUDEVENTS] as const;

/** What differs between two ways' webhooks and may: their ids, and the log's time where the event has none. */
function comparable({ method, body }: Webhook, hasTime: boolean): unknown {
  const text = body.replaceAll(NUMBER, "way");
  if (hasTime) return { method, text };
  const { timestamp: _, time: __, ...others } = JSON.parse(text) as Readonly<Record<string, unknown>>;
  return { method, others };
}

async function sendAll(ways: readonly Way[], eventOf: (number: number) => PassEvent): Promise<void> {
  for (const [at, { send }] of ways.entries()) await send(eventOf(at));
}

async function expectSame(
  receiver: Receiver,
  formats: readonly Format[],
  ways: readonly Way[],
  hasTime: boolean,
): Promise<void> {
  for (const format of formats) {
    const webhooks = await receiver.of(format, ways.length);
    const first = webhooks.find(({ body }) => body.includes("way-00"));
    expect(first).toBeDefined();
    for (const [at, { name }] of ways.entries()) {
      const number = `way-${String(at).padStart(2, "0")}`;
      const [webhook, ...others] = webhooks.filter(({ body }) => body.includes(number));
      expect(others, name).toEqual([]);
      expect(webhook && comparable(webhook, hasTime), `${name}, ${Format[format]}`).toEqual(
        first && comparable(first, hasTime),
      );
    }
  }
}

/** Sends one event by every way, and other content under its id; resolves when the log has nothing left to be read. */
async function sendOneEvent(ways: readonly Way[], isThrough: () => Promise<boolean> | boolean): Promise<void> {
  for (const { send } of ways) await send(passAlone(99));
  const [first] = ways;
  await first?.send(Object.assign(passAlone(99), { type: PassEventType.DELETED }));
  await eventually(LIMIT_MS, "the log's position at its end", async () => ((await isThrough()) ? true : undefined));
}

async function expectOneEvent(passbus: RunningPassbus, receiver: Receiver, format: Format): Promise<void> {
  const { deadLetters } = await passbus.api.events.listDeadLetters({});
  expect(deadLetters.map(({ reason }) => reason)).toEqual(["event.conflict"]);
  expect((await passbus.end("SIGTERM")).code).toBe(0);
  const ofIt = receiver.webhooks.filter(({ path, body }) => path === `/${Format[format]}` && body.includes("way-99"));
  expect(ofIt.map(({ method }) => method)).toHaveLength(1);
}

const needed = allOf(kafka, mongodb, kcat);

describe.skipIf(!needed.present)(needed.title("every way in, distributed"), () => {
  const servers = () => ({ brokers: kafkaBrokers(), mongodbUri: mongodbUri() });

  test("an event with all that it can say", { timeout: 120_000 }, async () => {
    await using deployment = await Deployment.make(servers());
    await using receiver = await Receiver.start();
    await using passbus = await deployment.start("api,worker");
    await receiver.subscribe(passbus, FORMATS);
    const forms = KAFKA_FORMS.filter(({ saysPassAlone }) => saysPassAlone !== true);
    const ways = [...waysOfTheApi(passbus), ...forms.map((form) => wayOf(deployment.topic, form))];
    await sendAll(ways, fullEvent);
    await expectSame(receiver, FORMATS, ways, true);
  });

  test("an event of a pass alone, PassKit's payload too; and one id is one event", { timeout: 120_000 }, async () => {
    await using deployment = await Deployment.make(servers());
    await using receiver = await Receiver.start();
    await using passbus = await deployment.start("api,worker");
    const formats = [Format.STANDARD, Format.PASSKIT, Format.CLOUDEVENTS];
    await receiver.subscribe(passbus, formats);
    const ways = [...waysOfTheApi(passbus), ...KAFKA_FORMS.map((form) => wayOf(deployment.topic, form))];
    await sendAll(ways, passAlone);
    await expectSame(receiver, formats, ways, false);
    await sendOneEvent(ways, async () => {
      const { committed, end } = await deployment.progress();
      return committed === end && end === 2 * ways.length + 1;
    });
    await expectOneEvent(passbus, receiver, Format.PASSKIT);
  });
});

describe("every way in, embedded", () => {
  test("the same webhooks; and one id is one event", { timeout: 60_000 }, async () => {
    using data = new DataDirectory();
    await using receiver = await Receiver.start();
    await using passbus = await RunningPassbus.start(data.path);
    await receiver.subscribe(passbus, FORMATS);
    const ways = waysOfTheApi(passbus);
    await sendAll(ways, fullEvent);
    await expectSame(receiver, FORMATS, ways, true);
    await sendOneEvent(ways, () => {
      const { committed, end } = logState(data.path);
      return committed === end && end === 2 * ways.length + 1;
    });
    await expectOneEvent(passbus, receiver, Format.PASSKIT);
  });
});
