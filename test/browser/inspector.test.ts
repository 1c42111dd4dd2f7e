/** The inspector in a real browser: a bin made with a click, subscribed, filled, deleted (seed 003). */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { browser, Stage } from "../support/browser.ts";
import { printTable } from "../support/figures.ts";

const LIMIT_MS = 180_000;

describe.skipIf(!browser.present)(browser.title("the inspector's pages"), () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await Stage.open();
  }, LIMIT_MS);
  afterAll(async () => {
    await stage?.[Symbol.asyncDispose]();
  });

  it(
    "makes a bin, subscribes it, and shows live what arrives and whether its signature holds",
    async () => {
      await using visit = await stage.signedIn("/inspector");
      const { page } = visit;
      await page.getByText("No bins").waitFor();
      await page.getByRole("button", { name: "New bin" }).click();
      await page.getByText("Nothing yet").waitFor();
      const bin = visit.path;
      await page.getByRole("button", { name: "Copy the bin’s URL" }).click();
      const url = await visit.copied();
      expect(url).toContain(stage.passbus.url);

      await page.getByRole("link", { name: "Use as a subscription’s URL" }).click();
      await page.getByRole("button", { name: "Create the subscription" }).click();
      await page.getByRole("dialog").waitFor();
      await visit.open(bin);
      await page.getByText("Live", { exact: true }).waitFor();
      const event = { id: "inspected", type: PassEventType.UPDATED, pass: { id: "pass-inspected" } };
      await stage.passbus.api.events.publishEvents({ events: [event] });
      const requests = page.getByRole("list", { name: "Requests, the newest first" }).locator("details");
      await requests.getByText("signature valid").first().waitFor();
      await requests.getByText('"pass-inspected"').waitFor();
      await requests.getByRole("rowheader", { name: "webhook-signature" }).waitFor();

      await fetch(`${url}/more?a=b`, { method: "PUT", body: "<b>forged</b>" });
      await requests.getByText("PUT /more?a=b").waitFor();
      expect(await requests.count()).toBe(2);
      // What came first stays open, what comes later doesn't open itself.
      expect(await requests.first().getByText("<b>forged</b>").isVisible()).toBe(false);
      await requests.first().locator("summary").click();
      await requests.first().getByText("signature not checked").first().waitFor();
      await requests.first().getByText("<b>forged</b>").waitFor();
      await page.getByText("2 requests").waitFor();
      await requests.last().locator("summary", { hasText: "pass.updated" }).waitFor();
      await requests.last().locator("summary", { hasText: "dlv_" }).waitFor();
      await requests.last().locator('dd a[href^="/subscriptions/sub_"]').waitFor();
      expect(await visit.offencesInAllLooks()).toEqual({});

      await page.getByRole("button", { name: "Pause" }).click();
      await fetch(`${url}/paused`, { method: "PUT" });
      await page.getByRole("button", { name: "Show 1 new" }).waitFor();
      expect(await requests.count()).toBe(2);
      await page.getByRole("button", { name: "Show 1 new" }).click();
      await requests.getByText("PUT /paused").waitFor();
      await page.getByText("Paused", { exact: true }).waitFor();
      await page.getByRole("button", { name: "Go live" }).click();
      await fetch(`${url}/live`, { method: "PUT", headers: { "webhook-test": "true" } });
      await requests.locator("summary", { hasText: "PUT /live" }).getByText("test", { exact: true }).waitFor();
    },
    LIMIT_MS,
  );

  it(
    "takes a newcomer from a new bin to a verified webhook by clicks alone",
    async () => {
      await using visit = await stage.signedIn("/");
      const { page } = visit;
      const beganMs = performance.now();
      await page.getByRole("link", { name: "Inspector" }).click();
      await page.getByRole("button", { name: "New bin" }).click();
      await page.getByText("Nothing yet").waitFor();
      const bin = visit.path.split("/").at(-1) ?? "";
      await page.getByRole("link", { name: "Use as a subscription’s URL" }).click();
      await page.getByRole("button", { name: "Create the subscription" }).click();
      await page.getByRole("button", { name: "I have kept it" }).click();
      await page.getByRole("button", { name: "Send it now" }).click();
      await page.getByRole("link", { name: "Inspector" }).click();
      await page.getByRole("link", { name: bin }).click();
      await page.getByText("signature valid").first().waitFor();
      const tookMs = performance.now() - beganMs;
      printTable("From the overview to a verified webhook", [["by clicks of a script, ms", tookMs]]);
      expect(tookMs).toBeLessThan(60_000);
    },
    LIMIT_MS,
  );

  it(
    "shows by itself a bin that was made elsewhere",
    async () => {
      await using visit = await stage.signedIn("/inspector");
      await visit.page.getByRole("heading", { level: 1, name: "Inspector" }).waitFor();
      await visit.settled();
      await fetch(`${stage.passbus.url}/passbus.v1.InspectorService/CreateBin`, {
        method: "POST",
        headers: { "content-type": "application/json", authorization: `Bearer ${stage.key}` },
        body: JSON.stringify({ description: "made elsewhere" }),
      });
      await visit.page.getByRole("link", { name: "made elsewhere" }).waitFor();
    },
    LIMIT_MS,
  );

  it(
    "deletes a bin, and says of one that is gone that it is gone",
    async () => {
      await using visit = await stage.signedIn("/inspector");
      const { page } = visit;
      await page.getByLabel("A new bin answers with").selectOption("503");
      await page.getByRole("button", { name: "New bin" }).click();
      await page.getByText("503 to any request").waitFor();
      const bin = visit.path;
      visit.expectFailedCalls();
      await page.getByRole("button", { name: "Delete" }).click();
      expect(await page.getByRole("button", { name: "Delete the bin" }).isDisabled()).toBe(true);
      await page.getByLabel(/^Type/).fill(bin.split("/").at(-1) ?? "");
      await page.getByRole("button", { name: "Delete the bin" }).click();
      await page.getByRole("heading", { level: 1, name: "Inspector" }).waitFor();
      await visit.open(bin);
      await page.getByText("There is no such bin").waitFor();
    },
    LIMIT_MS,
  );
});
