/**
 * `npm run bench:neighbours`: what an endpoint that never answers costs nine healthy ones beside it (issue 6, "Must
 * show" 3). Two whole passbus processes, one with nine endpoints and one with the hanging one beside them, take turns:
 * first at 180 deliveries a second, then with bursts of 1,000 events. The ratios are of neighbouring windows. Exit 2:
 * a goal is missed.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { SubscriptionService } from "../gen/passbus/v1/subscription_service_pb.js";
import { median, percentile } from "./figures.ts";
import type { PassbusCalls } from "./passbus-process.ts";
import { BenchProcess, within } from "./process-call.ts";
import type { PublisherCalls } from "./publisher.ts";
import type { SinkCalls } from "./sink.ts";
import { startIn, type Target } from "./stage.ts";
import { idle, idPrefix } from "./windows.ts";

const ENTITY = "neighbours";
const HEALTHY = 9;
const DELIVERIES_PER_SECOND = 180;
const BURST_EVENTS = 1_000;
const BURST_BATCH = 100;
const CALLS_IN_FLIGHT = 8;
const PATIENCE_MS = 60_000;
/** As in bench/sink.ts; importing that would start it. */
const HANGING_PATH = "/hanging";

/** What one window came to: the nine healthy endpoints alone. */
interface Figures {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** One passbus with its nine endpoints. */
class Side {
  readonly passbus = new BenchProcess<PassbusCalls>("passbus", new URL("./passbus-process.ts", import.meta.url));
  readonly publisher = new BenchProcess<PublisherCalls>("publisher", new URL("./publisher.ts", import.meta.url));
  readonly #sinkOrigin: string;
  readonly #dataDir: string;
  #target: Target = { url: "", key: "" };

  constructor(sinkOrigin: string, dataDir: string) {
    this.#sinkOrigin = sinkOrigin;
    this.#dataDir = dataDir;
  }

