import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { modeOpenToOthers, privateFile } from "./private-file.ts";

describe("files of passbus's own user", () => {
  let directory = "";
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "passbus-private-"));
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  test("are made for it alone; what is there stays as it is", () => {
    const path = join(directory, "new.db");
    expect(privateFile(path)).toBe(path);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    writeFileSync(path, "content");
    chmodSync(path, 0o640);
    privateFile(path);
    expect([readFileSync(path, "utf8"), statSync(path).mode & 0o777]).toEqual(["content", 0o640]);
    expect(() => privateFile(join(directory, "none", "new.db"))).toThrow("ENOENT");
    expect(existsSync(join(directory, "none"))).toBe(false);
  });

  test.each([
    [0o755, 0o644, "644"],
    [0o755, 0o604, "604"],
    [0o755, 0o600, undefined],
    [0o700, 0o666, undefined],
    [0o710, 0o604, undefined],
    [0o710, 0o640, "640"],
    [0o701, 0o640, undefined],
    [0o701, 0o602, "602"],
  ])("a directory of mode %o and a file of mode %o", (directoryMode, fileMode, told) => {
    const path = join(directory, "one.db");
    writeFileSync(path, "");
    chmodSync(path, fileMode);
    chmodSync(directory, directoryMode);
    expect(modeOpenToOthers(path)).toBe(told);
  });

  test("one that is missing is open to nobody", () => {
    expect(modeOpenToOthers(join(directory, "none"))).toBeUndefined();
  });
});
