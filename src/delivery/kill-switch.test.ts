import { expect, test } from "vitest";
import { MemorySwitches } from "../../test/support/memory-switches.ts";
import { settled } from "../../test/support/settled.ts";
import type { LogFields } from "../kernel/log.ts";
import { silentLog } from "../kernel/log.ts";
import { ManualClock } from "../kernel/manual-clock.ts";
import { KillSwitch } from "./kill-switch.ts";

const STOP = { organisation: "acme", reason: "they asked", sinceMs: 5, by: "key_1" };
const ALL = { reason: "an incident", sinceMs: 6, by: "key_2" };

function setUp() {
  const clock = new ManualClock();
  const store = new MemorySwitches();
  const said: [string, LogFields | undefined][] = [];
  const say = (event: string, fields?: LogFields) => said.push([event, fields]);
  let started = 0;
  const killSwitch = new KillSwitch({
    store,
    clock,
    log: { ...silentLog, info: say, warn: say, error: (event) => say(event) },
    onStarted: () => {
      started++;
    },
  });
  const pass = async (ms: number) => {
    clock.advance(ms);
    await settled();
  };
  return { store, killSwitch, said, pass, started: () => started };
}

test("what is stopped is known when it has started, and within a second of every change", async () => {
  const { store, killSwitch, said, pass, started } = setUp();
  await store.stop(STOP);
  await killSwitch.start();
  expect([killSwitch.isStopped("acme"), killSwitch.isStopped("globex")]).toEqual([true, false]);
  expect([killSwitch.all, killSwitch.organisations]).toEqual([false, ["acme"]]);

  await store.stop(ALL);
  await pass(500);
  expect([killSwitch.isStopped("globex"), killSwitch.all]).toEqual([true, true]);
  expect([killSwitch.organisations, killSwitch.stops]).toEqual([["acme"], [ALL, STOP]]);
  expect(started()).toBe(0);

  await store.start(undefined);
  await store.start("acme");
  await pass(500);
  expect([killSwitch.isStopped("acme"), killSwitch.isStopped("globex"), killSwitch.all]).toEqual([false, false, false]);
  expect(started()).toBe(1);
  const service = { scope: "service", by: "key_2", sinceMs: 6 };
  const organisation = { scope: "organisation", organisation: "acme", by: "key_1", sinceMs: 5 };
  expect(said).toEqual([
    ["delivery.stopped", { ...organisation, reason: "they asked" }],
    ["delivery.stopped", { ...service, reason: "an incident" }],
    ["delivery.started", service],
    ["delivery.started", organisation],
  ]);
  await killSwitch.stop();
});

test("a start waits for the store's word, and fails without it", async () => {
  const { store, killSwitch } = setUp();
  store.error = new Error("away");
  await expect(killSwitch.start()).rejects.toThrow("away");
});

test("while the store doesn't answer, what was known holds", async () => {
  const { store, killSwitch, pass, started } = setUp();
  await store.stop(STOP);
  await killSwitch.start();
  store.error = new Error("away");
  await store.start("acme");
  await pass(5_000);
  expect([killSwitch.isStopped("acme"), started()]).toEqual([true, 0]);
  store.error = undefined;
  await pass(500);
  expect([killSwitch.isStopped("acme"), started()]).toEqual([false, 1]);
  await killSwitch.stop();
});
