/**
 * `npm run bench:soak`: ten minutes at half of the capacity that the same run measures first (issue 6, "Must show" 5).
 * Memory and open handles are sampled and must stay flat; every webhook must come. Exit 1: one is missing.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { SubscriptionService } from "../gen/passbus/v1/subscription_service_pb.js";
import { median } from "./figures.ts";
import type { PassbusCalls } from "./passbus-process.ts";
import { BenchProcess, within } from "./process-call.ts";
import type { PublisherCalls } from "./publisher.ts";
import type { SinkCalls } from "./sink.ts";
import { startIn } from "./stage.ts";
import { idle, idPrefix } from "./windows.ts";

const ENTITY = "soak";
const CAPACITY_WINDOWS = 3;
const CAPACITY_EVENTS = 10_000;
const BATCH = 100;
const CALLS_IN_FLIGHT = 8;
const PATIENCE_MS = 60_000;
const SAMPLE_EVERY_MS = 5_000;
/** Of the run, before the samples that the slopes are of: pools, caches and the JIT fill first. */
const WARM_UP_SHARE = 0.25;

interface Sample {
  readonly atMinutes: number;
  readonly residentMiB: number;
  readonly heapMiB: number;
  readonly handles: number;
}

const MIB = 1_048_576;

class Soak {
  readonly passbus = new BenchProcess<PassbusCalls>("passbus", new URL("./passbus-process.ts", import.meta.url));
  readonly publisher = new BenchProcess<PublisherCalls>("publisher", new URL("./publisher.ts", import.meta.url));
  readonly sink = new BenchProcess<SinkCalls>("sink", new URL("./sink.ts", import.meta.url));

  async setUp(dataDir: string): Promise<void> {
    const { port } = await this.sink.call("start", { lose: 0 });
    const target = await startIn(this.passbus, dataDir);
    await this.publisher.call("connect", target);
    const subscriptions = createClient(SubscriptionService, createGrpcTransport({ baseUrl: target.url }));
    const subscription = { entityId: ENTITY, url: `http://127.0.0.1:${port}/soak` };
    await subscriptions.createSubscription({ subscription }, { headers: { authorization: `Bearer ${target.key}` } });
  }

  /** Deliveries a second, publishing as fast as it is answered. */
  async capacity(): Promise<number> {
    const plan = { entityId: ENTITY, idPrefix: idPrefix(), count: CAPACITY_EVENTS, batchSize: BATCH };
    await this.publisher.call("prepare", plan);
    await this.sink.call("expect", { count: CAPACITY_EVENTS, keepTimes: false });
    const [published, reached] = await Promise.all([
      this.publisher.call("publish", { callsInFlight: CALLS_IN_FLIGHT }),
      within(PATIENCE_MS, "a window of capacity", this.sink.call("reached", undefined)),
    ]);
    await idle(this, PATIENCE_MS);
    return (CAPACITY_EVENTS * 1_000) / (reached.lastMs - published.startMs);
  }

  async run(
    perSecond: number,
    minutes: number,
  ): Promise<{ readonly samples: readonly Sample[]; readonly lost: number }> {
    const count = Math.round((minutes * 60 * perSecond) / BATCH);
    await this.sink.call("expect", { count: count * BATCH, keepTimes: false });
    const plan = { entityId: ENTITY, idPrefix: idPrefix(), count, perSecond: perSecond / BATCH, batchSize: BATCH };
    const beganMs = performance.now();
    const published = this.publisher.call("pace", plan);
    const samples: Sample[] = [];
    let isOver = false;
    const over = published.finally(() => {
      isOver = true;
    });
    while (!isOver) {
      samples.push(await this.sample((performance.now() - beganMs) / 60_000));
      await Promise.race([delay(SAMPLE_EVERY_MS), over]);
    }
    await over;
    await within(PATIENCE_MS, "the end of the soak", this.sink.call("reached", undefined)).catch(() => {});
    const { distinct } = await this.sink.call("counts", undefined);
    return { samples, lost: count * BATCH - distinct };
  }

  async sample(atMinutes: number): Promise<Sample> {
    const { residentBytes, heapBytes, handles } = await this.passbus.call("use", undefined);
    return { atMinutes, residentMiB: residentBytes / MIB, heapMiB: heapBytes / MIB, handles };
  }

  async close(): Promise<void> {
    for (const one of [this.publisher, this.passbus, this.sink]) await one.stop();
  }
}

/** By least squares, a minute. */
function slope(samples: readonly Sample[], figure: (sample: Sample) => number): number {
  const times = samples.map(({ atMinutes }) => atMinutes);
  const meanTime = times.reduce((sum, time) => sum + time, 0) / times.length;
  const mean = samples.reduce((sum, sample) => sum + figure(sample), 0) / samples.length;
  let above = 0;
  let below = 0;
  for (const sample of samples) {
    above += (sample.atMinutes - meanTime) * (figure(sample) - mean);
    below += (sample.atMinutes - meanTime) ** 2;
  }
  return above / below;
}

function lineOf(name: string, unit: string, samples: readonly Sample[], figure: (sample: Sample) => number): string {
  const values = samples.map(figure);
  const spread = `${Math.min(...values).toFixed(0)} to ${Math.max(...values).toFixed(0)}`;
  return `${name}: median ${median(values).toFixed(0)} ${unit} (${spread}), slope ${slope(samples, figure).toFixed(2)} ${unit} a minute`;
}

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { minutes: { type: "string" } } });
  const minutes = Number(values.minutes ?? 10);
  const dataDir = await mkdtemp(join(tmpdir(), "passbus-soak-"));
  const soak = new Soak();
  try {
    await soak.setUp(dataDir);
    const rates: number[] = [];
    for (let window = 0; window <= CAPACITY_WINDOWS; window += 1) rates.push(await soak.capacity());
    const capacity = median(rates.slice(1));
    const perSecond = Math.floor(capacity / 2);
    process.stderr.write(`capacity ${capacity.toFixed(0)}/s; ${minutes} minutes at ${perSecond}/s\n`);
    const { samples, lost } = await soak.run(perSecond, minutes);
    const late = samples.filter(({ atMinutes }) => atMinutes > minutes * WARM_UP_SHARE);
    const { repeats } = await soak.sink.call("counts", undefined);
    console.log(
      [
        `${minutes} minutes at ${perSecond} deliveries a second, half of the ${capacity.toFixed(0)} measured before: ${lost} lost, ${repeats} repeated`,
        `of ${late.length} samples after the first ${minutes * WARM_UP_SHARE} minutes:`,
        lineOf("resident memory", "MiB", late, ({ residentMiB }) => residentMiB),
        lineOf("heap of the main thread", "MiB", late, ({ heapMiB }) => heapMiB),
        lineOf("open handles", "", late, ({ handles }) => handles),
      ].join("\n"),
    );
    return lost === 0 ? 0 : 1;
  } finally {
    await soak.close();
    await rm(dataDir, { recursive: true, force: true });
  }
}

process.exitCode = await main();
