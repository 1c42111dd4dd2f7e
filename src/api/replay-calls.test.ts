import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterEach, describe, expect, it } from "vitest";
import { DeliveryStatus } from "../../gen/passbus/v1/delivery_pb.js";
import { DeliveryService, ReplayState } from "../../gen/passbus/v1/delivery_service_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import {
  ACME_TEST,
  delivery,
  finished,
  put,
  type StorePorts,
  subscription,
  waiting,
} from "../../test/contracts/rows.ts";
import { ADMIN_KEY, TENANT, type TestApi, testApi } from "../../test/support/api.ts";
import { embeddedStore } from "../../test/support/embedded-store.ts";
import { within } from "../../test/support/within.ts";
import { Replays } from "../delivery/replays.ts";
import { DEFAULT_POLICY } from "../domain/subscription.ts";
import { systemClock } from "../kernel/clock.ts";
import { idSource } from "../kernel/ids.ts";
import { LIMITS } from "../kernel/limits.ts";
import { systemRandom } from "../kernel/random.ts";

const opened: TestApi[] = [];
afterEach(() => Promise.all(opened.splice(0).map((api) => api.stop(0))));

async function calls() {
  const store = embeddedStore();
  await store.subscriptions.insert(subscription("sub_1"), 10);
  await store.subscriptions.insert(subscription("sub_2"), 10);
  let wakes = 0;
  const replays = new Replays({
    store: store.replays,
    feed: store.feed,
    clock: systemClock,
    ids: idSource(systemClock, systemRandom),
    wakeWorkers: () => {
      wakes += 1;
    },
  });
  const api = await testApi({ replays, deliveryLog: store.deliveries, feed: store.feed });
  opened.push(api);
  const as = (key: string) =>
    createClient(
      DeliveryService,
      createGrpcTransport({
        baseUrl: api.url,
        interceptors: [
          (next) => (request) => {
            request.header.set("authorization", `Bearer ${key}`);
            return next(request);
          },
        ],
      }),
    );
  const keep = (...rows: Parameters<typeof put> extends [unknown, ...infer Rows] ? Rows : never) =>
    put({ deliveries: store.deliveries } as StorePorts, ...rows);
  return { store, api, as, keep, replays, deliveries: as(ADMIN_KEY), wakes: () => wakes };
}

async function refusal(call: Promise<unknown>): Promise<ConnectError> {
  return call.then(
    () => expect.unreachable("it was not refused"),
    (reason: unknown) => ConnectError.from(reason),
  );
}

