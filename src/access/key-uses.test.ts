import { expect, test } from "vitest";
import { settled } from "../../test/support/settled.ts";
import { silentLog } from "../kernel/log.ts";
import { ManualClock } from "../kernel/manual-clock.ts";
import type { KeyUse } from "./access-store.ts";
import { KeyUses } from "./key-uses.ts";

function setUp() {
  const clock = new ManualClock();
  const written: (readonly KeyUse[])[] = [];
  const lost: string[] = [];
  const stage = { failure: undefined as Error | undefined };
  const uses = new KeyUses({
    store: {
      async noteKeyUses(batch) {
        if (stage.failure !== undefined) throw stage.failure;
        written.push(batch);
      },
    },
    clock,
    log: { ...silentLog, warn: (event) => void lost.push(event) },
  });
  return { clock, written, lost, stage, uses };
}

test("uses of a moment share a write, and a key has one a minute", async () => {
  const { clock, written, uses } = setUp();
  const atMs = clock.now();
  for (let times = 0; times < 100; times++) for (const id of ["key_1", "key_2"]) uses.note(id);
  clock.advance(1_000);
  await settled();
  expect(written).toEqual([
    [
      { id: "key_1", atMs },
      { id: "key_2", atMs },
    ],
  ]);
  clock.advance(58_999);
  uses.note("key_1");
  expect(clock.pending).toBe(0);
  clock.advance(1);
  uses.note("key_1");
  clock.advance(1_000);
  await settled();
  expect(written[1]).toEqual([{ id: "key_1", atMs: atMs + 60_000 }]);
});

test("what waits is written at the end, and a write that fails is told and left", async () => {
  const { written, lost, stage, uses } = setUp();
  uses.note("key_1");
  await uses.stop();
  expect(written).toHaveLength(1);
  stage.failure = new Error("away");
  uses.note("key_2");
  await uses.stop();
  expect(lost).toEqual(["access.key_uses_lost"]);
});
