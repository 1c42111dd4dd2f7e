/**
 * Strict order per pass over several workers: a partition moves when one joins and when one leaves, and with it the
 * chains of its passes; one is killed. The store is what the workers have in common.
 */
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { Ordering } from "../../gen/passbus/v1/subscription_pb.js";
import { LIMITS } from "../../src/kernel/limits.ts";
import { Deployment } from "../support/distributed.ts";
import { subscribe } from "../support/endpoints.ts";
import { printTable } from "../support/figures.ts";
import { OrderedEvents } from "../support/ordered-events.ts";
import type { RunningPassbus } from "../support/passbus.ts";
import { allOf } from "../support/requirements.ts";
import { kafka, kafkaBrokers, mongodb, mongodbIsSlow, mongodbUri } from "../support/services/services.ts";
import { Sink } from "../support/sink.ts";

const EVENTS = mongodbIsSlow() ? 400 : 2_000;
const FAILING = 0.2;
const SCHEDULE = Array.from({ length: LIMITS.retrySteps }, () => durationFromMs(100));
const PATH = "/strict";
/** What was claimed by one that is killed waits for its lease of 60 s. */
const LIMIT_MS = 240_000;

const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;

const services = allOf(kafka, mongodb);

describe.skipIf(!services.present)(services.title("order over several workers"), () => {
  test("no pass is out of order when workers join, leave and die", { timeout: 360_000 }, async () => {
    await using sink = await Sink.start();
    await using deployment = await Deployment.make({ brokers: kafkaBrokers(), mongodbUri: mongodbUri() });
    await using ends = new AsyncDisposableStack();
    const worker = async (): Promise<RunningPassbus> => ends.use(await deployment.start("worker"));
    const api = ends.use(await deployment.start("api"));
    const [first, second] = await Promise.all([worker(), worker()]);
    await sink.answer(PATH, { status: 200, failing: FAILING });
    const policy = { ordering: Ordering.PER_PASS, retrySchedule: SCHEDULE };
    const { id } = await subscribe(api.api, sink, PATH, { policy });
    const events = new OrderedEvents(EVENTS, 200);
    const beganMs = performance.now();
    const all = sink.accepted(PATH, EVENTS, LIMIT_MS);
    const published = events.publish(
      50,
      async () => api.api,
      () => false,
    );
    await sink.accepted(PATH, EVENTS / 5, 120_000);
    const third = await worker();
    await sink.accepted(PATH, (EVENTS * 2) / 5, 120_000);
    await first.end("SIGTERM");
    await sink.accepted(PATH, (EVENTS * 3) / 5, 120_000);
    await second.end("SIGKILL");
    const killedMs = performance.now() - beganMs;
    await Promise.all([published, all]);
    const tookMs = performance.now() - beganMs;
    const verdict = events.judge(id, await sink.receipts());
    printTable(
      `${EVENTS} events of ${events.passes} passes in strict order, a worker joins, one leaves, one is killed`,
      [
        ["killed after", "all accepted in", ...Object.keys(verdict)],
        [seconds(killedMs), seconds(tookMs), ...Object.values(verdict)],
      ],
    );
    expect(verdict).toMatchObject({ lost: 0, inversions: 0, overtaking: 0 });
    expect(verdict.refused).toBeGreaterThan(EVENTS * FAILING * 0.8);
    expect(third.logged("delivery.run_failed")).toEqual([]);
  });
});
