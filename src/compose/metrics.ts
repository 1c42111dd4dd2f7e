/** What `/metrics` says of this process. No sample names a tenant: there may be any number, and each is somebody's. */
import type { Config } from "../config/config.ts";
import { DeliveryCounts, StatsWriter } from "../delivery/stats.ts";
import type { WorkerReport } from "../delivery/stats-store.ts";
import type { LogReader } from "../intake/event-log.ts";
import { eventLoopDelay } from "../kernel/load.ts";
import type { Log } from "../kernel/log.ts";
import { VERSION } from "../kernel/version.ts";
import { Durations, type Metric, metricsText, timed } from "../telemetry/metrics.ts";
import { openMetricsPort } from "../telemetry/metrics-port.ts";
import { clock, ids, type Stores } from "./parts.ts";
import type { Worker, WorkerState } from "./worker.ts";

/** What the API's thread has to say. */
export interface ApiFigures {
  /** Events that were answered as durable, since the start. */
  readonly accepted: number;
  readonly eventLoopDelayP99Ms: number;
}

/** What a worker is measured with. */
export interface WorkerMeters {
  readonly counts: DeliveryCounts;
  readonly durations: readonly Durations[];
  /** The port, with how long its flushes and claims take noted. */
  readonly deliveries: Stores["deliveries"];
  metrics(): Promise<readonly Metric[]>;
  start(): void;
  stop(): Promise<void>;
}

const LISTED_BREAKERS = 1_000;
const NO_STATE: WorkerState = { inFlight: 0, pending: 0, unflushed: 0, stalled: false, openRecords: 0 };

export function workerMeters(stores: Stores, reader: LogReader, state: () => WorkerState, log: Log): WorkerMeters {
  const counts = new DeliveryCounts(clock);
  const flushes = new Durations("passbus_flush_duration_seconds", "How long group commits took.");
  const claims = new Durations("passbus_claim_duration_seconds", "How long it took to claim due deliveries.");
  const delay = eventLoopDelay();
  const worker = ids.next("wrk");
  const startedAtMs = clock.now();
  let lagRecords: number | undefined;
  // Where the log doesn't say, nothing is said of it.
  const look = async () => {
    lagRecords = (await reader.lag?.().catch(() => undefined))?.records;
  };
  const report = (): WorkerReport => {
    void look();
    const { inFlight, pending: queued, unflushed, stalled, openRecords } = state();
    const times = { startedAtMs, reportedAtMs: clock.now(), eventLoopDelayP99Ms: delay.p99Ms() };
    const lag = lagRecords === undefined ? {} : { lagRecords };
    return { worker, ...times, inFlight, queued, unflushed, openRecords, stalled, ...lag };
  };
  const writer = new StatsWriter({ counts, store: stores.stats, report, clock, log });
  return {
    counts,
    durations: [flushes, claims],
    deliveries: timed(stores.deliveries, { flush: flushes.note, claim: claims.note }, () => clock.monotonic()),
    async metrics() {
      await look();
      return workerMetrics(counts, state(), delay.p99Ms(), lagRecords, await breakersOf(stores));
    },
    start: () => writer.start(),
    async stop() {
      await writer.stop();
      delay.stop();
    },
  };
}

type Breakers = { readonly open: number; readonly halfOpen: number } | undefined;

async function breakersOf(stores: Stores): Promise<Breakers> {
  const open = await stores.endpoints.open(LISTED_BREAKERS).catch(() => undefined);
  if (open === undefined) return undefined;
  const halfOpen = open.filter(({ breaker }) => breaker === "halfOpen").length;
  return { open: open.length - halfOpen, halfOpen };
}

function workerMetrics(
  { totals }: DeliveryCounts,
  state: WorkerState = NO_STATE,
  delayMs: number,
  lagRecords: number | undefined,
  breakers: Breakers,
): readonly Metric[] {
  const { events, delivered, failed, attempts, failedAttempts } = totals;
  const gauge = (name: string, help: string, samples: Metric["samples"]): Metric => {
    return { name: `passbus_${name}`, help, kind: "gauge", samples };
  };
  const counter = (name: string, help: string, samples: Metric["samples"]): Metric => {
    return { name: `passbus_${name}_total`, help, kind: "counter", samples };
  };
  const by = (label: string, values: Readonly<Record<string, number>>) =>
    Object.entries(values).map(([text, value]) => ({ labels: { [label]: text }, value }));
  return [
    counter("events_stored", "Events that were stored.", events),
    counter("deliveries", "Deliveries that ended, by their outcome.", by("outcome", { delivered, failed })),
    counter(
      "attempts",
      "Attempts whose outcome is durable.",
      by("result", { delivered: attempts - failedAttempts, failed: failedAttempts }),
    ),
    gauge("in_flight", "Attempts under way.", state.inFlight),
    gauge("queued", "Deliveries that wait in memory for their turn.", state.pending),
    gauge("unflushed_rows", "Rows that no flush has written yet.", state.unflushed),
    gauge("open_records", "Records read from the log whose work is not all durable.", state.openRecords),
    gauge("stalled", "1 while the store takes no writes and nothing new is attempted.", Number(state.stalled)),
    gauge("log_lag_records", "Records of the log that are not done with; on Kafka, not yet read.", lagRecords),
    gauge(
      "breakers",
      "Endpoints whose breaker is not closed, of all workers; counted to 1,000.",
      breakers && by("state", { open: breakers.open, half_open: breakers.halfOpen }),
    ),
    gauge("worker_event_loop_delay_p99_seconds", "Of the worker's thread, since the last look.", delayMs / 1_000),
  ];
}

/** Serves `/metrics` where the settings say; an address that is taken stops nothing. Undone by the returned function. */
export async function serveMetrics(
  { metricsListen }: Config,
  worker: Worker | undefined,
  api: () => Promise<ApiFigures>,
  log: Log,
): Promise<() => Promise<void>> {
  if (metricsListen === "off") return async () => {};
  const read = async () => {
    const [ofWorker, figures] = await Promise.all([worker?.meters.metrics() ?? [], api()]);
    return metricsText([...processMetrics(figures), ...ofWorker], worker?.meters.durations ?? []);
  };
  try {
    const port = await openMetricsPort(metricsListen, read);
    log.info("metrics.served", { url: `${port.url}/metrics` });
    return () => port.stop();
  } catch (err) {
    log.warn("metrics.not_served", { err, setting: "PASSBUS_METRICS_LISTEN" });
    return async () => {};
  }
}

function processMetrics({ accepted, eventLoopDelayP99Ms }: ApiFigures): readonly Metric[] {
  const { rss, heapUsed } = process.memoryUsage();
  const { user, system } = process.cpuUsage();
  const of = (name: string, help: string, kind: Metric["kind"], samples: Metric["samples"]): Metric => {
    return { name, help, kind, samples };
  };
  return [
    of("passbus_build_info", "1, with the version.", "gauge", [{ labels: { version: VERSION }, value: 1 }]),
    of("passbus_events_accepted_total", "Events that publishers were told are durable.", "counter", accepted),
    of(
      "passbus_api_event_loop_delay_p99_seconds",
      "Of the API's thread, since the last look.",
      "gauge",
      eventLoopDelayP99Ms / 1_000,
    ),
    of("process_resident_memory_bytes", "Resident memory.", "gauge", rss),
    of("process_heap_bytes", "The heap of the main thread.", "gauge", heapUsed),
    of("process_cpu_seconds_total", "Processor time, of all threads.", "counter", (user + system) / 1e6),
  ];
}
