/** Rates as callers meet them, over every protocol's way in. */
import { Code, createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { AccessService } from "../../gen/passbus/v1/access_service_pb.js";
import { EventService } from "../../gen/passbus/v1/event_service_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { TENANT, type TestApi, testApi } from "../../test/support/api.ts";
import { failureOf, grpcWithKey } from "../../test/support/grpc.ts";
import { MemoryLimits } from "../../test/support/memory-subscriptions.ts";
import { eventually, within } from "../../test/support/within.ts";
import { Rates } from "../access/rates.ts";
import { type Clock, systemClock } from "../kernel/clock.ts";

/** Stands still for whoever is limited, so that a slow machine makes no difference; timers go on. */
class HeldClock implements Clock {
  aheadMs = 0;
  now = () => systemClock.now();
  monotonic = () => this.aheadMs;
  after = (delayMs: number, task: () => void) => systemClock.after(delayMs, task);
}

let api: TestApi;
const held = new HeldClock();
const given = new Map([["tiny", { eventsPerSecond: 3 }]]);
beforeAll(async () => {
  const rates = new Rates({
    service: { callsPerSecond: 5, eventsPerSecond: 100 },
    given: async (organisation) => given.get(organisation) ?? {},
    clock: held,
  });
  api = await testApi({ rates });
});
afterAll(() => api.stop(0));

const of = (organisation: string) => ({ organisation, environment: "production" });
const eventsWith = (key: string) => createClient(EventService, grpcWithKey(api.url, key));
const event = { type: PassEventType.CREATED, pass: { id: "p1" } };

describe("calls", () => {
  test("beyond the key's rate are refused with how long to wait; another key's are not", async () => {
    const key = api.stage.key("viewer", of("calls"));
    const access = createClient(AccessService, grpcWithKey(api.url, key));
    for (let made = 0; made < 5; made += 1) await access.getLimits({});
    const error = await failureOf(access.getLimits({}));
    expect([error.code, error.findDetails(RetryInfoSchema)[0]?.retryDelay]).toMatchObject([
      Code.ResourceExhausted,
      { seconds: 0n, nanos: 200_000_000 },
    ]);
    const other = createClient(AccessService, grpcWithKey(api.url, api.stage.key("viewer", of("calls"))));
    expect((await other.getLimits({})).limits?.callsPerSecond).toBe(5);
    held.aheadMs += 200;
    await access.getLimits({});
  });

  test("of all portal sessions of an organisation come to one key's, and its keys go on", async () => {
    const sessions = ["shop", "shop", "cafe"].map((entityId) => {
      const token = api.stage.session(entityId, of("portal"));
      return createClient(AccessService, grpcWithKey(api.url, token));
    });
    for (let made = 0; made < 5; made += 1) await sessions[made % 3]?.getCaller({});
    for (const session of sessions) {
      const error = await failureOf(session.getCaller({}));
      expect([error.code, error.rawMessage]).toEqual([
        Code.ResourceExhausted,
        "the organisation's portal made more than the 5 calls a second that it may",
      ]);
      expect(error.findDetails(RetryInfoSchema)[0]?.retryDelay).toMatchObject({ seconds: 0n, nanos: 200_000_000 });
    }
    const admin = createClient(AccessService, grpcWithKey(api.url, api.stage.key("admin", of("portal"))));
    for (let made = 0; made < 5; made += 1) await admin.getCaller({});
  });

  test("that their role may not make count too", async () => {
    const access = createClient(AccessService, grpcWithKey(api.url, api.stage.key("publisher", of("refused"))));
    const codes = [];
    for (let made = 0; made < 6; made += 1) codes.push((await failureOf(access.listKeys({}))).code);
    expect(codes).toEqual([...Array(5).fill(Code.PermissionDenied), Code.ResourceExhausted]);
  });
});

describe("events", { timeout: 120_000 }, () => {
  test("beyond the organisation's rate are refused, whichever key they come with, and none of them is taken", async () => {
    const before = api.stage.records.length;
    const [first, second] = [0, 1].map(() => eventsWith(api.stage.key("publisher", of("batches"))));
    await first?.publishEvents({ events: Array(150).fill(event) });
    const error = await failureOf(second?.publishEvents({ events: [event] }) ?? Promise.resolve());
    expect([error.code, error.findDetails(RetryInfoSchema)[0]?.retryDelay]).toMatchObject([
      Code.ResourceExhausted,
      { seconds: 0n, nanos: 510_000_000 },
    ]);
    expect(api.stage.records.length - before).toBe(150);
  });

  test("of a stream are read as slowly as the rate wants, and all of them are taken", async () => {
    const key = api.stage.key("publisher", of("tiny"));
    // What it was given is asked with its first call.
    await eventsWith(key).publishEvents({ events: [event] });
    held.aheadMs += 1_000;
    const before = api.stage.records.length;
    const answered: string[] = [];
    const requests = async function* () {
      for (let at = 0; at < 8; at += 1) yield { event: { ...event, id: `e${at}` } };
    };
    const ended = (async () => {
      for await (const { result } of eventsWith(key).publishEventStream(requests())) {
        answered.push(result?.eventId ?? "");
      }
    })();
    for (const worth of [3, 6]) {
      await eventually(30_000, "a second's worth", () => (answered.length === worth ? true : undefined));
      expect(api.stage.records.length - before).toBe(worth);
      held.aheadMs += 1_000;
    }
    await within(30_000, "the rest", ended);
    expect(answered).toEqual(Array.from({ length: 8 }, (_, at) => `e${at}`));
  });
});

describe("who sets the rates", () => {
  test("is an administrator of the bootstrap organisation, for any; others may neither raise nor reset them", async () => {
    await using own = await testApi();
    const access = (role: "admin" | "operator", organisation: string) =>
      createClient(AccessService, grpcWithKey(own.url, own.stage.key(role, of(organisation))));
    const operator = access("admin", TENANT.organisation);
    const limits = { callsPerSecond: 700, eventsPerSecond: 900 };
    const set = await operator.setLimits({
      organisationId: "globex",
      limits,
      updateMask: { paths: ["calls_per_second", "events_per_second"] },
    });
    expect(set.limits).toMatchObject(limits);
    const globex = access("admin", "globex");
    for (const request of [
      { limits: { callsPerSecond: 800 } },
      { limits: { eventsPerSecond: 1 }, updateMask: { paths: ["events_per_second"] } },
      { limits: {}, updateMask: { paths: ["calls_per_second"] } },
      { organisationId: "other", limits: {} },
    ]) {
      expect((await failureOf(globex.setLimits(request))).code).toBe(Code.PermissionDenied);
    }
    expect((await failureOf(access("operator", TENANT.organisation).setLimits({ limits }))).code).toBe(
      Code.PermissionDenied,
    );
    // All that it may set, and what it read given back.
    const { limits: read } = await globex.getLimits({});
    if (read === undefined) throw new Error("no limits");
    await globex.setLimits({ limits: read });
    await globex.setLimits({ limits: { entitySubscriptions: 5 } });
    expect((await globex.getLimits({})).limits).toMatchObject({ ...limits, entitySubscriptions: 5 });
    expect((await failureOf(operator.setLimits({ limits: { callsPerSecond: 1_000_001 } }))).code).toBe(
      Code.InvalidArgument,
    );
    await operator.setLimits({ organisationId: "globex", limits: {} });
    expect((await globex.getLimits({})).limits).toMatchObject({ callsPerSecond: 0, eventsPerSecond: 0 });
  });

  test.each([
    { limits: { entitySubscriptions: 5 }, updateMask: { paths: ["entity_subscriptions"] } },
    { limits: { entitySubscriptions: 5 } },
  ])("an organisation that writes after a read from before brings no old rate back: %j", async (request) => {
    const limits = new MemoryLimits();
    await using own = await testApi({ limits });
    const admin = createClient(AccessService, grpcWithKey(own.url, own.stage.key("admin", of("globex"))));
    await limits.setLimits("globex", { callsPerSecond: 900, entity: 3 });
    limits.beforeSet = async () => {
      limits.beforeSet = async () => undefined;
      await limits.setLimits("globex", { callsPerSecond: 1 }, ["callsPerSecond"]);
    };
    const answer = await admin.setLimits(request);
    expect(answer.limits).toMatchObject({ callsPerSecond: 1, entitySubscriptions: 5 });
    expect(await limits.limits("globex")).toEqual({ callsPerSecond: 1, entity: 5 });
  });
});
