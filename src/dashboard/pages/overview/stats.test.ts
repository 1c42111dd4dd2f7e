import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { DeliveryStatsSchema } from "../../../../gen/passbus/v1/delivery_service_pb.js";
import { perStep, rateSeries } from "./stats.ts";

const MINUTE_MS = 60_000;

describe("rates over time", () => {
  it("are the counts of each step by its seconds, and none where the step isn't counted to its end", () => {
    const points = [0, 1, 2].map((at) =>
      create(DeliveryStatsSchema, {
        time: timestampFromMs(at * MINUTE_MS),
        events: 120n,
        delivered: 30n,
        attempts: BigInt(60 * at),
      }),
    );
    const values = (nowMs: number) => rateSeries(points, MINUTE_MS, nowMs).map((each) => each.values);
    expect(values(130_000)).toEqual([
      [2, 2, null],
      [0.5, 0.5, null],
      [0, 1, null],
    ]);
    expect(values(129_999)[0]).toEqual([2, null, null]);
    expect(values(190_000)[0]).toEqual([2, 2, 2]);
  });

  it.each([
    [MINUTE_MS, "per minute"],
    [5 * MINUTE_MS, "per 5 min"],
    [60 * MINUTE_MS, "per hour"],
    [1_440 * MINUTE_MS, "per day"],
  ])("name a step of %d ms: %s", (stepMs, text) => {
    expect(perStep(stepMs)).toBe(text);
  });
});
