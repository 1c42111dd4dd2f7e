/** That portal sessions, of which a customer's browser makes one with each page, leave an organisation its streams. */
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { Http2SessionManager } from "@connectrpc/connect-node";
import { afterEach, describe, expect, test } from "vitest";
import { DeliveryService } from "../../gen/passbus/v1/delivery_service_pb.js";
import { EventService } from "../../gen/passbus/v1/event_service_pb.js";
import { ADMIN_KEY, type TestApi, testApi } from "../../test/support/api.ts";
import { grpcWithKey } from "../../test/support/grpc.ts";
import { eventually, within } from "../../test/support/within.ts";
import { LIMITS } from "../kernel/limits.ts";

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function setUp(): Promise<TestApi> {
  const api = await testApi();
  closing.push(() => api.stop(0));
  return api;
}

function clientsOf(api: TestApi, key: string) {
  const sessionManager = new Http2SessionManager(api.url);
  closing.unshift(() => sessionManager.abort());
  const transport = grpcWithKey(api.url, key, sessionManager);
  return { events: createClient(EventService, transport), deliveries: createClient(DeliveryService, transport) };
}

type Clients = ReturnType<typeof clientsOf>;
type Open = (clients: Clients, signal?: AbortSignal) => AsyncIterable<unknown>;

/** What opening one came to: nothing where it goes on, or the refusal. */
async function refusalOf(stream: AsyncIterable<unknown>): Promise<readonly [Code, string] | undefined> {
  const first = stream[Symbol.asyncIterator]().next();
  const ended = first.then(
    () => undefined,
    (reason: unknown) => {
      const { code, rawMessage } = ConnectError.from(reason);
      return [code, rawMessage] as const;
    },
  );
  return within(5_000, "the first answer", ended);
}

const refused = (who: string, most: number) => [
  Code.ResourceExhausted,
  `${who} has ${most} streams open, as many as it may`,
];

const KINDS: readonly (readonly [string, Open, Open, Readonly<Record<"session" | "entity" | "portal", number>>])[] = [
  [
    "that tell of each event",
    ({ events }, signal) => events.tailEvents({}, { ...(signal && { signal }) }),
    ({ events }) => events.tailEvents({}),
    {
      session: LIMITS.streamsPerSession,
      entity: LIMITS.streamsPerEntity,
      portal: LIMITS.sessionStreamsPerOrganisation,
    },
  ],
  [
    "that keep a page live",
    ({ deliveries }, signal) => deliveries.watchChanges({}, { ...(signal && { signal }) }),
    ({ deliveries }) => deliveries.watchOverview({}),
    {
      session: LIMITS.liveStreamsPerSession,
      entity: LIMITS.liveStreamsPerEntity,
      portal: LIMITS.sessionLiveStreamsPerOrganisation,
    },
  ],
];

describe.each(KINDS)("streams of portal sessions %s", (_, open, openWithKey, most) => {
  test("are bounded by session, by entity and over all, and the organisation's keys have the rest", async () => {
    const api = await setUp();
    const going = new AbortController();
    const fill = async (entityId: string) => {
      for (let at = 0; at < most.entity / most.session; at += 1) {
        const session = clientsOf(api, api.stage.session(entityId));
        const opened = Array.from({ length: most.session }, () => refusalOf(open(session, going.signal)));
        expect(await Promise.all(opened)).toEqual(Array(most.session).fill(undefined));
        if (at === 0) expect(await refusalOf(open(session))).toEqual(refused("the portal session", most.session));
      }
    };
    await fill("shop-0");
    const again = clientsOf(api, api.stage.session("shop-0"));
    expect(await refusalOf(open(again))).toEqual(refused("the entity", most.entity));
    for (let at = 1; at < most.portal / most.entity; at += 1) await fill(`shop-${at}`);
    const another = clientsOf(api, api.stage.session("another"));
    expect(await refusalOf(open(another))).toEqual(refused("the organisation's portal", most.portal));
    // An entity of the same name elsewhere is another.
    const elsewhere = clientsOf(
      api,
      api.stage.session("shop-0", { organisation: "globex", environment: "production" }),
    );
    expect(await refusalOf(open(elsewhere))).toBeUndefined();
    // As many again, of its keys.
    const admin = clientsOf(api, ADMIN_KEY);
    expect(await refusalOf(openWithKey(admin))).toBeUndefined();
    // What ends is free again, for all that it counted for.
    going.abort();
    await eventually(5_000, "free streams", async () => (await refusalOf(open(again))) === undefined || undefined);
    expect(await refusalOf(open(another))).toBeUndefined();
  });
});

test("portal sessions have half of an organisation's streams at most", () => {
  expect(LIMITS.sessionStreamsPerOrganisation * 2).toBeLessThanOrEqual(LIMITS.streamsPerOrganisation);
  expect(LIMITS.sessionLiveStreamsPerOrganisation * 2).toBeLessThanOrEqual(LIMITS.liveStreamsPerOrganisation);
});
