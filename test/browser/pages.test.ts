/** What holds for every page: no offence of WCAG 2.2 AA that axe finds, in both themes, wide and narrow; small scripts. */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DASHBOARD_BUILT } from "../../scripts/dashboard.ts";
import { browser, Stage } from "../support/browser.ts";

/** Each page's address, and a heading that is there when it has loaded. */
const PAGES: readonly (readonly [path: string, heading: string])[] = [
  ["/", "Overview"],
  ["/subscriptions", "Subscriptions"],
  ["/subscriptions/new", "New subscription"],
  ["/deliveries", "Deliveries"],
  ["/replays", "Replays"],
  ["/events", "Events"],
  ["/dead-letters", "Dead letters"],
  ["/inspector", "Inspector"],
  ["/access/keys", "Access: keys"],
  ["/access/sessions", "Access: portal sessions"],
  ["/access/limits", "Access: limits and switch"],
  ["/access/audit", "Access: audit log"],
];

const LIMIT_MS = 120_000;

/** First load, compressed. */
const SCRIPT_LIMIT_BYTES = 250_000;

describe.skipIf(!browser.present)(browser.title("every page of the dashboard"), () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await Stage.open();
  }, LIMIT_MS);
  afterAll(async () => {
    await stage?.[Symbol.asyncDispose]();
  });

  it(
    "has no offence that axe finds, in both themes, at 1280 and 390 px",
    async () => {
      await using visit = await stage.visit("/");
      const found: Record<string, unknown> = { "sign-in": await visit.offencesInAllLooks() };
      await visit.signIn(stage.key);
      const { subscription } = await stage.passbus.api.subscriptions.createSubscription({
        subscription: {
          url: "http://127.0.0.1:20009/changed",
          description: "The changed one",
          filter: "event.pass.id != ''",
        },
      });
      const one = `/subscriptions/${subscription?.id}`;
      const ofOne = [
        [one, "The changed one"],
        [`${one}/edit`, "Change the subscription"],
      ] as const;
      for (const [path, heading] of [...PAGES, ...ofOne]) {
        await visit.open(path);
        await visit.page.getByRole("heading", { level: 1, name: heading }).waitFor();
        await visit.settled();
        found[path] = await visit.offencesInAllLooks();
      }
      expect(found).toEqual(Object.fromEntries(Object.keys(found).map((path) => [path, {}])));
    },
    LIMIT_MS,
  );

  it("lets a page run its own scripts and styles alone, and nobody frame it", async () => {
    const { headers } = await fetch(stage.passbus.url);
    const policy = (headers.get("content-security-policy") ?? "").split("; ");
    for (const part of ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"]) {
      expect(policy).toContain(part);
    }
    expect(policy.join()).not.toMatch(/unsafe|\*|data:|https?:/);
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    expect(headers.get("referrer-policy")).toBe("no-referrer");
  });

  it(
    "loads less than 250 KB of compressed script first",
    async () => {
      await using visit = await stage.signedIn("/");
      await visit.settled();
      const loaded = (await visit.page.evaluate(
        "performance.getEntriesByType('resource').filter(({ name }) => name.endsWith('.js')).map(({ encodedBodySize }) => encodedBodySize)",
      )) as number[];
      expect(loaded.length).toBeGreaterThan(0);
      expect(loaded.reduce((sum, size) => sum + size, 0)).toBeLessThan(SCRIPT_LIMIT_BYTES);
      const files = readdirSync(join(DASHBOARD_BUILT, "assets")).filter((name) => name.endsWith(".js"));
      expect(files.every((name) => statSync(join(DASHBOARD_BUILT, "assets", name)).size < 1_000_000)).toBe(true);
    },
    LIMIT_MS,
  );

  it(
    "goes by keyboard: the skip link comes first, and the navigation opens pages",
    async () => {
      await using visit = await stage.signedIn("/");
      const { page } = visit;
      await page.keyboard.press("Tab");
      await page.getByRole("link", { name: "Skip to the page" }).waitFor();
      const focused = await page.evaluate("document.activeElement.textContent");
      expect(focused).toBe("Skip to the page");
      await page.getByRole("link", { name: "Subscriptions" }).focus();
      await page.keyboard.press("Enter");
      await page.getByRole("heading", { level: 1, name: "Subscriptions" }).waitFor();
      expect(visit.path).toBe("/subscriptions");
      expect(await page.evaluate("document.activeElement.id")).toBe("main");
    },
    LIMIT_MS,
  );

  it(
    "refuses a key that passbus does not know, and keeps none that it does",
    async () => {
      await using visit = await stage.visit("/subscriptions?text=a");
      visit.expectFailedCalls();
      const { page } = visit;
      await page.getByRole("button", { name: "Sign in" }).click();
      await page.getByText("Paste a key first.").waitFor();
      await page.getByLabel("Key", { exact: true }).fill("not-a-key");
      await page.getByRole("button", { name: "Sign in" }).click();
      await page.getByText("passbus does not know this key").waitFor();
      await visit.signIn(stage.key);
      await page.getByRole("heading", { level: 1, name: "Subscriptions" }).waitFor();
      expect(visit.path).toBe("/subscriptions?text=a");
      const kept = await page.evaluate(
        "JSON.stringify([Object.entries(localStorage), Object.entries(sessionStorage), document.cookie, location.href])",
      );
      expect(kept).not.toContain(stage.key);
      await page.reload();
      await page.getByRole("button", { name: "Sign in" }).waitFor();
    },
    LIMIT_MS,
  );

  it(
    "keeps the theme that was chosen over a reload, and signs out",
    async () => {
      await using visit = await stage.signedIn("/");
      const { page } = visit;
      await page.getByLabel("Colours").selectOption("dark");
      expect(await page.evaluate("getComputedStyle(document.documentElement).colorScheme")).toBe("dark");
      await page.getByRole("button", { name: "Sign out" }).click();
      await page.getByRole("button", { name: "Sign in" }).waitFor();
      await page.reload();
      await page.getByRole("button", { name: "Sign in" }).waitFor();
      expect(await page.evaluate("getComputedStyle(document.documentElement).colorScheme")).toBe("dark");
    },
    LIMIT_MS,
  );
});
