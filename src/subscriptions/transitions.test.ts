import { describe, expect, test } from "vitest";
import { liveSecrets, type SealedSecret } from "../domain/subscription.ts";
import { initialStanding, rotated, standingAsAsked, standingDisabledByUs } from "./transitions.ts";

const closed = { fromMs: 10, toMs: 20 };

describe("the state of a subscription", () => {
  test("begins enabled, or disabled by a person", () => {
    expect(initialStanding("enabled", 5)).toEqual({ state: "enabled", disabledSpans: [] });
    expect(initialStanding("disabled", 5)).toEqual({
      state: "disabled",
      disabledReason: "requested",
      disabledSpans: [{ fromMs: 5 }],
    });
  });

  test("a person who disables it opens a span, and closes it by enabling it", () => {
    const disabled = standingAsAsked({ state: "enabled", disabledSpans: [closed] }, "disabled", 30);
    expect(disabled).toEqual({
      state: "disabled",
      disabledReason: "requested",
      disabledSpans: [closed, { fromMs: 30 }],
    });
    expect(standingAsAsked(disabled, "enabled", 40)).toEqual({
      state: "enabled",
      disabledSpans: [closed, { fromMs: 30, toMs: 40 }],
    });
  });

  test.each(["gone", "failing"] as const)(
    "what passbus disabled as %s opens no span, and enabling it clears the reason",
    (reason) => {
      const disabled = standingDisabledByUs({ state: "enabled", disabledSpans: [closed] }, reason);
      expect(disabled).toEqual({ state: "disabled", disabledReason: reason, disabledSpans: [closed] });
      expect(standingAsAsked(disabled, "enabled", 40)).toEqual({ state: "enabled", disabledSpans: [closed] });
    },
  );

  test("asking for the state that it is in changes nothing, so that what passbus disabled keeps its events", () => {
    const gone = { state: "disabled", disabledReason: "gone", disabledSpans: [] } as const;
    expect(standingAsAsked(gone, "disabled", 40)).toEqual(gone);
    const requested = { state: "disabled", disabledReason: "requested", disabledSpans: [{ fromMs: 1 }] } as const;
    expect(standingDisabledByUs(requested, "gone")).toEqual(requested);
  });

  test("keeps the newest twenty spans", () => {
    const spans = Array.from({ length: 20 }, (_, at) => ({ fromMs: at, toMs: at + 1 }));
    const disabled = standingAsAsked({ state: "enabled", disabledSpans: spans }, "disabled", 99);
    expect(disabled.disabledSpans).toHaveLength(20);
    expect(disabled.disabledSpans[0]).toEqual({ fromMs: 1, toMs: 2 });
    expect(disabled.disabledSpans[19]).toEqual({ fromMs: 99 });
  });
});

describe("rotated", () => {
  const secret = (id: string, expiresAtMs?: number): SealedSecret => ({
    id,
    sealed: `sealed ${id}`,
    createdAtMs: 0,
    ...(expiresAtMs === undefined ? {} : { expiresAtMs }),
  });

  test("the old secret signs until the overlap ends", () => {
    expect(rotated([secret("a")], secret("b"), 1_000, 50)).toEqual([secret("b"), secret("a", 1_050)]);
  });

  test("without an overlap it ends at once", () => {
    expect(rotated([secret("a")], secret("b"), 0, 50)).toEqual([secret("b")]);
  });

  test("during an overlap the oldest ends, so that two are live at most", () => {
    const secrets = rotated([secret("b"), secret("a", 1_050)], secret("c"), 1_000, 100);
    expect(secrets).toEqual([secret("c"), secret("b", 1_100)]);
    expect(liveSecrets({ secrets }, 100)).toHaveLength(2);
  });

  test("one that has expired is dropped", () => {
    expect(rotated([secret("a", 50)], secret("b"), 1_000, 50)).toEqual([secret("b")]);
  });
});
