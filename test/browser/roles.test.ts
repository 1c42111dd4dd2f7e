/** What each role is offered by the dashboard: nothing that would be refused, and all that would not be. */
import type { Locator, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Role as WireRole } from "../../gen/passbus/v1/access_service_pb.js";
import type { Grant } from "../../src/access/access-store.ts";
import { mayCall } from "../../src/access/roles.ts";
import { browser, type Stage, type Visit } from "../support/browser.ts";
import { ENTITY, EVENT_IDS, FilledStage, PASS_IDS, type Things } from "../support/dashboard-things.ts";

const LIMIT_MS = 240_000;

/** A page, the call that makes it worth opening, and each control on it with the call that it ends in. */
interface Sheet {
  readonly path: (things: Things) => string;
  readonly needs: string;
  readonly controls: readonly (readonly [name: string | RegExp, method: string])[];
  /** What has to be done before the controls are there. */
  readonly first?: (page: Page) => Promise<void>;
}

const SHEETS: readonly Sheet[] = [
  { path: () => "/", needs: "DeliveryService/GetOverview", controls: [] },
  {
    path: () => "/subscriptions",
    needs: "SubscriptionService/ListSubscriptions",
    controls: [["New subscription", "SubscriptionService/CreateSubscription"]],
  },
  {
    path: () => "/subscriptions/new",
    needs: "SubscriptionService/CreateSubscription",
    controls: [["Create the subscription", "SubscriptionService/CreateSubscription"]],
  },
  {
    path: ({ subscription }) => `/subscriptions/${subscription}`,
    needs: "SubscriptionService/GetSubscription",
    controls: [
      ["Change", "SubscriptionService/UpdateSubscription"],
      ["Pause", "SubscriptionService/UpdateSubscription"],
      ["Delete", "SubscriptionService/DeleteSubscription"],
      ["Rotate the secret", "SubscriptionService/RotateSecret"],
      ["Send it now", "SubscriptionService/TestSubscription"],
    ],
  },
  {
    path: ({ subscription }) => `/subscriptions/${subscription}/edit`,
    needs: "SubscriptionService/UpdateSubscription",
    controls: [["Save the changes", "SubscriptionService/UpdateSubscription"]],
  },
  {
    path: ({ subscription }) => `/deliveries?subscription=${subscription}`,
    needs: "DeliveryService/ListDeliveries",
    controls: [
      ["Replays", "DeliveryService/ListReplays"],
      ["Replay …", "DeliveryService/CreateReplay"],
      ["Send again", "DeliveryService/RetryDelivery"],
      ["Cancel", "DeliveryService/CancelDelivery"],
    ],
    first: async (page) => {
      await page.getByRole("link", { name: /^dlv_/ }).first().waitFor();
      await page.getByRole("button", { name: "Choose all that are loaded" }).click();
      await page.getByRole("button", { name: "Choose none" }).waitFor();
    },
  },
  {
    path: ({ delivery }) => `/deliveries/${delivery}`,
    needs: "DeliveryService/GetDelivery",
    controls: [
      ["Send now", "DeliveryService/RetryDelivery"],
      ["Cancel", "DeliveryService/CancelDelivery"],
      ["Show the body", "SubscriptionService/PreviewPayload"],
    ],
  },
  {
    path: () => "/replays",
    needs: "DeliveryService/ListReplays",
    controls: [["New replay …", "DeliveryService/CreateReplay"]],
  },
  {
    path: ({ replay }) => `/replays/${replay}`,
    needs: "DeliveryService/GetReplay",
    controls: [
      ["Pause", "DeliveryService/PauseReplay"],
      ["Cancel the replay", "DeliveryService/CancelReplay"],
    ],
  },
  {
    path: () => "/events",
    needs: "EventService/ListEvents",
    controls: [["Dead letters", "EventService/ListDeadLetters"]],
  },
  { path: () => `/events/${EVENT_IDS[0]}`, needs: "EventService/GetEvent", controls: [] },
  { path: () => `/passes/${PASS_IDS[0]}`, needs: "EventService/ListEvents", controls: [] },
  {
    path: () => "/dead-letters",
    needs: "EventService/ListDeadLetters",
    controls: [
      ["Send all again …", "EventService/RedriveDeadLetters"],
      [/^Send again: /, "EventService/RedriveDeadLetters"],
    ],
  },
  {
    path: () => "/inspector",
    needs: "InspectorService/ListBins",
    controls: [["New bin", "InspectorService/CreateBin"]],
  },
  {
    path: ({ bin }) => `/inspector/${bin}`,
    needs: "InspectorService/ListBins",
    controls: [
      ["Use as a subscription’s URL", "SubscriptionService/CreateSubscription"],
      ["Delete", "InspectorService/DeleteBin"],
    ],
  },
  {
    path: () => "/access/keys",
    needs: "AccessService/ListKeys",
    controls: [
      ["Make the key", "AccessService/CreateKey"],
      [/^Revoke key_/, "AccessService/RevokeKey"],
    ],
  },
  {
    path: () => "/access/sessions",
    needs: "AccessService/ListPortalSessions",
    controls: [
      ["Make the session", "AccessService/CreatePortalSession"],
      [/^Revoke ses_/, "AccessService/RevokePortalSession"],
    ],
  },
  {
    path: () => "/access/limits",
    needs: "AccessService/GetLimits",
    controls: [
      ["Set the limits", "AccessService/SetLimits"],
      ["Stop deliveries of this organisation", "AccessService/SetDeliverySwitch"],
    ],
  },
  { path: () => "/access/audit", needs: "AccessService/ListAuditRecords", controls: [] },
];

