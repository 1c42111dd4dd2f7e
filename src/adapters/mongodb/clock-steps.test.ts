/** Several workers that see a clock set back: what waits is brought nearer once. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { put, stored, T0, waiting } from "../../../test/contracts/rows.ts";
import { type MongoDatabase, mongoDatabase } from "../../../test/support/mongo-database.ts";
import { mongodb } from "../../../test/support/services/services.ts";
import type { MongoStore } from "./mongodb.ts";

const HOUR_MS = 3_600_000;
const DUE_MS = T0 + 9 * HOUR_MS;

describe.skipIf(!mongodb.present)(mongodb.title("a clock that was set back under several workers"), () => {
  let database: MongoDatabase;
  let workers: readonly MongoStore[] = [];
  let first: MongoStore;
  beforeAll(async () => {
    database = await mongoDatabase();
  });
  beforeEach(async () => {
    first = await database.connect();
    workers = [first, await database.connect(), await database.connect()];
    await put(first, waiting("d1", DUE_MS));
  });
  afterEach(async () => {
    await Promise.all(workers.map((each) => each.close()));
    await database.empty();
  });
  afterAll(() => database.drop());

  /** By how much the delivery is nearer after each of the steps, one after the other. */
  async function nearer(...steps: readonly (readonly [worker: number, nowMs: number, byMs: number])[]) {
    const after: number[] = [];
    for (const [at, nowMs, byMs] of steps) {
      const worker = workers[at];
      if (worker === undefined) throw new Error("there is no such worker");
      await worker.deliveries.turnBack({ nowMs, byMs });
      after.push(DUE_MS - ((await stored(worker, "d1")).dueAtMs ?? 0));
    }
    return after;
  }

  test("the same step counts once, whoever comes first", async () => {
    await Promise.all(workers.map((worker) => worker.deliveries.turnBack({ nowMs: T0, byMs: HOUR_MS })));
    expect((await stored(first, "d1")).dueAtMs).toBe(DUE_MS - HOUR_MS);
  });

  test("of a larger one that another saw, the rest", async () => {
    const steps = nearer([0, T0, HOUR_MS], [1, T0 + 2_000, HOUR_MS + 9_000], [2, T0 + 3_000, HOUR_MS + 60_000]);
    expect(await steps).toEqual([HOUR_MS, HOUR_MS, HOUR_MS + 60_000]);
  });

  test("the same worker's next one, and another's of a while later, count", async () => {
    const steps = nearer([0, T0, HOUR_MS], [0, T0 + 5_000, HOUR_MS], [1, T0 + 310_000, HOUR_MS]);
    expect(await steps).toEqual([HOUR_MS, 2 * HOUR_MS, 3 * HOUR_MS]);
  });
});
