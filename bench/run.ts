/**
 * `npm run bench`: the whole pipeline against bare undici, in turns, on the same sink. What is measured, and what the
 * figures are not, is in bench/README.md. Exit 1: a webhook is missing, or the run broke; 2 with --strict: below a goal.
 */
import { loadavg } from "node:os";
import { Webhook } from "standardwebhooks";
import { Course } from "./course.ts";
import { median } from "./figures.ts";
import { type BenchOptions, readOptions, USAGE } from "./options.ts";
import { whereTimeWent } from "./profile.ts";
import { type BenchResult, comparisonLines, floorLines, machine, resultLines, shapeResults } from "./report.ts";
import { startServers } from "./servers.ts";
import type { Received } from "./sink.ts";
import { type Deployment, ONE, type Shape, type Stage, startStage, TEN } from "./stage.ts";
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

const course = new Course(process.stderr);
const say = (line: string): void => course.say(line);

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
  const step = <T>(run: () => Promise<T>) => course.step(`warming up, ${stage.deployment}`, run);
  await step(() => passbusWindow(stage, ONE, options.events, patienceMs));
  const { sample } = await stage.sink.call("counts", undefined);
  if (sample === undefined) throw new Error("the sink kept no webhook");
  const like = { headers: sample.headers, body: Buffer.from(sample.body) };
  // Throws unless the signature is right: what is measured is really signed.
  new Webhook(stage.secret).verify(like.body, { ...like.headers });
  if (shapes.includes(TEN)) await step(() => passbusWindow(stage, TEN, eventsOf(TEN, options), patienceMs));
  await step(() => bareWindow(stage, like, options.events, patienceMs));
  return like;
}

async function latencyOf(stage: Stage, options: BenchOptions): Promise<Latency> {
  return course.step(`latency, ${stage.deployment}`, async () => {
    await latencyWindow(stage, LATENCY_WARM_UP_SECONDS * PER_SECOND, options.patienceMs);
    return latencyWindow(stage, options.latencyEvents, options.patienceMs);
  });
}

/** A deployment under measurement, and what it did so far. */
interface Measured {
  readonly stage: Stage;
  /** A webhook of its, for bare undici. */
  readonly like: Received;
  /** All windows, in the order in which they ran. */
  readonly order: (Window | PassbusWindow)[];
}

/** Bare, 1 → 1, bare, 1 → 10: each window of passbus stands between two bare ones. */
async function round({ stage, like, order }: Measured, shapes: readonly Shape[], options: BenchOptions): Promise<void> {
  const { patienceMs } = options;
  for (const shape of shapes) {
    order.push(await said("bare undici", () => bareWindow(stage, like, options.events * 2, patienceMs)));
    order.push(await said(shape.title, () => passbusWindow(stage, shape, eventsOf(shape, options), patienceMs)));
  }
}

async function said<T extends Window | PassbusWindow>(name: string, run: () => Promise<T>): Promise<T> {
  const window = await course.step(name, run);
  sayWindow(window);
  return window;
}

/** What `measure` takes: each window is a step, and a deployment's latency is one. */
function stepsOf(stages: number, shapes: number, { rounds: most, parts }: BenchOptions): number {
  const warmUps = parts.includes("ten") ? 3 : 2;
  const measured = shapes === 0 ? 0 : most * shapes * 2 + 1;
  return stages * (warmUps + measured + (parts.includes("latency") ? 1 : 0));
}

/** Each deployment has its turn in each round. */
async function rounds(measured: readonly Measured[], shapes: readonly Shape[], options: BenchOptions): Promise<void> {
  if (shapes.length === 0) return;
  let roundMs = 0;
  for (let number = 1; number <= options.rounds; number += 1) {
    if (number > LEAST_ROUNDS && performance.now() + roundMs > options.budgetMs - latencyMs(options)) {
      course.skip((options.rounds - number + 1) * measured.length * shapes.length * 2);
      break;
    }
    const beganMs = performance.now();
    for (const one of measured) {
      say(`round ${number} of ${options.rounds}, ${one.stage.deployment}`);
      await round(one, shapes, options);
    }
    roundMs = performance.now() - beganMs;
  }
  for (const { stage, like, order } of measured) {
    order.push(await said("bare undici", () => bareWindow(stage, like, options.events * 2, options.patienceMs)));
  }
}

