/** What opens over a page, or within it, is held to the same as the page: no offence that axe finds, in any look. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { browser, type Stage } from "../support/browser.ts";
import { EVENT_IDS, FilledStage, type Things } from "../support/dashboard-things.ts";

const LIMIT_MS = 240_000;
const PAGES = join(import.meta.dirname, "../../src/dashboard/pages");

/** Which page, what opens the dialog, and its title; `from` is the source that it stands in. */
interface Opening {
  readonly from: string;
  readonly path: (things: Things) => string;
  readonly open: (page: Page) => Promise<void>;
  readonly title: string | RegExp;
}

const press = (name: string | RegExp) => async (page: Page) => {
  const exact = typeof name === "string" ? { name, exact: true } : { name };
  await page.getByRole("main").getByRole("button", exact).first().click();
};

const OPENINGS: readonly Opening[] = [
  {
    from: "subscriptions/detail.tsx",
    path: ({ subscription }) => `/subscriptions/${subscription}`,
    open: press("Delete"),
    title: "Delete the subscription?",
  },
  {
    from: "subscriptions/secrets.tsx",
    path: ({ subscription }) => `/subscriptions/${subscription}`,
    open: press("Rotate the secret"),
    title: "Rotate the signing secret?",
  },
  {
    from: "subscriptions/secrets.tsx",
    path: ({ subscription }) => `/subscriptions/${subscription}`,
    open: async (page) => {
      await press("Rotate the secret")(page);
      await page.getByRole("button", { name: "Make a new secret" }).click();
    },
    title: "The new secret",
  },
  {
    from: "subscriptions/create.tsx",
    path: () => "/subscriptions/new?url=http%3A%2F%2F127.0.0.1%3A20009%2Fnew",
    open: press("Create the subscription"),
    title: "The subscription is made",
  },
  {
    from: "deliveries/detail.tsx",
    path: ({ delivery }) => `/deliveries/${delivery}`,
    open: press("Send now"),
    title: "Send this delivery?",
  },
  {
    from: "deliveries/detail.tsx",
    path: ({ delivery }) => `/deliveries/${delivery}`,
    open: press("Cancel"),
    title: "Cancel this delivery?",
  },
  ...(["Send again", "Cancel"] as const).map((name) => ({
    from: "deliveries/chosen.tsx",
    path: ({ subscription }: Things) => `/deliveries?subscription=${subscription}&status=waiting`,
    open: async (page: Page) => {
      await page.getByRole("link", { name: /^dlv_/ }).first().waitFor();
      await press("Choose all that are loaded")(page);
      await press(name)(page);
    },
    title: name === "Cancel" ? /^Cancel \d/ : /^Send \d again/,
  })),
  {
    from: "replays/create.tsx",
    path: () => "/deliveries",
    open: async (page) => {
      await press("Replay …")(page);
      await page.getByRole("button", { name: "Count without sending" }).click();
      await page.getByText(/fit: about/).waitFor();
    },
    title: "Replay deliveries",
  },
  {
    from: "replays/create.tsx",
    path: () => `/deliveries?event=${EVENT_IDS[0]}`,
    open: press("Replay …"),
    title: "Replay deliveries",
  },
  {
    from: "replays/detail.tsx",
    path: ({ replay }) => `/replays/${replay}`,
    open: press("Cancel the replay"),
    title: "Cancel this replay?",
  },
  { from: "dead-letters/list.tsx", path: () => "/dead-letters", open: press(/^Show /), title: /^Dead letter / },
  {
    from: "dead-letters/list.tsx",
    path: () => "/dead-letters",
    open: press(/^Send again: /),
    title: "Send this dead letter again?",
  },
  {
    from: "dead-letters/redrive-all.tsx",
    path: () => "/dead-letters",
    open: press("Send all again …"),
    title: "Send all dead letters again?",
  },
  {
    from: "inspector/bin.tsx",
    path: ({ bin }) => `/inspector/${bin}`,
    open: press("Delete"),
    title: "Delete this bin?",
  },
  { from: "access/revocable.tsx", path: () => "/access/keys", open: press(/^Revoke key_/), title: "Revoke the key?" },
  {
    from: "access/revocable.tsx",
    path: () => "/access/sessions",
    open: press(/^Revoke ses_/),
    title: "Revoke the session?",
  },
  { from: "access/keys.tsx", path: () => "/access/keys", open: press("Make the key"), title: "The key is made" },
  {
    from: "access/sessions.tsx",
    path: () => "/access/sessions",
    open: async (page) => {
      await page.getByLabel("Entity").fill("shop-9");
      await press("Make the session")(page);
    },
    title: "The session is made",
  },
  {
    from: "access/switches.tsx",
    path: () => "/access/limits",
    open: press("Stop deliveries of this organisation"),
    title: "Stop deliveries of this organisation?",
  },
];

