/** The events' pages in a real browser: search, one event, why there is no webhook, a pass's story, dead letters. */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DeadLetterSchema, ListDeadLettersResponseSchema } from "../../gen/passbus/v1/event_service_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { DEAD_REASONS } from "../../src/intake/dead-letters.ts";
import { browser, PAGE_LIMIT_MS, Stage } from "../support/browser.ts";
import { Sink } from "../support/sink.ts";
import { eventually } from "../support/within.ts";

const LIMIT_MS = 180_000;
/** What an event's id may have, and an address may not. */
const ODD_ID = "a/b?c=%41#+d";

describe.skipIf(!browser.present)(browser.title("the events' pages"), () => {
  let stage: Stage;
  let sink: Sink;

  beforeAll(async () => {
    [stage, sink] = await Promise.all([Stage.open(), Sink.start()]);
    const { subscriptions } = stage.passbus.api;
    await subscriptions.createSubscription({ subscription: { url: sink.url("/all") } });
    const scans = { url: sink.url("/scans"), eventTypes: [PassEventType.SCANNED] };
    await subscriptions.createSubscription({ subscription: scans });
  }, LIMIT_MS);
  afterAll(async () => {
    await sink?.[Symbol.asyncDispose]();
    await stage?.[Symbol.asyncDispose]();
  });

  const publish = (id: string, passId: string, type = PassEventType.UPDATED) =>
    stage.passbus.api.events.publishEvents({ events: [{ id, type, pass: { id: passId } }] });
  const letters = (count: number) =>
    eventually(PAGE_LIMIT_MS, `${count} dead letters`, async () => {
      const { deadLetters } = await stage.passbus.api.events.listDeadLetters({});
      return deadLetters.length === count ? deadLetters : undefined;
    });

  it(
    "says what to do where there are none, then shows each event as it comes, and finds it by pass and type",
    async () => {
      await using visit = await stage.signedIn("/events");
      const { page } = visit;
      await page.getByText("No events yet").waitFor();
      await page.getByText("Live", { exact: true }).waitFor();
      await publish("first", "p-1");
      await page.getByRole("link", { name: "first" }).waitFor();
      await publish("second", "p-2", PassEventType.CREATED);
      await page.getByRole("link", { name: "second" }).waitFor();
      expect(await visit.offencesInAllLooks()).toEqual({});
      await page.getByLabel("Type").selectOption("created");
      await page.getByRole("link", { name: "first" }).waitFor({ state: "detached" });
      await page.getByRole("link", { name: "second" }).waitFor();
      await page.getByLabel("Pass id").fill("p-1");
      await page.getByText("No event fits these filters").waitFor();
      expect(visit.path).toBe("/events?type=created&pass=p-1");
      // What comes live is held against the filters too.
      await publish("third", "p-1");
      await publish("fourth", "p-1", PassEventType.CREATED);
      await page.getByRole("link", { name: "fourth" }).waitFor();
      expect(await page.getByRole("link", { name: "third" }).count()).toBe(0);
    },
    LIMIT_MS,
  );

  it(
    "holds back what is new while it is paused, and counts it",
    async () => {
      await using visit = await stage.signedIn("/events?pass=p-paused");
      const { page } = visit;
      await publish("paused-1", "p-paused");
      await page.getByRole("link", { name: "paused-1" }).waitFor();
      await page.getByText("Live", { exact: true }).waitFor();
      await page.getByRole("button", { name: "Pause" }).click();
      await publish("paused-2", "p-paused");
      await page.getByRole("button", { name: "Show 1 new" }).waitFor();
      expect(await page.getByRole("link", { name: "paused-2" }).count()).toBe(0);
      await page.getByRole("button", { name: "Go live" }).click();
      await page.getByRole("link", { name: "paused-2" }).waitFor();
    },
    LIMIT_MS,
  );

  it(
    "shows an event as it is stored, its deliveries, and why a subscription got none",
    async () => {
      await publish(ODD_ID, "p/odd %");
      await sink.reach(["/all"], 1, PAGE_LIMIT_MS);
      await using visit = await stage.signedIn("/events");
      const { page } = visit;
      await page.getByLabel("Event id").fill(ODD_ID);
      await page.getByRole("button", { name: "Open" }).click();
      await page.getByRole("heading", { level: 1, name: "Event" }).waitFor();
      await page.getByText(`"id": "${ODD_ID}"`).waitFor();
      const deliveries = page.getByRole("table", { name: "Deliveries of the event" });
      await deliveries.getByText("delivered").waitFor();
      const reasons = page.getByRole("table", { name: "Why each subscription got the event, or did not" });
      await reasons.getByText("match.type").waitFor();
      expect(await reasons.getByRole("row").count()).toBe(3);
      expect(await visit.offencesInAllLooks()).toEqual({});
      const scans = await page.getByRole("option", { name: /scans$/ }).getAttribute("value");
      await page.getByLabel("For the subscription").selectOption(scans);
      await reasons.getByText("/all").waitFor({ state: "detached" });
      await reasons.getByText("match.type").waitFor();
      await page.getByRole("link", { name: "p/odd %" }).click();
      await page.getByRole("heading", { level: 1, name: "Pass" }).waitFor();
      await page.getByRole("link", { name: ODD_ID }).waitFor();
    },
    LIMIT_MS,
  );

  it(
    "tells a pass's story, and goes on telling it",
    async () => {
      await publish("story-1", "p-story", PassEventType.CREATED);
      await using visit = await stage.signedIn("/passes/p-story");
      const { page } = visit;
      const story = page.getByRole("list", { name: "The pass’s story" }).getByRole("listitem");
      await story.getByText("the “created” webhook").waitFor();
      await publish("story-2", "p-story", PassEventType.SCANNED);
      await story.getByText("the “scanned” webhook").nth(1).waitFor();
      await story.getByRole("link", { name: "story-2" }).waitFor();
      await eventually(PAGE_LIMIT_MS, "five moments", async () => ((await story.count()) === 5 ? true : undefined));
      expect(await story.nth(4).textContent()).toContain("story-1");
      expect(await visit.offencesInAllLooks()).toEqual({});
    },
    LIMIT_MS,
  );

  it(
    "lists dead letters with their reasons, and sends one and all again",
    async () => {
      await using visit = await stage.signedIn("/dead-letters");
      const { page } = visit;
      await page.getByText("No dead letters").waitFor();
      await publish("twice", "p-twice");
      await publish("twice", "p-other");
      const [letter] = await letters(1);
      await page.getByRole("table").getByText("event.conflict").waitFor();
      expect(await visit.offencesInAllLooks()).toEqual({});
      await page.getByRole("button", { name: `Show ${letter?.id}` }).click();
      await page.getByRole("dialog").getByText("topic").waitFor();
      expect(await visit.offences()).toEqual([]);
      await page.getByRole("button", { name: "Close" }).click();
      await page.getByRole("button", { name: `Send again: ${letter?.id}` }).click();
      await page.getByRole("button", { name: "Send it again" }).click();
      await letters(2);
      await page.getByRole("button", { name: "Send all again" }).click();
      await page.getByRole("dialog").getByRole("button", { name: "Send all again" }).click();
      await page.getByText("All were sent again.").waitFor();
      // The first was sent again before: it is not sent a third time.
      await letters(3);
      await page.getByLabel("Reason").selectOption("event.empty");
      await page.getByText("No dead letter has the reason event.empty").waitFor();
      const reasons = (await page.getByLabel("Reason").locator("option").allTextContents()).slice(1);
      expect(reasons).toEqual(DEAD_REASONS);
    },
    LIMIT_MS,
  );

  it(
    "leaves out a dead letter without a value, which would have all others refused, and says so",
    async () => {
      const before = (await stage.passbus.api.events.listDeadLetters({})).deadLetters.length;
      await using visit = await stage.signedIn("/");
      const { page } = visit;
      // No adapter of this passbus takes a record without a value, as Kafka's does.
      await page.route("**/ListDeadLetters", async (route) => {
        const response = await route.fetch();
        const list = fromBinary(ListDeadLettersResponseSchema, await response.body());
        list.deadLetters.unshift(create(DeadLetterSchema, { id: "dlt_tombstone", reason: "event.empty" }));
        await route.fulfill({ response, body: Buffer.from(toBinary(ListDeadLettersResponseSchema, list)) });
      });
      await visit.open("/dead-letters");
      const row = page.getByRole("row").filter({ hasText: "dlt_tombstone" });
      await row.getByText("It has no value: it can’t be sent again").waitFor();
      expect(await row.getByRole("button", { name: "Send again" }).count()).toBe(0);
      await publish("once-more", "p-once-more");
      await publish("once-more", "p-other");
      await letters(before + 1);
      await page.getByRole("button", { name: "Send all again" }).click();
      await page.getByRole("dialog").getByRole("button", { name: "Send all again" }).click();
      await page.getByText(/^Sent again: [1-9]\d*\. Left out, cut or without a value: 1\.$/).waitFor();
    },
    LIMIT_MS,
  );

  it(
    "sends all again until it is asked to stop, stays open as long, and says how many were sent",
    async () => {
      await publish("unstopped", "p-unstopped");
      await publish("unstopped", "p-other");
      await using visit = await stage.signedIn("/dead-letters");
      const { page } = visit;
      await page.getByRole("button", { name: "Send all again" }).click();
      const listed = Promise.withResolvers<void>();
      await page.route("**/ListDeadLetters", async (route) => {
        await listed.promise;
        await route.continue();
      });
      let redriven = 0;
      page.on("request", (request) => {
        if (request.url().endsWith("/RedriveDeadLetters")) redriven += 1;
      });
      const dialog = page.getByRole("dialog");
      await dialog.getByRole("button", { name: "Send all again" }).click();
      const stop = dialog.getByRole("button", { name: "Stop" });
      await stop.waitFor();
      await page.keyboard.press("Escape");
      await stop.click();
      listed.resolve();
      await page.getByText("Stopped. Sent again: 0.").waitFor();
      await dialog.waitFor({ state: "detached" });
      expect(redriven).toBe(0);
    },
    LIMIT_MS,
  );

  it(
    "says of an unknown event that it is unknown",
    async () => {
      await using visit = await stage.signedIn("/");
      visit.expectFailedCalls();
      await visit.open("/events/nowhere");
      await visit.page.getByText("No such event is stored").waitFor();
      await visit.page.getByText("Nothing is known of this event").waitFor();
    },
    LIMIT_MS,
  );
});