const of = (method: string) => `passbus.v1.${method}`;

describe.skipIf(!browser.present)(browser.title("what each role is offered"), () => {
  let filled: FilledStage;
  let stage: Stage;
  let things: Things;
  beforeAll(async () => {
    filled = await FilledStage.open();
    ({ stage, things } = filled);
  }, LIMIT_MS);
  afterAll(() => filled?.[Symbol.asyncDispose]());

  async function keyFor(grant: Grant): Promise<string> {
    const { access } = stage.passbus.api;
    if (grant === "portal") return (await access.createPortalSession({ entityId: ENTITY })).token;
    const role = WireRole[grant.toUpperCase() as keyof typeof WireRole];
    return (await access.createKey({ key: { role } })).secret;
  }

  /** Every call that the page makes, by its name; those that were refused. */
  function calls({ page }: Visit) {
    const seen = new Set<string>();
    const refused = new Set<string>();
    page.on("response", (response) => {
      const method = /\/(passbus\.v1\.\w+\/\w+)$/.exec(response.url())?.[1];
      if (method === undefined) return;
      seen.add(method);
      if (response.status() === 403) refused.add(method);
    });
    return { seen, refused };
  }

  it.each(["viewer", "subscriber", "operator", "admin", "portal"] as const)(
    "a %s sees every page and control that passbus lets them use, and no other",
    async (grant) => {
      await using visit = await stage.visit("/sign-in");
      const { seen, refused } = calls(visit);
      await visit.signIn(await keyFor(grant));
      const wrong: string[] = [];
      for (const { path, needs, controls, first } of SHEETS) {
        const at = path(things);
        const isOpen = mayCall(grant, of(needs));
        await visit.open(at);
        const heading = visit.page.getByRole("heading", { level: 1, name: /^(No such page|Not for this key)$/ });
        if (!isOpen) {
          await heading.or(visit.page.getByRole("heading", { level: 1, name: "Subscriptions" })).waitFor();
          continue;
        }
        await visit.settled();
        if ((await heading.count()) > 0) wrong.push(`${at}: not opened`);
        await first?.(visit.page);
        for (const [name, method] of controls) {
          const expected = mayCall(grant, of(method)) ? "offered" : grant === "portal" ? "absent" : "refused";
          const is = await standing(controlNamed(visit.page, name), expected);
          if (is !== expected) wrong.push(`${at}: ${name} is ${is}, should be ${expected}`);
        }
      }
      expect(wrong).toEqual([]);
      expect([...refused]).toEqual([]);
      // Streams are refused within a 200: what was asked at all is held against the table.
      expect([...seen].filter((method) => !mayCall(grant, method))).toEqual([]);
      expect(seen).toContain(of("AccessService/GetCaller"));
      expect(seen.size).toBeGreaterThan(8);
    },
    LIMIT_MS,
  );

  it(
    "a publisher is told at the sign-in that the key may not read, and nothing else is asked",
    async () => {
      await using visit = await stage.visit("/deliveries");
      const { seen, refused } = calls(visit);
      await visit.page.getByLabel("Key", { exact: true }).fill(await keyFor("publisher"));
      await visit.page.getByRole("button", { name: "Sign in" }).click();
      await visit.page.getByText("This key may publish events, but not read: use another.").waitFor();
      expect([[...seen], [...refused]]).toEqual([[of("AccessService/GetCaller")], []]);
    },
    LIMIT_MS,
  );

  it(
    "what is refused can be come to by the keyboard, and says why to screen readers and, pressed, to everybody",
    async () => {
      await using visit = await stage.signedIn(`/deliveries/${things.delivery}`, { key: await keyFor("viewer") });
      const { page } = visit;
      await page.locator(".environment").filter({ hasText: "viewer in production" }).waitFor();
      const cancel = page.getByRole("button", { name: "Cancel" });
      const why = "This key, viewer in production, may not do this.";
      expect(await descriptionOf(cancel)).toBe(why);
      await cancel.focus();
      await page.keyboard.press("Enter");
      await page.getByRole("status").filter({ hasText: why }).waitFor();
      expect(await page.getByRole("dialog").count()).toBe(0);
      expect(await visit.offencesInAllLooks()).toEqual({});
      await visit.open("/subscriptions/new");
      await page.getByRole("heading", { level: 1, name: "Not for this key" }).waitFor();
      expect(await visit.offencesInAllLooks()).toEqual({});
    },
    LIMIT_MS,
  );
});

function controlNamed(page: Page, name: string | RegExp): Locator {
  const exact = typeof name === "string" ? { name, exact: true } : { name };
  const main = page.getByRole("main");
  return main.getByRole("button", exact).or(main.getByRole("link", exact)).first();
}

type Standing = "offered" | "refused" | "absent";

async function standing(control: Locator, expected: Standing): Promise<Standing> {
  if (expected !== "absent") await control.waitFor({ timeout: 5_000 }).catch(() => {});
  if ((await control.count()) === 0) return "absent";
  const isRefused = (await control.getAttribute("aria-disabled")) === "true";
  return isRefused && /may not do this/.test(await descriptionOf(control)) ? "refused" : "offered";
}

async function descriptionOf(control: Locator): Promise<string> {
  const id = await control.getAttribute("aria-describedby");
  return id === null ? "" : ((await control.page().locator(`[id="${id}"]`).textContent()) ?? "");
}
