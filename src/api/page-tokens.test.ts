/** What a page token gives away to who holds it, and where it opens. */
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AccessService } from "../../gen/passbus/v1/access_service_pb.js";
import { DeliveryService } from "../../gen/passbus/v1/delivery_service_pb.js";
import { EventService } from "../../gen/passbus/v1/event_service_pb.js";
import { PassEventSchema, PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { event, finished } from "../../test/contracts/rows.ts";
import { ADMIN_KEY, TENANT, type TestApi, testApi } from "../../test/support/api.ts";
import { embeddedStore } from "../../test/support/embedded-store.ts";
import { METHODS, nameOf } from "../../test/support/everyone.ts";
import { failureOf, grpcWithKey } from "../../test/support/grpc.ts";
import { tokenFromCursor } from "../kernel/page.ts";
import { systemRandom } from "../kernel/random.ts";
import { keyringFrom, makeEncryptionKey } from "../signing/keyring.ts";

const older = makeEncryptionKey("k1", systemRandom);
const newer = makeEncryptionKey("k2", systemRandom);
const store = embeddedStore();
const OTHER = { organisation: "globex", environment: "production" };
const PASS = "pass-1";
const CAFE_MS = 1_700_000_000_123;

/** Two processes of one deployment, and one whose keys were changed since. */
let first: TestApi;
let second: TestApi;
let rotated: TestApi;
beforeAll(async () => {
  const over = (keys: string) => testApi({ deliveryLog: store.deliveries, keyring: keyringFrom(keys, systemRandom) });
  first = await over(older);
  second = await over(older);
  rotated = await over(`${newer},${older}`);
  await put("evt_of_the_cafe", "cafe", CAFE_MS);
  await put("evt_of_the_shop_round_the_corner", "shop", CAFE_MS - 1_000);
  await put("evt_at_the_end", "shop", CAFE_MS - 2_000);
});
afterAll(() => Promise.all([first, second, rotated].map((api) => api.stop(0))));

async function put(id: string, entityId: string, loggedAtMs: number) {
  const value = toBinary(PassEventSchema, create(PassEventSchema, { id, type: PassEventType.CREATED, entityId }));
  const events = [event(id, { tenant: TENANT, entityId, value, passId: PASS, loggedAtMs })];
  const of = { tenant: TENANT, eventId: id, subscriptionId: "sub_1", passId: PASS, createdAtMs: loggedAtMs };
  const delivery = finished(`dlv_${id}`, "failed", `att_${id}`, of);
  await store.deliveries.flush({ events, deliveries: [{ kind: "first", delivery }] });
}

const events = (api: TestApi, key = ADMIN_KEY) => createClient(EventService, grpcWithKey(api.url, key));
/** The first page, whose one row is the cafe's. */
const asked = { passId: PASS, pageSize: 1 };

/** Everything that could be read out of it: as it is, and of each of its parts, decoded. */
function readings(token: string): string[] {
  const bytes = token
    .split(".")
    .flatMap((part) => (["base64url", "hex"] as const).map((code) => Buffer.from(part, code)));
  const twice = bytes.map((each) => Buffer.from(each.toString("latin1"), "base64url"));
  return [token, ...[...bytes, ...twice].map((each) => each.toString("latin1"))];
}

describe("a page token", () => {
  test("tells nothing of the row that it names, and leads on behind it", async () => {
    const key = events(first);
    const page = await key.listEvents(asked);
    expect(page.nextPageToken).not.toBe("");
    for (const text of readings(page.nextPageToken)) {
      for (const secret of ["cafe", "evt_", String(CAFE_MS), String(CAFE_MS).slice(0, 7)])
        expect(text).not.toContain(secret);
    }
    const next = await key.listEvents({ ...asked, pageToken: page.nextPageToken });
    expect(next.events.map((each) => each.event?.id)).toEqual(["evt_of_the_shop_round_the_corner"]);
    // Nor does its length say how long the id is.
    expect(next.nextPageToken).toHaveLength(page.nextPageToken.length);
    // Nor are two of one row alike.
    expect((await key.listEvents(asked)).nextPageToken).not.toBe(page.nextPageToken);
  });

  test("of a portal session is of its own entity's rows, and there is none behind the last of those", async () => {
    await put("evt_of_the_cafe_before_all", "cafe", CAFE_MS - 5_000);
    const session = events(first, first.stage.session("shop"));
    const page = await session.listEvents(asked);
    expect(page.events.map((each) => each.event?.id)).toEqual(["evt_of_the_shop_round_the_corner"]);
    const last = await session.listEvents({ ...asked, pageToken: page.nextPageToken });
    expect([last.events.map((each) => each.event?.id), last.nextPageToken]).toEqual([["evt_at_the_end"], ""]);
    // One that an organisation's key got leads no further than to what is the entity's.
    const { nextPageToken: pageToken } = await events(first).listEvents(asked);
    expect((await session.listEvents({ ...asked, pageToken })).events).toHaveLength(1);
  });

  test("opens in another process, and when a new key has come before its own", async () => {
    const { nextPageToken: pageToken } = await events(first).listEvents(asked);
    for (const api of [second, rotated]) {
      const page = await events(api).listEvents({ ...asked, pageToken });
      expect(page.events.map((each) => each.event?.id)).toEqual(["evt_of_the_shop_round_the_corner"]);
    }
    const { nextPageToken: ofNewer } = await events(rotated).listEvents(asked);
    expect((await failureOf(events(first).listEvents({ ...asked, pageToken: ofNewer }))).code).toBe(
      Code.InvalidArgument,
    );
  });

  test("opens for no other method and no other tenant, changed nowhere, and one that isn't sealed not at all", async () => {
    const { nextPageToken: pageToken } = await events(first).listEvents(asked);
    const globex = first.stage.key("viewer", OTHER);
    const deliveries = createClient(DeliveryService, grpcWithKey(first.url, ADMIN_KEY));
    const keys = createClient(AccessService, grpcWithKey(first.url, ADMIN_KEY));
    const at = pageToken.length - 4;
    const turned = `${pageToken.slice(0, at)}${pageToken[at] === "A" ? "B" : "A"}${pageToken.slice(at + 1)}`;
    const plain = tokenFromCursor({ timeMs: CAFE_MS, id: "evt_of_the_cafe" });
    // The keyring itself opens what is sealed in the store, and makes no tokens of it.
    const about = "page/acme/production/passbus.v1.EventService/ListEvents";
    const otherwise = keyringFrom(older, systemRandom).seal(plain, about);
    const refusals = [
      events(first, globex).listEvents({ ...asked, pageToken }),
      deliveries.listDeliveries({ passId: PASS, pageSize: 1, pageToken }),
      keys.listKeys({ pageToken }),
      ...[turned, plain, otherwise, "nonsense", "k1.", "k9.AAAA", pageToken.slice(0, -8)].map((each) =>
        events(first).listEvents({ ...asked, pageToken: each }),
      ),
    ];
    for (const { code, rawMessage } of await Promise.all(refusals.map(failureOf))) {
      expect([code, rawMessage]).toEqual([
        Code.InvalidArgument,
        "page_token: must be the next_page_token of an earlier answer",
      ]);
    }
  });
});

test("every method that is paged has both fields, so that none of them leaves unsealed", () => {
  const fields = METHODS.map(({ input, output }) => [
    input.fields.some(({ name }) => /page_?token/i.test(name)),
    output.fields.some(({ name }) => /page_?token/i.test(name)),
  ]);
  const known = METHODS.map(({ input, output }) => [
    input.field.pageToken !== undefined,
    output.field.nextPageToken !== undefined,
  ]);
  expect(known).toEqual(fields);
  expect(known.filter(([taken, given]) => taken !== given)).toEqual([]);
  const paged = METHODS.filter((_, index) => known[index]?.[0]).map(nameOf);
  expect(paged.length).toBeGreaterThanOrEqual(8);
});
