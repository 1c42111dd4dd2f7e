/**
 * What a passbus in a process of its own keeps and lets go of. Time can't pass here, so that the rows in the files of a
 * passbus that was stopped are made older instead; and its clock is set ahead, where it must not let go of anything.
 */
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Code, createClient } from "@connectrpc/connect";
import { Http2SessionManager } from "@connectrpc/connect-node";
import { describe, expect, test } from "vitest";
import { AccessService } from "../../gen/passbus/v1/access_service_pb.js";
import { DeliveryStatus } from "../../gen/passbus/v1/delivery_pb.js";
import { State, WhileDisabled } from "../../gen/passbus/v1/subscription_pb.js";
import { DEAD_URL, subscribe, subscribeElsewhere } from "../support/endpoints.ts";
import { FakeClock, faketime } from "../support/fake-clock.ts";
import { failureOf, grpcWithKey } from "../support/grpc.ts";
import { numberedEvents } from "../support/paced-publisher.ts";
import { BOOTSTRAP_KEY, DataDirectory, RunningPassbus } from "../support/passbus.ts";
import { Sink } from "../support/sink.ts";
import { remains, statusCounts } from "../support/store-files.ts";
import { eventually } from "../support/within.ts";

/** Three processes, one after the other. */
const SLOW = { timeout: 60_000 };

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** Everything in the store happened so much earlier. */
function makeOlder(dataDir: string, byMs: number): void {
  const database = new DatabaseSync(join(dataDir, "store.db"));
  database.exec(`
    UPDATE events SET logged_at = logged_at - ${byMs};
    UPDATE deliveries SET created_at = created_at - ${byMs}, finished_at = finished_at - ${byMs};
    UPDATE subscriptions SET document = json_set(document,
      '$.disabledSpans[0].fromMs', json_extract(document, '$.disabledSpans[0].fromMs') - ${byMs})
      WHERE json_extract(document, '$.disabledSpans[0].fromMs') IS NOT NULL;
  `);
  database.close();
}

const purged = (passbus: RunningPassbus) =>
  eventually(10_000, "a line that says what was purged", () => passbus.logged("retention.purged")[0]);

const failureCode = async (call: Promise<unknown>) => (await failureOf(call)).code;

test(
  "finished deliveries and their events go with age; what waits stays with its event; what was held too long ends",
  SLOW,
  async () => {
    using directory = new DataDirectory();
    await using sink = await Sink.start();
    const [event, ...more] = numberedEvents(10);
    if (event === undefined) throw new Error("there is no event");
    await using first = await RunningPassbus.start(directory.path);
    const well = await subscribe(first.api, sink, "/well");
    const held = await subscribe(first.api, sink, "/held", {
      state: State.DISABLED,
      policy: { whileDisabled: WhileDisabled.HOLD },
    });
    await first.api.events.publishEvents({ events: [event, ...more] });
    await sink.reach([well.path], 10, 5_000);
    await eventually(5_000, "10 held", () => (statusCounts(directory.path, held.id).held === 10 ? true : undefined));
    const dead = await subscribeElsewhere(first.api, DEAD_URL);
    const late = { ...event, id: "late" };
    await first.api.events.publishEvents({ events: [late] });
    await eventually(5_000, "1 waiting", () =>
      statusCounts(directory.path, dead.id).waiting === 1 ? true : undefined,
    );
    await first.end("SIGTERM");
    makeOlder(directory.path, 31 * DAY_MS);

    await using second = await RunningPassbus.start(directory.path);
    const counts = await purged(second);
    expect(counts).toMatchObject({ expired: 11, deliveries: 11, events: 0 });
    const { deliveries, events } = second.api;
    const { deliveries: left } = await deliveries.listDeliveries({ subscriptionId: held.id });
    expect(left).toHaveLength(11);
    for (const { status, attempts } of left) {
      expect([status, attempts.map(({ errorCode }) => errorCode)]).toEqual([DeliveryStatus.FAILED, ["hold.expired"]]);
    }
    expect((await deliveries.listDeliveries({ subscriptionId: well.id })).deliveries).toEqual([]);
    expect((await deliveries.listDeliveries({ subscriptionId: dead.id })).deliveries).toMatchObject([
      { status: DeliveryStatus.WAITING, eventId: "late" },
    ]);
    expect((await events.getEvent({ id: "late" })).event?.event?.pass?.id).toBe(late.pass?.id);
    await second.end("SIGTERM");

    // The held ones have ended now: another month, and they go with their events.
    makeOlder(directory.path, 31 * DAY_MS);
    await using third = await RunningPassbus.start(directory.path);
    expect(await purged(third)).toMatchObject({ deliveries: 11, events: 10, expired: 0 });
    expect(await failureCode(third.api.events.getEvent({ id: event.id }))).toBe(Code.NotFound);
    await third.end("SIGTERM");
    expect(remains(directory.path).storedEvents).toEqual(new Set(["late"]));
  },
);

