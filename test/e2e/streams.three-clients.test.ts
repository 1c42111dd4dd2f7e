/**
 * Streams of a real `passbus serve` with clients of three protocols: @grpc/grpc-js (gRPC over HTTP/2), Connect over
 * HTTP/1.1 with JSON, and gRPC-Web. Each tails events and watches deliveries, and each is told that the server stops.
 */
import {
  create,
  type DescMessage,
  type DescMethodServerStreaming,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import * as grpc from "@grpc/grpc-js";
import { expect, test } from "vitest";
import { DeliveryStatus } from "../../gen/passbus/v1/delivery_pb.js";
import { DeliveryService } from "../../gen/passbus/v1/delivery_service_pb.js";
import { EventService } from "../../gen/passbus/v1/event_service_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { BOOTSTRAP_KEY, DataDirectory, RunningPassbus } from "../support/passbus.ts";
import { httpServer } from "../support/receiver.ts";
import { eventually, within } from "../support/within.ts";

const AUTHORIZATION = `Bearer ${BOOTSTRAP_KEY}`;

type Open = <I extends DescMessage, O extends DescMessage>(
  method: DescMethodServerStreaming<I, O>,
  request: MessageInitShape<I>,
) => AsyncIterable<MessageShape<O>>;

function connectErrorOf({ code, details }: grpc.ServiceError): ConnectError {
  return new ConnectError(details, code as number);
}

function overGrpc(url: string): Open {
  return async function* (method, request) {
    const client = new grpc.Client(new URL(url).host, grpc.credentials.createInsecure());
    const metadata = new grpc.Metadata();
    metadata.set("authorization", AUTHORIZATION);
    const bytes = Buffer.from(toBinary(method.input, create(method.input, request)));
    const same = (value: Buffer) => value;
    const path = `/${method.parent.typeName}/${method.name}`;
    const stream = client.makeServerStreamRequest(path, same, same, bytes, metadata);
    try {
      for await (const chunk of stream) yield fromBinary(method.output, chunk as Buffer);
    } catch (reason) {
      throw connectErrorOf(reason as grpc.ServiceError);
    } finally {
      stream.cancel();
      client.close();
    }
  };
}

function over(transport: Transport): Open {
  return async function* (method, request) {
    const input = (async function* () {
      yield request;
    })();
    const header = { authorization: AUTHORIZATION };
    const { message } = await transport.stream(method, undefined, undefined, header, input);
    yield* message;
  };
}

const CLIENTS: Readonly<Record<string, (url: string) => Open>> = {
  "@grpc/grpc-js": overGrpc,
  "Connect over HTTP/1.1 with JSON": (url) =>
    over(createConnectTransport({ baseUrl: url, httpVersion: "1.1", useBinaryFormat: false })),
  "gRPC-Web": (url) => over(createGrpcWebTransport({ baseUrl: url, httpVersion: "1.1" })),
};

/** Reads in the background; what came, and how it ended. */
function reading<T>(stream: AsyncIterable<T>) {
  const told: T[] = [];
  const ended = (async () => {
    for await (const each of stream) told.push(each);
  })().then(
    () => undefined,
    (error: unknown) => ConnectError.from(error),
  );
  return { told, ended };
}

const event = (id: string) => ({ id, type: PassEventType.CREATED, pass: { id: `pass of ${id}` } });

/** Answers 503 to everything of the pass of `refused`, else 200. */
function receiverRefusing(refused: string) {
  return httpServer((request, response) => {
    let body = "";
    request.on("data", (chunk) => {
      body += String(chunk);
    });
    request.on("end", () => {
      response.statusCode = body.includes(`pass of ${refused}`) ? 503 : 200;
      response.end();
    });
  });
}

async function watching(url: string, subscriptionId: string) {
  const clients = Object.entries(CLIENTS).map(([name, client]) => {
    const open = client(url);
    const tail = reading(open(EventService.method.tailEvents, { type: PassEventType.CREATED }));
    const watch = reading(open(DeliveryService.method.watchDeliveries, { subscriptionId }));
    return { name, tail, watch };
  });
  for (const { name, tail, watch } of clients) {
    await eventually(5_000, `${name}'s first answers`, () =>
      tail.told.length === 1 && watch.told.length === 1 ? true : undefined,
    );
  }
  return clients;
}

/** Three that are events, and between them one that is none. */
async function publish({ events }: RunningPassbus["api"]) {
  async function* requests() {
    yield { event: event("evt_1") };
    yield { event: { id: "evt_bad", type: PassEventType.CREATED } };
    yield { event: event("evt_2") };
    yield { event: { ...event("evt_3"), type: PassEventType.SCANNED } };
  }
  const answers: unknown[] = [];
  for await (const { result, error } of events.publishEventStream(requests())) {
    answers.push([result?.eventId, error?.code ?? ""]);
  }
  return answers;
}

test("three clients see the same events and deliveries, and are told when the server stops", async () => {
  await using receiver = await receiverRefusing("evt_2");
  using data = new DataDirectory();
  await using passbus = await RunningPassbus.start(data.path);
  const { events, subscriptions } = passbus.api;
  const url = `http://127.0.0.1:${receiver.port}/hook`;
  const { subscription } = await subscriptions.createSubscription({ subscription: { url } });
  const subscriptionId = subscription?.id ?? "";

  const clients = await watching(passbus.url, subscriptionId);
  expect(await publish(passbus.api)).toEqual([
    ["evt_1", ""],
    ["evt_bad", "request.invalid"],
    ["evt_2", ""],
    ["evt_3", ""],
  ]);

  const delivered = { evt_1: DeliveryStatus.DELIVERED, evt_2: DeliveryStatus.WAITING, evt_3: DeliveryStatus.DELIVERED };
  for (const { name, tail, watch } of clients) {
    const stands = () =>
      Object.fromEntries(watch.told.flatMap(({ delivery }) => (delivery ? [[delivery.eventId, delivery.status]] : [])));
    await eventually(10_000, `${name}'s events and deliveries`, () =>
      tail.told.length === 3 && Object.keys(stands()).length === 3 ? true : undefined,
    );
    expect([name, tail.told.map((told) => told.event?.event?.id)]).toEqual([name, [undefined, "evt_1", "evt_2"]]);
    expect([name, stands()]).toEqual([name, delivered]);
    const refused = watch.told.find(({ delivery }) => delivery?.eventId === "evt_2")?.delivery;
    expect(refused).toMatchObject({ attemptCount: 1, attempts: [{ statusCode: 503 }] });
  }

  const reasons = async (eventId: string) =>
    (await events.explainEvent({ eventId, subscriptionId })).explanations.map(({ reason }) => reason);
  expect([await reasons("evt_1"), await reasons("evt_2")]).toEqual([["delivery.delivered"], ["delivery.waiting"]]);
  const later = await subscriptions.createSubscription({ subscription: { url: `${url}/of/one`, entityId: "shop" } });
  const { explanations } = await events.explainEvent({
    eventId: "evt_1",
    subscriptionId: later.subscription?.id ?? "",
  });
  expect(explanations).toMatchObject([{ reason: "match.scope", deliveryId: "" }]);

  expect(await passbus.end("SIGTERM")).toEqual({ code: 0, signal: null });
  for (const { name, tail, watch } of clients) {
    for (const { ended } of [tail, watch]) {
      const error = await within(5_000, `the end of ${name}'s stream`, ended);
      expect([name, error?.code, error?.rawMessage]).toEqual([
        name,
        Code.Unavailable,
        expect.stringContaining("is stopping"),
      ]);
    }
  }
});
