/**
 * The long form: `npm run fuzz`. A million calls and records with a seed of the day's, or with the one that is given:
 *
 *     node test/hostile/fuzz/run.ts                       # 800,000 records, 200,000 calls
 *     node test/hostile/fuzz/run.ts call 7 1234 1         # call 1234 of seed 7 alone
 *     node test/hostile/fuzz/run.ts record 7 0 50000      # the first 50,000 records of seed 7
 */
import { Code } from "@connectrpc/connect";
import { type Finding, fuzzCalls, fuzzRecords, growthMib, noRecords, type Run } from "./cases.ts";

const RECORDS = 800_000;
const CALLS = 200_000;

function say(findings: readonly Finding[]): void {
  for (const { replay, what } of findings) console.log(`FOUND: ${what}\n  again: ${replay}`);
  if (findings.length > 0) process.exitCode = 1;
}

function records(run: Run): void {
  const counts = noRecords();
  const startMs = performance.now();
  say(fuzzRecords(run, counts));
  const seconds = ((performance.now() - startMs) / 1_000).toFixed(0);
  console.log(
    `seed ${run.seed}: ${run.count} records in ${seconds} s: ${counts.events} events, ${counts.dead} dead letters, the slowest ${counts.slowestMs.toFixed(0)} ms`,
  );
}

async function calls(run: Run): Promise<void> {
  const startMs = performance.now();
  const { findings, counts, rssMib } = await fuzzCalls(run);
  say(findings);
  const seconds = ((performance.now() - startMs) / 1_000).toFixed(0);
  const answers = [...counts.answers].map(([code, count]) => `${Code[code] ?? (code === 0 ? "ok" : code)} ${count}`);
  console.log(`seed ${run.seed}: ${run.count} calls in ${seconds} s: ${answers.join(", ")}`);
  console.log(`${counts.answered.size} methods answered ok; memory ${rssMib.map(Math.round).join(" ")} MiB`);
  console.log(`its last quarter over its second: ${growthMib(rssMib).toFixed(0)} MiB`);
}

const [kind, seedText, fromText, countText] = process.argv.slice(2);
const seed = Number(seedText ?? Math.floor(Date.now() / 86_400_000));
const from = Number(fromText ?? 0);
if (kind !== "call") records({ seed, from, count: Number(countText ?? RECORDS) });
if (kind !== "record") await calls({ seed, from, count: Number(countText ?? CALLS) });
