/** What a run found, for people and as JSON. */
import { cpus } from "node:os";
import { median, ratiosToNeighbours } from "./figures.ts";
import { ONE, type Shape, type Stage, TEN } from "./stage.ts";
import type { Latency, PassbusWindow, Window } from "./windows.ts";
import { BARE_CONCURRENCY, PER_SECOND } from "./windows.ts";

export interface ShapeResult {
  readonly name: Shape["name"];
  readonly title: string;
  readonly deliveriesPerSecond: number;
  /** To bare undici, median of the rounds, and of how far they lie apart. */
  readonly ratio: number;
  readonly lowestRatio: number;
  readonly highestRatio: number;
  readonly goal: number;
  readonly cpuSecondsPer1000: number;
  readonly mainThreadCpuSecondsPer1000: number;
  readonly mainThreadBusy: number;
  readonly machineBusy: number;
  readonly acceptedPerSecond: number;
  readonly recordedAfterMs: number;
}

export interface BenchResult {
  readonly deployment: Stage["deployment"];
  readonly machine: string;
  /** Of the minute before: what else the machine did. */
  readonly loadBefore: number;
  readonly rounds: number;
  readonly bodyBytes: number;
  readonly bare: { readonly perSecond: number; readonly cpuSecondsPer1000: number };
  readonly shapes: readonly ShapeResult[];
  readonly latency?: Latency;
  readonly peakBytes: number;
  /** Webhooks of passbus in the measured windows. All came, or the run would have failed. */
  readonly deliveries: number;
  /** Webhooks whose id had come before. */
  readonly repeats: number;
}

export function machine(): string {
  const all = cpus();
  return `Node ${process.versions.node}, ${all.length} × ${all[0]?.model ?? "unknown"}`;
}

/** `order` is all measured windows as they ran. */
export function shapeResults(order: readonly (Window | PassbusWindow)[]): ShapeResult[] {
  return [ONE, TEN].flatMap((shape) => {
    const windows = order.filter((window): window is PassbusWindow => window.name === shape.name);
    if (windows.length === 0) return [];
    const ratios = ratiosToNeighbours(order, shape.name);
    const of = (figure: (window: PassbusWindow) => number) => median(windows.map(figure));
    return [
      {
        name: shape.name,
        title: shape.title,
        deliveriesPerSecond: of((window) => window.perSecond),
        ratio: median(ratios),
        lowestRatio: Math.min(...ratios),
        highestRatio: Math.max(...ratios),
        goal: shape.goal,
        cpuSecondsPer1000: of((window) => window.cpuSecondsPer1000),
        mainThreadCpuSecondsPer1000: of((window) => window.mainThreadCpuSecondsPer1000),
        mainThreadBusy: of((window) => window.mainThreadBusy),
        machineBusy: of((window) => window.machineBusy),
        acceptedPerSecond: of((window) => window.acceptedPerSecond),
        recordedAfterMs: of((window) => window.recordedAfterMs),
      },
    ];
  });
}

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

function columns(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)));
  return rows.map((row) =>
    row.map((cell, at) => (at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0))).join("  "),
  );
}

export function resultLines(result: BenchResult): string[] {
  const { bare, latency } = result;
  const table = [
    ["", "deliveries/s", "CPU s per 1,000", "its main thread", "events accepted/s", "recorded after"],
    [
      `bare undici, ${BARE_CONCURRENCY} connections`,
      whole.format(bare.perSecond),
      bare.cpuSecondsPer1000.toFixed(3),
      "",
      "",
      "",
    ],
    ...result.shapes.map((shape) => [
      shape.title,
      whole.format(shape.deliveriesPerSecond),
      shape.cpuSecondsPer1000.toFixed(3),
      shape.mainThreadCpuSecondsPer1000.toFixed(3),
      whole.format(shape.acceptedPerSecond),
      `${whole.format(shape.recordedAfterMs)} ms`,
    ]),
  ];
  const ratios = result.shapes.map((shape) => {
    const spread = `${shape.lowestRatio.toFixed(2)} to ${shape.highestRatio.toFixed(2)}`;
    const verdict = shape.ratio >= shape.goal ? "met" : "MISSED";
    return `${shape.title}: ${shape.ratio.toFixed(2)} of bare undici (${spread}); goal ${shape.goal.toFixed(1)} ${verdict}`;
  });
  return [
    result.deployment === "floor" ? "the floor: the least that a pipeline can do" : `passbus, ${result.deployment}`,
    `${result.machine}; load before ${result.loadBefore.toFixed(1)}; medians of ${result.rounds} rounds; bodies of ${whole.format(result.bodyBytes)} bytes`,
    "",
    ...columns(table),
    "",
    ...(latency === undefined ? [] : latencyLines(latency)),
    `peak memory: ${whole.format(result.peakBytes / 1_048_576)} MiB`,
    `webhooks: ${whole.format(result.deliveries)}, none missing, ${result.repeats} repeated`,
    "",
    ...ratios,
  ];
}

/** Issue 4, "Must show" 5. */
export const MOST_CPU_RATIO = 1.5;

/** What a process that is not passbus costs passbus: below this its main thread waits for others. */
const BUSY = 0.8;

/** What the distributed deployment costs over the embedded one of the same run, and what its rate was bound by. */
export function comparisonLines(embedded: BenchResult, distributed: BenchResult): readonly string[] {
  const percent = (share: number) => `${Math.round(share * 100)} %`;
  return distributed.shapes.flatMap((shape) => {
    const beside = embedded.shapes.find(({ name }) => name === shape.name);
    if (beside === undefined) return [];
    const ratio = shape.cpuSecondsPer1000 / beside.cpuSecondsPer1000;
    const verdict = ratio <= MOST_CPU_RATIO ? "met" : "MISSED";
    const bound =
      shape.mainThreadBusy >= BUSY
        ? "passbus was the limit"
        : "the broker, the store, the sink or the machine were the limit, not passbus";
    return [
      `${shape.title}: ${ratio.toFixed(2)} times the CPU of the embedded deployment; goal ${MOST_CPU_RATIO} ${verdict}`,
      `  its main thread was busy ${percent(shape.mainThreadBusy)} of the time, the machine ${percent(shape.machineBusy)}: ${bound}`,
    ];
  });
}

/** How much of what any pipeline could reach here passbus does. */
export function floorLines(embedded: BenchResult, floor: BenchResult): readonly string[] {
  return embedded.shapes.flatMap((shape) => {
    const least = floor.shapes.find(({ name }) => name === shape.name);
    if (least === undefined) return [];
    const part = (shape.ratio / least.ratio).toFixed(2);
    return [`${shape.title}: ${part} of what the floor reaches, which is ${least.ratio.toFixed(2)} of bare undici`];
  });
}

function latencyLines(latency: Latency): string[] {
  const ms = (value: number) => `${value.toFixed(1)} ms`;
  const receipt = `p50 ${ms(latency.p50Ms)}, p99 ${ms(latency.p99Ms)}, max ${ms(latency.maxMs)}`;
  const answer = `p50 ${ms(latency.answerP50Ms)}, p99 ${ms(latency.answerP99Ms)}`;
  return [
    `publish to receipt at ${PER_SECOND} a second (${latency.events} events): ${receipt}`,
    `publish to its answer, the same events: ${answer}`,
  ];
}
