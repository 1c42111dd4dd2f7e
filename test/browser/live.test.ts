/**
 * No page waits on a reload, or on its next reading: what changes elsewhere is told by a stream, in Chromium. The page's
 * clock is moved on, so that a page which read every few seconds would show it.
 */
import { createClient } from "@connectrpc/connect";
import type { Locator, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DeliverySwitchScope, Role } from "../../gen/passbus/v1/access_service_pb.js";
import { InspectorService } from "../../gen/passbus/v1/inspector_service_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { State } from "../../gen/passbus/v1/subscription_pb.js";
import { browser, PAGE_LIMIT_MS, Stage } from "../support/browser.ts";
import { grpcWithKey } from "../support/grpc.ts";
import { BOOTSTRAP_KEY, type Clients } from "../support/passbus.ts";
import { eventually } from "../support/within.ts";

const LIMIT_MS = 240_000;
/** From the answer of the call that changed something to the change on the page: of most pages. */
const SHOWN_WITHIN_MS = 2_000;

interface Row {
  readonly what: string;
  readonly path: string;
  /** What the page reads again; of a page that is told all of it, nothing. */
  readonly reads: string | undefined;
  readonly change: (api: Clients, url: string) => Promise<unknown>;
  readonly shows: (page: Page) => Locator;
}

const cell = (text: string | RegExp) => (page: Page) => page.getByRole("row").filter({ hasText: text }).first();

const created = { type: PassEventType.CREATED };

const ROWS: readonly Row[] = [
  {
    what: "the overview",
    path: "/",
    reads: undefined,
    change: (api) => api.subscriptions.createSubscription({ subscription: { url: "http://127.0.0.1:9099/one" } }),
    shows: (page) => page.locator(".tile").filter({ hasText: /\b1 enabled/ }),
  },
  {
    what: "the list of subscriptions",
    path: "/subscriptions",
    reads: "ListSubscriptions",
    change: (api) =>
      api.subscriptions.createSubscription({
        subscription: { url: "http://127.0.0.1:9099/two", description: "the second" },
      }),
    shows: cell("the second"),
  },
  {
    what: "the list of replays",
    path: "/replays",
    reads: "ListReplays",
    change: (api) => api.deliveries.createReplay({ replay: {} }),
    shows: cell(/rpl_/),
  },
  {
    what: "the dead letters",
    path: "/dead-letters",
    reads: "ListDeadLetters",
    change: async ({ events }) => {
      await events.publishEvents({ events: [{ ...created, id: "evt_live", pass: { id: "pass-1" } }] });
      await events.publishEvents({ events: [{ ...created, id: "evt_live", pass: { id: "pass-2" } }] });
    },
    shows: cell("event.conflict"),
  },
  {
    what: "the list of bins",
    path: "/inspector",
    reads: "ListBins",
    change: (_api, url) =>
      createClient(InspectorService, grpcWithKey(url, BOOTSTRAP_KEY)).createBin({ description: "made elsewhere" }),
    shows: cell("made elsewhere"),
  },
  {
    what: "the keys",
    path: "/access/keys",
    reads: "ListKeys",
    change: (api) => api.access.createKey({ key: { role: Role.VIEWER, description: "for the hall" } }),
    shows: cell("for the hall"),
  },
  {
    what: "the portal sessions",
    path: "/access/sessions",
    reads: "ListPortalSessions",
    change: (api) => api.access.createPortalSession({ entityId: "the-shop" }),
    shows: cell("the-shop"),
  },
  {
    what: "the audit log",
    path: "/access/audit",
    reads: "ListAuditRecords",
    change: (api) =>
      api.access.setLimits({ limits: { entitySubscriptions: 76 }, updateMask: { paths: ["entity_subscriptions"] } }),
    shows: cell("SetLimits"),
  },
  {
    what: "the limits",
    path: "/access/limits",
    reads: "GetLimits",
    change: (api) =>
      api.access.setLimits({ limits: { entitySubscriptions: 77 }, updateMask: { paths: ["entity_subscriptions"] } }),
    shows: (page) => page.locator("input[value='77']"),
  },
  {
    what: "the switch",
    path: "/access/limits",
    reads: "GetDeliverySwitch",
    change: (api) => stop(api, true),
    shows: (page) => page.getByText("the receiver moves"),
  },
  {
    what: "the overview's word of the switch",
    path: "/",
    reads: "GetDeliverySwitch",
    change: (api) => stop(api, false),
    shows: (page) => page.locator("main:not(:has([role=alert]))"),
  },
];

function stop(api: Clients, stopped: boolean) {
  return api.access.setDeliverySwitch({
    scope: DeliverySwitchScope.ORGANISATION,
    stopped,
    reason: stopped ? "the receiver moves" : "",
  });
}

