/**
 * `npm run bench:claims`: how many due deliveries a second 1, 2 and 4 workers claim from one MongoDB, and whether two
 * ever get the same (issue 6, "Many workers"). Uses the server of the tests, or PASSBUS_TEST_MONGODB_URI. Exit 1: a
 * delivery was claimed twice, or not at all.
 */
import { create, toBinary } from "@bufbuild/protobuf";
import { PassEventSchema, PassEventType } from "../gen/passbus/v1/pass_event_pb.js";
import { connectMongo, type MongoStore } from "../src/adapters/mongodb/mongodb.ts";
import type { DeliveryWrite } from "../src/delivery/delivery-store.ts";
import { deliveryId } from "../src/domain/delivery.ts";
import type { StoredEvent } from "../src/domain/event.ts";
import { sharedMongodb } from "../test/support/services/find.ts";
import type { Claimed, ClaimerCalls } from "./claimer.ts";
import { BenchProcess, sharedNowMs } from "./process-call.ts";

const ROWS = 20_000;
const SUBSCRIPTIONS = 100;
const FLUSH = 2_000;
const TENANT = { organisation: "bench", environment: "production" };

async function fill(store: MongoStore, run: number): Promise<void> {
  for (let from = 0; from < ROWS; from += FLUSH) {
    const numbers = Array.from({ length: FLUSH }, (_, at) => from + at);
    const events = numbers.map((number) => eventOf(`claims-${run}-${number}`));
    const deliveries = events.map((event, at) => writeOf(event, `sub_${(from + at) % SUBSCRIPTIONS}`));
    await store.deliveries.flush({ events, deliveries });
  }
}

function eventOf(id: string): StoredEvent {
  const message = create(PassEventSchema, { id, type: PassEventType.UPDATED, pass: { id } });
  const value = toBinary(PassEventSchema, message);
  const loggedAtMs = Date.now();
  const { type } = message;
  return { tenant: TENANT, id, type, passId: id, entityId: "", loggedAtMs, value, contentHash: id };
}

function writeOf(event: StoredEvent, subscriptionId: string): DeliveryWrite {
  const nowMs = Date.now();
  return {
    kind: "first",
    delivery: {
      id: deliveryId(event, subscriptionId),
      tenant: TENANT,
      eventId: event.id,
      eventType: event.type,
      passId: event.passId,
      subscriptionId,
      status: "waiting",
      workClass: "retry",
      run: 1,
      fence: 0,
      runAttempts: 0,
      attemptCount: 0,
      attempts: [],
      dueAtMs: nowMs,
      createdAtMs: nowMs,
    },
  };
}

async function round(uri: string, store: MongoStore, workers: number): Promise<string> {
  await fill(store, workers);
  const claimers = Array.from(
    { length: workers },
    () => new BenchProcess<ClaimerCalls>("claimer", new URL("./claimer.ts", import.meta.url)),
  );
  try {
    await Promise.all(claimers.map((claimer) => claimer.call("connect", { uri })));
    const beganMs = sharedNowMs();
    const results: readonly Claimed[] = await Promise.all(
      claimers.map((claimer) => claimer.call("takeAll", undefined)),
    );
    const lastedMs = Math.max(...results.map(({ lastMs }) => lastMs)) - beganMs;
    const taken = results.flatMap(({ ids }) => ids);
    const distinct = new Set(taken).size;
    if (taken.length !== distinct) throw new Error(`${taken.length - distinct} deliveries were claimed twice`);
    if (distinct !== ROWS) throw new Error(`${ROWS - distinct} of ${ROWS} due deliveries were not claimed`);
    const claims = results.reduce((sum, result) => sum + result.claims, 0);
    const emptyHanded = results.reduce((sum, result) => sum + result.emptyHanded, 0);
    const rate = (ROWS * 1_000) / lastedMs;
    return `${workers} ${workers === 1 ? "worker " : "workers"}  ${rate.toFixed(0).padStart(6)} deliveries/s in ${claims} claims, ${emptyHanded} of them empty-handed; none claimed twice`;
  } finally {
    for (const claimer of claimers) await claimer.stop();
  }
}

async function main(): Promise<void> {
  const server = await sharedMongodb();
  const uri = new URL(server.address);
  uri.pathname = `/passbus-claims-${process.pid}`;
  const store = await connectMongo({ uri: uri.href });
  try {
    for (const step of await store.preparation.survey()) await step.make?.();
    console.log(`${ROWS} due deliveries of ${SUBSCRIPTIONS} subscriptions; ${server.server}`);
    for (const workers of [1, 2, 4]) console.log(await round(uri.href, store, workers));
  } finally {
    await store.close();
    await server.stop();
  }
}

await main();
