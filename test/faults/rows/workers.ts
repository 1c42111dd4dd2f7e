/**
 * Workers that come, go, stand still and are replaced under load: partitions pass from one to another, and what is sent
 * twice is what was in flight or unflushed then (test/support/trial.ts computes it). Each row makes one, for a bed with
 * two workers.
 */
import { Code, ConnectError } from "@connectrpc/connect";
import { expect } from "vitest";
import { type FaultBed, PARTITIONS } from "../../support/fault-bed.ts";
import type { FaultRow } from "../../support/fault-table.ts";
import type { Clients, RunningPassbus } from "../../support/passbus.ts";
import { PLENTY, STEADY, settled, type Trial, until } from "../../support/trial.ts";
import { eventually } from "../../support/within.ts";

const STORM_EVERY_MS = 1_000;
/** Processes at once in a storm, those that are about to join with them. */
const MOST_WORKERS = 4;
/** Of some 160 requests that the endpoints keep back; the partitions' halves come from either worker. */
const IN_FLIGHT = 100;
/** From the fault's end: a session, a share-out and a lease's rest at the most. */
const BACK_LIMIT_MS = 30_000;

const logTimeMs = (line: Readonly<Record<string, unknown>>) => Date.parse(String(line.time));

/** When a worker had all partitions to itself, by its own log. */
function hasAll(worker: RunningPassbus, sinceMs: number): Promise<number> {
  return eventually(30_000, "all partitions at the worker that is left", () => {
    const joined = worker.logged("kafka.joined").at(-1);
    const isAll = joined !== undefined && logTimeMs(joined) >= sinceMs && joined.partitions === PARTITIONS;
    return isAll ? logTimeMs(joined) : undefined;
  });
}

/** What it has in flight when it stops it has answers to when it goes on. */
export async function stoodStill(bed: FaultBed, forMs: number): Promise<FaultRow> {
  await using trial = await bed.trial();
  const [still, other] = bed.workers;
  if (still === undefined || other === undefined) throw new Error("there are no two workers");
  const publisher = trial.publish(PLENTY, STEADY);
  await trial.until(publisher.whenAccepted(40));
  await trial.answer("hold");
  publisher.hurry(20);
  await eventually(10_000, "requests in flight from both", async () => {
    const open = (await bed.sink.receipts()).filter(({ path, status }) => trial.paths.includes(path) && status === 0);
    return open.length >= IN_FLIGHT ? true : undefined;
  });
  still.signal("SIGSTOP");
  const atMs = Date.now();
  trial.died(atMs);
  try {
    await trial.release();
    await hasAll(other, atMs);
    await until(atMs + forMs, "its time to go on");
  } finally {
    still.signal("SIGCONT");
  }
  const backMs = Date.now();
  const { accepted } = trial;
  await eventually(30_000, "the return of the worker that stood still", () => {
    const joined = still.logged("kafka.joined").at(-1);
    return (joined !== undefined && logTimeMs(joined) > backMs) || undefined;
  });
  await trial.until(publisher.whenAccepted(publisher.accepted.size + 40));
  publisher.enough();
  const verdict = await settled(trial);
  const row = verdict.row(`SIGSTOP of a worker for ${forMs / 1_000} s`, backMs, accepted);
  expect(row.repeated).toBeGreaterThan(0);
  expect(row.recoveredMs).toBeLessThan(BACK_LIMIT_MS);
  return row;
}

/** Calls the API processes in turn, as what stands before them does, and counts what they answer but OK. */
class Turns {
  readonly codes = new Map<Code, number>();
  #live: readonly Clients[];
  #calls = 0;

  constructor(live: readonly Clients[]) {
    this.#live = live;
  }

  set live(live: readonly Clients[]) {
    this.#live = live;
  }

