/**
 * A page is read by one call and told by another what changes: whatever happens between the two is on the page all the
 * same, in Chromium. Each page begins once with its stream held back, and once with its first reading.
 */
import { setTimeout as delay } from "node:timers/promises";
import { createClient } from "@connectrpc/connect";
import type { Locator, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { InspectorService } from "../../gen/passbus/v1/inspector_service_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { deliveryId } from "../../src/domain/delivery.ts";
import { browser, PAGE_LIMIT_MS, Stage } from "../support/browser.ts";
import { DEAD_URL } from "../support/endpoints.ts";
import { grpcWithKey } from "../support/grpc.ts";
import { eventually } from "../support/within.ts";

const LIMIT_MS = 120_000;
const TENANT = { organisation: "default", environment: "production" };
/** For what a stream tells to come to a page that can't show it yet; where it comes later, the test is only milder. */
const TOLD_WITHIN_MS = 700;

/** As src/dashboard/read-again.ts has it. */
const READ_EVERY_MS = 5_000;

type Held = "stream" | "reading";

/** What a page shows, and something that happens to it. */
interface Case {
  readonly path: string;
  readonly change: () => Promise<unknown>;
  readonly shows: (page: Page) => Locator;
}

interface Row {
  readonly what: string;
  readonly reading: string;
  readonly stream: string;
  /** Which of the two can come later than the other. */
  readonly held: readonly Held[];
  /** It is no log, which says by itself that it isn't live. */
  readonly isDetail?: boolean;
  /** `id`: of the event, for each case another. */
  readonly prepare: (id: string) => Promise<Case>;
}

describe.skipIf(!browser.present)(browser.title("what happens while a page begins is on it"), () => {
  let stage: Stage;
  let subscriptionId = "";

  beforeAll(async () => {
    stage = await Stage.open();
    // Nobody listens there: its deliveries wait for their second attempt until they are cancelled.
    const { subscription } = await stage.passbus.api.subscriptions.createSubscription({
      subscription: { url: DEAD_URL, policy: { retrySchedule: [{ seconds: 3_600n }] } },
    });
    subscriptionId = subscription?.id ?? "";
  }, LIMIT_MS);
  afterAll(() => stage?.[Symbol.asyncDispose]());

  const publish = (id: string) =>
    stage.passbus.api.events.publishEvents({
      events: [{ id, type: PassEventType.UPDATED, pass: { id: `pass-of-${id}` } }],
    });
  const link = (name: string) => (page: Page) => page.getByRole("link", { name, exact: true }).first();
  /** Of an event that is stored and whose delivery waits; the change cancels it. */
  const cancelled = async (id: string, path: (delivery: string) => string): Promise<Case> => {
    const { deliveries } = stage.passbus.api;
    await publish(id);
    const delivery = deliveryId({ tenant: TENANT, id }, subscriptionId);
    await eventually(PAGE_LIMIT_MS, `the first attempt of ${id}`, async () => {
      const attempted = await deliveries.getDelivery({ id: delivery }).catch(() => undefined);
      return attempted?.delivery?.attempts.length === 1 ? true : undefined;
    });
    const badge = (page: Page) => page.locator(".badge").filter({ hasText: "cancelled" }).first();
    return { path: path(delivery), change: () => deliveries.cancelDelivery({ id: delivery }), shows: badge };
  };

  const rows: readonly Row[] = [
    {
      what: "the events",
      reading: "ListEvents",
      stream: "TailEvents",
      held: ["stream", "reading"],
      prepare: async (id) => ({ path: "/events", change: () => publish(id), shows: link(id) }),
    },
    {
      what: "the deliveries",
      reading: "ListDeliveries",
      stream: "WatchDeliveries",
      held: ["stream", "reading"],
      prepare: (id) => cancelled(id, () => `/deliveries?event=${id}`),
    },
    {
      what: "a delivery",
      reading: "GetDelivery",
      stream: "WatchDeliveries",
      isDetail: true,
      held: ["stream"],
      prepare: (id) => cancelled(id, (delivery) => `/deliveries/${delivery}`),
    },
    {
      what: "the deliveries of an event",
      reading: "ListDeliveries",
      stream: "WatchDeliveries",
      isDetail: true,
      held: ["stream", "reading"],
      prepare: (id) => cancelled(id, () => `/events/${id}`),
    },
    {
      what: "the events of a pass",
      reading: "ListEvents",
      stream: "TailEvents",
      isDetail: true,
      held: ["stream", "reading"],
      prepare: async (id) => ({ path: `/passes/pass-of-${id}`, change: () => publish(id), shows: link(id) }),
    },
    {
      what: "the deliveries of a pass",
      reading: "ListDeliveries",
      stream: "WatchDeliveries",
      isDetail: true,
      held: ["stream", "reading"],
      prepare: (id) => cancelled(id, () => `/passes/pass-of-${id}`),
    },
    {
      what: "a bin",
      reading: "ListBinRequests",
      stream: "WatchBin",
      held: ["stream", "reading"],
      prepare: async (id) => {
        const bins = createClient(InspectorService, grpcWithKey(stage.passbus.url, stage.key));
        const { bin } = await bins.createBin({});
        const url = bin?.url ?? "";
        const change = () => fetch(`${url}/${id}`, { method: "POST", body: "x" });
        return { path: `/inspector/${bin?.id}`, change, shows: (page) => page.getByText(`/${id}`).first() };
      },
    },
  ];

  it.each(
    rows.flatMap((row) => row.held.map((held) => ({ row, held, title: `${row.what}, where its ${held} comes late` }))),
  )(
    "$title",
    async ({ row, held }) => {
      const { path, change, shows } = await row.prepare(`evt-${row.what.replaceAll(" ", "-")}-${held}`);
      await using visit = await stage.visit(path);
      const { page } = visit;
      const [came, late] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      const [first, other] = held === "stream" ? [row.reading, row.stream] : [row.stream, row.reading];
      await page.route(
        `**/${other}`,
        async (route) => {
          // A reading has its answer by then; a stream has not begun.
          const response = held === "reading" ? await route.fetch() : undefined;
          came.resolve();
          await late.promise;
          await (response === undefined ? route.continue() : route.fulfill({ response }));
        },
        { times: 1 },
      );
      const begun = page.waitForResponse(`**/${first}`);
      await visit.signIn(stage.key);
      const [response] = await Promise.all([begun, came.promise]);
      if (held === "stream") await response.finished();
      await change();
      await delay(TOLD_WITHIN_MS);
      expect(await shows(page).count()).toBe(0);
      late.resolve();
      await shows(page).waitFor();
    },
    LIMIT_MS,
  );

  it.each(rows.filter(({ isDetail = false }) => isDetail))(
    "$what: is not live where its stream is refused, says so, and is read every few seconds",
    async (row) => {
      const { path, change, shows } = await row.prepare(`evt-${row.what.replaceAll(" ", "-")}-refused`);
      await using visit = await stage.visit(path);
      const { page } = visit;
      visit.expectFailedCalls();
      await page.clock.install();
      await page.route(`**/${row.stream}`, (route) => route.fulfill({ status: 503 }));
      await visit.signIn(stage.key);
      await page.getByText("Not live").waitFor();
      await change();
      await page.clock.runFor(READ_EVERY_MS);
      await shows(page).waitFor();
      expect(await visit.offences()).toEqual([]);
    },
    LIMIT_MS,
  );
});
