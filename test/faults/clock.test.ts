/**
 * The wall clock steps by an hour and by a year, both ways, under passbus alone (libfaketime). What comes in meanwhile
 * goes out at once; what waits goes out soon after the clock is right again; nothing is purged.
 */
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { EmbeddedRun } from "../support/embedded-run.ts";
import type { Endpoint } from "../support/endpoints.ts";
import { deathOf } from "../support/event-accounts.ts";
import type { Death } from "../support/event-checker.ts";
import { FakeClock, faketime } from "../support/fake-clock.ts";
import { recordFault } from "../support/fault-table.ts";
import { remains, statusCounts } from "../support/store-files.ts";
import { eventually } from "../support/within.ts";

const HOUR_MS = 3_600_000;
const YEAR_MS = 365 * 24 * HOUR_MS;
/** The long form (PASSBUS_TEST_LONG=true) takes all four. */
const STEPS = (
  [
    ["+1 year", YEAR_MS],
    ["-1 h", -HOUR_MS],
    ["+1 h", HOUR_MS],
    ["-1 year", -YEAR_MS],
  ] as const
).slice(0, process.env.PASSBUS_TEST_LONG === "true" ? 4 : 2);
const HEALTHY = 3;
/** Events before a step, during it, and after the clock is right again. */
const EVENTS = 40;
const AT_ONCE = { batch: 20, everyMs: 0 };
const PROMPT_MS = 2_000;
/** In real time, and by the clock that is right when it begins and when it ends. */
const POLICY = { retrySchedule: [durationFromMs(2_000), durationFromMs(2_000)] };

/**
 * What has been sent and not recorded when the clock steps: a lease on it may be past by the new clock, and the delivery
 * is claimed again.
 */
async function inFlight({ dataDir, sink }: EmbeddedRun, atMs: number): Promise<Death> {
  return { ...deathOf(Date.now(), remains(dataDir), await sink.receipts()), atMs };
}

describe.skipIf(!faketime.present)(faketime.title("a clock that steps"), { timeout: 60_000 }, () => {
  for (const [name, offsetMs] of STEPS) {
    test(`by ${name} and back: nothing is lost, and first attempts don't wait`, async ({ task }) => {
      using clock = new FakeClock();
      const options = { healthy: HEALTHY, settings: clock.settings, draft: { policy: POLICY } };
      await using run = await EmbeddedRun.start(options);
      const [first] = run.healthy;
      if (first === undefined) throw new Error("there is no healthy endpoint");
      const others = run.healthy.slice(1).map(({ path }) => path);
      // What waits for its second attempt, and what is in flight, when the clock steps. A 5xx would open the breaker.
      await run.sink.answer(first.path, { status: 400 });
      await run.until(run.publish(EVENTS, AT_ONCE).whenAccepted(EVENTS));
      await eventually(5_000, "deliveries that wait", () =>
        statusCounts(run.dataDir, first.id).waiting === EVENTS ? true : undefined,
      );
      await run.sink.answer(first.path, { status: 200, afterMs: 200 });
      const publisher = run.publish(EVENTS);
      await run.until(publisher.whenAccepted(EVENTS / 2));

      clock.set(offsetMs);
      const steppedAtMs = Date.now();
      const atStep = await inFlight(run, steppedAtMs);
      await run.until(publisher.whenAccepted(EVENTS));
      await run.sink.reach(others, 2 * EVENTS, PROMPT_MS);
      const meanwhileMs = Date.now() - steppedAtMs;

      clock.set(0);
      const rightAtMs = Date.now();
      const atReturn = await inFlight(run, rightAtMs);
      await run.until(run.publish(EVENTS).whenAccepted(EVENTS));
      const isDelivered = ({ id }: Endpoint) => statusCounts(run.dataDir, id).delivered === 3 * EVENTS;
      const delivered = eventually(15_000, "everything", () => (run.healthy.every(isDelivered) ? true : undefined));
      // What did not come in time the judgement names.
      await delivered.catch(() => {});
      const verdict = await run.judge([atStep, atReturn]);
      expect(verdict.violations.join("; ")).toBe("");
      expect(verdict.findings).toMatchObject({ accepted: 3 * EVENTS, delivered: 3 * EVENTS * HEALTHY });
      console.log(`clock ${name}: first attempts of what came meanwhile were through after ${meanwhileMs} ms`);
      recordFault(task, verdict.row(`clock ${name}, and back`, rightAtMs));
    });
  }

  test("by +1 h past every lease: what is in flight is not sent a second time beside itself", async ({ task }) => {
    using clock = new FakeClock();
    const options = { healthy: HEALTHY, settings: clock.settings, draft: { policy: POLICY } };
    await using run = await EmbeddedRun.start(options);
    const [first, second] = run.healthy;
    if (first === undefined || second === undefined) throw new Error("there are no two healthy endpoints");
    await run.sink.answer(first.path, "hold");
    await run.sink.answer(second.path, { status: 400 });
    await run.until(run.publish(EVENTS / 2, AT_ONCE).whenAccepted(EVENTS / 2));
    await eventually(5_000, "a lease on each that is in flight", () => {
      const { attempting } = statusCounts(run.dataDir, first.id);
      return attempting === EVENTS / 2 ? true : undefined;
    });
    await run.sink.answer(second.path, { status: 200 });
    clock.set(HOUR_MS);
    // These are claimed after the step: so the claims have seen the leases that are past by the new clock.
    await run.sink.requests(second.path, EVENTS, 10_000);
    await eventually(5_000, "their record", () =>
      statusCounts(run.dataDir, second.id).delivered === EVENTS / 2 ? true : undefined,
    );
    const inFlight = await run.sink.receiptsAt(first.path);
    await run.sink.release(first.path);
    const releasedAtMs = Date.now();
    const verdict = await run.settled();
    expect(inFlight).toHaveLength(EVENTS / 2);
    expect(verdict.violations.join("; ")).toBe("");
    expect(verdict.findings.repeats).toEqual([]);
    recordFault(task, verdict.row("clock +1 h, past the leases of what is in flight", releasedAtMs));
  });

  test("by +1 year: an endpoint that fails is not disabled by it", async ({ task }) => {
    using clock = new FakeClock();
    const policy = { retrySchedule: Array.from({ length: 8 }, () => durationFromMs(2_000)) };
    const options = { healthy: 1, settings: clock.settings, draft: { policy } };
    await using run = await EmbeddedRun.start(options);
    const [endpoint] = run.healthy;
    if (endpoint === undefined) throw new Error("there is no healthy endpoint");
    await run.sink.answer(endpoint.path, { status: 400 });
    await run.until(run.publish(EVENTS / 2, AT_ONCE).whenAccepted(EVENTS / 2));
    await eventually(5_000, "failures", () =>
      statusCounts(run.dataDir, endpoint.id).waiting === EVENTS / 2 ? true : undefined,
    );
    clock.set(YEAR_MS);
    const steppedAtMs = Date.now();
    // Failures are written every five seconds, and these take eight. Were it disabled then, what waits would be held.
    await run.sink.requests(endpoint.path, 6 * (EVENTS / 2), 20_000);
    await run.sink.answer(endpoint.path, { status: 200 });
    const verdict = await run.settled();
    expect(verdict.violations.join("; ")).toBe("");
    expect(verdict.findings).toMatchObject({ accepted: EVENTS / 2, delivered: EVENTS / 2 });
    recordFault(task, verdict.row("clock +1 year, under an endpoint that fails", steppedAtMs));
  });
});
