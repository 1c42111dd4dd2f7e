/** That a portal session learns nothing of events of other entities: not that there are any, nor how many, nor when. */
import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EventService, type ListEventsRequest } from "../../gen/passbus/v1/event_service_pb.js";
import { OperationalEventType } from "../../gen/passbus/v1/operational_event_pb.js";
import { PassEventSchema, PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { event } from "../../test/contracts/rows.ts";
import { TENANT, type TestApi, testApi } from "../../test/support/api.ts";
import { embeddedStore } from "../../test/support/embedded-store.ts";
import { grpcWithKey } from "../../test/support/grpc.ts";
import { MemoryChanges } from "../../test/support/memory-changes.ts";
import { within } from "../../test/support/within.ts";
import { Rates } from "../access/rates.ts";
import type { StoredEvent } from "../domain/event.ts";
import { systemClock } from "../kernel/clock.ts";

const T0 = 1_700_000_000_000;
/** All of another entity, */
const SECRET = "secretpass1";
/** of both, one after the other, */
const SHARED = "shared-pass";
/** and as it were without the other's. */
const ALONE = "own-pass";
const UNKNOWN = "no-such-pass";

/** Every question finds all earned again: there are more of them than a session may ask in so short a time. */
let lookedAtMs = 0;
const rates = new Rates({
  service: { callsPerSecond: 0, eventsPerSecond: 0 },
  given: async () => ({}),
  clock: { ...systemClock, monotonic: () => (lookedAtMs += 1_000) },
});

const store = embeddedStore();
const feed = new MemoryChanges();
let api: TestApi;
let session: ReturnType<typeof clientOf>;
beforeAll(async () => {
  api = await testApi({ deliveryLog: store.deliveries, changes: feed, rates });
  session = clientOf(api.stage.session("ent-own"));
  const events = [0, 1, 2, 3, 4, 5].flatMap((at) => [
    stored(`secret-${at}`, SECRET, "ent-secret", at),
    stored(`their-${at}`, SHARED, at % 2 === 0 ? "ent-secret" : "", at * 2),
    stored(`mine-${at}`, SHARED, "ent-own", at * 2 + 1),
    stored(`alone-${at}`, ALONE, "ent-own", at * 2 + 1),
  ]);
  await store.deliveries.flush({ events, deliveries: [] });
});
afterAll(() => api.stop(0));

const clientOf = (key: string) => createClient(EventService, grpcWithKey(api.url, key));

function stored(id: string, passId: string, entityId: string, at: number): StoredEvent {
  const type = at % 4 < 2 ? PassEventType.CREATED : PassEventType.SCANNED;
  const value = toBinary(PassEventSchema, create(PassEventSchema, { id, type, entityId, pass: { id: passId } }));
  return event(id, { tenant: TENANT, type, passId, entityId, value, loggedAtMs: T0 + at });
}

type Asked = Partial<Pick<ListEventsRequest, "pageSize" | "type" | "operationalEventType" | "startTime" | "endTime">>;

/** Every page size up to beyond all, with each kind, in each window of time. */
function* questions(): Generator<Asked> {
  const kinds = [
    {},
    { type: PassEventType.CREATED },
    { type: PassEventType.SCANNED },
    { type: PassEventType.DELETED },
    { operationalEventType: OperationalEventType.DELIVERY_FAILED },
  ];
  const windows = [0, 3, 6, 12].flatMap((from) => [
    { startTime: timestampFromMs(T0 + from) },
    { endTime: timestampFromMs(T0 + from) },
    { startTime: timestampFromMs(T0 + from), endTime: timestampFromMs(T0 + from + 3) },
  ]);
  for (const pageSize of [0, 1, 2, 3, 4, 5, 6, 7, 12, 13, 500]) {
    for (const kind of kinds) for (const window of [{}, ...windows]) yield { pageSize, ...kind, ...window };
  }
}

/** The page's events by their place in their pass, and whether another follows. */
async function pagesOf(passId: string, asked: Asked) {
  const pages: { readonly places: readonly (string | undefined)[]; readonly more: boolean }[] = [];
  for (let pageToken = ""; ; ) {
    const { events, nextPageToken } = await session.listEvents({ ...asked, passId, pageToken });
    pages.push({ places: events.map((each) => each.event?.id.split("-")[1]), more: nextPageToken !== "" });
    if (nextPageToken === "") return pages;
    pageToken = nextPageToken;
  }
}

describe("a list of events, to a portal session", () => {
  test("of a pass of another entity is that of a pass that is unknown, whatever is asked", async () => {
    let asked = 0;
    for (const question of questions()) {
      const answers = [SECRET, UNKNOWN].map((passId) => session.listEvents({ ...question, passId }));
      const [secret, unknown] = await Promise.all(answers);
      expect(secret, JSON.stringify(question.pageSize)).toEqual(unknown);
      expect([secret?.events, secret?.nextPageToken]).toEqual([[], ""]);
      asked += 1;
    }
    expect(asked).toBe(11 * 5 * 13);
    // An organisation's key sees that there are some.
    expect((await clientOf(api.stage.key("viewer")).listEvents({ passId: SECRET })).events).toHaveLength(6);
  });

  test("of a pass that others have events of too is as if they had none, page by page", async () => {
    for (const question of questions()) {
      if (question.pageSize === 0 || (question.pageSize ?? 0) > 7) continue;
      expect(await pagesOf(SHARED, question)).toEqual(await pagesOf(ALONE, question));
    }
    expect(await pagesOf(SHARED, { pageSize: 4 })).toEqual([
      { places: ["5", "4", "3", "2"], more: true },
      { places: ["1", "0"], more: false },
    ]);
  });
});

test("a tail tells a portal session of its own, and counts no other's as missed", async () => {
  const tail = session.tailEvents({})[Symbol.asyncIterator]();
  const next = async () => (await within(5_000, "an answer", tail.next())).value;
  await next();
  // More of another's than wait for any watcher, and then more of its own.
  const many = (name: string, entityId: string, count: number) =>
    Array.from({ length: count }, (_, at) => stored(`${name}-${at}`, SHARED, entityId, at));
  feed.store(...many("theirs", "ent-secret", 1_500), ...many("general", "", 10), ...many("owns", "ent-own", 5));
  for (let at = 0; at < 5; at += 1) {
    const told = await next();
    expect([told?.event?.event?.id, told?.skipped]).toEqual([`owns-${at}`, 0n]);
  }
  await tail.return?.();
});
