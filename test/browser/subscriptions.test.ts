/** What a subscriber's developer does with the dashboard, from the first subscription to the last, in Chromium (seeds 000, 001 and 003). */
import type { IncomingHttpHeaders } from "node:http";
import { Webhook } from "standardwebhooks";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { ActionMethod, DataType, MembershipEventId } from "../../gen/io/integrations_pb.js";
import { PassProtocol } from "../../gen/io/pass_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { Format, State } from "../../gen/passbus/v1/subscription_pb.js";
import { browser, Stage, type Visit } from "../support/browser.ts";
import { bodyOf, httpServer, type TestServer } from "../support/receiver.ts";
import { eventually } from "../support/within.ts";

const LIMIT_MS = 120_000;
const WAIT_MS = 30_000;

interface Received {
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

describe.skipIf(!browser.present)(browser.title("the subscriptions of the dashboard"), () => {
  let stage: Stage;
  let server: TestServer;
  const received: Received[] = [];
  beforeAll(async () => {
    server = await httpServer(async (request, response) => {
      received.push({ headers: request.headers, body: await bodyOf(request) });
      response.writeHead(200, { "x-receiver": "the-receiver" }).end("thank you");
    });
    stage = await Stage.open();
  }, LIMIT_MS);
  afterAll(async () => {
    await stage?.[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
  });
  afterEach(async () => {
    const { subscriptions } = stage.passbus.api;
    for (const { id } of (await subscriptions.listSubscriptions({})).subscriptions) {
      await subscriptions.deleteSubscription({ id });
    }
    received.length = 0;
  });

  const endpoint = (path: string) => `http://127.0.0.1:${server.port}/${path}`;

  async function subscribe(path: string, more: { readonly format?: Format; readonly description?: string } = {}) {
    const { subscription } = await stage.passbus.api.subscriptions.createSubscription({
      subscription: { url: endpoint(path), ...more },
    });
    if (subscription === undefined) throw new Error("no subscription");
    return subscription;
  }

  const stored = async (id: string) => (await stage.passbus.api.subscriptions.getSubscription({ id })).subscription;

  /** The id in the address of a subscription's page. */
  const idIn = (visit: Visit) => /^\/subscriptions\/(sub_\w+)$/.exec(visit.path)?.[1];

  it(
    "makes the first one: live validation, preview, the secret shown once, a test that verifies",
    async () => {
      await using visit = await stage.signedIn("/subscriptions");
      visit.expectFailedCalls();
      const { page } = visit;
      await page.getByRole("link", { name: "Make the first one" }).click();
      await page.getByLabel("URL").fill(endpoint("first"));
      await page.getByText(`POST ${endpoint("first")}`).waitFor();
      await page.getByLabel("Format").selectOption({ label: "PassKit" });
      await page.getByText("x-passkit-signature").waitFor();
      await page.getByText("PASS_EVENT_RECORD_CREATED").waitFor();
      await page.getByLabel("Filter").fill("event.pass.idd == 'x'");
      await page.getByText(/at line 1, column/).waitFor();
      expect(await page.getByLabel("Filter").getAttribute("aria-invalid")).toBe("true");
      await page.getByLabel("Filter").fill("event.pass.id != ''");
      await page.getByText(/at line 1, column/).waitFor({ state: "detached" });
      await page.getByRole("button", { name: "Create the subscription" }).click();
      const dialog = page.getByRole("dialog", { name: "The subscription is made" });
      const secret = (await dialog.locator(".secret").textContent())?.trim() ?? "";
      expect(secret).toMatch(/^whsec_/);
      await page.keyboard.press("Escape");
      await dialog.getByRole("button", { name: "Copy the signing secret" }).click();
      await page.getByText("Copied the signing secret.").waitFor();
      expect(await visit.copied()).toBe(secret);
      await dialog.getByRole("button", { name: "I have kept it" }).click();
      await page.getByRole("heading", { name: "Send a test" }).waitFor();
      expect(await page.content()).not.toContain(secret);
      await page.getByRole("button", { name: "Send it now" }).click();
      const exchange = page.getByRole("region", { name: "The test’s exchange" });
      await exchange.getByText("It answered 200").waitFor();
      await exchange.getByText("the-receiver").waitFor();
      await exchange.getByText("thank you").waitFor();
      const [webhook] = received;
      if (webhook === undefined) throw new Error("nothing arrived");
      new Webhook(secret).verify(webhook.body, webhook.headers as Record<string, string>);
      expect(webhook.headers["webhook-test"]).toBe("true");
      expect(await visit.offencesInAllLooks()).toEqual({});
      const one = await stored(idIn(visit) ?? "");
      expect([one?.format, one?.filter, one?.url]).toEqual([Format.PASSKIT, "event.pass.id != ''", endpoint("first")]);
    },
    LIMIT_MS,
  );

  it(
    "makes one of PassKit's format with events of a protocol and a field under another name, and changes it",
    async () => {
      await using visit = await stage.signedIn(`/subscriptions/new?url=${encodeURIComponent(endpoint("members"))}`);
      visit.expectFailedCalls();
      const { page } = visit;
      await page.getByLabel("Format").selectOption({ label: "PassKit" });
      await page.getByLabel("member enrolled").check();
      await page.getByText("None: only the events below that are ticked.").waitFor();
      await page.getByLabel("coupon redeemed").check();
      await page.getByText("names the events of one protocol; leave one list empty").waitFor();
      await page.getByLabel("coupon redeemed").uncheck();
      await page.getByText("names the events of one protocol").waitFor({ state: "detached" });
      await page.getByLabel("Of passes of").selectOption({ label: "memberships" });
      await page.getByLabel("Method").selectOption({ label: "PUT" });
      await page.getByLabel("Field of the pass").fill("meta.tier");
      await page.getByText("must have 1 to", { exact: false }).waitFor();
      await page.getByLabel("Name in the webhook").fill("tier");
      await page.getByLabel("Its type").selectOption({ label: "TEXT" });
      await page.getByText(`PUT ${endpoint("members")}`).waitFor();
      await page.getByText("MEMBER_EVENT_ENROLLED").waitFor();
      expect(await visit.offencesInAllLooks()).toEqual({});
      await page.getByRole("button", { name: "Create the subscription" }).click();
      await page.getByRole("button", { name: "I have kept it" }).click();
      await page.getByText("meta.tier").waitFor();
      await page.getByText("member enrolled").waitFor();
      const id = idIn(visit) ?? "";
      const mapping = {
        ...{ sourceFieldUniqueName: "meta.tier", destinationFieldKey: "tier" },
        ...{ destinationFieldDataType: DataType.TEXT, isRequired: false },
      };
      const made = await stored(id);
      expect([made?.membershipEvents, made?.couponEvents, made?.protocol, made?.eventTypes]).toEqual([
        [MembershipEventId.MEMBER_EVENT_ENROLLED],
        [],
        PassProtocol.MEMBERSHIP,
        [],
      ]);
      expect(made?.formatOptions).toMatchObject({
        passkitMethod: ActionMethod.METHOD_PUT,
        passkitFieldMapping: mapping,
      });
      await page.getByRole("link", { name: "Change" }).click();
      expect(await page.getByLabel("member enrolled").isChecked()).toBe(true);
      expect(await page.getByLabel("Field of the pass").inputValue()).toBe("meta.tier");
      await page.getByLabel("Field of the pass").fill("");
      await page.getByLabel("Name in the webhook").fill("");
      await page.getByLabel("updated", { exact: true }).check();
      await page.getByRole("button", { name: "Save the changes" }).click();
      await page.getByText(`Changed ${id}.`).waitFor();
      const changed = await stored(id);
      expect(changed?.formatOptions?.passkitFieldMapping).toBeUndefined();
      expect(changed?.formatOptions?.passkitMethod).toBe(ActionMethod.METHOD_PUT);
      expect([changed?.eventTypes, changed?.membershipEvents]).toEqual([
        [PassEventType.UPDATED],
        [MembershipEventId.MEMBER_EVENT_ENROLLED],
      ]);
      // To a format that can't say the protocol's events: they go with it.
      await page.getByRole("link", { name: "Change" }).click();
      await page.getByLabel("Format").selectOption({ label: "Standard Webhooks" });
      await page.getByRole("button", { name: "Save the changes" }).click();
      await page.getByText("Standard Webhooks").waitFor();
      expect((await stored(id))?.membershipEvents).toEqual([]);
    },
    LIMIT_MS,
  );

  it(
    "says what passbus says of a URL that it refuses, beside the field",
    async () => {
      await subscribe("taken");
      await using visit = await stage.signedIn("/subscriptions/new");
      visit.expectFailedCalls();
      const { page } = visit;
      await page.getByLabel("URL").fill("hooks.example.com");
      await page.getByText("must be absolute, as https://host/path").waitFor();
      expect(await page.getByLabel("URL").getAttribute("aria-invalid")).toBe("true");
      await page.getByText("POST (no URL that can be used yet)").waitFor();
      await page.getByLabel("URL").fill("https://10.0.0.1/x");
      await page.getByText(/^must lead to a public address; 10\.0\.0\.1/).waitFor();
      await page.getByLabel("URL").fill("");
      await page.getByText("is required").waitFor();
      await page.getByRole("button", { name: "Create the subscription" }).click();
      await page.getByText("Could not create the subscription.").waitFor();
      await page.getByLabel("URL").fill(endpoint("taken"));
      await page.getByText("Could not create the subscription.").waitFor({ state: "detached" });
      await page.getByRole("button", { name: "Create the subscription" }).click();
      await page.getByText("subscription.duplicate_url").waitFor();
      await page.getByLabel("URL").and(page.locator(":focus")).waitFor();
      await page.getByLabel("URL").fill("ftp://x.example.com/");
      await page.getByRole("textbox", { name: "Filter" }).fill("event.x &&");
      await page.getByText("must begin with https://, and not with ftp://").waitFor();
    },
    LIMIT_MS,
  );

  it(
    "keeps nothing of a form whose schedule can't be read, and leads to the field",
    async () => {
      const FIELD = "Waits between attempts";
      const { subscription } = await stage.passbus.api.subscriptions.createSubscription({
        subscription: { url: endpoint("own-schedule"), policy: { retrySchedule: [{ seconds: 60n }] } },
      });
      const id = subscription?.id ?? "";
      await using visit = await stage.signedIn(`/subscriptions/new?url=${encodeURIComponent(endpoint("unread"))}`);
      const { page } = visit;
      await page.getByLabel(FIELD).fill("5 s, 1 min");
      await page.getByRole("button", { name: "Create the subscription" }).click();
      await page.getByText(/Could not create the subscription\. What is marked can’t be read/).waitFor();
      await page.getByLabel(FIELD).and(page.locator(":focus")).waitFor();
      await page.getByText("write waits with their units").waitFor();
      expect((await stage.passbus.api.subscriptions.listSubscriptions({})).subscriptions).toHaveLength(1);
      await visit.open(`/subscriptions/${id}/edit`);
      await page.getByRole("heading", { name: "Change the subscription" }).waitFor();
      await page.getByLabel(FIELD).fill("5 s, 1 min");
      await page.getByRole("button", { name: "Save the changes" }).click();
      await page.getByText(/Could not change the subscription\. What is marked can’t be read/).waitFor();
      await page.getByLabel(FIELD).and(page.locator(":focus")).waitFor();
      expect((await stored(id))?.policy?.retrySchedule.map(({ seconds }) => seconds)).toEqual([60n]);
      await page.getByLabel(FIELD).fill("5s, 1m");
      await page.getByRole("button", { name: "Save the changes" }).click();
      await page.getByText(`Changed ${id}.`).waitFor();
      expect((await stored(id))?.policy?.retrySchedule.map(({ seconds }) => seconds)).toEqual([5n, 60n]);
    },
    LIMIT_MS,
  );

  it(
    "tries a filter on real recent events while it is typed, and saves it with nothing else changed",
    async () => {
      const before = await subscribe("filtered");
      await stage.passbus.api.events.publishEvents({
        events: [
          { type: PassEventType.UPDATED, pass: { id: "gold-1" } },
          { type: PassEventType.UPDATED, pass: { id: "tin-1" } },
        ],
      });
      await eventually(WAIT_MS, "both events in the log", async () => {
        const { events } = await stage.passbus.api.events.listEvents({});
        return events.length >= 2 || undefined;
      });
      await using visit = await stage.signedIn(`/subscriptions/${before.id}`);
      visit.expectFailedCalls();
      const { page } = visit;
      let refused = 0;
      page.on("response", (response) => {
        if (response.status() === 400) refused += 1;
      });
      await page.getByRole("link", { name: "Change" }).click();
      await page.getByLabel("Filter", { exact: true }).fill('event.pass.id.startsWith("gold-")');
      await page.getByRole("listitem").filter({ hasText: "gold-1" }).getByText("passes").waitFor();
      await page.getByRole("listitem").filter({ hasText: "tin-1" }).getByText("stopped").waitFor();
      await page.getByLabel("Filter", { exact: true }).fill("event.pass.idd == 'x'");
      await page.getByText(/at line 1, column/).waitFor();
      expect(await page.getByText("What it says of the newest events").count()).toBe(0);
      expect(await page.getByText("can’t say").count()).toBe(0);
      expect(refused).toBe(1);
      await page.getByLabel("Filter", { exact: true }).fill('event.pass.id.startsWith("gold-")');
      await page.getByRole("listitem").filter({ hasText: "gold-1" }).getByText("passes").waitFor();
      await page.getByRole("button", { name: "Save the changes" }).click();
      await page.getByText(`Changed ${before.id}.`).waitFor();
      const {
        filter,
        version: _version,
        updatedAt: _updatedAt,
        health: _health,
        ...rest
      } = (await stored(before.id)) ?? before;
      const { filter: _, version: __, updatedAt: ___, health: ____, ...same } = before;
      expect(filter).toBe('event.pass.id.startsWith("gold-")');
      expect(rest).toEqual(same);
    },
    LIMIT_MS,
  );

  it(
    "pauses and resumes, rotates the secret, and deletes only by the typed name",
    async () => {
      const { id } = await subscribe("turned", { description: "The turned one" });
      await using visit = await stage.signedIn(`/subscriptions/${id}`);
      const { page } = visit;
      await page.getByRole("button", { name: "Pause" }).click();
      await page.getByText("Paused: it gets no events.").waitFor();
      expect((await stored(id))?.state).toBe(State.DISABLED);
      await page.getByRole("button", { name: "Resume" }).click();
      await page.getByText("Resumed: it gets its events again.").waitFor();
      expect((await stored(id))?.state).toBe(State.ENABLED);
      await page.getByRole("button", { name: "Rotate the secret" }).click();
      await page.getByLabel("The old one goes on signing for").selectOption({ label: "1 hour" });
      await page.getByRole("button", { name: "Make a new secret" }).click();
      const dialog = page.getByRole("dialog", { name: "The new secret" });
      expect(await dialog.locator(".secret").textContent()).toMatch(/^whsec_/);
      await dialog.getByRole("button", { name: "I have kept it" }).click();
      await page.getByRole("table", { name: "Signing secrets" }).getByRole("row").nth(2).waitFor();
      expect((await stored(id))?.secrets).toHaveLength(2);
      await page.getByRole("button", { name: "Delete" }).click();
      const remove = page.getByRole("button", { name: "Delete it" });
      expect(await remove.isDisabled()).toBe(true);
      await page.getByLabel(/^Type/).fill(`127.0.0.1:${server.port}`);
      expect(await remove.isDisabled()).toBe(true);
      await page.getByLabel(/^Type/).fill("The turned one");
      await remove.click();
      await page.getByText("No subscriptions yet").waitFor();
      expect((await stage.passbus.api.subscriptions.listSubscriptions({})).subscriptions).toEqual([]);
    },
    LIMIT_MS,
  );

  it(
    "lists by search and filters that are in the address, and goes back to them",
    async () => {
      await subscribe("alpha", { description: "the tills" });
      await subscribe("beta", { format: Format.PASSENTRY });
      await using visit = await stage.signedIn("/subscriptions?format=3");
      const { page } = visit;
      await page.getByRole("link", { name: endpoint("beta") }).waitFor();
      expect(await page.getByRole("link", { name: "the tills" }).count()).toBe(0);
      await page.getByLabel("Format").selectOption({ label: "Any" });
      await page.getByRole("link", { name: "the tills" }).waitFor();
      await page.getByLabel("Search").fill("TILLS");
      await page.getByRole("link", { name: endpoint("beta") }).waitFor({ state: "detached" });
      expect(visit.path).toBe("/subscriptions?text=TILLS");
      await page.getByRole("link", { name: "the tills" }).click();
      await page.getByRole("heading", { level: 1, name: "the tills" }).waitFor();
      await page.goBack();
      expect(await page.getByLabel("Search").inputValue()).toBe("TILLS");
      await page.getByLabel("Search").fill("nothing of the sort");
      await page.getByText("No subscription fits").waitFor();
    },
    LIMIT_MS,
  );

  it(
    "gives code for the subscription's own dialect, in every language, to be copied",
    async () => {
      const { id } = await subscribe("code", { format: Format.PASSENTRY });
      await using visit = await stage.signedIn(`/subscriptions/${id}`);
      const { page } = visit;
      for (const language of ["Node", "Python", "Go", "Java", "PHP"]) {
        await page.getByLabel("Language").selectOption(language);
        await page.getByRole("button", { name: `Copy the code for ${language}` }).click();
        await page.getByText(`Copied the code for ${language}.`).waitFor();
        const code = await visit.copied();
        expect(code).toContain("x-webhook-signature");
        expect(code).toContain("PASSBUS_SECRET");
      }
    },
    LIMIT_MS,
  );
});
