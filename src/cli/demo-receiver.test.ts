import { Webhook } from "svix";
import { afterEach, beforeEach, expect, test } from "vitest";
import { systemClock } from "../kernel/clock.ts";
import { type Receipt, type Receiver, startReceiver } from "./demo-receiver.ts";

const secret = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;

let receiver: Receiver;
let receipts: Receipt[];

beforeEach(async () => {
  receipts = [];
  receiver = await startReceiver({ clock: systemClock, onReceipt: (receipt) => receipts.push(receipt) });
});
afterEach(() => receiver.stop());

async function send(name: string, id: string, signedWith = secret, marks: Record<string, string> = {}) {
  const body = JSON.stringify({ id });
  const at = new Date();
  const headers = {
    "webhook-id": id,
    "webhook-timestamp": String(Math.floor(at.getTime() / 1_000)),
    "webhook-signature": new Webhook(signedWith).sign(id, at, body),
    ...marks,
  };
  const response = await fetch(receiver.urlOf(name), { method: "POST", headers, body });
  return response.status;
}

test("an endpoint refuses each webhook as often as it was told, then takes it, and begins anew", async () => {
  receiver.open({ name: "flaky", secret, refusals: 2 });
  const answers = [];
  for (const id of ["a", "a", "b", "a", "b", "b", "a"]) answers.push(await send("flaky", id));
  expect(answers).toEqual([503, 503, 503, 200, 503, 200, 503]);
  expect(receipts.map((receipt) => receipt.answered)).toEqual(answers);
  expect(receipts.every((receipt) => receipt.verdict.ok)).toBe(true);
});

test("of many webhooks it refuses three at a time, so that a breaker that opened closes", async () => {
  receiver.open({ name: "flaky", secret, refusals: 2 });
  const answers = [];
  for (const id of ["a", "b", "c", "d", "e", "a", "a", "f", "g"]) answers.push(await send("flaky", id));
  expect(answers).toEqual([503, 503, 503, 200, 200, 503, 200, 503, 200]);
});

test("replays and test sends are taken at once", async () => {
  receiver.open({ name: "flaky", secret, refusals: 2 });
  expect(await send("flaky", "a", secret, { "webhook-replay": "true" })).toBe(200);
  expect(await send("flaky", "b", secret, { "webhook-test": "true" })).toBe(200);
});

test("what does not verify is told, and answered 401 however often it comes", async () => {
  receiver.open({ name: "crm", secret, refusals: 0 });
  const wrong = `whsec_${Buffer.alloc(32, 8).toString("base64")}`;
  expect([await send("crm", "a", wrong), await send("crm", "a", wrong)]).toEqual([401, 401]);
  expect(receipts.map((receipt) => receipt.verdict.ok)).toEqual([false, false]);
});

test("a path that is no endpoint is not there", async () => {
  expect(await send("nowhere", "a")).toBe(404);
  expect(receipts).toEqual([]);
});
