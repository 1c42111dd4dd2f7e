/**
 * Receivers that break every rule, all of them at once, beside two that keep them: one passbus in a process of its own.
 * The two get everything, each bad one's deliveries end as they should with the code that says why, and memory stays
 * where it was.
 */
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { afterAll, describe, expect, test } from "vitest";
import { type Delivery, DeliveryStatus } from "../../gen/passbus/v1/delivery_pb.js";
import { deliveriesOf } from "../support/api-log.ts";
import {
  AUTHORITY_FILE,
  BAD_RECEIVERS,
  type BadReceiver,
  MOST_POURED_BYTES,
  type RunningBadReceiver,
  startBadReceiver,
  tlsReceiver,
} from "../support/bad-receivers.ts";
import { EmbeddedRun, type Verdict } from "../support/embedded-run.ts";
import { type Endpoint, subscribeElsewhere } from "../support/endpoints.ts";
import { accountsOf, checkEvents } from "../support/event-checker.ts";
import { faultRow, recordFault } from "../support/fault-table.ts";
import { madeOnce } from "../support/made-once.ts";
import { memoryOf } from "../support/memory.ts";
import { type NewEvent, numberedEvent } from "../support/paced-publisher.ts";
import type { TestServer } from "../support/receiver.ts";
import { eventually } from "../support/within.ts";

const EVENTS_EACH = 5;
const HEALTHY = 2;
const MIB = 1024 * 1024;
/** Two attempts, and then it is over. */
const POLICY = { retrySchedule: [durationFromMs(100)], attemptTimeout: durationFromMs(10_000) };
/** Of those that are to come to nothing but their time's end. The others are not to come to it on a busy machine. */
const SHORT = { ...POLICY, attemptTimeout: durationFromMs(2_000) };
const ATTEMPTS = 2;
/** All of it, on two cores that the receivers share with passbus. */
const OVER_LIMIT_MS = 30_000;
/** Twenty receivers that pour at once are to cost less than one of them has to say in a blink. */
const MOST_GROWTH_BYTES = 128 * MIB;
const TLS_GOOD = "tls-good";

interface Case {
  readonly receiver: BadReceiver;
  readonly running: RunningBadReceiver;
  readonly endpoint: Endpoint;
  readonly events: readonly NewEvent[];
}

describe("receivers that break the rules, beside two that keep them", () => {
  const ends = new AsyncDisposableStack();
  const cases = new Map<string, Case>();
  let run: EmbeddedRun;
  let verdict: Verdict;
  let good: { readonly server: TestServer; readonly endpoint: Endpoint };
  let memory: { readonly beforeBytes: number; readonly peakBytes: number };

  const eventsOf = (entity: string) => Array.from({ length: EVENTS_EACH }, (_, at) => numberedEvent(at, entity));
  const areOver = async () => {
    for (const { endpoint } of cases.values()) {
      const deliveries = await deliveriesOf(run.passbus.api, endpoint.id);
      if (deliveries.filter(isOver).length < EVENTS_EACH) return undefined;
    }
    return true;
  };

  madeOnce(async () => {
    run = ends.use(await EmbeddedRun.start({ healthy: HEALTHY, settings: { NODE_EXTRA_CA_CERTS: AUTHORITY_FILE } }));
    for (const [at, receiver] of BAD_RECEIVERS.entries()) {
      const running = ends.use(await startBadReceiver(receiver));
      const entityId = `bad-${at}`;
      const endpoint = await subscribeElsewhere(run.passbus.api, running.url, {
        entityId,
        policy: receiver.code === "attempt.timeout" ? SHORT : POLICY,
      });
      cases.set(receiver.name, { receiver, running, endpoint, events: eventsOf(entityId) });
    }
    const server = ends.use(await tlsReceiver("good"));
    const url = `https://127.0.0.1:${server.port}/`;
    good = { server, endpoint: await subscribeElsewhere(run.passbus.api, url, { entityId: TLS_GOOD }) };
    const beforeBytes = memoryOf(run.passbus.pid).residentBytes;
    const events = [...[...cases.values()].flatMap((one) => one.events), ...eventsOf(TLS_GOOD)];
    run.publish(events, { batch: 50, everyMs: 0 });
    verdict = await run.settled(OVER_LIMIT_MS);
    // What is not over by then the tests name.
    await eventually(OVER_LIMIT_MS, "the end of every bad delivery", areOver).catch(() => {});
    memory = { beforeBytes, peakBytes: memoryOf(run.passbus.pid).peakBytes };
  }, 120_000);
  afterAll(() => ends.disposeAsync());

  for (const { name } of BAD_RECEIVERS) {
    test(`one that ${name}: its deliveries end with the code that says why`, async ({ task }) => {
      const found = cases.get(name);
      if (found === undefined) throw new Error("it did not start");
      const { receiver, running, endpoint, events } = found;
      const deliveries = await deliveriesOf(run.passbus.api, endpoint.id);
      const isGood = receiver.code === undefined;
      const attempt = { statusCode: receiver.status ?? 0, errorCode: receiver.code ?? "" };
      const wanted = {
        status: isGood ? DeliveryStatus.DELIVERED : DeliveryStatus.FAILED,
        attempts: Array(isGood ? 1 : ATTEMPTS).fill(attempt),
      };
      const told = deliveries.map(({ status, attempts }) => ({
        status,
        attempts: attempts.map(({ statusCode, errorCode }) => ({ statusCode, errorCode })),
      }));
      // As text, which the end of the run shows where it is another.
      expect(told.map((each) => JSON.stringify(each))).toEqual(Array(EVENTS_EACH).fill(JSON.stringify(wanted)));
      for (const { errorMessage } of deliveries.flatMap(({ attempts }) => attempts)) {
        expect(errorMessage).toMatch(receiver.says ?? /(?:)/u);
      }
      expect(running.connections()).toBe(EVENTS_EACH * wanted.attempts.length);
      expect(running.mostPouredBytes()).toBeLessThan(MOST_POURED_BYTES);
      recordFault(
        task,
        faultRow(
          `a receiver that ${name}`,
          checkEvents(accountsOf(new Set(events.map(({ id }) => id)), verdict.accounts)),
        ),
      );
    });
  }

  test("the two that keep them get everything, once", () => {
    const events = EVENTS_EACH * (BAD_RECEIVERS.length + 1);
    expect(verdict.violations.join("; ")).toBe("");
    expect(verdict.findings).toMatchObject({ accepted: events, delivered: events * HEALTHY, repeats: [] });
  });

  test("memory stays bounded", () => {
    const { beforeBytes, peakBytes } = memory;
    console.log(
      `resident before: ${Math.round(beforeBytes / MIB)} MiB, at its peak: ${Math.round(peakBytes / MIB)} MiB`,
    );
    expect(peakBytes - beforeBytes).toBeLessThan(MOST_GROWTH_BYTES);
  });

  test("of the certificates it is the mistake that counts: the same authority's good one is taken", async () => {
    const deliveries = await deliveriesOf(run.passbus.api, good.endpoint.id);
    expect(deliveries.map(({ status }) => status)).toEqual(Array(EVENTS_EACH).fill(DeliveryStatus.DELIVERED));
    expect(good.server.connections()).toBeGreaterThan(0);
  });
});

function isOver({ status }: Delivery): boolean {
  return status === DeliveryStatus.DELIVERED || status === DeliveryStatus.FAILED;
}