  async setUp(): Promise<void> {
    this.#target = await startIn(this.passbus, this.#dataDir);
    await this.publisher.call("connect", this.#target);
    for (let number = 0; number < HEALTHY; number += 1) await this.subscribe(`/healthy/${number}`);
  }

  async subscribe(path: string): Promise<string> {
    const subscription = { entityId: ENTITY, url: `${this.#sinkOrigin}${path}` };
    const made = await this.#subscriptions().createSubscription({ subscription }, { headers: this.#headers() });
    return made.subscription?.id ?? "";
  }

  async unsubscribe(id: string): Promise<void> {
    await this.#subscriptions().deleteSubscription({ id }, { headers: this.#headers() });
  }

  async close(): Promise<void> {
    await this.publisher.stop();
    await this.passbus.stop();
    await rm(this.#dataDir, { recursive: true, force: true });
  }

  #subscriptions() {
    return createClient(SubscriptionService, createGrpcTransport({ baseUrl: this.#target.url }));
  }

  #headers() {
    return { authorization: `Bearer ${this.#target.key}` };
  }
}

type Sink = BenchProcess<SinkCalls>;
type WindowOf = (side: Side, sink: Sink) => Promise<Figures>;

/** Single events at a steady pace: latency is from the call to the receipt, at each of the nine. */
function paced(seconds: number): WindowOf {
  return async (side, sink) => {
    const perSecond = DELIVERIES_PER_SECOND / HEALTHY;
    const count = Math.round(seconds * perSecond);
    await sink.call("expect", { count: count * HEALTHY, keepTimes: true });
    const plan = { entityId: ENTITY, idPrefix: idPrefix(), count, perSecond, batchSize: 1 };
    const [calls, reached] = await Promise.all([
      side.publisher.call("pace", plan),
      within(PATIENCE_MS + seconds * 1_000, "a paced window", sink.call("reached", undefined)),
    ]);
    const startOf = new Map(calls.map(([eventId, startMs]) => [eventId, startMs]));
    const times = await sink.call("times", undefined);
    const firstMs = calls[0]?.[1] ?? 0;
    return figures(
      times.map(([eventId, atMs]) => atMs - (startOf.get(eventId) ?? Number.NaN)),
      reached.lastMs - firstMs,
    );
  };
}

/** 1,000 events at once: latency is from the burst's first call. */
const burst: WindowOf = async (side, sink) => {
  const plan = { entityId: ENTITY, idPrefix: idPrefix(), count: BURST_EVENTS, batchSize: BURST_BATCH };
  await side.publisher.call("prepare", plan);
  await sink.call("expect", { count: BURST_EVENTS * HEALTHY, keepTimes: true });
  const [published, reached] = await Promise.all([
    side.publisher.call("publish", { callsInFlight: CALLS_IN_FLIGHT }),
    within(PATIENCE_MS, "a burst", sink.call("reached", undefined)),
  ]);
  const times = await sink.call("times", undefined);
  return figures(
    times.map(([, atMs]) => atMs - published.startMs),
    reached.lastMs - published.startMs,
  );
};

function figures(tookMs: readonly number[], lastedMs: number): Figures {
  if (tookMs.some(Number.isNaN)) throw new Error("the sink got an event that nobody sent");
  const perSecond = (tookMs.length * 1_000) / lastedMs;
  return { perSecond, p50Ms: percentile(tookMs, 0.5), p99Ms: percentile(tookMs, 0.99) };
}

interface Pair {
  readonly alone: Figures;
  readonly beside: Figures;
}

/** Which of the two goes first changes from pair to pair. */
async function pairs(count: number, window: WindowOf, alone: Side, beside: Side, sink: Sink): Promise<readonly Pair[]> {
  const all: Pair[] = [];
  for (let number = 0; number < count; number += 1) {
    const without = async () => {
      await idle(alone, PATIENCE_MS);
      return window(alone, sink);
    };
    const withIt = async () => {
      const hanging = await beside.subscribe(HANGING_PATH);
      const came = await window(beside, sink);
      // What waits for it is cancelled, so that the next window begins like this one.
      await beside.unsubscribe(hanging);
      return came;
    };
    const first = number % 2 === 0 ? await without() : undefined;
    const besideFigures = await withIt();
    const pair = { alone: first ?? (await without()), beside: besideFigures };
    all.push(pair);
    say(`  ${line("alone", pair.alone)}   ${line("beside", pair.beside)}`);
  }
  return all;
}

const line = (name: string, { perSecond, p50Ms, p99Ms }: Figures): string =>
  `${name} ${perSecond.toFixed(0)}/s p50 ${p50Ms.toFixed(1)} p99 ${p99Ms.toFixed(1)} ms`;

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

interface Report {
  readonly lines: readonly string[];
  readonly isMet: boolean;
}

function report(title: string, all: readonly Pair[]): Report {
  const ratio = (figure: (figures: Figures) => number) =>
    median(all.map(({ alone, beside }) => figure(beside) / figure(alone)));
  const of = (side: keyof Pair, figure: (figures: Figures) => number) => median(all.map((pair) => figure(pair[side])));
  const rate = ratio(({ perSecond }) => perSecond);
  const p99 = ratio(({ p99Ms }) => p99Ms);
  const isMet = rate >= 0.9 && p99 <= 1.1;
  const verdict = isMet ? "met" : "MISSED";
  const lines = [
    `${title}, ${all.length} pairs:`,
    `  alone  ${of("alone", (it) => it.perSecond).toFixed(0)}/s, p50 ${of("alone", (it) => it.p50Ms).toFixed(1)}, p99 ${of("alone", (it) => it.p99Ms).toFixed(1)} ms`,
    `  beside ${of("beside", (it) => it.perSecond).toFixed(0)}/s, p50 ${of("beside", (it) => it.p50Ms).toFixed(1)}, p99 ${of("beside", (it) => it.p99Ms).toFixed(1)} ms`,
    `  medians of the pairs' ratios: throughput ${rate.toFixed(2)}, p99 ${p99.toFixed(2)}; goal: within 10 % ${verdict}`,
  ];
  return { lines, isMet };
}

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { pairs: { type: "string" }, seconds: { type: "string" } } });
  const count = Number(values.pairs ?? 9);
  const seconds = Number(values.seconds ?? 15);
  const sink: Sink = new BenchProcess("sink", new URL("./sink.ts", import.meta.url));
  const { port } = await sink.call("start", { lose: 0 });
  const side = async () => new Side(`http://127.0.0.1:${port}`, await mkdtemp(join(tmpdir(), "passbus-bench-")));
  const alone = await side();
  const beside = await side();
  try {
    for (const one of [alone, beside]) await one.setUp();
    say("warming up");
    for (const one of [alone, beside]) {
      await burst(one, sink);
      await idle(one, PATIENCE_MS);
      await paced(2)(one, sink);
    }
    say(`${DELIVERIES_PER_SECOND} deliveries a second offered, ${seconds} s each`);
    const steady = await pairs(count, paced(seconds), alone, beside, sink);
    say(`bursts of ${BURST_EVENTS} events`);
    const bursts = await pairs(count, burst, alone, beside, sink);
    const reports = [
      report(`${DELIVERIES_PER_SECOND} deliveries a second offered, windows of ${seconds} s`, steady),
      report(`bursts of ${BURST_EVENTS} events`, bursts),
    ];
    const lines = reports.flatMap((one) => one.lines);
    console.log(["nine healthy endpoints, alone and beside one that never answers", ...lines].join("\n"));
    return reports.every(({ isMet }) => isMet) ? 0 : 2;
  } finally {
    for (const one of [alone, beside]) await one.close();
    await sink.stop();
  }
}

process.exitCode = await main();
