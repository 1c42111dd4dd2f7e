/**
 * An endpoint's name that fails, flaps, or turns to an address that webhooks may not go to, beside two endpoints that
 * have none. passbus asks a name server of the test's own, since it runs where /etc/resolv.conf is another.
 */
import { createServer } from "node:http";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { deliveriesOf } from "../support/api-log.ts";
import { EmbeddedRun } from "../support/embedded-run.ts";
import { type Endpoint, subscribeElsewhere } from "../support/endpoints.ts";
import { accountsOf, checkEvents, lastTakenMs, violationsOf } from "../support/event-checker.ts";
import { faultRow, recordFault } from "../support/fault-table.ts";
import { mount } from "../support/mounts.ts";
import type { NameAnswer } from "../support/name-server.ts";
import { OwnNames } from "../support/own-names.ts";
import { numberedEvents } from "../support/paced-publisher.ts";
import { eventually } from "../support/within.ts";

const EVENTS = 20;
const ALLOWED = "127.0.0.1";
/** Loopback like the other, and outside PASSBUS_ALLOWED_NETWORKS. */
const FORBIDDEN = "127.0.0.2";
const HOST = "receiver.test";
const PATH = "/by-name";
const AT_ONCE = { batch: EVENTS, everyMs: 0 };
/** Often enough for every outage here. */
const POLICY = {
  retrySchedule: Array.from({ length: 30 }, () => durationFromMs(300)),
  attemptTimeout: durationFromMs(1_000),
};

const GOOD: NameAnswer = [ALLOWED];

/** What happens to the name, what attempts are put down to meanwhile, and the row's name. */
const FAULTS = [
  { name: "DNS fails (SERVFAIL)", answer: () => "failure", code: "dns.failed" },
  { name: "DNS loses the name (NXDOMAIN)", answer: () => undefined, code: "dns.failed" },
  { name: "DNS is silent", answer: () => "silent", code: "attempt.timeout" },
  { name: "DNS flaps", answer: (question) => (question % 6 < 2 ? GOOD : "failure"), code: "dns.failed" },
  { name: "DNS turns to a forbidden address", answer: () => [FORBIDDEN], code: "guard.refused" },
  { name: "DNS turns to the cloud's metadata", answer: () => ["169.254.169.254", "10.0.0.1"], code: "guard.refused" },
] as const satisfies readonly {
  readonly name: string;
  readonly answer: (question: number) => NameAnswer;
  readonly code: string;
}[];

describe.skipIf(!mount.present)(mount.title("an endpoint's name"), { timeout: 30_000 }, () => {
  const ends = new AsyncDisposableStack();
  let names: OwnNames;
  let run: EmbeddedRun;
  let byName: Endpoint;
  let forbiddenRequests = 0;

  beforeAll(async () => {
    names = ends.use(await OwnNames.start());
    names.answer = () => GOOD;
    const settings = { PASSBUS_ALLOWED_NETWORKS: `${ALLOWED}/32` };
    run = ends.use(await EmbeddedRun.start({ healthy: 2, settings, launcher: names.launcher }));
    const url = new URL(run.sink.url(PATH));
    const forbidden = createServer(() => {
      forbiddenRequests += 1;
    }).listen(Number(url.port), FORBIDDEN);
    ends.defer(() => void forbidden.close());
    // Or one connection would serve all of it, and the name be asked for once.
    await run.sink.answer(PATH, { status: 200, headers: { connection: "close" } });
    url.hostname = HOST;
    byName = { ...(await subscribeElsewhere(run.passbus.api, url.href, { policy: POLICY })), path: PATH };
    run.healthy = [...run.healthy, byName];
  }, 30_000);
  afterAll(() => ends.disposeAsync());

  for (const [at, { name, answer, code }] of FAULTS.entries()) {
    test(`${name}: what failed is tried again, and arrives when the name is right`, async ({ task }) => {
      const asked = names.questions;
      names.answer = answer;
      const events = numberedEvents(EVENTS, `names-${at}`);
      const ids = new Set(events.map(({ id }) => id));
      await run.until(run.publish(events, AT_ONCE).whenAccepted(EVENTS));
      const codes = await eventually(10_000, `${code} of an attempt`, async () => {
        const ours = (await deliveriesOf(run.passbus.api, byName.id)).filter(({ eventId }) => ids.has(eventId));
        const found = ours.flatMap(({ attempts }) => attempts.map(({ errorCode }) => errorCode));
        return found.includes(code) ? found : undefined;
      });
      expect(new Set(codes).difference(new Set([code, ""]))).toEqual(new Set());
      expect(names.questions).toBeGreaterThan(asked);
      names.answer = () => GOOD;
      const rightAtMs = Date.now();
      const { accounts } = await run.settled();
      const own = accountsOf(ids, accounts);
      const findings = checkEvents(own);
      expect(violationsOf(findings)).toEqual([]);
      expect(findings).toMatchObject({ accepted: EVENTS, delivered: EVENTS * run.healthy.length, repeats: [] });
      expect(forbiddenRequests).toBe(0);
      recordFault(task, faultRow(name, findings, lastTakenMs(own, ids) - rightAtMs));
    });
  }
});
