/** StatsStore over the thread's calls. */
import { histogramOf, histogramText } from "../../delivery/histogram.ts";
import { type CountRow, SPAN_MS, type StatsStore, type WorkerReport } from "../../delivery/stats-store.ts";
import type { CallClient } from "../../kernel/thread-call.ts";
import type { StoreCalls } from "./calls.ts";
import { tenantOf, tenantRow } from "./rows.ts";
import type { CountsRow } from "./stats-calls.ts";

function rowOf(row: CountRow): CountsRow {
  const { tenant, subscriptionId, atMs, delivered, failed, attempts, failedAttempts, events } = row;
  const numbers = [delivered, failed, attempts, failedAttempts, events] as const;
  const histograms = [histogramText(row.durations), histogramText(row.delays)] as const;
  return [...tenantRow(tenant), subscriptionId, atMs, ...numbers, ...histograms];
}

function countsOf(row: CountsRow): CountRow {
  const [organisation, environment, subscriptionId, atMs, delivered, failed, attempts, failedAttempts, events] = row;
  const [durations, delays] = row.slice(-2);
  return {
    tenant: tenantOf([organisation, environment]),
    subscriptionId,
    atMs,
    delivered,
    failed,
    attempts,
    failedAttempts,
    events,
    durations: histogramOf(String(durations)),
    delays: histogramOf(String(delays)),
  };
}

export function statsStore(calls: CallClient<StoreCalls>): StatsStore {
  return {
    async addCounts(rows) {
      await calls.call("addCounts", rows.map(rowOf));
    },
    async readCounts({ tenant, subscriptionId, span, fromMs, toMs }) {
      const query = { tenant: tenantRow(tenant), subscriptionId, spanMs: SPAN_MS[span], fromMs, toMs };
      return (await calls.call("readCounts", query)).map(countsOf);
    },
    backlog: (tenant, nowMs) => calls.call("backlog", { tenant: tenantRow(tenant), nowMs }),
    async report(report) {
      await calls.call("putReport", [report.worker, report.reportedAtMs, JSON.stringify(report)]);
    },
    async reports(sinceMs) {
      return (await calls.call("reports", sinceMs)).map((document): WorkerReport => JSON.parse(document));
    },
  };
}