/** The calls of the page by the method's name: those that it made, and those whose answers have begun. */
function callsOf(page: Page) {
  const [made, begun] = [new Map<string, number>(), new Map<string, number>()];
  const count = (calls: Map<string, number>, url: string) => {
    const method = url.split("/").at(-1) ?? "";
    calls.set(method, (calls.get(method) ?? 0) + 1);
  };
  page.on("request", (request) => count(made, request.url()));
  page.on("response", (response) => count(begun, response.url()));
  return { made, begun };
}

/** As long as the longest pause between two readings of a page that isn't told; three of them are no silence (rpc.ts). */
const PAUSE_MS = 11_000;

/** Three pauses of the page's go by in which it reads nothing. */
function quiet(page: Page, what: string, readings: () => number): Promise<true> {
  const aPause = async () => {
    await page.clock.runFor(PAUSE_MS);
    // What was called before this is counted when this is seen.
    await Promise.all([page.waitForRequest(/marker$/), page.evaluate("fetch('/?marker').then((page) => page.text())")]);
  };
  return eventually(PAGE_LIMIT_MS, `pauses without a reading of ${what}`, async () => {
    const before = readings();
    // While one reading is under way no other begins, however often it is due: the first may hide that.
    for (let pauses = 0; pauses < 3; pauses++) await aPause();
    return readings() === before ? true : undefined;
  });
}

describe.skipIf(!browser.present)(browser.title("the live pages of the dashboard"), () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await Stage.open();
  }, LIMIT_MS);
  afterAll(() => stage?.[Symbol.asyncDispose]());

  it(
    "show what changes elsewhere without a reload, and read nothing while nothing changes",
    async () => {
      await using visit = await stage.signedIn("/events");
      const { page } = visit;
      await page.clock.install();
      const calls = callsOf(page);
      const tookMs: number[] = [];
      for (const { what, path, reads, change, shows } of ROWS) {
        for (const each of [calls.made, calls.begun]) each.clear();
        await visit.open("/events");
        await visit.open(path);
        const stream = reads === undefined ? "WatchOverview" : "WatchChanges";
        await eventually(PAGE_LIMIT_MS, `the stream of ${what}`, async () => calls.begun.get(stream));
        await visit.settled();
        const readings = () => calls.made.get(reads ?? "GetOverview") ?? 0;
        await quiet(page, what, readings);
        await change(stage.passbus.api, stage.passbus.url);
        const changedAtMs = performance.now();
        await shows(page).waitFor({ state: "attached" });
        tookMs.push(performance.now() - changedAtMs);
      }
      const slow = tookMs.filter((ms) => ms > SHOWN_WITHIN_MS);
      expect(slow.length, `ms to be shown: ${tookMs.map(Math.round).join(", ")}`).toBeLessThanOrEqual(1);
    },
    LIMIT_MS,
  );

  it(
    "a subscription's page shows that it was paused, to its entity's portal session too",
    async () => {
      const { subscriptions, access } = stage.passbus.api;
      const { subscription } = await subscriptions.createSubscription({
        subscription: { url: "http://127.0.0.1:9099/x", entityId: "shop-1" },
      });
      const own = subscription?.id ?? "";
      const { token } = await access.createPortalSession({ entityId: "shop-1" });
      await using visit = await stage.signedIn("/subscriptions", { key: token });
      const { page } = visit;
      await page.clock.install();
      const calls = callsOf(page);
      await visit.open(`/subscriptions/${own}`);
      await page.getByRole("button", { name: "Pause" }).waitFor();
      await eventually(PAGE_LIMIT_MS, "the stream of the subscription", async () => calls.begun.get("WatchChanges"));
      await quiet(page, "the subscription", () => calls.made.get("GetSubscription") ?? 0);
      await subscriptions.updateSubscription({
        subscription: { id: own, state: State.DISABLED },
        updateMask: { paths: ["state"] },
      });
      await page.locator(".badge").filter({ hasText: "paused" }).waitFor();
    },
    LIMIT_MS,
  );

  it(
    "say that they are not live where the stream is down, and read every few seconds until it is back",
    async () => {
      await using visit = await stage.signedIn("/events");
      const { page } = visit;
      visit.expectFailedCalls();
      await page.clock.install();
      await page.route("**/WatchChanges", (route) => route.fulfill({ status: 503 }));
      await visit.open("/inspector");
      await page.getByText("Not live").waitFor();
      const calls = callsOf(page);
      await page.clock.runFor(11_000);
      await eventually(PAGE_LIMIT_MS, "two readings", async () =>
        (calls.made.get("ListBins") ?? 0) >= 2 ? true : undefined,
      );
      expect(await visit.offences()).toEqual([]);
      await page.unroute("**/WatchChanges");
      await page.clock.runFor(15_000);
      await page.getByText("Not live").waitFor({ state: "detached" });
    },
    LIMIT_MS,
  );
});
