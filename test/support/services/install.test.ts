import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { cached, install, javaVersion } from "./install.ts";

describe("the version of Java", () => {
  it.each([
    ['openjdk version "17.0.15" 2025-04-15\nOpenJDK Runtime', 17],
    ['openjdk version "21" 2023-09-19', 21],
    ['java version "1.8.0_392"', 8],
    ["command not found", undefined],
  ])("%s", (said, version) => {
    expect(javaVersion(said)).toBe(version);
  });
});

describe("what is fetched", () => {
  let cache: string;
  beforeEach(() => {
    cache = mkdtempSync(join(tmpdir(), "passbus-cache-test-"));
    vi.stubEnv("XDG_CACHE_HOME", cache);
  });
  afterEach(() => {
    vi.unstubAllEnvs();
    rmSync(cache, { recursive: true });
  });
  const kept = () => readdirSync(join(cache, "passbus-test"));

  it("is fetched once for a recipe, and anew for another", async () => {
    const target = cached("thing", "version 1");
    let fetched = 0;
    const fill = async () => {
      fetched += 1;
    };
    expect(await install(target, fill)).toBe(target);
    await install(cached("thing", "version 1"), fill);
    expect(fetched).toBe(1);
    await install(cached("thing", "version 2"), fill);
    expect(fetched).toBe(2);
  });

  it("is not there at all where fetching it failed", async () => {
    const fill = async (folder: string) => {
      writeFileSync(join(folder, "half"), "");
      throw new Error("the line broke");
    };
    await expect(install(cached("thing", "1"), fill)).rejects.toThrow("the line broke");
    expect(kept()).toEqual([]);
  });

  it("is whole where two runs fetch it at the same time", async () => {
    const target = cached("thing", "1");
    const both = Promise.withResolvers<void>();
    let filling = 0;
    const fill = async (folder: string) => {
      filling += 1;
      if (filling === 2) both.resolve();
      await both.promise;
      writeFileSync(join(folder, "whole"), "yes");
    };
    await Promise.all([install(target, fill), install(target, fill)]);
    expect(filling).toBe(2);
    expect(readFileSync(join(target, "whole"), "utf8")).toBe("yes");
    expect(kept()).toHaveLength(1);
  });
});