describe("replays over the API", () => {
  it("are made, shown and listed with all that was asked for", async () => {
    const { deliveries, keep, wakes } = await calls();
    await keep(finished("d1", "failed", "a1"), finished("d2", "delivered", "a2"));
    const startTime = timestampFromMs(1_600_000_000_000);
    const filter = {
      subscriptionId: "sub_1",
      eventTypes: [PassEventType.CREATED],
      passId: "pass-1",
      status: DeliveryStatus.FAILED,
      startTime,
    };
    const asked = { filter, targetSubscriptionId: "sub_2", ratePerSecond: 2.5, freshIds: true };
    const beforeMs = Date.now();
    const { replay } = await deliveries.createReplay({ replay: asked });
    expect(replay).toMatchObject({
      ...asked,
      id: expect.stringMatching(/^rpl_/),
      state: ReplayState.RUNNING,
      matched: 1n,
      matchedAtLeast: false,
      sent: 0n,
      skipped: 0n,
    });
    const endMs = replay?.filter?.endTime === undefined ? 0 : timestampMs(replay.filter.endTime);
    expect(endMs).toBeGreaterThanOrEqual(beforeMs);
    expect(endMs).toBeLessThanOrEqual(Date.now());
    expect(wakes()).toBe(1);
    expect(await deliveries.getReplay({ id: replay?.id ?? "" })).toMatchObject({ replay });
    const { replay: second } = await deliveries.createReplay({ replay: {} });
    expect(second).toMatchObject({ ratePerSecond: 50, matched: 2n, targetSubscriptionId: "" });
    const { replays } = await deliveries.listReplays({});
    expect(replays.map(({ id }) => id)).toEqual([second?.id, replay?.id]);
  });

  it.each([1_700_000_000_500, 4_000_000_000_000])(
    "end at the time that is asked for, and now at the latest: %d",
    async (toMs) => {
      const { deliveries } = await calls();
      const { replay } = await deliveries.createReplay({ replay: { filter: { endTime: timestampFromMs(toMs) } } });
      const endMs = replay?.filter?.endTime === undefined ? 0 : timestampMs(replay.filter.endTime);
      expect(endMs).toBe(Math.min(toMs, replay?.createdAt === undefined ? 0 : timestampMs(replay.createdAt)));
    },
  );

  it("can be counted without being made", async () => {
    const { deliveries, keep, wakes } = await calls();
    await keep(finished("d1", "failed", "a1"), finished("d2", "failed", "a2"), finished("d3", "delivered", "a3"));
    const replay = { filter: { status: DeliveryStatus.FAILED } };
    const dry = await deliveries.createReplay({ replay, dryRun: true });
    expect(dry.replay).toMatchObject({ id: "", matched: 2n, matchedAtLeast: false, state: ReplayState.UNSPECIFIED });
    expect((await deliveries.listReplays({})).replays).toEqual([]);
    expect(wakes()).toBe(0);
  });

  it("say that they are more where they are counted no further", async () => {
    const { store, deliveries, keep } = await calls();
    await keep(finished("d1", "failed", "a1"));
    const candidate = (
      await store.replays.candidates(
        TENANT,
        { kind: "deliveries", filter: { eventTypes: [], toMs: 2e12 } },
        undefined,
        1,
      )
    ).items;
    const many = Array.from({ length: 5_000 }, () => candidate).flat();
    const next = { timeMs: 1, sequence: -1, id: "d" };
    store.replays.candidates = async (_tenant, _source, _after, limit) => ({ items: many.slice(0, limit), next });
    const { replay } = await deliveries.createReplay({ replay: {} });
    expect(replay).toMatchObject({ matched: BigInt(LIMITS.replayCounted), matchedAtLeast: true });
    const dry = await deliveries.createReplay({ replay: {}, dryRun: true });
    expect(dry.replay).toMatchObject({ matched: BigInt(LIMITS.replayDryRun), matchedAtLeast: true });
  });

  it.each([
    ["replay.filter.status", { filter: { status: DeliveryStatus.WAITING } }],
    ["replay.filter.status", { filter: { status: 99 as DeliveryStatus } }],
    ["replay.filter.event_types[1]", { filter: { eventTypes: [PassEventType.CREATED, 0] } }],
    ["replay.filter.event_types[0]", { filter: { eventTypes: [99 as PassEventType] } }],
    ["replay.filter.end_time", { filter: { startTime: timestampFromMs(2_000), endTime: timestampFromMs(1_000) } }],
    ["replay.filter.subscription_id", { filter: { status: DeliveryStatus.FAILED }, targetSubscriptionId: "sub_2" }],
    ["replay.rate_per_second", { ratePerSecond: -1 }],
    ["replay.rate_per_second", { ratePerSecond: 10_001 }],
    ["replay.rate_per_second", { ratePerSecond: Number.NaN }],
  ])("are refused by the field %s", async (field, replay) => {
    const { deliveries } = await calls();
    const error = await refusal(deliveries.createReplay({ replay }));
    expect([error.code, error.rawMessage]).toEqual([Code.InvalidArgument, expect.stringContaining(`${field}:`)]);
    expect((await deliveries.listReplays({})).replays).toEqual([]);
  });

  it.each([
    ["replay.filter.subscription_id", { filter: { subscriptionId: "sub_9" } }],
    ["replay.target_subscription_id", { targetSubscriptionId: "sub_9" }],
  ])("are refused for a subscription that is not there: %s", async (field, replay) => {
    const { deliveries } = await calls();
    const error = await refusal(deliveries.createReplay({ replay }));
    expect([error.code, error.rawMessage]).toEqual([Code.NotFound, expect.stringContaining(`${field}:`)]);
  });

  it.each([true, false])(
    "are counted no further than a million rows, of which none may fit: dry run %s",
    async (dryRun) => {
      const { store, deliveries } = await calls();
      let looks = 0;
      store.replays.candidates = async () => {
        looks += 1;
        return { items: [], next: { timeMs: looks, sequence: -1, id: "d" } };
      };
      const { replay } = await deliveries.createReplay({ replay: {}, dryRun });
      expect(replay).toMatchObject({ matched: 0n, matchedAtLeast: true });
      expect(looks).toBe(200);
    },
  );

  it("are not made for somebody who has stopped waiting", async () => {
    const { store, replays, deliveries, wakes } = await calls();
    const [looking, look, called] = [
      Promise.withResolvers<void>(),
      Promise.withResolvers<void>(),
      Promise.withResolvers<{ readonly signal: AbortSignal; readonly made: Promise<unknown> }>(),
    ];
    const create = replays.create.bind(replays);
    replays.create = (tenant, draft, signal) => {
      const made = create(tenant, draft, signal);
      called.resolve({ signal, made: made.catch((reason: unknown) => reason) });
      return made;
    };
    store.replays.candidates = async () => {
      looking.resolve();
      await look.promise;
      return { items: [] };
    };
    const leaving = new AbortController();
    const asked = refusal(deliveries.createReplay({ replay: {} }, { signal: leaving.signal }));
    await looking.promise;
    const { signal, made } = await called.promise;
    const heard = new Promise((resolve) => signal.addEventListener("abort", resolve));
    leaving.abort();
    await within(5_000, "the end of the call", heard);
    look.resolve();
    await made;
    expect((await asked).code).toBe(Code.Canceled);
    expect((await deliveries.listReplays({})).replays).toEqual([]);
    expect(wakes()).toBe(0);
  });

  it("are no more at a time than may be, and one too many is not even counted", async () => {
    const { store, deliveries } = await calls();
    for (let at = 0; at < LIMITS.openReplays; at++) await deliveries.createReplay({ replay: {} });
    store.replays.candidates = () => expect.unreachable("it was counted");
    expect((await refusal(deliveries.createReplay({ replay: {} }))).code).toBe(Code.ResourceExhausted);
  });

  it("are counted at the same time no more than may be open", async () => {
    const { store, deliveries } = await calls();
    const [looking, look] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    let looks = 0;
    store.replays.candidates = async () => {
      looks += 1;
      if (looks === LIMITS.openReplays) looking.resolve();
      await look.promise;
      return { items: [] };
    };
    const asked = Array.from({ length: LIMITS.openReplays }, () =>
      deliveries.createReplay({ replay: {}, dryRun: true }),
    );
    await within(5_000, "the counts", looking.promise);
    for (const dryRun of [true, false]) {
      expect((await refusal(deliveries.createReplay({ replay: {}, dryRun }))).code).toBe(Code.ResourceExhausted);
    }
    look.resolve();
    await Promise.all(asked);
    await deliveries.createReplay({ replay: {} });
  });

  it("are paused, resumed and cancelled, and refuse what their state does not allow", async () => {
    const { deliveries } = await calls();
    const id = (await deliveries.createReplay({ replay: {} })).replay?.id ?? "";
    expect(
      (await refusal(deliveries.resumeReplay({ id }).then(() => deliveries.resumeReplay({ id: "rpl_9" })))).code,
    ).toBe(Code.NotFound);
    expect((await deliveries.pauseReplay({ id })).replay?.state).toBe(ReplayState.PAUSED);
    expect((await deliveries.pauseReplay({ id })).replay?.state).toBe(ReplayState.PAUSED);
    expect((await deliveries.resumeReplay({ id })).replay?.state).toBe(ReplayState.RUNNING);
    expect((await deliveries.cancelReplay({ id })).replay).toMatchObject({ state: ReplayState.CANCELLED });
    for (const call of [deliveries.pauseReplay, deliveries.resumeReplay]) {
      expect((await refusal(call({ id }))).code).toBe(Code.FailedPrecondition);
    }
  });

  it("are another tenant's, and there for nobody else", async () => {
    const { api, as, deliveries } = await calls();
    const id = (await deliveries.createReplay({ replay: {} })).replay?.id ?? "";
    const theirs = as(api.stage.key("admin", ACME_TEST));
    for (const call of [theirs.getReplay, theirs.pauseReplay, theirs.resumeReplay, theirs.cancelReplay]) {
      expect((await refusal(call({ id }))).code).toBe(Code.NotFound);
    }
    const watching = theirs.watchReplay({ id })[Symbol.asyncIterator]();
    expect((await refusal(watching.next())).code).toBe(Code.NotFound);
    expect((await theirs.listReplays({})).replays).toEqual([]);
  });

  it("are watched until they are over", async () => {
    const { store, deliveries, keep } = await calls();
    await keep(finished("d1", "failed", "a1"));
    const id = (await deliveries.createReplay({ replay: {} })).replay?.id ?? "";
    const watching = deliveries.watchReplay({ id })[Symbol.asyncIterator]();
    const next = () => within(5_000, "the next of the watch", watching.next());
    expect((await next()).value?.replay).toMatchObject({ id, state: ReplayState.RUNNING, matched: 1n, sent: 0n });
    const [job] = await store.replays.take({ nowMs: Date.now(), leaseMs: 60_000, limit: 1 });
    if (job === undefined) throw new Error("there is no job");
    const nowMs = Date.now();
    const nothing = { fresh: [], skipped: 0, alreadySent: 0, isAtEnd: true, deferred: [] };
    const step = { ...nothing, tenant: TENANT, id, fence: job.fence, nowMs, leaseUntilMs: nowMs + 60_000 };
    await store.replays.step({ ...step, due: ["d1"], finished: false });
    expect((await next()).value?.replay).toMatchObject({ sent: 1n, pending: 1n });
    await store.replays.step({ ...step, due: [], finished: true });
    expect((await next()).value?.replay).toMatchObject({ state: ReplayState.FINISHED, matched: 1n });
    expect((await next()).done).toBe(true);
  });
});

