/**
 * A network that fails between passbus and one endpoint, in each way that the fault proxy knows, beside two endpoints
 * that it doesn't touch. What can't have arrived comes once; what may have arrived without passbus hearing of it comes
 * again, and the log says so: an attempt without an answer for each repeat.
 */
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { deliveriesOf } from "../support/api-log.ts";
import { EmbeddedRun } from "../support/embedded-run.ts";
import { type Endpoint, subscribeElsewhere } from "../support/endpoints.ts";
import { accountsOf, checkEvents, lastTakenMs, violationsOf } from "../support/event-checker.ts";
import { type FaultMode, FaultProxy } from "../support/fault-proxy.ts";
import { faultRow, recordFault } from "../support/fault-table.ts";
import { numberedEvents } from "../support/paced-publisher.ts";
import { eventually } from "../support/within.ts";

/** Half of them are in flight, over connections that stand, when the fault comes. */
const EVENTS = 40;
const AT_ONCE = { batch: EVENTS / 2, everyMs: 0 };
const PATH = "/through-proxy";
const HEALTHY = 2;
/** Of the healthy two, while the third's network is broken. */
const BESIDE_LIMIT_MS = 2_000;
const POLICY = {
  retrySchedule: Array.from({ length: 30 }, () => durationFromMs(300)),
  attemptTimeout: durationFromMs(1_000),
};

/** Each fault, and what attempts may be put down to meanwhile; "": the fault lets answers through. */
const FAULTS: readonly { readonly name: string; readonly mode: FaultMode; readonly codes: readonly string[] }[] = [
  { name: "a network that delays by 300 ms", mode: { kind: "delay", ms: 300 }, codes: [""] },
  { name: "a network that resets", mode: { kind: "reset" }, codes: ["connection.closed", "connect.failed"] },
  { name: "a half-open peer", mode: { kind: "half-open" }, codes: ["attempt.timeout"] },
  { name: "a network of 50 bytes a second", mode: { kind: "drip", bytesPerSecond: 50 }, codes: ["attempt.timeout"] },
  {
    name: "a network that corrupts answers",
    mode: { kind: "corrupt", towards: "client" },
    codes: ["response.invalid"],
  },
  { name: "a partition", mode: { kind: "partition" }, codes: ["attempt.timeout"] },
  { name: "a port that nobody listens at", mode: { kind: "refuse" }, codes: ["connect.refused"] },
];

describe("a network that fails before one endpoint", { timeout: 30_000 }, () => {
  const ends = new AsyncDisposableStack();
  let run: EmbeddedRun;
  let proxy: FaultProxy;
  let behind: Endpoint;

  beforeAll(async () => {
    run = ends.use(await EmbeddedRun.start({ healthy: HEALTHY }));
    const url = new URL(run.sink.url(PATH));
    proxy = ends.use(await FaultProxy.start({ port: Number(url.port) }));
    url.port = String(proxy.port);
    await run.sink.answer(PATH, { status: 200, afterMs: 200 });
    behind = { ...(await subscribeElsewhere(run.passbus.api, url.href, { policy: POLICY })), path: PATH };
    run.healthy = [...run.healthy, behind];
  }, 30_000);
  afterAll(() => ends.disposeAsync());

  for (const [at, { name, mode, codes }] of FAULTS.entries()) {
    test(`${name}: nothing is lost, and a repeat is one that the log explains`, async ({ task }) => {
      const events = numberedEvents(EVENTS, `network-${at}`);
      const ids = new Set(events.map(({ id }) => id));
      const before = run.accepted.size;
      await proxy.pass();
      const [early, late] = [events.slice(0, EVENTS / 2), events.slice(EVENTS / 2)];
      const came = (await run.sink.receiptsAt(PATH)).length;
      await run.until(run.publish(early, AT_ONCE).whenAccepted(early.length));
      await run.sink.requests(PATH, came + early.length, 5_000);
      await proxy.set(mode);
      await run.until(run.publish(late, AT_ONCE).whenAccepted(late.length));
      await run.sink.reach(["/healthy-0", "/healthy-1"], before + EVENTS, BESIDE_LIMIT_MS);
      const ours = async () => {
        const deliveries = await deliveriesOf(run.passbus.api, behind.id);
        return deliveries.filter(({ eventId }) => ids.has(eventId)).flatMap(({ attempts }) => attempts);
      };
      await eventually(10_000, `an attempt that is ${codes.join(" or ")}`, async () => {
        const attempts = await ours();
        const isMeant = attempts.length >= EVENTS && attempts.some(({ errorCode }) => codes.includes(errorCode));
        return isMeant ? true : undefined;
      });
      await proxy.pass();
      const passedAtMs = Date.now();
      const { accounts } = await run.settled();
      const own = accountsOf(ids, accounts);
      const findings = checkEvents(own);
      expect(violationsOf(findings)).toEqual([]);
      expect(findings).toMatchObject({ accepted: EVENTS, delivered: EVENTS * run.healthy.length });
      expect(findings.repeats.length).toBeLessThanOrEqual(findings.repeatBound);
      recordFault(task, faultRow(name, findings, lastTakenMs(own, ids) - passedAtMs));
    });
  }
});
