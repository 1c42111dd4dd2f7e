/**
 * The distributed deployment, broken in every way that the table of docs/reliability.md has, one row after the other: on
 * one broker and one store of the suite's own, with proxies before them. How each is done stands in rows/. After each an
 * independent judge (test/support/event-checker.ts) compares what the producer, the receiver and passbus's API say.
 *
 * The long form (PASSBUS_TEST_LONG=true) takes the minute that issue 6 asks for where the short one takes seconds.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { FaultBed, SHORT_SESSIONS } from "../support/fault-bed.ts";
import { recordFault } from "../support/fault-table.ts";
import { allOf } from "../support/requirements.ts";
import { freePorts } from "../support/services/ports.ts";
import type { KafkaCluster, MongodbServer } from "../support/services/servers.ts";
import { ownKafka, ownMongodb, startKafkaCluster, startMongodb } from "../support/services/services.ts";
import * as kills from "./rows/kills.ts";
import { cut, poisoned } from "./rows/links.ts";
import { rolled, stoodStill, stormed } from "./rows/workers.ts";

const IS_LONG = process.env.PASSBUS_TEST_LONG === "true";
/** Of the long form alone: each takes as long as it is slow. The last is noticed when the driver's socket has been silent for 15 s. */
const SLOW_WAYS = [
  ["200 ms more each way", { kind: "delay", ms: 200 }],
  ["32 KiB a second", { kind: "drip", bytesPerSecond: 32 * 1024 }],
  ["half-open", { kind: "half-open" }],
] as const;
const CUT_MS = IS_LONG ? 60_000 : 8_000;
const BAD_MS = IS_LONG ? 15_000 : 3_000;
const STILL_MS = IS_LONG ? 60_000 : 5_000;
const STORM_MS = IS_LONG ? 60_000 : 10_000;

let kafka: KafkaCluster;
let mongodb: MongodbServer;
let bed: FaultBed;

const needed = allOf(ownKafka, ownMongodb);

describe.skipIf(!needed.present)(
  needed.title("the distributed deployment, fault by fault"),
  { timeout: 240_000 },
  () => {
    beforeAll(async () => {
      const [proxyPort = 0] = await freePorts(1);
      [kafka, mongodb] = await Promise.all([
        startKafkaCluster({ nodes: 1, overrides: SHORT_SESSIONS, proxyPort }),
        startMongodb(),
      ]);
      bed = await FaultBed.start({ kafka, proxyPort, mongodb, workers: 1 });
    }, 90_000);
    afterAll(async () => {
      await bed?.[Symbol.asyncDispose]();
      await mongodb?.stop();
      await kafka?.stop();
    }, 60_000);

    describe("kill -9", () => {
      test("of a worker within a claim that the store has taken: it goes out when its heartbeats are missed, once", async ({
        task,
      }) => {
        recordFault(task, await kills.killedAfterClaim(bed));
      });

      test("of a worker while first attempts are in flight: each of them comes again, once", async ({ task }) => {
        recordFault(task, await kills.killedInFlight(bed));
      });

      test("of a worker while attempts are in flight for long: each comes again when its heartbeats are missed, once", async ({
        task,
      }) => {
        recordFault(task, await kills.killedInLongFlight(bed));
      });

      test("of a worker between answer and record: what was answered comes again, once", async ({ task }) => {
        recordFault(task, await kills.killedBeforeRecord(bed));
      });

      test("of a worker within a flush: what the store does not have comes again, once", async ({ task }) => {
        recordFault(task, await kills.killedInFlush(bed));
      });

      test("of a worker within a commit: all is recorded, and nothing comes again", async ({ task }) => {
        recordFault(task, await kills.killedInCommit(bed));
      });

      test("of a worker within a claim that the store has not seen: the next one claims it", async ({ task }) => {
        recordFault(task, await kills.killedBeforeClaim(bed));
      });

      test("of the API, amid calls of Publish: what was accepted comes, and nothing twice", async ({ task }) => {
        recordFault(task, await kills.killedApi(bed));
      });
    });

    describe("a bad way to the servers", () => {
      test("the store can't be reached: what is accepted waits, and nothing comes twice", async ({ task }) => {
        const row = await cut(bed, {
          row: `store unreachable for ${CUT_MS / 1_000} s`,
          proxy: bed.store,
          mode: { kind: "partition" },
          forMs: CUT_MS,
        });
        expect(row.repeated).toBe(0);
        recordFault(task, row);
      });

      test("the brokers can't be reached: what is accepted comes when they can", async ({ task }) => {
        const row = await cut(bed, {
          row: `brokers unreachable for ${CUT_MS / 1_000} s`,
          proxy: bed.log,
          mode: { kind: "partition" },
          forMs: CUT_MS,
          isLog: true,
        });
        recordFault(task, row);
      });

      test.for([["reset each second", { kind: "reset" }], ...(IS_LONG ? SLOW_WAYS : [])] as const)(
        "the store's connections: %s",
        async ([name, mode], { task }) => {
          const isRepeated = mode.kind === "reset" ? { isRepeated: true as const } : {};
          const row = await cut(bed, {
            row: `store's connections: ${name}`,
            proxy: bed.store,
            mode,
            forMs: BAD_MS,
            ...isRepeated,
          });
          expect(row.repeated).toBe(0);
          recordFault(task, row);
        },
      );

      test("poison in every tenth record: the good ones come, each poison is kept once with its reason", async ({
        task,
      }) => {
        recordFault(task, await poisoned(bed));
      });
    });

    describe("workers come and go", () => {
      beforeAll(() => bed.haveWorkers(2), 30_000);

      test("one stands still past its session: the other goes on, and what it does late changes nothing", async ({
        task,
      }) => {
        recordFault(task, await stoodStill(bed, STILL_MS));
      });

      test("a rolling restart: Publish says UNAVAILABLE at worst", async ({ task }) => {
        recordFault(task, await rolled(bed));
      });

      test("a storm of them, each second: no partition has two owners for long", async ({ task }) => {
        recordFault(task, await stormed(bed, STORM_MS));
      });
    });
  },
);
