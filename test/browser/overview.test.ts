/** The overview of a passbus at work, in Chromium: what it shows is what happened, without a reload. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { browser, Stage } from "../support/browser.ts";
import { httpServer, type TestServer } from "../support/receiver.ts";

const LIMIT_MS = 120_000;

describe.skipIf(!browser.present)(browser.title("the overview of the dashboard"), () => {
  let stage: Stage;
  let server: TestServer;
  beforeAll(async () => {
    server = await httpServer((request, response) => {
      response.writeHead(request.url === "/bad" ? 503 : 200).end();
    });
    stage = await Stage.open();
  }, LIMIT_MS);
  afterAll(async () => {
    await stage?.[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
  });

  it(
    "says what to do while there is nothing, then counts what happens and names who fails",
    async () => {
      await using visit = await stage.signedIn("/");
      const { page } = visit;
      await page.getByRole("link", { name: "Make a subscription" }).waitFor();
      const { subscriptions, events } = stage.passbus.api;
      const plot = "document.querySelectorAll('.uplot')[1]";
      await page.locator(".uplot").nth(1).waitFor();
      await page.evaluate(`${plot}.dataset.mark = 'the first'`);
      for (const path of ["good", "bad"]) {
        await subscriptions.createSubscription({ subscription: { url: `http://127.0.0.1:${server.port}/${path}` } });
      }
      const passes = Array.from({ length: 12 }, (_, at) => ({
        type: PassEventType.CREATED,
        pass: { id: `pass-${at}` },
      }));
      await events.publishEvents({ events: passes });
      const failing = page.getByRole("table", { name: "Failing endpoints" });
      await failing.getByRole("link", { name: `http://127.0.0.1:${server.port}/bad` }).waitFor();
      expect(await failing.getByRole("link").count()).toBe(1);
      const delivered = page.locator(".tile").filter({ hasText: "Deliveries" });
      await delivered.getByText("12 in the last hour").waitFor();
      await page.getByText(/12 delivered, 0 given up/).waitFor();
      expect(await page.locator("figcaption").allTextContents()).toEqual([
        "Events and deliveries per second",
        "Deliveries per minute",
        "How long it took",
      ]);
      // Numbers that are new go into the plot that was there, and leave the pointer where it is.
      expect(await page.evaluate(`${plot}.dataset.mark`)).toBe("the first");
      expect(await visit.offencesInAllLooks()).toEqual({});
    },
    LIMIT_MS,
  );
});
