import { expect, test } from "vitest";
import { sampleEvent } from "../../test/support/samples.ts";
import { settled } from "../../test/support/settled.ts";
import { LIMITS } from "../kernel/limits.ts";
import { silentLog } from "../kernel/log.ts";
import { ManualClock } from "../kernel/manual-clock.ts";
import type { FlushBatch } from "./delivery-store.ts";
import { Recorder } from "./recorder.ts";

/** A recorder with a store whose flushes the test ends. */
function setup() {
  const flushes: FlushBatch[] = [];
  const open: (() => void)[] = [];
  const store = {
    flush: async (batch: FlushBatch) => {
      flushes.push(batch);
      await new Promise<void>((resolve) => open.push(resolve));
      return { conflicts: [], applied: [] };
    },
  };
  const recorder = new Recorder({ store, clock: new ManualClock(), log: silentLog, onFlushed: () => {} });
  const stored: string[] = [];
  const value = new Uint8Array(LIMITS.eventBytes);
  const add = (id: string) => {
    const event = { ...sampleEvent(id).stored, value };
    recorder.addEvent(event, () => stored.push(id));
  };
  const endFlush = async () => {
    open.shift()?.();
    await settled();
  };
  return { recorder, flushes, stored, add, endFlush };
}

test("events as large as may be are bounded by their bytes, in memory and in one flush", async () => {
  const { recorder, flushes, stored, add, endFlush } = setup();
  const taken: string[] = [];
  while (recorder.takesMore && taken.length < LIMITS.unflushedRows) {
    taken.push(`evt_${taken.length}`);
    add(taken.at(-1) ?? "");
  }
  expect(taken).toHaveLength(LIMITS.unflushedBytes / LIMITS.eventBytes);
  await endFlush();
  expect(recorder.takesMore).toBe(true);
  await endFlush();
  expect(stored).toEqual(taken);
  const mib = flushes.map(({ events }) => events.reduce((sum, { value }) => sum + value.length, 0) / 2 ** 20);
  expect(mib).toEqual([16, 16]);
});
