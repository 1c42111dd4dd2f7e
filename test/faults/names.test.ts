/**
 * An endpoint's name that fails, flaps, or turns to an address that webhooks may not go to, beside two endpoints that
 * have none. passbus asks a name server of the test's own, since it runs where /etc/resolv.conf is another.
 */
import { createServer } from "node:http";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { afterAll, describe, expect, test } from "vitest";
import { deliveriesOf } from "../support/api-log.ts";
import { EmbeddedRun, type Verdict } from "../support/embedded-run.ts";
import { type Endpoint, subscribeElsewhere } from "../support/endpoints.ts";
import { accountsAt, checkEvents, lastTakenMs, violationsOf } from "../support/event-checker.ts";
import { faultRow, recordFault } from "../support/fault-table.ts";
import { madeOnce } from "../support/made-once.ts";
import { mount } from "../support/mounts.ts";
import type { NameAnswer } from "../support/name-server.ts";
import { OwnNames } from "../support/own-names.ts";
import { eventually } from "../support/within.ts";

const EVENTS = 20;
const HEALTHY = 2;
const ALLOWED = "127.0.0.1";
/** Loopback like the other, and outside PASSBUS_ALLOWED_NETWORKS. */
const FORBIDDEN = "127.0.0.2";
const AT_ONCE = { batch: EVENTS, everyMs: 0 };
/** Often enough for every outage here. */
const POLICY = {
  retrySchedule: Array.from({ length: 30 }, () => durationFromMs(300)),
  attemptTimeout: durationFromMs(3_000),
};
/** When the name is right again, the breaker still has its wait to the next probe: 5 s at first, then 10. */
const SETTLED_LIMIT_MS = 30_000;

const GOOD: NameAnswer = [ALLOWED];

/** What happens to the name, what attempts are put down to meanwhile, and the row's name. */
const FAULTS = [
  { name: "DNS fails (SERVFAIL)", answer: () => "failure", code: "dns.failed" },
  { name: "DNS loses the name (NXDOMAIN)", answer: () => undefined, code: "dns.failed" },
  { name: "DNS is silent", answer: () => "silent", code: "attempt.timeout" },
  { name: "DNS flaps", answer: (question) => (question % 4 < 2 ? "failure" : GOOD), code: "dns.failed" },
  { name: "DNS turns to a forbidden address", answer: () => [FORBIDDEN], code: "guard.refused" },
  { name: "DNS turns to the cloud's metadata", answer: () => ["169.254.169.254", "10.0.0.1"], code: "guard.refused" },
] as const satisfies readonly {
  readonly name: string;
  readonly answer: (question: number) => NameAnswer;
  readonly code: string;
}[];

const hostOf = (at: number) => `receiver-${at}.test`;
const pathOf = (at: number) => `/by-name-${at}`;

describe.skipIf(!mount.present)(mount.title("an endpoint's name"), { timeout: 60_000 }, () => {
  const ends = new AsyncDisposableStack();
  const byName: Endpoint[] = [];
  let run: EmbeddedRun;
  let verdict: Verdict;
  let rightAtMs: number;
  let forbiddenRequests = 0;

  const codesAt = async ({ id }: Endpoint) => {
    const deliveries = await deliveriesOf(run.passbus.api, id);
    return deliveries.flatMap(({ attempts }) => attempts.map(({ errorCode }) => errorCode));
  };

  madeOnce(async () => {
    byName.length = 0;
    const names = ends.use(await OwnNames.start());
    names.answer = () => GOOD;
    const settings = { PASSBUS_ALLOWED_NETWORKS: `${ALLOWED}/32` };
    run = ends.use(await EmbeddedRun.start({ healthy: HEALTHY, settings, launcher: names.launcher }));
    const port = Number(new URL(run.sink.url("/")).port);
    const forbidden = createServer(() => {
      forbiddenRequests += 1;
    }).listen(port, FORBIDDEN);
    ends.defer(() => void forbidden.close());
    for (const at of FAULTS.keys()) {
      const path = pathOf(at);
      // Or one connection would serve all of it, and the name be asked for once.
      await run.sink.answer(path, { status: 200, headers: { connection: "close" } });
      const url = `http://${hostOf(at)}:${port}${path}`;
      byName.push({ ...(await subscribeElsewhere(run.passbus.api, url, { policy: POLICY })), path });
    }
    run.healthy = [...run.healthy, ...byName];
    const questions = new Map<string, number>();
    names.answer = (name) => {
      const question = questions.get(name) ?? 0;
      questions.set(name, question + 1);
      const fault = FAULTS.find((_, at) => hostOf(at) === name);
      return fault?.answer(question);
    };
    await run.until(run.publish(EVENTS, AT_ONCE).whenAccepted(EVENTS));
    for (const [at, endpoint] of byName.entries()) {
      const code = FAULTS[at]?.code ?? "";
      await eventually(10_000, `${code} of an attempt at ${hostOf(at)}`, async () =>
        (await codesAt(endpoint)).includes(code) ? true : undefined,
      );
    }
    names.answer = () => GOOD;
    rightAtMs = Date.now();
    verdict = await run.settled(SETTLED_LIMIT_MS);
  }, 90_000);
  afterAll(() => ends.disposeAsync());

  for (const [at, { name, code }] of FAULTS.entries()) {
    test(`${name}: what failed is tried again, and arrives when the name is right`, async ({ task }) => {
      const [endpoint] = byName.slice(at);
      if (endpoint === undefined) throw new Error("it was not subscribed");
      // A question that is silently waited for may run into the attempt's deadline or into its own.
      const mayBe: readonly string[] = [
        code,
        "",
        ...(code === "guard.refused" ? [] : ["dns.failed", "attempt.timeout"]),
      ];
      expect((await codesAt(endpoint)).filter((other) => !mayBe.includes(other))).toEqual([]);
      const own = accountsAt([endpoint.id], verdict.accounts);
      const findings = checkEvents(own);
      expect(violationsOf(findings)).toEqual([]);
      expect(findings).toMatchObject({ accepted: EVENTS, delivered: EVENTS, repeats: [] });
      recordFault(task, faultRow(name, findings, lastTakenMs(own, own.accepted) - rightAtMs));
    });
  }

  test("nothing was asked of the forbidden address, and the two without a name got everything, once", () => {
    expect(forbiddenRequests).toBe(0);
    const beside = run.healthy.slice(0, HEALTHY).map(({ id }) => id);
    const findings = checkEvents(accountsAt(beside, verdict.accounts));
    expect(violationsOf(findings)).toEqual([]);
    expect(findings).toMatchObject({ delivered: EVENTS * HEALTHY, repeats: [] });
  });
});
