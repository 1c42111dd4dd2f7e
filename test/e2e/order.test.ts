/**
 * Strict order per pass with nothing faked: a passbus in a process of its own that is killed again and again, and a
 * receiver that refuses a fifth of the requests. It is judged by what the receiver recorded, in the order in which it
 * came. 3,000 events and one kill; with PASSBUS_TEST_EVENTS=100000 a kill each ten seconds.
 */
import { setTimeout as delay } from "node:timers/promises";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { Ordering } from "../../gen/passbus/v1/subscription_pb.js";
import { DEFAULT_POLICY } from "../../src/domain/subscription.ts";
import { LIMITS } from "../../src/kernel/limits.ts";
import { subscribe } from "../support/endpoints.ts";
import { eventCount } from "../support/event-count.ts";
import { printTable } from "../support/figures.ts";
import { OrderedEvents } from "../support/ordered-events.ts";
import { DataDirectory, RunningPassbus } from "../support/passbus.ts";
import { Sink } from "../support/sink.ts";
import { statusCounts } from "../support/store-files.ts";
import { eventually } from "../support/within.ts";

const EVENTS = eventCount();
const IS_LONG = EVENTS >= 50_000;
const KILL_EVERY_MS = 10_000;
const FAILING = 0.2;
/** So many that none is used up: 0.2 to the 31st. */
const SCHEDULE = Array.from({ length: LIMITS.retrySteps }, () => durationFromMs(100));
const PATH = "/strict";
/** What a kill may repeat: what was in flight, and what was not recorded. */
const MOST_REPEATED = DEFAULT_POLICY.maxInFlight + LIMITS.unflushedRows;

/** The passbus of the moment; while there is none, whoever asks for it waits for the next. */
class Server {
  #running: Promise<RunningPassbus>;
  readonly #dataDir: string;
  kills = 0;

  constructor(dataDir: string) {
    this.#dataDir = dataDir;
    this.#running = RunningPassbus.start(dataDir);
  }

  running(): Promise<RunningPassbus> {
    return this.#running;
  }

  /** kill -9, and a start on what it left. */
  async kill(): Promise<void> {
    const running = await this.#running;
    this.kills++;
    this.#running = running.end("SIGKILL").then(() => RunningPassbus.start(this.#dataDir));
    await this.#running;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await (await this.#running)[Symbol.asyncDispose]();
  }
}

function publish(server: Server, events: OrderedEvents): Promise<void> {
  let kills = 0;
  const clients = async () => {
    kills = server.kills;
    return (await server.running()).api;
  };
  return events.publish(100, clients, () => server.kills > kills);
}

/** Kills it each ten seconds, or once on the way, until all of it was accepted. */
async function killAgainAndAgain(server: Server, sink: Sink, all: Promise<void>): Promise<void> {
  if (!IS_LONG) {
    await sink.accepted(PATH, EVENTS / 3, 60_000);
    await server.kill();
    return;
  }
  let isThrough = false;
  const through = all.then(() => {
    isThrough = true;
  });
  for (;;) {
    await Promise.race([through, delay(KILL_EVERY_MS)]);
    if (isThrough) return;
    await server.kill();
  }
}

const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;

test("first acceptances of each pass are in the order of its events, over failing attempts and kill -9", {
  timeout: IS_LONG ? 1_800_000 : 180_000,
}, async () => {
  using data = new DataDirectory();
  await using sink = await Sink.start();
  await using server = new Server(data.path);
  await sink.answer(PATH, { status: 200, failing: FAILING });
  const policy = { ordering: Ordering.PER_PASS, retrySchedule: SCHEDULE };
  const { id } = await subscribe((await server.running()).api, sink, PATH, { policy });
  const events = new OrderedEvents(EVENTS, IS_LONG ? 1_000 : 100);
  const beganMs = performance.now();
  const all = sink.accepted(PATH, EVENTS, IS_LONG ? 1_700_000 : 120_000);
  const published = publish(server, events).then(() => performance.now() - beganMs);
  const [, publishedMs] = await Promise.all([all, published, killAgainAndAgain(server, sink, all)]);
  const tookMs = performance.now() - beganMs;
  const verdict = events.judge(id, await sink.receipts());
  printTable(
    `${EVENTS} events of ${events.passes} passes in strict order, ${FAILING * 100} % of the attempts refused`,
    [
      ["kills", "published in", "all accepted in", ...Object.keys(verdict)],
      [server.kills, seconds(publishedMs), seconds(tookMs), ...Object.values(verdict)],
    ],
  );
  expect(server.kills).toBeGreaterThan(0);
  expect(verdict).toMatchObject({ lost: 0, inversions: 0, overtaking: 0 });
  expect(verdict.refused).toBeGreaterThan(EVENTS * FAILING * 0.8);
  expect(verdict.repeats).toBeLessThanOrEqual(server.kills * MOST_REPEATED);
  const counts = await eventually(10_000, "every delivery's end in the store", () => {
    const found = statusCounts(data.path, id);
    return found.delivered === EVENTS ? found : undefined;
  });
  expect(counts).toEqual({ delivered: EVENTS });
});
