/** The deliveries' pages in a real browser: the live log, one delivery, sending again, cancelling. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DeliveryStatus } from "../../gen/passbus/v1/delivery_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { BreakerState } from "../../gen/passbus/v1/subscription_pb.js";
import { deliveryId } from "../../src/domain/delivery.ts";
import { browser, PAGE_LIMIT_MS, Stage } from "../support/browser.ts";
import { percentile, printTable } from "../support/figures.ts";
import { httpServer } from "../support/receiver.ts";
import { Sink } from "../support/sink.ts";
import { eventually } from "../support/within.ts";

const LIMIT_MS = 180_000;
const TENANT = { organisation: "default", environment: "production" };

const RUDE_BODY = "<img src=x onerror=wasRun=1><script>wasRun=1</script>";

/** Answers 503 with what would be a script, were it rendered. */
async function rudeReceiver(): Promise<AsyncDisposable & { readonly url: string }> {
  const server = createServer((_, response) => {
    response.writeHead(503, { "content-type": "text/html" }).end(RUDE_BODY);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/rude`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

describe.skipIf(!browser.present)(browser.title("the deliveries' pages"), () => {
  let stage: Stage;
  let sink: Sink;
  const good = { type: PassEventType.UPDATED, subscriptionId: "" };
  const bad = { type: PassEventType.SCANNED, subscriptionId: "" };

  /** For one type, so that what one test makes is no noise in another; the next attempts come after an hour each. */
  const subscribe = async (url: string, type: PassEventType) => {
    const policy = { retrySchedule: Array.from({ length: 3 }, () => ({ seconds: 3_600n })) };
    const asked = { subscription: { url, policy, eventTypes: [type] } };
    const { subscription } = await stage.passbus.api.subscriptions.createSubscription(asked);
    return subscription?.id ?? "";
  };
  beforeAll(async () => {
    [stage, sink] = await Promise.all([Stage.open(), Sink.start()]);
    await sink.answer("/bad", { status: 503 });
    good.subscriptionId = await subscribe(sink.url("/good"), good.type);
    bad.subscriptionId = await subscribe(sink.url("/bad"), bad.type);
  }, LIMIT_MS);
  afterAll(async () => {
    await sink?.[Symbol.asyncDispose]();
    await stage?.[Symbol.asyncDispose]();
  });

  /** Publishes one event and answers with the id of its delivery. */
  const publish = async (id: string, { type, subscriptionId }: typeof good, passId = `pass-of-${id}`) => {
    await stage.passbus.api.events.publishEvents({ events: [{ id, type, pass: { id: passId } }] });
    return deliveryId({ tenant: TENANT, id }, subscriptionId);
  };
  const standing = (id: string, status: DeliveryStatus) =>
    eventually(PAGE_LIMIT_MS, `${id} in status ${status}`, async () => {
      const { delivery } = await stage.passbus.api.deliveries
        .getDelivery({ id })
        .catch(() => ({ delivery: undefined }));
      return delivery?.status === status && delivery.attempts.length > 0 ? delivery : undefined;
    });

  it(
    "shows a delivery soon after its event was published, without a reload",
    async () => {
      await using visit = await stage.signedIn("/deliveries");
      const { page } = visit;
      await page.getByText("No deliveries yet").waitFor();
      await page.getByText("Live", { exact: true }).waitFor();
      const tookMs: number[] = [];
      for (let number = 0; number < 7; number += 1) {
        const beganMs = performance.now();
        const id = await publish(`live-${number}`, good);
        await page.getByRole("link", { name: id }).waitFor();
        tookMs.push(performance.now() - beganMs);
      }
      await page.locator(".log-row", { hasText: "pass-of-live-6" }).getByText("delivered").waitFor();
      const medianMs = percentile(tookMs, 0.5);
      printTable("From an event published to its row on the page, ms", [
        ["median", medianMs],
        ["longest", Math.max(...tookMs)],
      ]);
      // A second is what a quiet machine is held to; what is shared and loaded shows that no reload was needed.
      expect(medianMs).toBeLessThan(process.env.PASSBUS_TEST_LONG === undefined ? 10_000 : 1_000);
      expect(await visit.offencesInAllLooks()).toEqual({});
    },
    LIMIT_MS,
  );

  it(
    "has its filters in the address, and says what to do where none fits",
    async () => {
      const id = await publish("filtered", bad, "pass/%41 + b");
      await standing(id, DeliveryStatus.WAITING);
      const query = new URLSearchParams({ pass: "pass/%41 + b", status: "waiting" });
      await using visit = await stage.signedIn(`/deliveries?${query}`);
      const { page } = visit;
      await page.getByRole("link", { name: id }).waitFor();
      expect(await page.getByRole("row").count()).toBe(2);
      expect(await page.getByLabel("Pass id").inputValue()).toBe("pass/%41 + b");
      await page.getByLabel("Status").selectOption("failed");
      await page.getByText("No delivery fits these filters").waitFor();
      expect(new URL(page.url()).searchParams.get("status")).toBe("failed");
      await page.getByLabel("Subscription").selectOption(bad.subscriptionId);
      await page.getByLabel("Created").selectOption("1h");
      expect(new URL(page.url()).searchParams.get("subscription")).toBe(bad.subscriptionId);
      expect(await visit.offencesInAllLooks()).toEqual({});
      await page.getByRole("button", { name: "Clear the filters" }).click();
      await page.getByRole("link", { name: id }).waitFor();
      expect(visit.path).toBe("/deliveries");
    },
    LIMIT_MS,
  );

  it(
    "shows the deliveries of one type of event, those that come live too",
    async () => {
      const earlier = await publish("of-another-type-before", bad);
      await standing(earlier, DeliveryStatus.WAITING);
      await using visit = await stage.signedIn("/deliveries?type=updated");
      const { page } = visit;
      await page.getByText("Live", { exact: true }).waitFor();
      const other = await publish("of-another-type", bad);
      await standing(other, DeliveryStatus.WAITING);
      const id = await publish("of-the-type", good);
      await page.getByRole("link", { name: id }).waitFor();
      for (const each of [earlier, other]) expect(await page.getByRole("link", { name: each }).count()).toBe(0);
      await page.getByLabel("Event type").selectOption("scanned");
      await page.getByRole("link", { name: other }).waitFor();
      expect(await page.getByRole("link", { name: id }).count()).toBe(0);
      expect(visit.path).toBe("/deliveries?type=scanned");
      await page.getByLabel("Event type").selectOption("delivery failed");
      await page.getByText("No delivery fits these filters").waitFor();
      // A replay takes the type over, and says that it can't go by one of passbus's own.
      await page.getByRole("button", { name: "Replay …" }).click();
      await page.getByRole("dialog").getByText("the event type delivery failed").waitFor();
      await page.getByRole("button", { name: "Back to the log" }).click();
      await page.getByLabel("Event type").selectOption("scanned");
      await page.getByRole("button", { name: "Replay …" }).click();
      expect(await page.getByRole("dialog").getByRole("checkbox", { name: "scanned" }).isChecked()).toBe(true);
    },
    LIMIT_MS,
  );

  it(
    "shows what was sent and what came back, and that the body is the one that was sent",
    async () => {
      await using receiver = await rudeReceiver();
      const rude = { type: PassEventType.INSTALLED, subscriptionId: "" };
      rude.subscriptionId = await subscribe(receiver.url, rude.type);
      const id = await publish("seen", rude);
      await standing(id, DeliveryStatus.WAITING);
      await using visit = await stage.signedIn(`/deliveries/${id}`);
      const { page } = visit;
      await page.getByText("503 in").waitFor();
      await page.getByText(`POST ${receiver.url}`).waitFor();
      await page.getByText(RUDE_BODY).waitFor();
      await page.getByText(/new connection \d+.* · TCP \d+.* · first byte \d+.* · rest of the answer \d+/).waitFor();
      expect(await page.evaluate("globalThis.wasRun")).toBeUndefined();
      await page.getByRole("rowheader", { name: "webhook-id" }).waitFor();
      await page.getByRole("rowheader", { name: "content-type" }).first().waitFor();
      // An hour, give or take a fifth.
      await page.getByText(/\(in (?:\d+ min|1 h)\)/).waitFor();
      await page.getByRole("button", { name: "Show the body" }).click();
      await page.getByText("Byte for byte what the last attempt sent").waitFor();
      await page.getByText('"pass-of-seen"').waitFor();
      await page.getByRole("button", { name: "Copy the delivery’s id" }).click();
      expect(await visit.copied()).toBe(id);
      expect(await visit.offencesInAllLooks()).toEqual({});
    },
    LIMIT_MS,
  );

  it(
    "sends one again and cancels one, each when asked to, and shows what became of it by itself",
    async () => {
      const id = await publish("again", bad);
      await standing(id, DeliveryStatus.WAITING);
      await using visit = await stage.signedIn(`/deliveries/${id}`);
      const { page } = visit;
      await page.getByRole("button", { name: "Send now" }).click();
      await page.getByRole("dialog").getByText(id).waitFor();
      await page.getByRole("button", { name: "Send it" }).click();
      await page.getByText("Attempt 2:").waitFor();
      await page.getByRole("button", { name: "Cancel" }).click();
      await page.getByRole("button", { name: "Cancel the delivery" }).click();
      await page.locator("dd").getByText("cancelled", { exact: true }).waitFor();
      expect((await standing(id, DeliveryStatus.CANCELLED)).attempts).toHaveLength(2);
    },
    LIMIT_MS,
  );

  it(
    "shows a portal session the deliveries of its entity alone, live, and no replays",
    async () => {
      const { access, subscriptions, events } = stage.passbus.api;
      const theirs = { url: sink.url("/theirs"), entityId: "shop-7", eventTypes: [PassEventType.DELETED] };
      const { subscription } = await subscriptions.createSubscription({ subscription: theirs });
      const { token } = await access.createPortalSession({ entityId: "shop-7" });
      await using visit = await stage.signedIn("/deliveries", { key: token });
      const { page } = visit;
      await page.getByText("No deliveries yet").waitFor();
      await page.getByText("Live", { exact: true }).waitFor();
      await publish("others", good);
      const event = { id: "theirs", type: PassEventType.DELETED, entityId: "shop-7", pass: { id: "pass-theirs" } };
      await events.publishEvents({ events: [event] });
      const id = deliveryId({ tenant: TENANT, id: "theirs" }, subscription?.id ?? "");
      await page.getByRole("link", { name: id }).click();
      await page.getByText("200 in").waitFor();
      await visit.open("/deliveries");
      await page.getByRole("link", { name: id }).waitFor();
      expect(await page.getByRole("row").count()).toBe(2);
      expect(await page.getByRole("button", { name: "Replay …" }).count()).toBe(0);
      await page.getByRole("link", { name: "pass-theirs" }).click();
      await page.getByText("the “deleted” webhook").waitFor();
      await page.getByRole("link", { name: "theirs", exact: true }).click();
      await page.getByRole("link", { name: "a delivery" }).waitFor();
      await page.getByRole("link", { name: "Events" }).click();
      await page.getByText("Which pass?").waitFor();
      await page.getByLabel("Pass id").fill("pass-theirs");
      await page.getByRole("link", { name: "theirs", exact: true }).waitFor();
    },
    LIMIT_MS,
  );

  it(
    "sends many again that were chosen by keyboard",
    async () => {
      const ids = await Promise.all(["many-1", "many-2", "many-3"].map((id) => publish(id, good, "pass-many")));
      for (const id of ids) await standing(id, DeliveryStatus.DELIVERED);
      await using visit = await stage.signedIn("/deliveries?pass=pass-many");
      const { page } = visit;
      const boxes = page.getByRole("checkbox", { name: "Choose dlv_" });
      await boxes.nth(2).waitFor();
      await boxes.first().focus();
      for (const _ of ids) {
        await page.keyboard.press("Space");
        await page.keyboard.press("ArrowDown");
      }
      await page.getByText("3 chosen").waitFor();
      await page.getByRole("button", { name: "Send again" }).focus();
      await page.keyboard.press("Enter");
      for (const id of ids) await page.getByRole("dialog").getByText(id).waitFor();
      expect(await visit.offences()).toEqual([]);
      await page.getByRole("button", { name: "Send them again" }).click();
      await page.getByText("None chosen").waitFor();
      await eventually(PAGE_LIMIT_MS, "each webhook twice", async () => {
        const requests = await sink.receiptsAt("/good");
        const times = ids.map((id) => requests.filter(({ webhookId }) => webhookId === id).length);
        return times.every((count) => count === 2) ? true : undefined;
      });
    },
    LIMIT_MS,
  );

  it(
    "says of a delivery that a breaker holds back when its endpoint is tried next",
    async () => {
      await sink.answer("/down", { status: 503 });
      const down = { type: PassEventType.UNINSTALLED, subscriptionId: "" };
      down.subscriptionId = await subscribe(sink.url("/down"), down.type);
      // Ten failures in a row open it; which of the first events come before their subscription is known is not said.
      let number = 0;
      await eventually(PAGE_LIMIT_MS, "an open breaker", async () => {
        number += 1;
        await publish(`down-${number}`, down);
        const asked = { id: down.subscriptionId };
        const { subscription } = await stage.passbus.api.subscriptions.getSubscription(asked);
        return subscription?.health?.breaker === BreakerState.OPEN ? true : undefined;
      });
      // So many behind them that the last waits for several probes.
      const behind: string[] = [];
      for (let at = 0; at < 6; at += 1) behind.push(await publish(`behind-${at}`, down));
      await using visit = await stage.signedIn(`/deliveries/${behind.at(-1)}`);
      const { page } = visit;
      await page.getByText("once the endpoint’s breaker lets it through").waitFor();
      await page.getByText(/due since .* ago\)\. The endpoint’s breaker is open/).waitFor();
      await page.getByText(/One of its deliveries is tried next at .* \(in \d+ s\); the others follow/).waitFor();
      expect(await visit.offencesInAllLooks()).toEqual({});
    },
    LIMIT_MS,
  );

  it(
    "cancels by what the chosen are now, says what it leaves, and keeps no choice that is out of sight",
    async () => {
      const answer = Promise.withResolvers<void>();
      await using receiver = await httpServer(async (_request, response) => {
        await answer.promise;
        response.writeHead(503).end();
      });
      const slow = { type: PassEventType.CREATED, subscriptionId: "" };
      slow.subscriptionId = await subscribe(`http://127.0.0.1:${receiver.port}/slow`, slow.type);
      const delivered = await publish("choice-delivered", good, "pass-choice");
      await standing(delivered, DeliveryStatus.DELIVERED);
      const id = await publish("choice-slow", slow, "pass-choice");
      await using visit = await stage.signedIn("/deliveries?pass=pass-choice");
      const { page } = visit;
      const row = page.locator(".log-row", { hasText: id });
      await row.getByText("attempting", { exact: true }).waitFor();
      await page.getByRole("button", { name: "Choose all that are loaded" }).click();
      await page.getByText("2 chosen").waitFor();
      answer.resolve();
      await row.getByText("waiting", { exact: true }).waitFor();
      await page.getByRole("button", { name: "Cancel", exact: true }).click();
      const dialog = page.getByRole("dialog", { name: "Cancel 1?" });
      await dialog.getByText(id).waitFor();
      await dialog.getByText(/^1 of the chosen/).waitFor();
      await dialog.getByRole("button", { name: "Cancel the deliveries" }).click();
      await page.getByText("Asked to cancel 1.").waitFor();
      await row.getByText("cancelled", { exact: true }).waitFor();
      await page.getByText("1 chosen").waitFor();
      await page.getByRole("button", { name: "Cancel", exact: true }).click();
      await page.getByRole("dialog", { name: "Nothing to cancel" }).getByRole("button", { name: "Close" }).click();
      await page.getByLabel("Status").selectOption("cancelled");
      await page.getByText("None chosen").waitFor();
      await page.getByLabel("Status").selectOption({ label: "Any" });
      await page.getByRole("link", { name: delivered }).waitFor();
      await page.getByText("None chosen").waitFor();
    },
    LIMIT_MS,
  );
});
