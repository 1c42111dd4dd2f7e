/** What a page loses while it stands open, in Chromium: its scripts, its session, its connection. */
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Role } from "../../gen/passbus/v1/access_service_pb.js";
import { browser, PAGE_LIMIT_MS, Stage } from "../support/browser.ts";
import { FaultProxy } from "../support/fault-proxy.ts";
import { httpServer, type TestServer } from "../support/receiver.ts";
import { eventually } from "../support/within.ts";

const LIMIT_MS = 120_000;
/** Of the two logs. */
const LATER_SCRIPTS = /\/assets\/log-.*\.js$/;
const SCRIPT_COMPLAINTS = /Failed to load|dynamically imported|script could not be loaded|ERR_/;

const heading = (page: Page, name: string) => page.getByRole("heading", { level: 1, name });

describe.skipIf(!browser.present)(browser.title("an open page of the dashboard"), () => {
  let stage: Stage;
  /** A customer's page, which shows passbus in a frame and hands it a token whenever it asks. */
  let customers: TestServer;
  let tokens: readonly string[] = [];
  let asked = 0;
  const customersPage =
    () => `<!doctype html><iframe title="Webhooks" src="${stage.passbus.url}/deliveries"></iframe><script>
    onmessage = async ({ data, source, origin }) => {
      if (data.type !== "passbus.ready") return;
      const token = await (await fetch("/token")).text();
      source.postMessage({ type: "passbus.token", token }, origin);
    };
  </script>`;
  beforeAll(async () => {
    customers = await httpServer((request, response) => {
      response.writeHead(200, { "content-type": "text/html" });
      response.end(request.url === "/token" ? tokens[Math.min(asked++, tokens.length - 1)] : customersPage());
    });
    stage = await Stage.open({ PASSBUS_FRAME_ANCESTORS: `http://127.0.0.1:${customers.port}` });
  }, LIMIT_MS);
  afterAll(async () => {
    await stage?.[Symbol.asyncDispose]();
    await customers?.[Symbol.asyncDispose]();
  });

  it(
    "keeps its layout and its session where a page's script can't be loaded, and loads it when asked again",
    async () => {
      await using visit = await stage.visit("/");
      const { page } = visit;
      visit.expectFailedCalls(SCRIPT_COMPLAINTS);
      await page.route(LATER_SCRIPTS, (route) => route.abort("connectionrefused"));
      await visit.signIn(stage.key);
      await heading(page, "Overview").waitFor();
      await visit.open("/deliveries");
      await page.getByText("Could not load the page.").waitFor();
      expect(await visit.offences()).toEqual([]);
      await page.getByRole("button", { name: "Try again" }).click();
      await page.getByText("Could not load the page.").waitFor();
      await page.unroute(LATER_SCRIPTS);
      await page.getByRole("button", { name: "Try again" }).click();
      await heading(page, "Deliveries").waitFor();
    },
    LIMIT_MS,
  );

  it(
    "says that passbus was upgraded where the script is there no longer, and only reloads when asked",
    async () => {
      await using visit = await stage.visit("/");
      const { page } = visit;
      visit.expectFailedCalls(SCRIPT_COMPLAINTS);
      await page.route(LATER_SCRIPTS, (route) => route.fulfill({ status: 404 }));
      await visit.signIn(stage.key);
      await heading(page, "Overview").waitFor();
      await visit.open("/events");
      await heading(page, "passbus was upgraded").waitFor();
      expect(await visit.offences()).toEqual([]);
      await page.unroute(LATER_SCRIPTS);
      await page.getByRole("button", { name: "Reload" }).click();
      await visit.signIn(stage.key);
      await heading(page, "Events").waitFor();
    },
    LIMIT_MS,
  );

  it(
    "has the scripts of the other pages before they are opened",
    async () => {
      await using visit = await stage.visit("/");
      const { page } = visit;
      visit.expectFailedCalls(SCRIPT_COMPLAINTS);
      const loaded = new Set<string>();
      page.on("requestfinished", (request) => loaded.add(new URL(request.url()).pathname));
      await visit.signIn(stage.key);
      await eventually(PAGE_LIMIT_MS, "the last page's script", () =>
        [...loaded].some((path) => /\/access-.*\.js$/.test(path)) ? true : undefined,
      );
      await page.route(/\/assets\//, (route) => route.abort("connectionrefused"));
      for (const [path, name] of [
        ["/replays", "Replays"],
        ["/inspector", "Inspector"],
      ] as const) {
        await visit.open(path);
        await heading(page, name).waitFor();
      }
    },
    LIMIT_MS,
  );

  it.each([
    ["/deliveries", "Deliveries"],
    ["/events", "Events"],
    ["/subscriptions", "Subscriptions"],
    ["/subscriptions/new", "New subscription"],
  ])(
    "goes to the sign-in when its key is revoked, on %s",
    async (path, name) => {
      const { access } = stage.passbus.api;
      const { key, secret } = await access.createKey({ key: { role: Role.OPERATOR, description: `on ${path}` } });
      await using visit = await stage.signedIn(path, { key: secret });
      const { page } = visit;
      await heading(page, name).waitFor();
      await visit.settled();
      visit.expectFailedCalls();
      await access.revokeKey({ id: key?.id ?? "" });
      await page.getByText("This key does not count any longer").waitFor({ timeout: 10_000 });
      await page.getByRole("button", { name: "Sign in" }).waitFor();
    },
    LIMIT_MS,
  );

  it(
    "asks the page round its frame for another token when its portal session has ended",
    async () => {
      const { access } = stage.passbus.api;
      const sessions = [
        await access.createPortalSession({ entityId: "shop-9" }),
        await access.createPortalSession({ entityId: "shop-9" }),
      ];
      tokens = sessions.map(({ token }) => token);
      await using visit = await stage.visit("/");
      const { page } = visit;
      await page.goto(`http://127.0.0.1:${customers.port}/`);
      const frame = page.frameLocator("iframe");
      await frame.getByRole("heading", { level: 1, name: "Deliveries" }).waitFor();
      expect(asked).toBe(1);
      visit.expectFailedCalls();
      await access.revokePortalSession({ id: sessions[0]?.session?.id ?? "" });
      await eventually(10_000, "the second token", () => (asked === 2 ? true : undefined));
      await frame.getByRole("heading", { level: 1, name: "Deliveries" }).waitFor();
    },
    LIMIT_MS,
  );

  it.each([
    ["/deliveries", "Connection lost, trying again", true],
    ["/", "Not live", false],
  ])(
    "notices a connection that is gone without a word, on %s",
    async (path, said, comesBack) => {
      await using proxy = await FaultProxy.start({ port: Number(new URL(stage.passbus.url).port) });
      await using visit = await stage.visit("/");
      const { page } = visit;
      visit.expectFailedCalls();
      await page.clock.install();
      await page.goto(`http://127.0.0.1:${proxy.port}${path}`);
      const stream = page.waitForResponse(/\/Watch(Deliveries|Overview)$/);
      await visit.signIn(stage.key);
      await stream;
      await visit.settled();
      await proxy.set({ kind: "half-open" });
      await page.clock.runFor(50_000);
      await page.getByText(said).first().waitFor();
      if (!comesBack) return;
      await proxy.pass();
      await eventually(2 * PAGE_LIMIT_MS, "another connection", async () => {
        // Slowly enough for an answer to come before the page's clock says that it has waited too long for it.
        await page.clock.runFor(5_000);
        const gone = page.getByText(said).first().waitFor({ state: "detached", timeout: 200 });
        return gone.then(
          () => true,
          () => undefined,
        );
      });
    },
    LIMIT_MS,
  );
});
