import { expect, test } from "vitest";
import { Lags } from "./lags.ts";

test("is what the last fetch of each partition left behind it, of the partitions that are still ours", () => {
  const lags = new Lags();
  expect(lags.now()).toEqual({ records: 0 });
  lags.note("t", 0, "100", 40);
  lags.note("t", 1, "10", 10);
  lags.note("u", 0, "7", 2);
  expect(lags.now()).toEqual({ records: 65 });
  lags.note("t", 0, "100", 100);
  expect(lags.now()).toEqual({ records: 5 });
  lags.forget();
  expect(lags.now()).toEqual({ records: 0 });
});