async function measure(stages: readonly Stage[], options: BenchOptions): Promise<readonly BenchResult[]> {
  const shapes = [ONE, TEN].filter((shape) => options.parts.includes(shape.name));
  const [load = 0] = loadavg();
  if (load > BUSY_LOAD) say(`the machine is busy (load ${load.toFixed(1)}): compare nothing with other runs`);
  const measured: Measured[] = [];
  course.begin(stepsOf(stages.length, shapes.length, options));
  for (const stage of stages) {
    say(`warming up, ${stage.deployment}`);
    measured.push({ stage, like: await warmUp(stage, shapes, options), order: [] });
  }
  await rounds(measured, shapes, options);
  const results: BenchResult[] = [];
  for (const one of measured) results.push(await resultOf(one, shapes, load, options));
  return results;
}

async function resultOf(
  { stage, like, order }: Measured,
  shapes: readonly Shape[],
  load: number,
  options: BenchOptions,
): Promise<BenchResult> {
  if (options.parts.includes("latency")) say(`latency at ${PER_SECOND} a second, ${stage.deployment}`);
  const latency = options.parts.includes("latency") ? await latencyOf(stage, options) : undefined;
  const { peakBytes } = await stage.passbus.call("use", undefined);
  const { repeats } = await stage.sink.call("counts", undefined);
  const bare = order.filter((window) => window.name === "bare");
  return {
    deployment: stage.deployment,
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
  const servers = options.distributed ? await startServers() : undefined;
  for (const name of servers?.names ?? []) say(name);
  const stages = [await startStage(options)];
  if (servers !== undefined) stages.push(await startStage(options, "distributed", servers.settings));
  if (options.floor) stages.push(await startStage(options, "floor"));
  let results: readonly BenchResult[];
  try {
    const whole = async () => {
      for (const stage of stages) await stage.setUp();
      return measure(stages, options);
    };
    results = await Promise.race([whole(), stopped.promise]);
  } finally {
    course.end();
    for (const stage of stages) await stage.close();
    await servers?.stop();
  }
  for (const { passbus } of stages) {
    if (options.profileFolder === undefined || passbus.pid === undefined) continue;
    for (const line of whereTimeWent(options.profileFolder, passbus.pid)) say(line);
  }
  print(results, servers?.names ?? [], options);
  const shapes = results[0]?.shapes ?? [];
  return options.strict && shapes.some((shape) => shape.ratio < shape.goal) ? 2 : 0;
}

function print(results: readonly BenchResult[], servers: readonly string[], { json }: BenchOptions): void {
  const of = (deployment: Deployment) => results.find((result) => result.deployment === deployment);
  const [embedded, distributed, floor] = [of("embedded"), of("distributed"), of("floor")];
  if (embedded === undefined) return;
  if (json) {
    const all = { embedded, ...(distributed && { distributed, servers }), ...(floor && { floor }) };
    console.log(JSON.stringify(results.length === 1 ? embedded : all, undefined, 2));
    return;
  }
  const compared = [
    ...(distributed === undefined ? [] : ["", ...servers, "", ...comparisonLines(embedded, distributed)]),
    ...(floor === undefined ? [] : floorLines(embedded, floor)),
  ];
  console.log([...results.flatMap((result) => [...resultLines(result), ""]), ...compared].join("\n").trimEnd());
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const expected = error instanceof MissingDeliveries || error instanceof Stopped;
  say(error instanceof Error ? ((expected ? error.message : error.stack) ?? error.message) : String(error));
  process.exitCode = error instanceof Stopped ? 130 : 1;
}
