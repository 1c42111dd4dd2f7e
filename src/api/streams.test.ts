/** The calls that stream, over the real port. */
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { Http2SessionManager } from "@connectrpc/connect-node";
import { afterEach, describe, expect, it } from "vitest";
import { DeliveryStatus } from "../../gen/passbus/v1/delivery_pb.js";
import { DeliveryService } from "../../gen/passbus/v1/delivery_service_pb.js";
import { EventService } from "../../gen/passbus/v1/event_service_pb.js";
import { OperationalEventType } from "../../gen/passbus/v1/operational_event_pb.js";
import { PassEventSchema, PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { event, finished, T0, waiting } from "../../test/contracts/rows.ts";
import { ADMIN_KEY, type TestApi, testApi } from "../../test/support/api.ts";
import { grpcWithKey } from "../../test/support/grpc.ts";
import { MemoryChanges } from "../../test/support/memory-changes.ts";
import { eventually, within } from "../../test/support/within.ts";
import type { StoredEvent } from "../domain/event.ts";
import { type Clock, systemClock } from "../kernel/clock.ts";
import { CodedError } from "../kernel/errors.ts";
import { LIMITS } from "../kernel/limits.ts";
import { LIVE_STREAMS } from "./streams.ts";

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function setUp({ clock = systemClock }: { readonly clock?: Clock } = {}) {
  const feed = new MemoryChanges();
  const api = await testApi({ changes: feed, clock });
  closing.push(() => api.stop(0));
  return { feed, api, ...clientsOf(api) };
}

function clientsOf(api: TestApi, key = ADMIN_KEY) {
  const sessionManager = new Http2SessionManager(api.url);
  closing.unshift(() => sessionManager.abort());
  const transport = grpcWithKey(api.url, key, sessionManager);
  return { events: createClient(EventService, transport), deliveries: createClient(DeliveryService, transport) };
}

function pass(id: string, over: Partial<StoredEvent> = {}): StoredEvent {
  const type = over.type ?? PassEventType.CREATED;
  return { ...event(id, over), type, value: toBinary(PassEventSchema, create(PassEventSchema, { id, type })) };
}

/** Reads on as a test asks; the first answer, which says that the stream has begun, has come. */
async function begun<T>(stream: AsyncIterable<T>): Promise<AsyncIterator<T>> {
  const iterator = stream[Symbol.asyncIterator]();
  await within(5_000, "the first answer", iterator.next());
  return iterator;
}

const nextOf = async <T>(iterator: AsyncIterator<T>) => {
  const { value, done } = await within(5_000, "an answer", iterator.next());
  if (done === true) throw new Error("the stream has ended");
  return value as T;
};

async function errorOf(iterator: AsyncIterator<unknown>): Promise<ConnectError> {
  const ended = iterator.next().then(
    () => undefined,
    (error: unknown) => ConnectError.from(error),
  );
  const error = await within(5_000, "the stream's end", ended);
  if (error === undefined) throw new Error("the stream went on");
  return error;
}

describe("TailEvents", () => {
  it("says that it has begun, and then what is stored and asked for", async () => {
    const { feed, events } = await setUp();
    const stream = events.tailEvents({ passId: "p1", type: PassEventType.SCANNED })[Symbol.asyncIterator]();
    const first = await nextOf(stream);
    expect([first.event, first.skipped]).toEqual([undefined, 0n]);
    const scanned = { type: PassEventType.SCANNED };
    feed.store(pass("evt_1", { passId: "p1" }), pass("evt_2", { ...scanned, passId: "p2" }));
    feed.store(pass("evt_3", { ...scanned, passId: "p1" }));
    const told = await nextOf(stream);
    expect(told.event?.event?.id).toBe("evt_3");
    expect(told.event?.acceptedAt?.seconds).toBe(1_700_000_000n);
    expect(feed.tenants).toEqual([{ organisation: "acme", environment: "production" }]);
  });

  it("tells a client that does not read how much it missed", async () => {
    const { feed, events } = await setUp();
    const stream = await begun(events.tailEvents({}));
    const large = toBinary(PassEventSchema, create(PassEventSchema, { details: { downloadUrl: "x".repeat(50_000) } }));
    const count = 400;
    // 20 MB: more than the windows of the connection and the buffers on both sides hold.
    feed.store(...Array.from({ length: count }, (_, at) => ({ ...pass(`evt_${at}`), value: large })));
    feed.store(pass("evt_last"));
    const ids: string[] = [];
    let skipped = 0;
    while (ids.at(-1) !== "evt_last") {
      const told = await nextOf(stream);
      skipped += Number(told.skipped);
      if (told.event?.event !== undefined) ids.push(told.event.event.id);
    }
    expect(skipped).toBeGreaterThan(0);
    expect(ids.length + skipped).toBe(count + 1);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it("refuses a type that is none", async () => {
    const { events } = await setUp();
    const none: number = 99;
    const error = await errorOf(events.tailEvents({ type: none })[Symbol.asyncIterator]());
    expect([error.code, error.rawMessage]).toEqual([Code.InvalidArgument, "type: 99 is not one of its values"]);
  });

  it("lets go of everything when the client goes", async () => {
    const { feed, events } = await setUp();
    const going = new AbortController();
    await begun(events.tailEvents({}, { signal: going.signal }));
    expect(feed.open).toBe(1);
    going.abort();
    await eventually(5_000, "the reader closed", () => (feed.open === 0 ? true : undefined));
  });

  it("ends with DEADLINE_EXCEEDED at the client's deadline", async () => {
    const { feed, events } = await setUp();
    const stream = await begun(events.tailEvents({}, { timeoutMs: 300 }));
    expect((await errorOf(stream)).code).toBe(Code.DeadlineExceeded);
    await eventually(5_000, "the reader closed", () => (feed.open === 0 ? true : undefined));
  });

  it("says DEADLINE_EXCEEDED itself to a client that leaves its deadline to the server", async () => {
    const { api } = await setUp();
    const response = await fetch(`${api.url}/passbus.v1.EventService/TailEvents`, {
      method: "POST",
      headers: {
        authorization: `Bearer ${ADMIN_KEY}`,
        "content-type": "application/connect+json",
        "connect-protocol-version": "1",
        "connect-timeout-ms": "300",
      },
      body: new Uint8Array([0, 0, 0, 0, 2, ...Buffer.from("{}")]),
    });
    expect(await within(5_000, "the end", response.text())).toContain('"code":"deadline_exceeded"');
  });

  it("ends with UNAVAILABLE when the server stops, which it does not hold up", async () => {
    const { api, events, deliveries } = await setUp();
    const streams = [await begun(events.tailEvents({})), await begun(deliveries.watchDeliveries({}))];
    const stopped = within(5_000, "the stop", api.stop(60_000));
    for (const stream of streams) {
      const error = await errorOf(stream);
      expect([error.code, error.rawMessage]).toEqual([Code.Unavailable, expect.stringContaining("is stopping")]);
    }
    await stopped;
  });

  it("ends with the store's failure, in the design's words", async () => {
    const { feed, events, api } = await setUp();
    const stream = await begun(events.tailEvents({}));
    feed.failure = new CodedError("store.unavailable", "secret details");
    const error = await errorOf(stream);
    expect([error.code, error.rawMessage]).toEqual([Code.Unavailable, "The store did not answer."]);
    feed.failure = new Error("a mistake");
    expect((await errorOf(await begun(events.tailEvents({})))).code).toBe(Code.Internal);
    expect(api.stage.errors).toMatchObject([
      { event: "api.call_failed", fields: { method: "passbus.v1.EventService/TailEvents" } },
    ]);
  });
});

describe("WatchDeliveries", () => {
  it("tells each change of what is asked for", async () => {
    const { feed, deliveries } = await setUp();
    const all = await begun(deliveries.watchDeliveries({}));
    const done = await begun(deliveries.watchDeliveries({ subscriptionId: "sub_1", status: DeliveryStatus.DELIVERED }));
    feed.change(waiting("d1"), finished("d2", "delivered", "a1", { subscriptionId: "sub_2" }));
    feed.change(finished("d1", "delivered", "a1"));
    const told = [await nextOf(all), await nextOf(all), await nextOf(all)];
    expect(told.map(({ delivery }) => [delivery?.id, delivery?.status])).toEqual([
      ["d1", DeliveryStatus.WAITING],
      ["d2", DeliveryStatus.DELIVERED],
      ["d1", DeliveryStatus.DELIVERED],
    ]);
    expect((await nextOf(done)).delivery).toMatchObject({ id: "d1", attempts: [{ id: "a1" }] });
  });

  it("tells of one type of event alone, of passes or of passbus's own", async () => {
    const { feed, deliveries } = await setUp();
    const scans = await begun(deliveries.watchDeliveries({ eventType: PassEventType.SCANNED }));
    const news = await begun(
      deliveries.watchDeliveries({ operationalEventType: OperationalEventType.DELIVERY_FAILED }),
    );
    feed.change(
      waiting("d1"),
      waiting("d2", T0, { eventType: PassEventType.SCANNED }),
      // The number of passbus's own type is this one too.
      waiting("d3", T0, { eventType: PassEventType.UNINSTALLED }),
      waiting("d4", T0, {
        eventType: PassEventType.UNSPECIFIED,
        operationalType: OperationalEventType.DELIVERY_FAILED,
      }),
    );
    expect((await nextOf(scans)).delivery?.id).toBe("d2");
    expect((await nextOf(news)).delivery?.id).toBe("d4");
  });
});

describe("streams of one key", () => {
  it(`are ${LIMITS.streamsPerKey} at most, until one ends`, async () => {
    const { feed, api, events } = await setUp();
    const going = new AbortController();
    const open = () => events.tailEvents({}, { signal: going.signal });
    await Promise.all(Array.from({ length: LIMITS.streamsPerKey }, () => begun(open())));
    const error = await errorOf(open()[Symbol.asyncIterator]());
    expect([error.code, error.rawMessage]).toEqual([Code.ResourceExhausted, expect.stringContaining("32 streams")]);
    await begun(clientsOf(api, api.stage.key("viewer")).events.tailEvents({}));
    going.abort();
    await eventually(5_000, "a free stream", async () => {
      const again = events.tailEvents({})[Symbol.asyncIterator]();
      return again.next().then(
        () => true,
        () => undefined,
      );
    });
    expect(feed.open).toBe(1);
  });
});

describe("streams that keep a page live", () => {
  it("count apart from the others, within bounds of their own", async () => {
    const { perKey, perOrganisation, all } = LIVE_STREAMS;
    expect([perKey, perOrganisation, all]).toEqual([
      LIMITS.liveStreamsPerKey,
      LIMITS.liveStreamsPerOrganisation,
      LIMITS.liveStreams,
    ]);
    const { api, events } = await setUp();
    const { deliveries } = clientsOf(api, api.stage.key("viewer"));
    await Promise.all(Array.from({ length: perKey }, () => begun(deliveries.watchChanges({}))));
    const error = await errorOf(deliveries.watchOverview({})[Symbol.asyncIterator]());
    expect([error.code, error.rawMessage]).toEqual([
      Code.ResourceExhausted,
      `the key has ${perKey} streams open, as many as it may`,
    ]);
    await begun(events.tailEvents({}));
  });
});

describe("streams of one organisation", () => {
  it(`are ${LIMITS.streamsPerOrganisation} at most, of whichever key, and others have theirs`, async () => {
    const { api } = await setUp();
    const environments = ["production", "staging"];
    const tenants = environments.map((environment) => ({ organisation: "acme", environment }));
    const keys = tenants.map((tenant) => api.stage.key("viewer", tenant));
    expect(keys.length * LIMITS.streamsPerKey).toBe(LIMITS.streamsPerOrganisation);
    const going = new AbortController();
    for (const key of keys) {
      const { events } = clientsOf(api, key);
      const open = () => begun(events.tailEvents({}, { signal: going.signal }));
      await Promise.all(Array.from({ length: LIMITS.streamsPerKey }, open));
    }
    const own = clientsOf(api).events;
    const error = await errorOf(own.tailEvents({})[Symbol.asyncIterator]());
    expect([error.code, error.rawMessage]).toEqual([
      Code.ResourceExhausted,
      `the organisation has ${LIMITS.streamsPerOrganisation} streams open, as many as it may`,
    ]);
    const globex = { organisation: "globex", environment: "production" };
    await begun(clientsOf(api, api.stage.key("viewer", globex)).events.tailEvents({}));
    going.abort();
    await eventually(5_000, "a free stream", async () => {
      const again = own.tailEvents({})[Symbol.asyncIterator]();
      return again.next().then(
        () => true,
        () => undefined,
      );
    });
  });
});

describe("streams of all keys", () => {
  it(`are ${LIMITS.streams} at most`, async () => {
    const { api } = await setUp();
    const open = (client: ReturnType<typeof clientsOf>) => client.events.tailEvents({});
    const keys = Array.from({ length: LIMITS.streams / LIMITS.streamsPerKey }, (_, at) =>
      api.stage.key("viewer", { organisation: `org-${Math.floor(at / 2)}`, environment: "production" }),
    );
    for (const key of keys) {
      const client = clientsOf(api, key);
      await Promise.all(Array.from({ length: LIMITS.streamsPerKey }, () => begun(open(client))));
    }
    const error = await errorOf(open(clientsOf(api))[Symbol.asyncIterator]());
    expect([error.code, error.rawMessage]).toEqual([
      Code.ResourceExhausted,
      `${LIMITS.streams} streams are open, as many as passbus takes`,
    ]);
  });
});

describe("PublishEventStream", () => {
  it("answers each event while the client goes on sending", async () => {
    const { api, events } = await setUp();
    const sent: string[] = [];
    let answered = () => {};
    async function* requests() {
      for (const id of ["evt_1", "evt_2", "evt_3"]) {
        sent.push(id);
        const answer = new Promise<void>((resolve) => {
          answered = resolve;
        });
        yield { event: { id, type: PassEventType.CREATED, pass: { id: id === "evt_2" ? "" : "p1" } } };
        await answer;
      }
    }
    const answers: unknown[] = [];
    for await (const { result, error } of events.publishEventStream(requests())) {
      answers.push([sent.length, result?.eventId, error?.code, error?.message]);
      answered();
    }
    expect(answers).toEqual([
      [1, "evt_1", undefined, undefined],
      [2, "evt_2", "request.invalid", "event.pass.id: is required"],
      [3, "evt_3", undefined, undefined],
    ]);
    expect(api.stage.records.map(({ headers }) => headers["event-id"])).toEqual(["evt_1", "evt_3"]);
  });

  it("is not for those who only read", async () => {
    const { api } = await setUp();
    const { events } = clientsOf(api, api.stage.key("viewer"));
    const error = await errorOf(events.publishEventStream((async function* () {})())[Symbol.asyncIterator]());
    expect(error.code).toBe(Code.PermissionDenied);
  });

  it("does not say to the sender why the log took nothing", async () => {
    const { api, events } = await setUp();
    api.stage.append = async () => [{ durable: false, reason: "broker 10.0.0.7 is gone" }];
    async function* requests() {
      yield { event: { id: "evt_1", type: PassEventType.CREATED, pass: { id: "p1" } } };
    }
    for await (const { error } of events.publishEventStream(requests())) {
      expect(error).toMatchObject({ code: "log.unavailable", message: "The event log did not take the records." });
    }
  });

  it("stops reading from a sender that takes no answers", async () => {
    const { api, events } = await setUp();
    let sent = 0;
    const total = LIMITS.publishAhead * 10;
    async function* requests() {
      for (; sent < total; sent++) {
        const id = `evt_${String(sent).padStart(120, "0")}`;
        yield { event: { id, type: PassEventType.CREATED, pass: { id: "p1" } } };
      }
    }
    const stream = events.publishEventStream(requests())[Symbol.asyncIterator]();
    await nextOf(stream);
    let before = -1;
    // It has stopped when the log gets nothing more between two looks, each after the loop has turned many times.
    await eventually(10_000, "the sender's standstill", () => {
      const now = api.stage.records.length;
      if (now === before) return true;
      before = now;
      return undefined;
    });
    expect(api.stage.records.length).toBeLessThan(total);
    let answers = 1;
    for (let next = await stream.next(); next.done !== true; next = await stream.next()) answers += 1;
    expect([answers, api.stage.records.length]).toEqual([total, total]);
  });
});

describe("a key that is revoked", () => {
  it("has its streams ended with UNAUTHENTICATED within a second, whether anything is told on them or not", async () => {
    const { feed, api } = await setUp();
    const key = api.stage.key("operator");
    const { events, deliveries } = clientsOf(api, key);
    const quiet = await begun(deliveries.watchDeliveries({}));
    const told = await begun(events.tailEvents({}));
    feed.store(pass("evt_1"));
    expect((await nextOf(told)).event?.event?.id).toBe("evt_1");
    const beganMs = performance.now();
    api.stage.revoke(key);
    for (const stream of [quiet, told]) expect((await errorOf(stream)).code).toBe(Code.Unauthenticated);
    expect(performance.now() - beganMs).toBeLessThan(1_000);
    await eventually(5_000, "the reader closed", () => (feed.open === 0 ? true : undefined));
  });

  it("ends a stream that publishes, too", async () => {
    const { api } = await setUp();
    const key = api.stage.key("publisher");
    const { promise: silence, resolve: end } = Promise.withResolvers<void>();
    async function* requests() {
      yield { event: { id: "evt_1", type: PassEventType.CREATED, pass: { id: "p1" } } };
      await silence;
    }
    const stream = clientsOf(api, key).events.publishEventStream(requests())[Symbol.asyncIterator]();
    expect((await nextOf(stream)).result?.eventId).toBe("evt_1");
    api.stage.revoke(key);
    expect((await errorOf(stream)).code).toBe(Code.Unauthenticated);
    end();
  });
});
