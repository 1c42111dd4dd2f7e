/**
 * A passbus that stands still and goes on: SIGSTOP and SIGCONT, and an event loop that is blocked while the rest of the
 * process runs. 5 s each; the long form (PASSBUS_TEST_LONG=true) stops it for 60 s, past the lease and every deadline.
 */
import { setTimeout as delay } from "node:timers/promises";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { EmbeddedRun } from "../support/embedded-run.ts";
import { deathOf } from "../support/event-accounts.ts";
import { recordFault } from "../support/fault-table.ts";
import { blockEventLoop, INSPECTABLE } from "../support/inspector.ts";
import { remains } from "../support/store-files.ts";

const IS_LONG = process.env.PASSBUS_TEST_LONG === "true";
const BLOCK_MS = 5_000;
const STOP_MS = IS_LONG ? 60_000 : 5_000;
const HEALTHY = 4;
const EVENTS = 400;
/** What had timed out by then is tried again soon. */
const POLICY = { retrySchedule: [300, 300, 300].map(durationFromMs) };
const RECOVERY_LIMIT_MS = 5_000;
/** After a minute all that was in flight has timed out, which opens the breaker: 5 s, and 10 if the probe fails. */
const STOP_RECOVERY_LIMIT_MS = IS_LONG ? 20_000 : RECOVERY_LIMIT_MS;

describe("a passbus that stands still", { timeout: 60_000 + 2 * STOP_MS }, () => {
  test(`for ${STOP_MS / 1_000} s (SIGSTOP) and goes on: nothing is lost, and only what was in flight repeats`, async ({
    task,
  }) => {
    await using run = await EmbeddedRun.start({ healthy: HEALTHY, draft: { policy: POLICY } });
    // Something is in flight there at any moment.
    await run.sink.answer("/healthy-0", { status: 200, afterMs: 300 });
    const publisher = run.publish(EVENTS);
    await run.until(publisher.whenAccepted(100));
    publisher.hurry(10);
    await run.until(publisher.whenUnderWay(10));
    run.passbus.signal("SIGSTOP");
    // In a minute calls under way run into their deadline, and a producer makes them again.
    publisher.interrupt();
    const stoppedAtMs = Date.now();
    // The fault is this long: nothing tells its end but the clock.
    await delay(STOP_MS);
    const left = remains(run.dataDir);
    const death = deathOf(Date.now(), left, await run.sink.receipts());
    run.passbus.signal("SIGCONT");
    const goneOnAtMs = Date.now();
    publisher.resume(run.passbus.api);
    await run.settled();
    const verdict = await run.judge([{ ...death, atMs: stoppedAtMs }]);
    expect(verdict.violations).toEqual([]);
    expect(verdict.findings).toMatchObject({ accepted: EVENTS, delivered: EVENTS * HEALTHY });
    expect(verdict.findings.repeatBound).toBeGreaterThan(0);
    const asked = [...publisher.accepted.values()].filter(({ askedAtMs }) => askedAtMs <= stoppedAtMs);
    const events = asked.map(({ eventId }) => eventId);
    const row = verdict.row(`SIGSTOP for ${STOP_MS / 1_000} s, then SIGCONT`, goneOnAtMs, events);
    expect(row.recoveredMs).toBeLessThan(STOP_RECOVERY_LIMIT_MS);
    recordFault(task, row);
  });

  test("with its event loop blocked for 5 s goes on: events are taken meanwhile, and nothing repeats", async ({
    task,
  }) => {
    await using run = await EmbeddedRun.start({ healthy: HEALTHY, settings: INSPECTABLE });
    const publisher = run.publish(EVENTS);
    await run.until(publisher.whenAccepted(40));
    await blockEventLoop(run.passbus, BLOCK_MS);
    const atMs = Date.now();
    const before = await run.sink.receipts();
    // All of it comes in while the workers' loop stands: the API has a thread of its own.
    await run.until(publisher.whenAccepted(EVENTS));
    expect(Date.now() - atMs).toBeLessThan(BLOCK_MS);
    expect(before.length).toBeLessThan(EVENTS * HEALTHY);
    const verdict = await run.settled();
    expect(verdict.violations).toEqual([]);
    expect(verdict.findings).toMatchObject({ accepted: EVENTS, delivered: EVENTS * HEALTHY, repeats: [] });
    const gaps = gapsOf(verdict.accounts.received.map((request) => request.atMs));
    expect(Math.max(...gaps)).toBeGreaterThan(BLOCK_MS - 500);
    const row = verdict.row("event loop blocked for 5 s", atMs + BLOCK_MS);
    expect(row.recoveredMs).toBeLessThan(RECOVERY_LIMIT_MS);
    recordFault(task, row);
  });
});

function gapsOf(times: readonly number[]): readonly number[] {
  const inOrder = [...times].sort((left, right) => left - right);
  return inOrder.slice(1).map((atMs, at) => atMs - (inOrder[at] ?? 0));
}
