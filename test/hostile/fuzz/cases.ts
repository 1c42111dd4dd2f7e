/** Runs of cases: by their number, so that each can be made again alone, and what came of them. */
import { FuzzBed } from "./bed.ts";
import { fuzzRecord, type RecordCounts } from "./records.ts";
import { type CallCounts, fuzzCall } from "./rpcs.ts";

/** Cases of one kind with one seed, from a number on. */
export interface Run {
  readonly seed: number;
  readonly from: number;
  readonly count: number;
}

/** A case that shows a mistake, and how to make it again. */
export interface Finding {
  readonly replay: string;
  readonly what: string;
}

/** A run ends early when it has found so many. */
const ENOUGH = 20;
/** Calls at the same time. */
const AT_ONCE = 16;
/** Looks at the process's memory over a run. */
const LOOKS = 40;

export const noRecords = (): RecordCounts => ({ events: 0, dead: 0, slowestMs: 0 });

const replayOf = (kind: "record" | "call", { seed }: Run, number: number) =>
  `node test/hostile/fuzz/run.ts ${kind} ${seed} ${number} 1`;

const said = (error: unknown) =>
  (error instanceof Error ? (error.stack ?? error.message) : String(error)).slice(0, 1_500);

export function fuzzRecords(run: Run, counts: RecordCounts): readonly Finding[] {
  const findings: Finding[] = [];
  for (let number = run.from; number < run.from + run.count && findings.length < ENOUGH; number++) {
    try {
      fuzzRecord(run.seed, number, counts);
    } catch (error) {
      findings.push({ replay: replayOf("record", run, number), what: said(error) });
    }
  }
  return findings;
}

export interface CallRun {
  readonly findings: readonly Finding[];
  readonly counts: CallCounts;
  /** Resident memory of the server at even distances. */
  readonly rssMib: readonly number[];
}

/** Against a server of its own; `findings` has one more where it ended, or logged a mistake of its own. */
export async function fuzzCalls(run: Run): Promise<CallRun> {
  await using bed = await FuzzBed.start();
  const counts: CallCounts = { answers: new Map(), answered: new Set() };
  const findings: Finding[] = [];
  const rssMib: number[] = [];
  const end = run.from + run.count;
  let next = run.from;
  const one = async () => {
    while (next < end && findings.length < ENOUGH && !bed.passbus.hasEnded) {
      const number = next++;
      if ((number - run.from) % Math.ceil(run.count / LOOKS) === 0) rssMib.push(bed.rssMib);
      try {
        await fuzzCall(run.seed, number, bed.fuzzed, counts);
      } catch (error) {
        findings.push({ replay: replayOf("call", run, number), what: said(error) });
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, one));
  if (bed.passbus.hasEnded) {
    findings.push({
      replay: replayOf("call", run, next - 1),
      what: `passbus ended: ${bed.passbus.output.slice(-2_000)}`,
    });
  }
  const [mistake] = [...bed.passbus.logged("api.call_failed"), ...bed.passbus.logged("api.answer_failed")];
  if (mistake !== undefined) {
    findings.push({
      replay: replayOf("call", run, run.from),
      what: `it logged ${JSON.stringify(mistake).slice(0, 1_500)}`,
    });
  }
  return { findings, counts, rssMib };
}

/** How far the memory of the last quarter lies over that of the second: the first fills caches. */
export function growthMib(rssMib: readonly number[]): number {
  const quarter = Math.floor(rssMib.length / 4);
  const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
  return median(rssMib.slice(-quarter)) - median(rssMib.slice(quarter, 2 * quarter));
}
