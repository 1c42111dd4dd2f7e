/** What a worker does with its claims while, and after, others may have taken it for dead. */
import { describe, expect, test } from "vitest";
import { answer, engineSetup } from "../../test/support/engine.ts";
import { sampleEvent, sampleSubscription } from "../../test/support/samples.ts";
import { DEFAULT_POLICY } from "../domain/subscription.ts";

const RETRY_MS = 1_000;

/** One delivery whose first attempt failed, and a store that answers its claim when the test says so. */
async function failedOnce() {
  const setup = engineSetup();
  const { engine, store, sender, take, pass, row } = setup;
  const event = sampleEvent("e1");
  store.put(sampleSubscription({ policy: { ...DEFAULT_POLICY, retryScheduleMs: [RETRY_MS] } }));
  engine.start();
  sender.reply = () => answer(503);
  await take(event);
  await pass(100);
  sender.reply = () => answer(200);
  const claim = store.claim.bind(store);
  const opened = Promise.withResolvers<void>();
  let gate = Promise.resolve();
  store.claim = async (request) => {
    const result = await claim(request);
    await gate;
    return result;
  };
  /** The store has taken the claim, and its answer is under way. */
  const claimed = async () => {
    gate = opened.promise;
    await pass(RETRY_MS * 2);
    expect(row(event, "sub_1")).toMatchObject({ status: "attempting", fence: 1 });
  };
  return { ...setup, claimed, open: opened.resolve, stored: () => row(event, "sub_1") };
}

describe("a worker that others may have taken for dead", () => {
  test("claims nothing until it is sure again", async () => {
    const { holder, pass, stored, sender } = await failedOnce();
    holder.isSure = false;
    await pass(RETRY_MS * 3);
    expect([stored()?.status, stored()?.fence, sender.requests.length]).toEqual(["waiting", 0, 1]);
    holder.isSure = true;
    await pass(RETRY_MS * 2);
    expect([stored()?.status, sender.requests.length]).toEqual(["delivered", 2]);
  });

  test("puts back unsent what it had claimed", async () => {
    const { holder, pass, claimed, open, stored, sender } = await failedOnce();
    await claimed();
    holder.isSure = false;
    open();
    await pass(200);
    expect(stored()).toMatchObject({ status: "waiting", fence: 1 });
    expect(sender.requests).toHaveLength(1);
  });

  test("in its next life sends nothing that it claimed before, and claims it again", async () => {
    const { holder, pass, claimed, open, stored, sender } = await failedOnce();
    await claimed();
    holder.life = 2;
    open();
    await pass(RETRY_MS * 2);
    expect(stored()).toMatchObject({ status: "delivered", fence: 2 });
    expect(sender.requests).toHaveLength(2);
  });

  test("goes on with what comes from the log", async () => {
    const { holder, take, sender } = await failedOnce();
    holder.isSure = false;
    await take(sampleEvent("e2"));
    expect(sender.requests).toHaveLength(2);
  });
});
