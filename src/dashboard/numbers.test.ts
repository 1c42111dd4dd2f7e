import { describe, expect, it } from "vitest";
import { bytes, count, duration, exactTime, percent, rate, relativeTime, roughDuration } from "./numbers.ts";

describe("numbers with their units", () => {
  it.each([
    [0, "0 ms"],
    [0.42, "0.4 ms"],
    [12.4, "12 ms"],
    [1_250, "1.25 s"],
    [59_999, "60 s"],
    [300_000, "5 min"],
    [9_000_000, "2 h 30 min"],
    [90_061_000, "1 d 1 h"],
  ])("writes %f ms as %s", (ms, text) => {
    expect(duration(ms)).toBe(text);
  });

  it.each([
    [0, "1 s"],
    [26_340, "26 s"],
    [3_725_400, "1 h 2 min"],
  ])("writes about %f ms as %s", (ms, text) => {
    expect(roughDuration(ms)).toBe(text);
  });

  it.each([
    [0, "0/s"],
    [0.254, "0.25/s"],
    [1_234.5, "1,235/s"],
  ])("writes the rate %f as %s", (perSecond, text) => {
    expect(rate(perSecond)).toBe(text);
  });

  it.each([
    [812, "812 B"],
    [1_536, "1.5 KiB"],
    [5 * 1_024 * 1_024, "5.0 MiB"],
    [3_000 * 1_024 ** 3, "3000.0 GiB"],
  ])("writes %d bytes as %s", (value, text) => {
    expect(bytes(value)).toBe(text);
  });

  it("never calls it 100 % where one failed, nor anything where there was nothing", () => {
    expect(percent(999_999, 1_000_000)).toBe("99.99 %");
    expect(percent(7, 7)).toBe("100 %");
    expect(percent(0, 0)).toBe("–");
  });

  it.each([
    [0, "just now"],
    [-1_500, "just now"],
    [-5_400, "5 s ago"],
    [-180_000, "3 min ago"],
    [7_200_000, "in 2 h"],
    [-4 * 86_400_000, "4 d ago"],
  ])("says of %d ms from now: %s", (ms, text) => {
    expect(relativeTime(1_000_000_000_000 + ms, 1_000_000_000_000)).toBe(text);
  });

  it("has the exact time to the millisecond, with its zone", () => {
    expect(exactTime(1_795_339_291_042)).toMatch(/^\d{1,2} \w{3,4} 2026, \d\d:\d\d:\d\d\.042 \S+/);
    expect(count(12_345n)).toBe("12,345");
  });
});
