/**
 * The windows of a run. A window of passbus begins at the publisher's first call and ends when the sink has the last
 * webhook; the next one begins when passbus has recorded everything. Bare windows begin and end alike.
 */

import { cpus } from "node:os";
import { percentile } from "./figures.ts";
import type { PassbusUse } from "./passbus-process.ts";
import { within } from "./process-call.ts";
import type { Received } from "./sink.ts";
import { ONE, type Shape, type Stage } from "./stage.ts";

/** How producers are told to publish: docs say batches, ../shared/performance.md says why. */
const BATCH = 100;
const CALLS_IN_FLIGHT = 8;
export const BARE_CONCURRENCY = 64;
export const PER_SECOND = 50;
const IDLE_POLL_MS = 10;

export interface Window {
  readonly name: "bare" | Shape["name"];
  readonly deliveries: number;
  readonly perSecond: number;
  /** Of the process that sends; of passbus until all is recorded. */
  readonly cpuSecondsPer1000: number;
}

export interface PassbusWindow extends Window {
  readonly mainThreadCpuSecondsPer1000: number;
  /** How much of the window, until all was recorded, the main thread was busy, and all of the machine's cores were; 0 to 1. */
  readonly mainThreadBusy: number;
  readonly machineBusy: number;
  /** Events a second until the last call was answered. */
  readonly acceptedPerSecond: number;
  /** From the last webhook's receipt until all outcomes are durable. */
  readonly recordedAfterMs: number;
}

export interface Latency {
  readonly events: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  /** Until the publisher had its answer. */
  readonly answerP50Ms: number;
  readonly answerP99Ms: number;
}

/** Webhooks that never came. */
export class MissingDeliveries extends Error {
  override readonly name = "MissingDeliveries";
}

let windowNumber = 0;
/** Ids that no other window of this run has. */
export function idPrefix(): string {
  windowNumber += 1;
  return `bench-${windowNumber}-`;
}

async function received(stage: Stage, name: string, expected: number, patienceMs: number) {
  try {
    return await within(patienceMs, `a window of ${name}`, stage.sink.call("reached", undefined));
  } catch (cause) {
    const { distinct } = await stage.sink.call("counts", undefined);
    const message = `${expected - distinct} of ${expected} webhooks are missing in a window of ${name}`;
    throw new MissingDeliveries(message, { cause });
  }
}

/** Waits until passbus has nothing in hand: every outcome and every offset is durable. */
export async function idle({ passbus }: Pick<Stage, "passbus">, patienceMs: number): Promise<PassbusUse> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    const use = await passbus.call("use", undefined);
    const { openRecords, pending, inFlight, unflushed } = use.state;
    if (openRecords + pending + inFlight + unflushed === 0) return use;
    if (performance.now() > deadline) throw new Error(`passbus is not idle: ${JSON.stringify(use.state)}`);
    await new Promise((resolve) => setTimeout(resolve, IDLE_POLL_MS));
  }
}

export async function passbusWindow(
  stage: Stage,
  shape: Shape,
  events: number,
  patienceMs: number,
): Promise<PassbusWindow> {
  const deliveries = events * shape.endpoints;
  const plan = { entityId: shape.entityId, idPrefix: idPrefix(), count: events, batchSize: BATCH };
  await stage.publisher.call("prepare", plan);
  await stage.sink.call("expect", { count: deliveries, keepTimes: false });
  const before = await idle(stage, patienceMs);
  const [beganMs, machineBefore] = [performance.now(), machineTimes()];
  const [published, reached] = await Promise.all([
    stage.publisher.call("publish", { callsInFlight: CALLS_IN_FLIGHT }),
    received(stage, shape.name, deliveries, patienceMs),
  ]);
  const reportedMs = performance.now();
  const after = await idle(stage, patienceMs);
  const recordedAfterMs = performance.now() - reportedMs;
  const machineAfter = machineTimes();
  if (published.accepted !== events) throw new Error(`${published.accepted} of ${events} events were accepted`);
  return {
    name: shape.name,
    deliveries,
    perSecond: (deliveries * 1_000) / (reached.lastMs - published.startMs),
    cpuSecondsPer1000: (after.cpuMs - before.cpuMs) / deliveries,
    mainThreadCpuSecondsPer1000: (after.mainThreadCpuMs - before.mainThreadCpuMs) / deliveries,
    mainThreadBusy: (after.mainThreadCpuMs - before.mainThreadCpuMs) / (performance.now() - beganMs),
    machineBusy: 1 - (machineAfter.idle - machineBefore.idle) / (machineAfter.all - machineBefore.all),
    acceptedPerSecond: (events * 1_000) / (published.answeredMs - published.startMs),
    recordedAfterMs,
  };
}

/** Milliseconds of all cores since the machine's start. */
function machineTimes(): { readonly idle: number; readonly all: number } {
  let idle = 0;
  let all = 0;
  for (const { times } of cpus()) {
    idle += times.idle;
    all += times.user + times.nice + times.sys + times.idle + times.irq;
  }
  return { idle, all };
}

/** Sends what passbus sent: `like` is a webhook of its. */
export async function bareWindow(stage: Stage, like: Received, count: number, patienceMs: number): Promise<Window> {
  const headers: Record<string, string> = {};
  for (const name of ["user-agent", "content-type"]) headers[name] = like.headers[name] ?? "";
  const origin = stage.sinkOrigin;
  const run = { origin, count, concurrency: BARE_CONCURRENCY, idPrefix: idPrefix(), method: "POST", headers };
  await stage.sink.call("expect", { count, keepTimes: false });
  const [bare, reached] = await Promise.all([
    stage.bare.call("run", { ...run, body: like.body }),
    received(stage, "bare undici", count, patienceMs),
  ]);
  const perSecond = (count * 1_000) / (reached.lastMs - bare.startMs);
  return { name: "bare", deliveries: count, perSecond, cpuSecondsPer1000: bare.cpuMs / count };
}

/** Single events to one endpoint, 50 a second: from the publisher's call to the sink's having read the webhook. */
export async function latencyWindow(stage: Stage, events: number, patienceMs: number): Promise<Latency> {
  const paceMs = (events * 1_000) / PER_SECOND;
  await idle(stage, patienceMs);
  await stage.sink.call("expect", { count: events, keepTimes: true });
  const plan = { entityId: ONE.entityId, idPrefix: idPrefix(), count: events, perSecond: PER_SECOND, batchSize: 1 };
  const [calls] = await Promise.all([
    stage.publisher.call("pace", plan),
    received(stage, "latency", events, patienceMs + paceMs),
  ]);
  const receipts = new Map(await stage.sink.call("times", undefined));
  const took = calls.map(([eventId, startMs]) => {
    const receivedMs = receipts.get(eventId);
    if (receivedMs === undefined) throw new Error(`the sink never saw the event ${eventId}`);
    return receivedMs - startMs;
  });
  const answered = calls.map(([, startMs, answeredMs]) => answeredMs - startMs);
  return {
    events,
    p50Ms: percentile(took, 0.5),
    p99Ms: percentile(took, 0.99),
    maxMs: Math.max(...took),
    answerP50Ms: percentile(answered, 0.5),
    answerP99Ms: percentile(answered, 0.99),
  };
}
