/** `passbus stats`: what became of attempts over time; `passbus overview`: how it stands now. */
import { toJsonString } from "@bufbuild/protobuf";
import { type Duration, durationFromMs, durationMs, type Timestamp } from "@bufbuild/protobuf/wkt";
import { type Client, createClient } from "@connectrpc/connect";
import { InvalidArgumentError } from "commander";
import {
  DeliveryService,
  type DeliveryStats,
  DeliveryStatsSchema,
  type GetOverviewResponse,
  GetOverviewResponseSchema,
} from "../../gen/passbus/v1/delivery_service_pb.js";
import { EndpointCondition } from "../../gen/passbus/v1/subscription_pb.js";
import type { AddCommand, Terminal } from "./cli.ts";
import { addOutputOptions, type ConnectionOptions, connected, type OutputOptions } from "./connection.ts";
import { follow } from "./follow.ts";
import { moment, durationMs as readDurationMs } from "./moments.ts";
import { cut, fieldsOf, momentOf, type Row, refused, shown, tableOf, WHOLE, wordOf } from "./table.ts";

interface StatsOptions extends OutputOptions {
  readonly subscription?: string;
  readonly since?: Timestamp;
  readonly until?: Timestamp;
  readonly step?: number;
}

export function statsCommand(): AddCommand {
  return (program, terminal) => {
    const stats = program
      .command("stats")
      .description("show how many webhooks were delivered, how many failed, and how long they took, over time")
      .option("--subscription <id>", "of this subscription alone")
      .option("--since <when>", "from then on (1h, 7d, or a time); left out: an hour", moment)
      .option("--until <when>", "up to then; left out: now", moment)
      .option("--step <time>", "one line for each: 1m, 5m, 1h, 1d; left out: what gives 200 lines or fewer", step);
    addOutputOptions(stats).action((options: StatsOptions) => showStats(options, terminal));
  };
}

function step(text: string): number {
  const ms = readDurationMs(text);
  if (ms === undefined || ms === 0) throw new InvalidArgumentError("It must be a length of time: 1m, 5m, 1h, 1d.");
  return ms;
}

function asked<T>(
  options: ConnectionOptions,
  terminal: Terminal,
  call: (deliveries: Client<typeof DeliveryService>) => Promise<T>,
): Promise<T> {
  return connected(options, terminal, (transport) =>
    call(createClient(DeliveryService, transport)).catch((reason) => {
      throw refused(reason);
    }),
  );
}

async function showStats(options: StatsOptions, terminal: Terminal): Promise<void> {
  const { points, total } = await asked(options, terminal, (deliveries) =>
    deliveries.getDeliveryStats({
      subscriptionId: options.subscription ?? "",
      ...(options.since !== undefined && { startTime: options.since }),
      ...(options.until !== undefined && { endTime: options.until }),
      ...(options.step !== undefined && { step: durationFromMs(options.step) }),
    }),
  );
  if (options.json === true) {
    for (const each of points) terminal.out(`${toJsonString(DeliveryStatsSchema, each, WHOLE)}\n`);
    return;
  }
  const rows = points.map((point) => [momentOf(point.time), ...numbersOf(point)]);
  if (total !== undefined) rows.push(["together", ...numbersOf(total)]);
  terminal.out(tableOf(HEADS, rows));
}

const HEADS: Row = ["FROM", "DELIVERED", "FAILED", "ATTEMPTS", "OF THEM FAILED", "TOOK P50", "P99", "DELAY P50", "P99"];

function numbersOf(stats: DeliveryStats): Row {
  return [
    String(stats.delivered),
    String(stats.failed),
    String(stats.attempts),
    String(stats.failedAttempts),
    lengthOf(stats.p50),
    lengthOf(stats.p99),
    lengthOf(stats.delayP50),
    lengthOf(stats.delayP99),
  ];
}

function lengthOf(duration: Duration | undefined): string {
  if (duration === undefined) return "";
  const ms = durationMs(duration);
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  return ms < 120_000 ? `${Number((ms / 1_000).toFixed(1))} s` : `${Math.round(ms / 60_000)} min`;
}

// ---- overview ----

