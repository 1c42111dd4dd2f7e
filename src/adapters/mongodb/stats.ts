/** What is counted, a document a tenant, subscription and span; what waits; and what workers say of themselves. */
import type { Filter } from "mongodb";
import type { Histogram } from "../../delivery/histogram.ts";
import {
  BACKLOG_COUNTED,
  type Backlog,
  type CountRow,
  SPAN_MS,
  STATS_KEPT_MS,
  type StatsQuery,
  type StatsSpan,
  type StatsStore,
  type WorkerReport,
} from "../../delivery/stats-store.ts";
import { type Tenant, tenantKey } from "../../kernel/tenant.ts";
import { ATTEMPTING, COLLECTIONS, type DeliveryDocument, HELD, idIn, tenantOf, WAITING } from "./documents.ts";
import { type Stored, translated, type Wire, WRITE_CONCERN } from "./wire.ts";

/** By the bucket's number, which is a field's name here. */
type Buckets = Readonly<Record<string, number>>;

interface StatsDocument extends Stored {
  readonly tenant: string;
  readonly subscription: string;
  readonly span: number;
  readonly at: number;
  readonly expiresAt: number;
  readonly delivered?: number;
  readonly failed?: number;
  readonly attempts?: number;
  readonly failedAttempts?: number;
  readonly events?: number;
  readonly durations?: Buckets;
  readonly delays?: Buckets;
}

interface ReportDocument extends Stored {
  readonly reportedAt: number;
  readonly json: string;
}

const SPANS: readonly StatsSpan[] = ["minute", "hour"];
const REPORTS_KEPT_MS = 24 * 3_600_000;

export function statsStore(wire: Wire): StatsStore {
  return {
    addCounts: (rows) => addCounts(wire, rows),
    readCounts: (query) => readCounts(wire, query),
    backlog: (tenant, nowMs) => backlog(wire, tenant, nowMs),
    async report(report) {
      const reports = wire.collection<ReportDocument>(COLLECTIONS.workerReports);
      const { worker: _id, reportedAtMs: reportedAt } = report;
      const document = { reportedAt, json: JSON.stringify(report) };
      await translated(() => reports.replaceOne({ _id }, document, { upsert: true, writeConcern: WRITE_CONCERN }));
      await wire.remove(COLLECTIONS.workerReports, { reportedAt: { $lt: reportedAt - REPORTS_KEPT_MS } });
    },
    async reports(sinceMs) {
      const filter = { reportedAt: { $gte: sinceMs } };
      const found = await wire.find<ReportDocument>(COLLECTIONS.workerReports, filter, { sort: { _id: 1 } });
      return found.map(({ json }): WorkerReport => JSON.parse(json));
    },
  };
}

/** The documents are made first, by whomever: counting up with upsert fails where two processes meet. */
async function addCounts(wire: Wire, rows: readonly CountRow[]): Promise<void> {
  if (rows.length === 0) return;
  const parts = rows.flatMap((row) => SPANS.map((span) => ({ row, document: documentOf(row, span) })));
  const documents = [...new Map(parts.map(({ document }) => [document._id, document])).values()];
  await wire.insert(COLLECTIONS.deliveryStats, documents, () => 0);
  const updates = parts.map(({ row, document }) => ({ q: { _id: document._id }, u: { $inc: incrementsOf(row) } }));
  await wire.update(COLLECTIONS.deliveryStats, updates);
}

function documentOf({ tenant, subscriptionId, atMs }: CountRow, span: StatsSpan): StatsDocument {
  const spanMs = SPAN_MS[span];
  const at = atMs - (atMs % spanMs);
  return {
    _id: idIn(tenant, `${spanMs}/${at}/${subscriptionId}`),
    tenant: tenantKey(tenant),
    subscription: subscriptionId,
    span: spanMs,
    at,
    expiresAt: at + spanMs + STATS_KEPT_MS[span],
  };
}

function incrementsOf({ delivered, failed, attempts, failedAttempts, events, durations, delays }: CountRow) {
  const of = (name: string, histogram: Histogram) => [...histogram].map(([bucket, n]) => [`${name}.${bucket}`, n]);
  return {
    ...{ delivered, failed, attempts, failedAttempts, events },
    ...Object.fromEntries([...of("durations", durations), ...of("delays", delays)]),
  };
}

async function readCounts(wire: Wire, { tenant, subscriptionId, span, fromMs, toMs }: StatsQuery) {
  const key = { tenant: tenantKey(tenant), subscription: subscriptionId, span: SPAN_MS[span] };
  const filter = { ...key, at: { $gte: fromMs, $lt: toMs } };
  const found = await wire.find<StatsDocument>(COLLECTIONS.deliveryStats, filter, { sort: { at: 1 } });
  return found.map(
    ({ delivered = 0, failed = 0, attempts = 0, failedAttempts = 0, events = 0, ...document }): CountRow => ({
      ...{ tenant: tenantOf(document.tenant), subscriptionId: document.subscription, atMs: document.at },
      ...{ delivered, failed, attempts, failedAttempts, events },
      durations: histogramOf(document.durations),
      delays: histogramOf(document.delays),
    }),
  );
}

function histogramOf(buckets: Buckets = {}): Histogram {
  return new Map(Object.entries(buckets).map(([bucket, count]) => [Number(bucket), count]));
}

async function backlog(wire: Wire, tenant: Tenant, nowMs: number): Promise<Backlog> {
  const deliveries = wire.collection<DeliveryDocument>(COLLECTIONS.deliveries);
  const key = tenantKey(tenant);
  const count = (filter: Filter<DeliveryDocument>) =>
    translated(() => deliveries.countDocuments(filter, { limit: BACKLOG_COUNTED }));
  // The tenant's lanes: what stands behind its slash.
  const due = { lane: { $gte: `${key}/`, $lt: `${key}0` }, status: WAITING, workAt: { $gt: 0, $lte: nowMs } };
  const [waiting, attempting, held, dueNow, [oldest]] = await Promise.all([
    count({ tenant: key, status: WAITING }),
    count({ tenant: key, status: ATTEMPTING }),
    count({ tenant: key, status: HELD }),
    count(due),
    wire.find<DeliveryDocument>(COLLECTIONS.deliveries, due as Filter<DeliveryDocument>, {
      sort: { workAt: 1 },
      limit: 1,
      projection: { workAt: 1 },
    }),
  ]);
  const oldestDueAtMs = oldest?.workAt;
  return { waiting, attempting, held, due: dueNow, ...(oldestDueAtMs === undefined ? {} : { oldestDueAtMs }) };
}
