/** The calls of DeliveryService that say how it stands: over time, and now. */
import { create, equals, type MessageInitShape, type MessageShape } from "@bufbuild/protobuf";
import { type Duration, durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  type DeliveryService,
  type DeliveryStatsSchema,
  GetOverviewResponseSchema,
  type WorkerOverviewSchema,
} from "../../gen/passbus/v1/delivery_service_pb.js";
import type { EndpointStore } from "../delivery/endpoint-store.ts";
import { type Point, pointOf, seriesOf, stepsOf } from "../delivery/series.ts";
import { type Backlog, type CountRow, SPAN_MS, type StatsStore, type WorkerReport } from "../delivery/stats-store.ts";
import { LatestWatches } from "../delivery/watch-latest.ts";
import type { EndpointRecord } from "../domain/endpoint.ts";
import type { Subscription } from "../domain/subscription.ts";
import type { Clock } from "../kernel/clock.ts";
import { invalidField } from "../kernel/errors.ts";
import { sameTenant, type Tenant, tenantKey, wholeOf } from "../kernel/tenant.ts";
import type { SubscriptionFeed } from "../matching/subscription-feed.ts";
import { endpointKey, healthMessage } from "../subscriptions/health.ts";
import { timeRange } from "./fields.ts";
import { principalOf } from "./gate.ts";
import type { Streams } from "./streams.ts";

export interface StatsCallsDeps {
  readonly stats: Pick<StatsStore, "readCounts" | "backlog" | "reports">;
  readonly endpoints: Pick<EndpointStore, "read">;
  readonly feed: Pick<SubscriptionFeed, "load">;
  readonly liveStreams: Streams;
  readonly clock: Clock;
  /** The organisation whose `production` sees how the service does as a whole. */
  readonly operatedBy: string;
}

type Served = Pick<ServiceImpl<typeof DeliveryService>, "getDeliveryStats" | "getOverview" | "watchOverview">;
type OverviewInit = MessageInitShape<typeof GetOverviewResponseSchema>;
type OverviewMessage = MessageShape<typeof GetOverviewResponseSchema>;

const FAILING_SHOWN = 50;
/** A worker that has said nothing for so long is not counted. */
const REPORTED_MS = 30_000;
/** However many dashboards look at a tenant, it is asked about once in so long. */
const SEEN_MS = 1_000;
/** And for no more than a fifth of the time is it being worked out. */
const REST_SHARE = 5;
const MANY_SUBSCRIPTIONS = 1_000;
const SEEN_WITH_MANY_MS = 10_000;
/** Tenants whose overviews are remembered before all are forgotten. */
const REMEMBERED = 1_000;

interface Seen {
  readonly overview: Promise<OverviewMessage>;
  untilMs: number;
}

export function statsCalls(deps: StatsCallsDeps): Served {
  const { stats, liveStreams, clock } = deps;
  const seen = new Map<string, Seen>();
  const look = (tenant: Tenant): Promise<OverviewMessage> => {
    const key = tenantKey(tenant);
    const nowMs = clock.monotonic();
    const known = seen.get(key);
    if (known !== undefined && nowMs < known.untilMs) return known.overview;
    if (seen.size >= REMEMBERED) seen.clear();
    const overview = overviewOf(deps, tenant);
    const entry: Seen = { overview, untilMs: nowMs + SEEN_MS };
    seen.set(key, entry);
    overview.then(
      ({ subscriptionsEnabled }) => {
        const ownMs = subscriptionsEnabled > MANY_SUBSCRIPTIONS ? SEEN_WITH_MANY_MS : SEEN_MS;
        entry.untilMs = nowMs + Math.max(ownMs, REST_SHARE * (clock.monotonic() - nowMs));
      },
      () => seen.delete(key),
    );
    return overview;
  };
  const latest = new LatestWatches({ workOut: look, isSame, clock });
  return {
    async getDeliveryStats(request, context) {
      const { tenant } = principalOf(context);
      const { subscriptionId } = request;
      const step = request.step === undefined ? {} : { stepMs: stepMs(request.step) };
      const steps = stepsOf({ ...timeRange(request), ...step }, clock.now());
      const of = (id: string) => stats.readCounts({ tenant, subscriptionId: id, ...steps });
      const [counted, ofAll] = await Promise.all([of(subscriptionId), subscriptionId === "" ? [] : of("")]);
      const rows = subscriptionId === "" ? counted : [...counted, ...ofAll.map(eventsAlone)];
      return {
        points: seriesOf(rows, steps).map(pointMessage),
        step: durationFromMs(steps.stepMs),
        total: pointMessage(pointOf(rows, steps.fromMs)),
      };
    },

    getOverview: (_request, context) => look(principalOf(context).tenant),

    async *watchOverview(_request, context) {
      const { tenant } = principalOf(context);
      for await (const overview of liveStreams.run(context, (signal) => latest.watch(tenant, signal))) {
        yield { overview };
      }
    },
  };
}

/** But for the time at which each was seen. */
function isSame(one: OverviewMessage, other: OverviewMessage): boolean {
  const schema = GetOverviewResponseSchema;
  const { time } = other;
  return one === other || equals(schema, { ...one, ...(time !== undefined && { time }) }, other);
}

/** Events are counted of the tenant as a whole. */
function eventsAlone({ tenant, subscriptionId, atMs, events }: CountRow): CountRow {
  const none = { delivered: 0, failed: 0, attempts: 0, failedAttempts: 0 };
  return { tenant, subscriptionId, atMs, events, ...none, durations: new Map(), delays: new Map() };
}