export function overviewCommand(): AddCommand {
  return (program, terminal) => {
    const overview = program.command("overview").description("show how it stands: rates, what waits, what fails");
    overview.option("--watch", "show it again whenever it has changed, until Ctrl-C");
    addOutputOptions(overview, "in JSON, for programs").action((options: OverviewOptions) =>
      options.watch === true ? watchOverview(options, terminal) : showOverview(options, terminal),
    );
  };
}

interface OverviewOptions extends OutputOptions {
  readonly watch?: true;
}

async function showOverview(options: OutputOptions, terminal: Terminal): Promise<void> {
  print(await asked(options, terminal, (deliveries) => deliveries.getOverview({})), options, terminal);
}

async function watchOverview(options: OutputOptions, terminal: Terminal): Promise<void> {
  await connected(options, terminal, (transport) =>
    follow<GetOverviewResponse>(terminal, {
      limit: undefined,
      what: "changes",
      async *open(signal) {
        for await (const { overview } of createClient(DeliveryService, transport).watchOverview({}, { signal })) {
          yield { item: overview, skipped: 0 };
        }
      },
      print(overview) {
        if (options.json !== true) terminal.out(`\n${momentOf(overview.time)}\n`);
        print(overview, options, terminal);
      },
    }),
  );
}

function print(answer: GetOverviewResponse, options: OutputOptions, terminal: Terminal): void {
  if (options.json === true) {
    terminal.out(`${toJsonString(GetOverviewResponseSchema, answer, WHOLE)}\n`);
    return;
  }
  terminal.out(fieldsOf(fieldsOfOverview(answer)));
  const { failing, failingCount, service } = answer;
  if (failing.length > 0) {
    const rows = failing.map(({ subscriptionId, url, health }) => [
      subscriptionId,
      cut(shown(url), URL_CHARACTERS),
      wordOf(EndpointCondition, health?.condition ?? 0),
      momentOf(health?.failingSince),
      health?.lastError ?? "",
    ]);
    terminal.out(`\n${tableOf(["FAILING", "ENDPOINT", "IS", "SINCE", "LAST"], rows)}`);
    if (failingCount > failing.length) terminal.out(`and ${failingCount - failing.length} more\n`);
  }
  if (service === undefined || service.workers.length === 0) return;
  const workers = service.workers.map((worker) => [
    worker.id,
    momentOf(worker.reportedAt),
    String(worker.inFlight),
    String(worker.queued),
    String(worker.unflushed),
    String(worker.openRecords),
    worker.stalled ? "yes" : "no",
    lengthOf(worker.eventLoopDelayP99),
  ]);
  terminal.out(`\n${tableOf(WORKER_HEADS, workers)}`);
}

const URL_CHARACTERS = 60;

const WORKER_HEADS: Row = ["WORKER", "SAID", "IN FLIGHT", "QUEUED", "UNWRITTEN", "OPEN", "STALLED", "LOOP P99"];

function fieldsOfOverview(answer: GetOverviewResponse): readonly (readonly [string, string])[] {
  const { backlog, breakers, lastHour, service } = answer;
  const oldest = backlog?.oldestDueAge === undefined ? "" : `, the oldest for ${lengthOf(backlog.oldestDueAge)}`;
  return [
    ["events a second", perSecond(answer.eventsPerSecond)],
    ["deliveries a second", perSecond(answer.deliveriesPerSecond)],
    ["attempts a second", perSecond(answer.attemptsPerSecond)],
    ["last hour", lastHour === undefined ? "" : `${lastHour.delivered} delivered, ${lastHour.failed} failed`],
    ["took", lastHour?.p50 === undefined ? "" : `p50 ${lengthOf(lastHour.p50)}, p99 ${lengthOf(lastHour.p99)}`],
    ["waiting", backlog === undefined ? "" : `${backlog.waiting}, of them due ${backlog.due}${oldest}`],
    ["attempting", String(backlog?.attempting ?? "")],
    ["held", String(backlog?.held ?? "")],
    ["subscriptions", `${answer.subscriptionsEnabled} enabled, ${answer.subscriptionsDisabled} disabled`],
    ["breakers", breakers === undefined ? "" : `${breakers.open} open, ${breakers.halfOpen} half-open`],
    ["lag of the log", service === undefined || service.lagRecords < 0n ? "" : `${service.lagRecords} records`],
  ];
}

function perSecond(rate: number): string {
  return String(Number(rate.toFixed(rate < 10 ? 2 : 0)));
}
