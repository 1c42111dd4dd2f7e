/**
 * A network that fails between passbus and an endpoint, in each way that the fault proxy knows at once, beside two
 * endpoints that nothing happens to. What can't have arrived comes once; what may have arrived without passbus hearing of it comes
 * again, and the log says so: an attempt without an answer for each repeat.
 */
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { afterAll, describe, expect, test } from "vitest";
import { deliveriesOf } from "../support/api-log.ts";
import { EmbeddedRun, type Verdict } from "../support/embedded-run.ts";
import { type Endpoint, subscribeElsewhere } from "../support/endpoints.ts";
import { accountsAt, checkEvents, lastTakenMs, violationsOf } from "../support/event-checker.ts";
import { type FaultMode, FaultProxy } from "../support/fault-proxy.ts";
import { faultRow, recordFault } from "../support/fault-table.ts";
import { madeOnce } from "../support/made-once.ts";
import { eventually } from "../support/within.ts";

/** Half of them are in flight, over connections that stand, when the fault comes. */
const EVENTS = 40;
const AT_ONCE = { batch: EVENTS / 2, everyMs: 0 };
const HEALTHY = 2;
/** Of the healthy two, while the others' networks are broken. */
const BESIDE_LIMIT_MS = 2_000;
const POLICY = {
  retrySchedule: Array.from({ length: 30 }, () => durationFromMs(300)),
  attemptTimeout: durationFromMs(1_000),
};
/** When the network is whole again, the breaker still has its wait to the next probe: 5 s at first, then 10. */
const SETTLED_LIMIT_MS = 30_000;

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

interface Behind {
  readonly proxy: FaultProxy;
  readonly endpoint: Endpoint;
}

describe("a network that fails before an endpoint", { timeout: 60_000 }, () => {
  const ends = new AsyncDisposableStack();
  const behind: Behind[] = [];
  let run: EmbeddedRun;
  let verdict: Verdict;
  let passedAtMs: number;

  /** What attempts at the endpoint were put down to so far. */
  const codesAt = async ({ endpoint }: Behind) => {
    const deliveries = await deliveriesOf(run.passbus.api, endpoint.id);
    return deliveries.flatMap(({ attempts }) => attempts.map(({ errorCode }) => errorCode));
  };

  madeOnce(async () => {
    behind.length = 0;
    run = ends.use(await EmbeddedRun.start({ healthy: HEALTHY }));
    const beside = run.healthy.map(({ path }) => path);
    for (const at of FAULTS.keys()) {
      const path = `/behind-${at}`;
      const url = new URL(run.sink.url(path));
      const proxy = ends.use(await FaultProxy.start({ port: Number(url.port) }));
      url.port = String(proxy.port);
      await run.sink.answer(path, { status: 200, afterMs: 200 });
      const endpoint = { ...(await subscribeElsewhere(run.passbus.api, url.href, { policy: POLICY })), path };
      behind.push({ proxy, endpoint });
    }
    run.healthy = [...run.healthy, ...behind.map(({ endpoint }) => endpoint)];
    await run.until(run.publish(EVENTS / 2, AT_ONCE).whenAccepted(EVENTS / 2));
    for (const { endpoint } of behind) await run.sink.requests(endpoint.path, EVENTS / 2, 5_000);
    await Promise.all(behind.map(({ proxy }, at) => proxy.set(FAULTS[at]?.mode ?? { kind: "pass" })));
    await run.until(run.publish(EVENTS / 2, AT_ONCE).whenAccepted(EVENTS / 2));
    await run.sink.reach(beside, EVENTS, BESIDE_LIMIT_MS);
    for (const [at, one] of behind.entries()) {
      const { codes = [] } = FAULTS[at] ?? {};
      await eventually(10_000, `an attempt that is ${codes.join(" or ")}`, async () =>
        (await codesAt(one)).some((code) => codes.includes(code)) ? true : undefined,
      );
    }
    await Promise.all(behind.map(({ proxy }) => proxy.pass()));
    passedAtMs = Date.now();
    verdict = await run.settled(SETTLED_LIMIT_MS);
  }, 90_000);
  afterAll(() => ends.disposeAsync());

  for (const [at, { name }] of FAULTS.entries()) {
    test(`${name}: nothing is lost, and a repeat is one that the log explains`, ({ task }) => {
      const endpoint = behind[at]?.endpoint.id ?? "";
      const own = accountsAt([endpoint], verdict.accounts);
      const findings = checkEvents(own);
      expect(violationsOf(findings)).toEqual([]);
      expect(findings).toMatchObject({ accepted: EVENTS, delivered: EVENTS });
      expect(findings.repeats.length).toBeLessThanOrEqual(findings.repeatBound);
      recordFault(task, faultRow(name, findings, lastTakenMs(own, own.accepted) - passedAtMs));
    });
  }

  test("the two beside them get everything, once", () => {
    const beside = run.healthy.slice(0, HEALTHY).map(({ id }) => id);
    const findings = checkEvents(accountsAt(beside, verdict.accounts));
    expect(violationsOf(findings)).toEqual([]);
    expect(findings).toMatchObject({ delivered: EVENTS * HEALTHY, repeats: [] });
  });
});
