/** Whether the demo held what passbus promises, and the words for it. Pure. */
import {
  type Evidence,
  firstLatencyOf,
  flawOf,
  isExcused,
  isHopeless,
  lastNewsMs,
  latencyOf,
  type Row,
} from "./demo-ledger.ts";

export interface Judgement {
  /** Webhooks that arrived, verified, and are delivered in the log with the attempts that the receiver saw. */
  readonly right: number;
  /** Webhooks that are not right yet and need not be. */
  readonly open: number;
  /** Webhooks that are not right, and not judged: a person changed what they depend on. */
  readonly excused: number;
  /** One sentence for each webhook that is missing or wrong. Empty: passed. */
  readonly problems: readonly string[];
}

/** `dueBeforeMs`, by the monotonic clock: what was published, or came, later than this need not be right yet. */
export function judge(evidence: Evidence, dueBeforeMs: number): Judgement {
  const { events, rows, unclaimed, forgotten, forgottenExcused, people } = evidence;
  const problems: string[] = [];
  let right = forgotten;
  let open = 0;
  let excused = forgottenExcused;
  for (const row of rows) {
    const flaw = flawOf(row);
    if (flaw === undefined) right++;
    else if (isExcused(row, people)) excused++;
    else if (lastNewsMs(row) > dueBeforeMs && !isHopeless(row)) open++;
    else problems.push(`${row.endpoint}: the webhook of ${row.eventId} (${row.what}) ${flaw}`);
  }
  for (const { endpoint, webhook, verdict, atMs } of unclaimed) {
    if (people.endpoints.has(endpoint)) continue;
    const id = webhook.headers["webhook-id"] ?? "without an id";
    if (!verdict.ok) problems.push(`${endpoint}: the webhook ${id} did not verify: ${verdict.reason}`);
    else if (atMs <= dueBeforeMs && !people.everything)
      problems.push(`${endpoint}: the webhook ${id} belongs to no delivery of this endpoint`);
  }
  if (events === 0) problems.push("nothing was published");
  else if (rows.length + forgotten + forgottenExcused === 0) {
    problems.push("no subscription wanted any of the events");
  }
  return { right, open, excused, problems };
}

/** Problems that the summary names; of the others it says how many there are. */
const NAMED_PROBLEMS = 20;

/** The last lines of the demo. */
export function summaryLines(evidence: Evidence, judgement: Judgement): readonly string[] {
  const { right, open, excused, problems } = judgement;
  const expected = evidence.rows.length + evidence.forgotten + evidence.forgottenExcused;
  const refused = evidence.rows.flatMap(({ receipts }) => receipts).filter(({ answered }) => answered === 503).length;
  const stillOpen = open === 0 ? "" : `; ${open} still on their way when it ended`;
  const others = evidence.others === 0 ? "" : `; ${evidence.others} were replays, test sends or other subscriptions'`;
  const unnamed = problems.length - NAMED_PROBLEMS;
  const lines = [
    `${evidence.events} events published, ${expected} webhooks expected; ${right} arrived, verified and DELIVERED in the log${stillOpen}`,
    `${evidence.requests} requests received; of the webhooks above, ${refused} came again after a 503${others}`,
    ...excusedLines(evidence, excused),
    ...latencyLines(evidence.rows),
    ...problems.slice(0, NAMED_PROBLEMS).map((problem) => `PROBLEM  ${problem}`),
    ...(unnamed > 0 ? [`PROBLEM  and ${unnamed} more`] : []),
  ];
  return [...lines, problems.length === 0 ? "demo passed" : `demo FAILED: ${problems.length} problem(s)`];
}

function excusedLines({ people }: Evidence, excused: number): readonly string[] {
  if (excused === 0) return [];
  const changed = people.endpoints.size === 0 ? "" : ` (${[...people.endpoints].join(", ")})`;
  return [`${excused} not judged: a subscription or a delivery was changed by hand meanwhile${changed}`];
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