/** Pages with parts that open in their place. */
const WITH_DETAILS: readonly ((things: Things) => string)[] = [
  () => "/",
  ({ subscription }) => `/subscriptions/${subscription}`,
  ({ delivery }) => `/deliveries/${delivery}`,
];

describe.skipIf(!browser.present)(browser.title("what opens on the dashboard's pages"), () => {
  let filled: FilledStage;
  let stage: Stage;
  let things: Things;
  beforeAll(async () => {
    filled = await FilledStage.open();
    ({ stage, things } = filled);
  }, LIMIT_MS);
  afterAll(() => filled?.[Symbol.asyncDispose]());

  it("is every dialog that a page's source has", () => {
    const sources = readdirSync(PAGES, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".tsx"));
    const withDialog = sources.filter((name) =>
      /<(?:Dialog|Confirm|SecretOnce)\b/.test(readFileSync(join(PAGES, name), "utf8")),
    );
    expect([...new Set(OPENINGS.map(({ from }) => from))].sort()).toEqual(withDialog.sort());
  });

  /** In the run the first of each source of pages, which have their parts in common; all with PASSBUS_TEST_LONG=true. */
  const isLong = process.env.PASSBUS_TEST_LONG === "true";
  const tried = OPENINGS.filter(({ from }, at) => isLong || OPENINGS.findIndex((one) => one.from === from) === at);
  it.each(tried.map((opening) => [String(opening.title), opening] as const))(
    "the dialog %s has no offence, in both themes, wide and narrow",
    async (_, { path, open, title }) => {
      await using visit = await stage.signedIn(path(things));
      await open(visit.page);
      const dialog = visit.page.getByRole("dialog", { name: title });
      await dialog.waitFor();
      expect(await visit.offencesInAllLooks()).toEqual({});
      expect(await dialog.count()).toBe(1);
    },
    LIMIT_MS,
  );

  it(
    "parts that open in their place have none either",
    async () => {
      await using visit = await stage.signedIn("/");
      const found: Record<string, unknown> = {};
      let opened = 0;
      for (const path of WITH_DETAILS) {
        await visit.open(path(things));
        await visit.page.locator("summary").first().waitFor();
        await visit.settled();
        opened += (await visit.page.evaluate(
          "[...document.querySelectorAll('details')].map((each) => { each.open = true; }).length",
        )) as number;
        found[path(things)] = await visit.offencesInAllLooks();
      }
      expect(found).toEqual(Object.fromEntries(Object.keys(found).map((path) => [path, {}])));
      expect(opened).toBeGreaterThan(WITH_DETAILS.length);
    },
    LIMIT_MS,
  );

  it(
    "a confirmed action can't be left while it runs, and what came of it is told",
    async () => {
      await using visit = await stage.signedIn("/dead-letters");
      const { page } = visit;
      const answered = Promise.withResolvers<void>();
      await page.route("**/RedriveDeadLetters", async (route) => {
        await answered.promise;
        await route.continue();
      });
      await press(/^Send again: /)(page);
      const dialog = page.getByRole("dialog", { name: "Send this dead letter again?" });
      await dialog.getByRole("button", { name: "Send it again" }).click();
      const cancel = dialog.getByRole("button", { name: "Cancel" });
      await dialog.locator(".spinner").waitFor();
      expect(await cancel.isDisabled()).toBe(true);
      await page.keyboard.press("Escape");
      await page.mouse.click(4, 4);
      // Whatever closed it would have been rendered by the second frame.
      await page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))");
      expect(await dialog.count()).toBe(1);
      answered.resolve();
      await page.getByText(/^Sent .* again\.$/).waitFor();
      await dialog.waitFor({ state: "detached" });
    },
    LIMIT_MS,
  );
});
