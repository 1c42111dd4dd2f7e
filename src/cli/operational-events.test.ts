import { afterEach, beforeEach, expect, test } from "vitest";
import { OperationalEventType as Type } from "../../gen/passbus/v1/operational_event_pb.js";
import { waiting } from "../../test/contracts/rows.ts";
import { ADMIN_KEY, emptyDeliveryLog, TENANT, type TestApi, testApi } from "../../test/support/api.ts";
import { MemoryChanges } from "../../test/support/memory-changes.ts";
import { sampleSubscription } from "../../test/support/samples.ts";
import { testTerminal } from "../../test/support/terminal.ts";
import { eventually, within } from "../../test/support/within.ts";
import { operationalEvent } from "../delivery/operational-event.ts";
import { runCli } from "./cli.ts";
import { deliveriesCommand } from "./deliveries.ts";
import { subscriptionsCommand } from "./subscriptions.ts";
import { tailCommand } from "./tail.ts";

const about = sampleSubscription({ id: "sub_about", tenant: TENANT });
const news = { type: Type.DELIVERY_FAILED, about, occasion: ["x"], says: { message: "given up" } };
const { stored } = operationalEvent(news, 1_700_000_000_000);

let api: TestApi;
let changes: MemoryChanges;
beforeEach(async () => {
  changes = new MemoryChanges();
  const row = waiting("dlv_1", 0, { eventType: 0, operationalType: Type.DELIVERY_FAILED, passId: "" });
  api = await testApi({ changes, deliveryLog: { ...emptyDeliveryLog, getDelivery: async () => row } });
});
afterEach(() => api.stop(0));

function start(...args: readonly string[]) {
  const terminal = testTerminal({ PASSBUS_KEY: ADMIN_KEY }, [""]);
  const commands = [subscriptionsCommand(), deliveriesCommand(), tailCommand()];
  return { terminal, ended: runCli([...args, "--url", api.url], commands, terminal) };
}

async function run(...args: readonly string[]) {
  const { terminal, ended } = start(...args);
  return { code: await within(10_000, "the command's end", ended), ...terminal.said };
}

const create = (...args: readonly string[]) =>
  run("subscriptions", "create", "--endpoint", "http://127.0.0.1:1/", "--json", ...args);

test("subscriptions create asks for them, update takes them away, and both show them", async () => {
  const { out } = await create("--operational-event", "delivery.failed", "subscription.disabled");
  const { subscription } = JSON.parse(out);
  expect(subscription.operationalEvents).toEqual([
    "OPERATIONAL_EVENT_TYPE_DELIVERY_FAILED",
    "OPERATIONAL_EVENT_TYPE_SUBSCRIPTION_DISABLED",
  ]);
  const shown = await run("subscriptions", "get", subscription.id);
  expect(shown.out).toMatch(/types +delivery\.failed,subscription\.disabled\n/);
  const updated = await run("subscriptions", "update", subscription.id, "--operational-event", "none");
  expect(updated.out).toMatch(/types +all\n/);
});

test("a word that is none is refused with those that are", async () => {
  const { code, err } = await create("--operational-event", "delivery.lost");
  expect(code).not.toBe(0);
  expect(err).toContain("none, subscription.disabled, endpoint.failing");
});

test("a preview and a test take their types beside passes'", async () => {
  const { subscription } = JSON.parse((await create()).out);
  const { out } = await run("subscriptions", "preview", subscription.id, "--type", "endpoint.recovered");
  expect(out).toContain('"type":"endpoint.recovered"');
  const sent = await run("subscriptions", "test", subscription.id, "--type", "delivery.expired");
  expect(sent.out).toContain('"type":"delivery.expired"');
});

test("a delivery and a tail show their type, and of an event what it is about", async () => {
  expect((await run("deliveries", "get", "dlv_1")).out).toMatch(/type +delivery\.failed\n/);
  const { terminal, ended } = start("tail", "--type", "delivery.failed", "--limit", "1");
  await eventually(5_000, "the tail's beginning", () => (terminal.said.err.includes("Ctrl-C") ? true : undefined));
  changes.store(stored);
  expect(await within(10_000, "the tail's end", ended)).toBe(0);
  expect(terminal.said.out).toMatch(new RegExp(`  delivery\\.failed +${stored.id}  sub_about\\n$`));
});