describe("cancelling a delivery over the API", () => {
  it("ends what waits, once", async () => {
    const { deliveries, keep } = await calls();
    await keep(waiting("d1"));
    expect((await deliveries.cancelDelivery({ id: "d1" })).delivery).toMatchObject({
      id: "d1",
      status: DeliveryStatus.CANCELLED,
    });
    const again = await refusal(deliveries.cancelDelivery({ id: "d1" }));
    expect([again.code, again.rawMessage]).toEqual([
      Code.FailedPrecondition,
      expect.stringContaining("cancelled already"),
    ]);
  });

  it.each([
    ["enabled, in order", "waiting", { ordering: "perPass" }, "enabled"],
    ["enabled, in no order", "held", {}, "enabled"],
    ["disabled", "held", { ordering: "perPass" }, "disabled"],
  ] as const)("lets the next of its pass go: %s, it is %s", async (_what, status, policy, state) => {
    const { store, deliveries, keep } = await calls();
    await store.subscriptions.insert(subscription("sub_3", { state, policy: { ...DEFAULT_POLICY, ...policy } }), 10);
    const behind = { subscriptionId: "sub_3", status: "held" } as const;
    await keep(waiting("d1", 0, { subscriptionId: "sub_3", sequence: 1 }));
    await keep(delivery("d2", { ...behind, sequence: 2 }), delivery("d3", { ...behind, sequence: 3 }));
    await deliveries.cancelDelivery({ id: "d1" });
    expect((await store.deliveries.getDelivery(TENANT, "d2"))?.status).toBe(status);
    expect((await store.deliveries.getDelivery(TENANT, "d3"))?.status).toBe("held");
  });

  it("is refused while it is attempted, and where there is none", async () => {
    const { deliveries, keep } = await calls();
    await keep(waiting("d1", 0, { status: "attempting", leaseUntilMs: Date.now() + 60_000 }));
    expect((await refusal(deliveries.cancelDelivery({ id: "d1" }))).code).toBe(Code.FailedPrecondition);
    expect((await refusal(deliveries.cancelDelivery({ id: "d9" }))).code).toBe(Code.NotFound);
    expect((await refusal(deliveries.cancelDelivery({}))).code).toBe(Code.InvalidArgument);
  });
});