test("an organisation's payloads go before their events, which say so, and can't be sent again", SLOW, async () => {
  using directory = new DataDirectory();
  await using sink = await Sink.start();
  const [event] = numberedEvents(1);
  if (event === undefined) throw new Error("there is no event");
  await using first = await RunningPassbus.start(directory.path);
  const session = new Http2SessionManager(first.url);
  const access = createClient(AccessService, grpcWithKey(first.url, BOOTSTRAP_KEY, session));
  const { limits } = await access.setLimits({ limits: { payloadRetention: { seconds: 3_600n } } });
  session.abort();
  expect(limits).toMatchObject({ payloadRetention: { seconds: 3_600n }, eventRetention: { seconds: 2_592_000n } });
  const { id: subscriptionId } = await subscribe(first.api, sink, "/well");
  await first.api.events.publishEvents({ events: [event] });
  await sink.reach(["/well"], 1, 5_000);
  await eventually(5_000, "1 delivered", () =>
    statusCounts(directory.path, subscriptionId).delivered === 1 ? true : undefined,
  );
  await first.end("SIGTERM");
  makeOlder(directory.path, 2 * HOUR_MS);

  await using second = await RunningPassbus.start(directory.path);
  expect(await purged(second)).toMatchObject({ payloads: 1, events: 0, deliveries: 0 });
  const { events, deliveries } = second.api;
  const { event: stored } = await events.getEvent({ id: event.id });
  expect(stored?.payloadDroppedAt).toBeDefined();
  expect(stored?.event).toMatchObject({ id: event.id, type: event.type, pass: { id: event.pass?.id } });
  expect(stored?.event?.pass?.personDetails).toBeUndefined();
  expect((await events.listEvents({})).events).toEqual([stored]);
  const [delivery] = (await deliveries.listDeliveries({ eventId: event.id })).deliveries;
  const refused = await failureOf(deliveries.retryDelivery({ id: delivery?.id ?? "" }));
  expect([refused.code, refused.rawMessage]).toEqual([
    Code.FailedPrecondition,
    `id: the payload of the event of delivery "${delivery?.id}" is kept no longer`,
  ]);
});

describe.skipIf(!faketime.present)(faketime.title("a clock that is a year ahead"), SLOW, () => {
  test("purges nothing", async () => {
    using directory = new DataDirectory();
    using clock = new FakeClock();
    await using sink = await Sink.start();
    await using first = await RunningPassbus.start(directory.path, clock.settings);
    const { id } = await subscribe(first.api, sink, "/well");
    await first.api.events.publishEvents({ events: [...numberedEvents(20)] });
    await sink.reach(["/well"], 20, 5_000);
    await eventually(5_000, "20 delivered", () =>
      statusCounts(directory.path, id).delivered === 20 ? true : undefined,
    );
    await first.end("SIGTERM");

    clock.set(365 * DAY_MS);
    const verbose = { ...clock.settings, PASSBUS_LOG_LEVEL: "debug" };
    await using second = await RunningPassbus.start(directory.path, verbose);
    await eventually(
      10_000,
      "a line that says that the clock jumped",
      () => second.logged("retention.clock_jumped")[0],
    );
    await eventually(10_000, "the end of the round", () => second.logged("retention.round_ended")[0]);
    expect(second.logged("retention.purged")).toEqual([]);
    await second.end("SIGTERM");
    expect(remains(directory.path)).toMatchObject({ deliveries: { length: 20 } });
  });
});
