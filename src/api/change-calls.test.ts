import { Code, createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ChangeKind, DeliveryService, type WatchChangesResponse } from "../../gen/passbus/v1/delivery_service_pb.js";
import { subscription } from "../../test/contracts/rows.ts";
import { TENANT, type TestApi, testApi } from "../../test/support/api.ts";
import { embeddedStore } from "../../test/support/embedded-store.ts";
import { failureOf, grpcWithKey } from "../../test/support/grpc.ts";
import { within } from "../../test/support/within.ts";
import type { Role } from "../access/access-store.ts";

const LIMIT_MS = 10_000;

const store = embeddedStore();
let api: TestApi;
beforeAll(async () => {
  const { stats, endpoints, feed, kinds } = store;
  api = await testApi({ stats, endpoints, feed, kinds, deliveryLog: store.deliveries });
});
afterAll(() => api.stop(0));

const client = (key: string) => createClient(DeliveryService, grpcWithKey(api.url, key));
const as = (role: Role, tenant = TENANT) => client(api.stage.key(role, tenant));

type Request = Parameters<ReturnType<typeof client>["watchChanges"]>[0];

/** The watch has begun. */
async function watching(deliveries: ReturnType<typeof client>, request: Request) {
  const ending = new AbortController();
  const told = deliveries.watchChanges(request, { signal: ending.signal })[Symbol.asyncIterator]();
  const next = async (): Promise<WatchChangesResponse> =>
    (await within(LIMIT_MS, "an answer of the watch", told.next())).value;
  expect((await next()).kinds).toEqual([]);
  return { next, end: () => ending.abort() };
}

const subscribe = (id: string, entityId = "") =>
  store.subscriptions.insert(subscription(id, { tenant: TENANT, entityId, urlKey: id }), 100);

const refusalOf = (deliveries: ReturnType<typeof client>, request: Request) => failureOf(watching(deliveries, request));

test("the kinds that changed are told, of those that were asked for", async () => {
  const watch = await watching(as("viewer"), { kinds: [ChangeKind.SUBSCRIPTIONS, ChangeKind.REPLAYS] });
  await store.bins.insertBin(
    { tenant: TENANT, id: "bin_1", createdAtMs: 0, expiresAtMs: 1, statusCode: 200, description: "" },
    9,
    0,
  );
  await subscribe("sub_1");
  expect((await watch.next()).kinds).toEqual([ChangeKind.SUBSCRIPTIONS]);
  watch.end();
});

test("nothing asked for is all that the caller may list, and no more", async () => {
  const [viewer, admin] = [await watching(as("viewer"), {}), await watching(as("admin"), {})];
  await store.access.insertKey({ id: "key_1", tenant: TENANT, role: "viewer", hash: "", createdAtMs: 0 });
  expect((await admin.next()).kinds).toEqual([ChangeKind.KEYS]);
  await subscribe("sub_2");
  expect((await viewer.next()).kinds).toEqual([ChangeKind.SUBSCRIPTIONS]);
  for (const watch of [viewer, admin]) watch.end();
});

test("a kind takes the role that may list it", async () => {
  for (const [role, kind] of [
    ["viewer", ChangeKind.KEYS],
    ["viewer", ChangeKind.AUDIT_RECORDS],
    ["subscriber", ChangeKind.DEAD_LETTERS],
    ["operator", ChangeKind.KEYS],
  ] as const) {
    expect(await refusalOf(as(role), { kinds: [kind] })).toMatchObject({ code: Code.PermissionDenied });
  }
  const mine = { kinds: [ChangeKind.DEAD_LETTERS, ChangeKind.PORTAL_SESSIONS] };
  (await watching(as("operator"), mine)).end();
});

test("a kind that is none, named twice, or of no entity is refused", async () => {
  const wrong: readonly Request[] = [
    { kinds: [ChangeKind.UNSPECIFIED] },
    { kinds: [77 as ChangeKind] },
    { kinds: Array.from({ length: 12 }, () => ChangeKind.BINS) },
    { kinds: [ChangeKind.BINS], entityId: "shop" },
  ];
  for (const request of wrong) {
    expect(await refusalOf(as("admin"), request)).toMatchObject({ code: Code.InvalidArgument });
  }
});

test("a portal session hears of its own entity's alone, and can't ask for more", async () => {
  const portal = client(api.stage.session("shop"));
  expect(await refusalOf(portal, { entityId: "other" })).toMatchObject({ code: Code.PermissionDenied });
  expect(await refusalOf(portal, { kinds: [ChangeKind.REPLAYS] })).toMatchObject({ code: Code.PermissionDenied });
  const [own, everybody] = [await watching(portal, {}), await watching(as("viewer"), {})];
  await subscribe("sub_other", "other");
  await subscribe("sub_none");
  expect((await everybody.next()).kinds).toEqual([ChangeKind.SUBSCRIPTIONS]);
  const told = own.next();
  await store.endpoints.write([
    { tenant: TENANT, subscriptionId: "sub_other", version: 1, breaker: "closed", openings: 0, consecutiveFailures: 0 },
  ]);
  expect((await everybody.next()).kinds).toEqual([ChangeKind.HEALTH]);
  await subscribe("sub_shop", "shop");
  // Had it been told of the others', that would have come first, and with another kind.
  expect((await told).kinds).toEqual([ChangeKind.SUBSCRIPTIONS]);
  for (const watch of [own, everybody]) watch.end();
});

test("a watch ends with its key", async () => {
  const key = api.stage.key("viewer");
  const watch = await watching(client(key), {});
  api.stage.revoke(key);
  expect(await failureOf(watch.next())).toMatchObject({ code: Code.Unauthenticated });
});

test("the overview is told at once, when it has changed, and to its own tenant", async () => {
  const globex = { ...TENANT, organisation: "globex" };
  const [mine, theirs] = [as("viewer"), as("viewer", globex)].map((each) =>
    each.watchOverview({})[Symbol.asyncIterator](),
  );
  const next = async (told: typeof mine) =>
    (await within(LIMIT_MS, "an overview", told?.next() ?? Promise.reject(new Error("none")))).value?.overview;
  const before = (await next(mine))?.subscriptionsEnabled ?? 0;
  expect((await next(theirs))?.subscriptionsEnabled).toBe(0);
  await subscribe("sub_more");
  expect((await next(mine))?.subscriptionsEnabled).toBe(before + 1);
  await mine?.return?.();
  await theirs?.return?.();
});
