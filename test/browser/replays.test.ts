/** Replays in a real browser: counted before they are sent, watched, paused, resumed, cancelled. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ReplayState } from "../../gen/passbus/v1/delivery_service_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { browser, PAGE_LIMIT_MS, Stage } from "../support/browser.ts";
import { Sink } from "../support/sink.ts";
import { eventually } from "../support/within.ts";

const LIMIT_MS = 180_000;
const EVENTS = 20;

describe.skipIf(!browser.present)(browser.title("the replays' pages"), () => {
  let stage: Stage;
  let sink: Sink;
  let subscriptionId = "";

  beforeAll(async () => {
    [stage, sink] = await Promise.all([Stage.open(), Sink.start()]);
    const { subscriptions, events } = stage.passbus.api;
    const { subscription } = await subscriptions.createSubscription({ subscription: { url: sink.url("/again") } });
    subscriptionId = subscription?.id ?? "";
    const published = Array.from({ length: EVENTS }, (_, at) => ({
      id: `event-${at}`,
      type: at % 2 === 0 ? PassEventType.UPDATED : PassEventType.CREATED,
      pass: { id: `pass-${at}` },
    }));
    await events.publishEvents({ events: published });
    await sink.accepted("/again", EVENTS, PAGE_LIMIT_MS);
    await eventually(PAGE_LIMIT_MS, "all delivered", async () => {
      const { deliveries } = await stage.passbus.api.deliveries.listDeliveries({ pageSize: 500 });
      return deliveries.filter(({ finishedAt }) => finishedAt !== undefined).length === EVENTS ? true : undefined;
    });
  }, LIMIT_MS);
  afterAll(async () => {
    await sink?.[Symbol.asyncDispose]();
    await stage?.[Symbol.asyncDispose]();
  });

  const stateOf = async (id: string) => (await stage.passbus.api.deliveries.getReplay({ id })).replay?.state;

  it(
    "counts what would be sent, sends it, and shows how it gets on",
    async () => {
      await using visit = await stage.signedIn(`/deliveries?subscription=${subscriptionId}`);
      const { page } = visit;
      await page.getByRole("button", { name: "Replay …" }).click();
      expect(await page.getByRole("button", { name: "Start the replay" }).isDisabled()).toBe(true);
      await page.getByLabel("updated").check();
      await page.getByRole("button", { name: "Count without sending" }).click();
      await page.getByText("10 fit: about 1 s at 50/s. Nothing was sent yet.").waitFor();
      expect(await visit.offencesInAllLooks()).toEqual({});
      expect(await sink.receiptsAt("/again")).toHaveLength(EVENTS);
      // What was counted is what starts: another filter is counted anew.
      await page.getByRole("checkbox", { name: "created" }).check();
      expect(await page.getByRole("button", { name: "Start the replay" }).isDisabled()).toBe(true);
      await page.getByRole("checkbox", { name: "created" }).uncheck();
      await page.getByRole("button", { name: "Count without sending" }).click();
      await page.getByRole("button", { name: "Replay 10" }).click();
      await page.getByRole("heading", { level: 1, name: "Replay" }).waitFor();
      await page.getByText("finished", { exact: true }).waitFor();
      await page.getByText("10 of 10 gone through").waitFor();
      expect(await visit.offencesInAllLooks()).toEqual({});
      const receipts = await sink.requests("/again", EVENTS + 10, PAGE_LIMIT_MS);
      expect(receipts.filter(({ isReplay }) => isReplay)).toHaveLength(10);
    },
    LIMIT_MS,
  );

  it(
    "pauses, resumes and cancels",
    async () => {
      await using visit = await stage.signedIn("/replays");
      const { page } = visit;
      await page.getByRole("button", { name: "New replay …" }).click();
      // So slow that it is never over while the test runs.
      await page.getByLabel("Rate, a second").fill("0.01");
      await page.getByRole("button", { name: "Count without sending" }).click();
      await page.getByRole("button", { name: /^Replay \d+$/ }).click();
      await page.getByText("running", { exact: true }).waitFor();
      const id = visit.path.split("/").at(-1) ?? "";
      await page.getByRole("button", { name: "Pause" }).click();
      await page.getByText("paused", { exact: true }).waitFor();
      expect(await stateOf(id)).toBe(ReplayState.PAUSED);
      await page.getByRole("button", { name: "Resume" }).click();
      await page.getByText("running", { exact: true }).waitFor();
      await page.getByRole("button", { name: "Cancel the replay" }).click();
      await page.getByRole("dialog").getByText(id).waitFor();
      await page.getByRole("button", { name: "Cancel it for good" }).click();
      await page.getByText("cancelled", { exact: true }).waitFor();
      expect(await stateOf(id)).toBe(ReplayState.CANCELLED);
      await visit.open("/replays");
      await page.getByRole("table", { name: "Replays" }).getByRole("link", { name: id }).waitFor();
      expect(await visit.offencesInAllLooks()).toEqual({});
    },
    LIMIT_MS,
  );

  it(
    "takes in no more than the log shows without being told to",
    async () => {
      await using visit = await stage.signedIn(`/deliveries?event=event-3&status=waiting`);
      const { page } = visit;
      await page.getByRole("button", { name: "Replay …" }).click();
      const dialog = page.getByRole("dialog");
      await dialog.getByText("the event id event-3").waitFor();
      await dialog.getByText("the status waiting: a replay sends only what has ended").waitFor();
      expect(await dialog.getByRole("button", { name: /Start|Replay|Count/ }).count()).toBe(0);
      expect(await visit.offencesInAllLooks()).toEqual({});
      await dialog.getByRole("button", { name: "Go on without" }).click();
      await dialog.getByText("Left out of the log’s filters: the event id event-3; the status waiting").waitFor();
    },
    LIMIT_MS,
  );

  it(
    "says that it could not start, where it could count",
    async () => {
      await using visit = await stage.signedIn("/replays");
      visit.expectFailedCalls();
      const { page } = visit;
      await page.getByRole("button", { name: "New replay …" }).click();
      await page.getByRole("button", { name: "Count without sending" }).click();
      await page.getByRole("button", { name: /^Replay \d+$/ }).waitFor();
      await page.route("**/CreateReplay", (route) => route.abort());
      await page.getByRole("button", { name: /^Replay \d+$/ }).click();
      await page.getByRole("alert").getByText("Could not start.").waitFor();
    },
    LIMIT_MS,
  );

  it(
    "says at the field what a rate may be",
    async () => {
      await using visit = await stage.signedIn("/replays");
      visit.expectFailedCalls();
      const { page } = visit;
      await page.getByRole("button", { name: "New replay …" }).click();
      await page.getByLabel("Rate, a second").fill("-3");
      await page.getByRole("button", { name: "Count without sending" }).click();
      await page.getByRole("alert").getByText("Could not count.").waitFor();
      await page.locator(".field-error", { hasText: /./ }).waitFor();
    },
    LIMIT_MS,
  );
});