  get clients(): Clients {
    const [first] = this.#live;
    if (first === undefined) throw new Error("there is no API");
    return { ...first, events: { ...first.events, publishEvents: (...call) => this.#publish(...call) } };
  }

  async #publish(...call: Parameters<Clients["events"]["publishEvents"]>) {
    const api = this.#live[this.#calls++ % this.#live.length];
    if (api === undefined) throw new Error("there is no API");
    try {
      return await api.events.publishEvents(...call);
    } catch (error) {
      const failure = asGrpcSays(ConnectError.from(error));
      this.codes.set(failure.code, (this.codes.get(failure.code) ?? 0) + 1);
      throw failure;
    }
  }
}

/**
 * A stream refused after a GOAWAY was never looked at, and is UNAVAILABLE (gRPC over HTTP/2, "Errors"); connect-node 2.2.0
 * calls it internal where its own side of the connection refused it.
 */
function asGrpcSays(error: ConnectError): ConnectError {
  const isRefused = error.rawMessage.includes("NGHTTP2_REFUSED_STREAM");
  return isRefused ? new ConnectError(error.rawMessage, Code.Unavailable) : error;
}

/** A deploy: each process is replaced, the next one first, and gets its share of the calls until it is gone. */
export async function rolled(bed: FaultBed): Promise<FaultRow> {
  await using trial = await bed.trial();
  const turns = new Turns([bed.api.api]);
  const publisher = trial.publish(PLENTY, STEADY, turns.clients);
  publisher.expectRefusals();
  await trial.until(publisher.whenAccepted(40));
  const old = bed.api;
  const next = await bed.startApi();
  turns.live = [old.api, next.api];
  bed.api = next;
  await trial.until(publisher.whenAccepted(publisher.accepted.size + 20));
  expect(await old.end("SIGTERM")).toEqual({ code: 0, signal: null });
  turns.live = [next.api];
  for (const worker of bed.workers) {
    await bed.addWorker();
    await bed.endWorker(worker, "SIGTERM");
  }
  const untilMs = Date.now();
  const { accepted } = trial;
  await trial.until(publisher.whenAccepted(publisher.accepted.size + 40));
  publisher.enough();
  const verdict = await settled(trial);
  const others = [...turns.codes.keys()].filter((code) => code !== Code.Unavailable);
  expect(others.map((code) => Code[code])).toEqual([]);
  console.log(`rolling restart: ${turns.codes.get(Code.Unavailable) ?? 0} calls answered UNAVAILABLE, and repeated`);
  const row = verdict.row("rolling restart of the API and 2 workers", untilMs, accepted);
  expect(row.recoveredMs).toBeLessThan(BACK_LIMIT_MS);
  return row;
}

export async function stormed(bed: FaultBed, forMs: number): Promise<FaultRow> {
  await using trial = await bed.trial();
  const publisher = trial.publish(PLENTY, STEADY);
  await trial.until(publisher.whenAccepted(40));
  const { joins, kills, terms } = await storm(bed, trial, Date.now() + forMs);
  const untilMs = Date.now();
  const { accepted } = trial;
  await trial.until(publisher.whenAccepted(publisher.accepted.size + 20));
  publisher.enough();
  const verdict = await settled(trial);
  console.log(`storm: ${joins} workers joined, ${kills} were killed, ${terms} were ended with SIGTERM`);
  const row = verdict.row(`workers joining and leaving each second for ${forMs / 1_000} s`, untilMs, accepted);
  expect(row.recoveredMs).toBeLessThan(BACK_LIMIT_MS);
  expect(Math.min(joins, kills, terms)).toBeGreaterThan(1);
  return row;
}

/** Each second one begins to join, and one of those that have joined leaves: killed and told so in turns. */
async function storm(bed: FaultBed, trial: Trial, endMs: number) {
  const counts = { joins: 0, kills: 0, terms: 0 };
  const changes: Promise<unknown>[] = [];
  let joining = 0;
  const join = async () => {
    joining += 1;
    await bed.addWorker();
    joining -= 1;
  };
  const leave = async (worker: RunningPassbus, signal: "SIGKILL" | "SIGTERM") => {
    const atMs = await bed.endWorker(worker, signal);
    if (signal === "SIGKILL") trial.died(atMs);
  };
  let nextMs = Date.now();
  // On a busy machine processes start more slowly than one a second.
  while (nextMs < endMs || Math.min(counts.kills, counts.terms) < 2) {
    const [oldest, another] = bed.workers;
    if (oldest !== undefined && another !== undefined) {
      const isKill = counts.kills <= counts.terms;
      counts[isKill ? "kills" : "terms"] += 1;
      changes.push(leave(oldest, isKill ? "SIGKILL" : "SIGTERM"));
    }
    if (bed.workers.length + joining < MOST_WORKERS) {
      counts.joins += 1;
      changes.push(join());
    }
    nextMs += STORM_EVERY_MS;
    await until(nextMs, "the next turn of the storm");
  }
  await Promise.all(changes);
  return counts;
}
