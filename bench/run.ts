/**
 * `npm run bench`: the whole pipeline against bare undici, in turns, on the same sink. What is measured, and what the
 * figures are not, is in bench/README.md. Exit 1: a webhook is missing, or the run broke; 2 with --strict: below a goal.
 */
import { loadavg } from "node:os";
import { Webhook } from "standardwebhooks";
import { median } from "./figures.ts";
import { type BenchOptions, readOptions, USAGE } from "./options.ts";
import { whereTimeWent } from "./profile.ts";
import { type BenchResult, machine, resultLines, shapeResults } from "./report.ts";
import type { Received } from "./sink.ts";
import { ONE, type Shape, type Stage, startStage, TEN } from "./stage.ts";
import {
  bareWindow,
  type Latency,
  latencyWindow,
  MissingDeliveries,
  type PassbusWindow,
  PER_SECOND,
  passbusWindow,
  type Window,
} from "./windows.ts";

/** Paced events before those that count. */
const LATENCY_WARM_UP_SECONDS = 2;

/** Measured even where the machine is so slow that the budget is not kept: a median of fewer says little. */
const LEAST_ROUNDS = 3;

/** Of the last minute. A machine that others use gives no ratios to rely on: bare undici needs two cores, passbus more. */
const BUSY_LOAD = 0.7;

function latencyMs(options: BenchOptions): number {
  if (!options.parts.includes("latency")) return 0;
  return (LATENCY_WARM_UP_SECONDS + options.latencyEvents / PER_SECOND) * 1_000;
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

function eventsOf(shape: Shape, options: BenchOptions): number {
  return shape === ONE ? options.events : Math.ceil(options.events / 5);
}

function sayWindow(window: Window | PassbusWindow): void {
  const micros = `${(window.cpuSecondsPer1000 * 1_000).toFixed(0)} µs CPU`;
  const rest =
    "acceptedPerSecond" in window ? `, main ${(window.mainThreadCpuSecondsPer1000 * 1_000).toFixed(0)} µs` : "";
  say(`  ${window.name.padEnd(4)} ${window.perSecond.toFixed(0).padStart(6)}/s  ${micros}${rest}`);
}

/** One window of each, not counted. Answers a webhook of passbus's, which bare undici then sends the like of. */
async function warmUp(stage: Stage, shapes: readonly Shape[], options: BenchOptions): Promise<Received> {
  const { patienceMs } = options;
  await passbusWindow(stage, ONE, options.events, patienceMs);
  const { sample } = await stage.sink.call("counts", undefined);
  if (sample === undefined) throw new Error("the sink kept no webhook");
  const like = { headers: sample.headers, body: Buffer.from(sample.body) };
  // Throws unless the signature is right: what is measured is really signed.
  new Webhook(stage.secret).verify(like.body, { ...like.headers });
  if (shapes.includes(TEN)) await passbusWindow(stage, TEN, eventsOf(TEN, options), patienceMs);
  await bareWindow(stage, like, options.events, patienceMs);
  return like;
}

async function latencyOf(stage: Stage, options: BenchOptions): Promise<Latency> {
  await latencyWindow(stage, LATENCY_WARM_UP_SECONDS * PER_SECOND, options.patienceMs);
  return latencyWindow(stage, options.latencyEvents, options.patienceMs);
}

/** Bare, 1 → 1, bare, 1 → 10, bare, …: each window of passbus stands between two bare ones. */
async function rounds(stage: Stage, shapes: readonly Shape[], like: Received, options: BenchOptions) {
  const order: (Window | PassbusWindow)[] = [];
  let roundMs = 0;
  const measured = async (window: Promise<Window | PassbusWindow>) => {
    order.push(await window);
    sayWindow(await window);
  };
  const bare = () => measured(bareWindow(stage, like, options.events * 2, options.patienceMs));
  for (let round = 1; round <= options.rounds && shapes.length > 0; round += 1) {
    if (round > LEAST_ROUNDS && performance.now() + roundMs > options.budgetMs - latencyMs(options)) break;
    say(`round ${round} of ${options.rounds}`);
    const beganMs = performance.now();
    for (const shape of shapes) {
      await bare();
      await measured(passbusWindow(stage, shape, eventsOf(shape, options), options.patienceMs));
    }
    roundMs = performance.now() - beganMs;
  }
  if (shapes.length > 0) await bare();
  return order;
}

async function measure(stage: Stage, options: BenchOptions): Promise<BenchResult> {
  const shapes = [ONE, TEN].filter((shape) => options.parts.includes(shape.name));
  const [load = 0] = loadavg();
  if (load > BUSY_LOAD) say(`the machine is busy (load ${load.toFixed(1)}): compare nothing with other runs`);
  say("warming up");
  const like = await warmUp(stage, shapes, options);
  const order = await rounds(stage, shapes, like, options);
  if (options.parts.includes("latency")) say(`latency at ${PER_SECOND} a second`);
  const latency = options.parts.includes("latency") ? await latencyOf(stage, options) : undefined;
  const { peakBytes } = await stage.passbus.call("use", undefined);
  const { repeats } = await stage.sink.call("counts", undefined);
  const bare = order.filter((window) => window.name === "bare");
  return {
    machine: machine(),
    loadBefore: load,
    rounds: order.filter((window) => window.name === shapes[0]?.name).length,
    bodyBytes: like.body.length,
    bare: {
      perSecond: median(bare.map((window) => window.perSecond)),
      cpuSecondsPer1000: median(bare.map((window) => window.cpuSecondsPer1000)),
    },
    shapes: shapeResults(order),
    ...(latency === undefined ? {} : { latency }),
    peakBytes,
    deliveries: order.reduce(
      (sum, window) => sum + (window.name === "bare" ? 0 : window.deliveries),
      latency?.events ?? 0,
    ),
    repeats,
  };
}

/** A person, or the machine, has ended the run early. */
class Stopped extends Error {}

async function main(args: readonly string[]): Promise<number> {
  const options = readOptions(args);
  if (options === "help") {
    console.log(USAGE);
    return 0;
  }
  const stopped = Promise.withResolvers<never>();
  // Nobody listens yet if a signal comes before the processes are there.
  stopped.promise.catch(() => {});
  const stop = () => stopped.reject(new Stopped("stopped"));
  process.once("SIGINT", stop).once("SIGTERM", stop);
  const stage = await startStage(options);
  let result: BenchResult;
  try {
    const whole = async () => {
      await stage.setUp();
      return measure(stage, options);
    };
    result = await Promise.race([whole(), stopped.promise]);
  } finally {
    await stage.close();
  }
  const { pid } = stage.passbus;
  if (options.profileFolder !== undefined && pid !== undefined) {
    for (const line of whereTimeWent(options.profileFolder, pid)) say(line);
  }
  console.log(options.json ? JSON.stringify(result, undefined, 2) : resultLines(result).join("\n"));
  return options.strict && result.shapes.some((shape) => shape.ratio < shape.goal) ? 2 : 0;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const expected = error instanceof MissingDeliveries || error instanceof Stopped;
  say(error instanceof Error ? ((expected ? error.message : error.stack) ?? error.message) : String(error));
  process.exitCode = error instanceof Stopped ? 130 : 1;
}