async function overviewOf(deps: StatsCallsDeps, tenant: Tenant): Promise<OverviewMessage> {
  const { stats, endpoints, feed, clock } = deps;
  const nowMs = clock.now();
  const isOperator = sameTenant(tenant, wholeOf(deps.operatedBy));
  const hour = { tenant, subscriptionId: "", span: "minute", fromMs: nowMs - SPAN_MS.hour, toMs: nowMs } as const;
  const [{ subscriptions }, backlog, rows, reports] = await Promise.all([
    feed.load(tenant),
    stats.backlog(tenant, nowMs),
    stats.readCounts(hour),
    isOperator ? stats.reports(nowMs - REPORTED_MS) : undefined,
  ]);
  const enabled = subscriptions.filter(({ state }) => state === "enabled");
  const records = await endpoints.read(enabled.map(endpointKey));
  return create(GetOverviewResponseSchema, {
    time: timestampFromMs(nowMs),
    ...ratesOf(rows, nowMs),
    lastHour: pointMessage(pointOf(rows, hour.fromMs)),
    backlog: backlogMessage(backlog, nowMs),
    ...failingOf(enabled, records),
    breakers: breakersOf(records),
    subscriptionsEnabled: enabled.length,
    subscriptionsDisabled: subscriptions.length - enabled.length,
    ...(reports !== undefined && { service: serviceOf(reports) }),
  });
}

/** Over the minute that has begun and the one before. */
function ratesOf(rows: readonly CountRow[], nowMs: number) {
  const fromMs = nowMs - (nowMs % SPAN_MS.minute) - SPAN_MS.minute;
  const seconds = (nowMs - fromMs) / 1_000;
  const { events, delivered, attempts } = pointOf(
    rows.filter(({ atMs }) => atMs >= fromMs),
    fromMs,
  );
  return {
    eventsPerSecond: events / seconds,
    deliveriesPerSecond: delivered / seconds,
    attemptsPerSecond: attempts / seconds,
  };
}

function failingOf(
  subscriptions: readonly Subscription[],
  records: readonly (EndpointRecord | undefined)[],
): Pick<OverviewInit, "failing" | "failingCount"> {
  const failing = subscriptions.flatMap((subscription, at) => {
    const record = records[at];
    return record?.failingSinceMs === undefined ? [] : [{ subscription, record, sinceMs: record.failingSinceMs }];
  });
  const longest = failing.toSorted((one, other) => one.sinceMs - other.sinceMs).slice(0, FAILING_SHOWN);
  return {
    failing: longest.map(({ subscription: { id, url, description, entityId }, record }) => {
      return { subscriptionId: id, url, description, entityId, health: healthMessage(record) };
    }),
    failingCount: failing.length,
  };
}

function breakersOf(records: readonly (EndpointRecord | undefined)[]) {
  const breakers = { closed: 0, open: 0, halfOpen: 0 };
  for (const record of records) breakers[record?.breaker ?? "closed"] += 1;
  return breakers;
}

function backlogMessage({ waiting, attempting, held, due, oldestDueAtMs }: Backlog, nowMs: number) {
  return {
    ...{ waiting: BigInt(waiting), attempting: BigInt(attempting), held: BigInt(held), due: BigInt(due) },
    ...(oldestDueAtMs !== undefined && { oldestDueAge: durationFromMs(Math.max(0, nowMs - oldestDueAtMs)) }),
  };
}

function serviceOf(reports: readonly WorkerReport[]) {
  const known = reports.flatMap(({ lagRecords }) => (lagRecords === undefined ? [] : [lagRecords]));
  const lag = known.length === 0 ? -1 : known.reduce((sum, each) => sum + each, 0);
  return { workers: reports.map(workerMessage), lagRecords: BigInt(lag) };
}

function workerMessage(report: WorkerReport): MessageInitShape<typeof WorkerOverviewSchema> {
  const { worker, inFlight, queued, unflushed, openRecords, stalled } = report;
  return {
    id: worker,
    reportedAt: timestampFromMs(report.reportedAtMs),
    startedAt: timestampFromMs(report.startedAtMs),
    inFlight: BigInt(inFlight),
    queued: BigInt(queued),
    unflushed: BigInt(unflushed),
    openRecords: BigInt(openRecords),
    stalled,
    eventLoopDelayP99: durationFromMs(Math.round(report.eventLoopDelayP99Ms)),
  };
}

function pointMessage(point: Point): MessageInitShape<typeof DeliveryStatsSchema> {
  const { delivered, failed, attempts, failedAttempts, events, p50Ms, p99Ms, delayP50Ms, delayP99Ms } = point;
  return {
    time: timestampFromMs(point.atMs),
    delivered: BigInt(delivered),
    failed: BigInt(failed),
    attempts: BigInt(attempts),
    failedAttempts: BigInt(failedAttempts),
    events: BigInt(events),
    ...(p50Ms !== undefined && { p50: rounded(p50Ms) }),
    ...(p99Ms !== undefined && { p99: rounded(p99Ms) }),
    ...(delayP50Ms !== undefined && { delayP50: rounded(delayP50Ms) }),
    ...(delayP99Ms !== undefined && { delayP99: rounded(delayP99Ms) }),
  };
}

function rounded(ms: number): Duration {
  return durationFromMs(Math.round(ms));
}

function stepMs({ seconds, nanos }: Duration): number {
  if (nanos !== 0 || seconds <= 0n || seconds > 366n * 86_400n) {
    throw invalidField("step", "must be a whole number of minutes");
  }
  return Number(seconds) * 1_000;
}
