/**
 * Attackers, one kind after the other, on a server that a good client goes on calling. Windows with and without the
 * attack follow each other, and what counts is the median over them: what else the machine does meets both alike.
 *
 * PASSBUS_TEST_LONG=true is the strict form, for a machine that does nothing else: more and longer windows, a p99 within
 * twice the normal one, and newcomers (each with a connection of its own) answered within 100 ms. The other one, which has
 * to hold on any machine, finds what stops the service or slows it for good.
 */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { afterAll, beforeAll, expect, test } from "vitest";
import { BOOTSTRAP_KEY, DataDirectory, RunningPassbus } from "../../support/passbus.ts";
import { within } from "../../support/within.ts";
import { ATTACKS, attack } from "../attacks.ts";

const STRICT = process.env.PASSBUS_TEST_LONG === "true";
/**
 * Pairs of windows, how long they are without and with the attack, and how far the medians of their p99 may lie apart.
 * One pair after the other, until they are as they should or there have been enough: one alone says little on a machine
 * that does other things.
 */
const { fewest, most, normalWindowMs, windowMs, factor, floorMs, newcomerLimitMs } = STRICT
  ? { fewest: 5, most: 9, normalWindowMs: 2_000, windowMs: 2_000, factor: 2, floorMs: 10, newcomerLimitMs: 100 }
  : { fewest: 1, most: 9, normalWindowMs: 50, windowMs: 250, factor: 2, floorMs: 1_000, newcomerLimitMs: 2_000 };

/** However many come, and whatever they send. */
const MEMORY_MIB = 1_536;

const directory = new DataDirectory();
let passbus: RunningPassbus;
let client: Worker;
beforeAll(async () => {
  passbus = await RunningPassbus.start(directory.path, { PASSBUS_CALLS_PER_SECOND: "0" });
  const workerData = { url: passbus.url, key: BOOTSTRAP_KEY };
  client = new Worker(new URL("../good-client.ts", import.meta.url), { workerData });
  await windowOf(windowMs);
}, 90_000);
afterAll(async () => {
  await client.terminate();
  await passbus[Symbol.asyncDispose]();
  directory[Symbol.dispose]();
});

interface Calls {
  readonly tookMs: readonly number[];
  readonly failed: number;
}

interface Window {
  readonly known: Calls;
  readonly newcomers: Calls;
}

/** Every call is answered, or this fails. The slowest newcomer counts, since there are few. */
async function windowOf(forMs: number): Promise<{ readonly p99Ms: number; readonly newcomerMs: number }> {
  client.postMessage({ windowMs: forMs });
  const [window] = (await within(60_000, "the good client's answers", once(client, "message"))) as [Window];
  const { known, newcomers } = window;
  expect({ known: known.failed, newcomers: newcomers.failed }).toEqual({ known: 0, newcomers: 0 });
  expect(known.tookMs.length).toBeGreaterThan(0);
  const p99Ms = known.tookMs.toSorted((a, b) => a - b)[Math.floor(known.tookMs.length * 0.99)] ?? 0;
  return { p99Ms, newcomerMs: Math.max(...newcomers.tookMs) };
}

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

function rssMib(): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${passbus.pid}/status`, "utf8"))?.[1]) / 1_024;
}

test.each(ATTACKS)("$name: a good client is served as before", { timeout: 180_000 }, async (kind) => {
  const target = { port: Number(new URL(passbus.url).port), key: BOOTSTRAP_KEY };
  const [normalMs, attackedMs]: [number[], number[]] = [[], []];
  const newcomersMs: number[] = [];
  const isAsBefore = () =>
    median(attackedMs) < Math.max(factor * median(normalMs), floorMs) && median(newcomersMs) < newcomerLimitMs;
  while (attackedMs.length < fewest || (attackedMs.length < most && !isAsBefore())) {
    normalMs.push((await windowOf(normalWindowMs)).p99Ms);
    const stop = new AbortController();
    const attacked = attack(kind, target, stop.signal);
    const { p99Ms, newcomerMs } = await windowOf(windowMs);
    attackedMs.push(p99Ms);
    newcomersMs.push(newcomerMs);
    stop.abort();
    expect(await attacked).toBeGreaterThanOrEqual(kind.connections);
  }
  if (STRICT)
    console.log(
      `${kind.name}: p99 ${median(normalMs).toFixed(1)} → ${median(attackedMs).toFixed(1)} ms, the slowest newcomer ${median(newcomersMs).toFixed(0)} ms, ${rssMib().toFixed(0)} MiB`,
    );
  expect(passbus.hasEnded).toBe(false);
  expect(rssMib()).toBeLessThan(MEMORY_MIB);
  expect({ normalMs, attackedMs, newcomersMs, isAsBefore: isAsBefore() }).toMatchObject({ isAsBefore: true });
});
