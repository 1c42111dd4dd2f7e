/** Whether the demo held what passbus promises, and the words for it. Pure. */
import { type Evidence, firstLatencyOf, flawOf, isHopeless, latencyOf, type Row } from "./demo-ledger.ts";

export interface Judgement {
  /** Webhooks that arrived, verified, and are delivered in the log with the attempts that the receiver saw. */
  readonly right: number;
  /** Webhooks that are not right yet and need not be. */
  readonly open: number;
  /** One sentence for each webhook that is missing or wrong. Empty: passed. */
  readonly problems: readonly string[];
}

/** `dueBeforeMs`, by the monotonic clock: what was published, or came, later than this need not be right yet. */
export function judge(evidence: Evidence, dueBeforeMs: number): Judgement {
  const { events, rows, unclaimed, forgotten } = evidence;
  const problems: string[] = [];
  let right = forgotten;
  let open = 0;
  for (const row of rows) {
    const flaw = flawOf(row);
    if (flaw === undefined) right++;
    else if (row.publishedAtMs > dueBeforeMs && !isHopeless(row)) open++;
    else problems.push(`${row.endpoint}: the webhook of ${row.eventId} (${row.what}) ${flaw}`);
  }
  for (const { endpoint, webhook, verdict, atMs } of unclaimed) {
    const id = webhook.headers["webhook-id"] ?? "without an id";
    if (!verdict.ok) problems.push(`${endpoint}: the webhook ${id} did not verify: ${verdict.reason}`);
    else if (atMs <= dueBeforeMs)
      problems.push(`${endpoint}: the webhook ${id} belongs to no delivery of this endpoint`);
  }
  if (events === 0) problems.push("nothing was published");
  else if (rows.length + forgotten === 0) problems.push("no subscription wanted any of the events");
  return { right, open, problems };
}

/** The last lines of the demo. */
export function summaryLines(evidence: Evidence, { right, open, problems }: Judgement): readonly string[] {
  const expected = evidence.rows.length + evidence.forgotten;
  const repeats = evidence.rows.reduce((sum, row) => sum + Math.max(0, row.receipts.length - 1), 0);
  const stillOpen = open === 0 ? "" : `; ${open} still on their way when it ended`;
  const lines = [
    `${evidence.events} events published, ${expected} webhooks expected; ${right} arrived, verified and DELIVERED in the log${stillOpen}`,
    `${evidence.requests} requests received; of the webhooks above, ${repeats} came again after a 503`,
    ...latencyLines(evidence.rows),
    ...problems.map((problem) => `PROBLEM  ${problem}`),
  ];
  return [...lines, problems.length === 0 ? "demo passed" : `demo FAILED: ${problems.length} problem(s)`];
}

function latencyLines(rows: readonly Row[]): readonly string[] {
  const first = sorted(rows.map(firstLatencyOf));
  const taken = sorted(rows.map(latencyOf));
  if (first.length === 0) return [];
  const half = first[Math.floor(first.length / 2)] ?? 0;
  return [
    `publish to first request: median ${milliseconds(half)}, longest ${milliseconds(first.at(-1) ?? 0)}; to the request that was taken: longest ${milliseconds(taken.at(-1) ?? 0)}`,
  ];
}

function sorted(values: readonly (number | undefined)[]): readonly number[] {
  return values.filter((value) => value !== undefined).sort((left, right) => left - right);
}

/** `8.4 ms`, `120 ms`, `1.52 s`. */
export function milliseconds(value: number): string {
  if (value >= 1_000) return `${(value / 1_000).toFixed(2)} s`;
  return value >= 10 ? `${value.toFixed(0)} ms` : `${value.toFixed(1)} ms`;
}
