/** The rules in full stand in test/contracts/delivery-flush.contract.ts; here is what only this adapter decides. */
import { describe, expect, test } from "vitest";
import {
  attempt,
  delivery,
  finished,
  first,
  leased,
  outcome,
  T0,
  triedOnce,
  waiting,
} from "../../../test/contracts/rows.ts";
import type { DeliveryWrite } from "../../delivery/delivery-store.ts";
import { LIMITS } from "../../kernel/limits.ts";
import type { DeliveryDocument } from "./documents.ts";
import { merge, prepare } from "./merge.ts";

let named = 0;
const prepared = (write: DeliveryWrite) =>
  prepare(write, () => {
    named += 1;
    return `name ${named}`;
  });

function inserted(write: DeliveryWrite): DeliveryDocument {
  const { row } = merge(undefined, prepared(write));
  if (row === undefined) throw new Error("nothing was inserted");
  return row;
}

describe("a write that meets a row", () => {
  test("merges into its own earlier effect: applied, and the very same row", () => {
    const spill = leased("d1", T0);
    const writes = [
      first(finished("d1", "delivered", "a1")),
      first(waiting("d1")),
      outcome(spill, { status: "held" }),
      outcome(spill, { status: "failed", finishedAtMs: T0 }, "a2"),
    ];
    for (const write of writes) {
      const once = prepared(write);
      const before = write.kind === "first" ? undefined : inserted(first(spill));
      const { row } = merge(before, once);
      const again = merge(row, once);
      expect(again.applied).toBe(true);
      expect(again.row).toBe(row);
    }
  });

  test("is another write although it says the same: a second spill gains no lease", () => {
    const row = inserted(first(leased("d1", T0)));
    const second = merge(row, prepared(first(leased("d1", T0))));
    expect(second.applied).toBe(false);
    expect(second.row).toBe(row);
  });

  test("an outcome where there is no row makes none", () => {
    const nobody = delivery("d1", { fence: 1 });
    expect(merge(undefined, prepared(outcome(nobody, { status: "held" }, "a1")))).toEqual({
      row: undefined,
      applied: false,
    });
  });

  test("an attempt that is known changes nothing", () => {
    const row = inserted(first(triedOnce("d1", "a1")));
    const late = prepared(outcome(delivery("d1", { fence: 7 }), { status: "held" }, "a1"));
    expect(merge({ ...row, token: "another" }, late).row?.attemptCount).toBe(1);
  });

  test("a state takes the fields of the one before with it", () => {
    const row = inserted(first(leased("d1", T0)));
    const held = merge(row, prepared(outcome(leased("d1", T0), { status: "held" }))).row;
    expect(held).not.toHaveProperty("workAt");
    const done = merge(row, prepared(outcome(leased("d1", T0), { status: "failed", finishedAtMs: T0 + 9 }))).row;
    expect(done).not.toHaveProperty("workAt");
    expect(done?.finishedAt?.getTime()).toBe(T0 + 9);
  });

  test("of a history that is full the first attempt and the last ones stay", () => {
    const attempts = Array.from({ length: LIMITS.attemptsKept }, (_, index) => attempt(`a${index}`));
    const row = inserted(first(finished("d1", "failed", "x", { attempts })));
    const late = merge(row, prepared(first(finished("d1", "failed", "late")))).row;
    expect([late?.attempts.length, late?.attempts[0]?.id, late?.attempts[1]?.id, late?.attempts.at(-1)?.id]).toEqual([
      LIMITS.attemptsKept,
      "a0",
      "a2",
      "late",
    ]);
  });
});
