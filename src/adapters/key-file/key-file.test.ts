import { writeFileSync } from "node:fs";
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { readOrMakeKeyFile } from "./key-file.ts";

let folder: string;
let path: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "passbus-key-file-"));
  path = join(folder, "data", "encryption-keys");
});

afterEach(() => rm(folder, { recursive: true }));

const noKey = () => {
  throw new Error("made a key");
};

it("makes the file for its owner alone, folder and all, and leaves nothing else", async () => {
  expect(await readOrMakeKeyFile(path, () => "k1:AAAA")).toBe("k1:AAAA");
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  expect(await readFile(path, "utf8")).toBe("k1:AAAA\n");
  expect(await readdir(join(folder, "data"))).toEqual(["encryption-keys"]);
});

it("reads the file that is there, and makes no key", async () => {
  await readOrMakeKeyFile(path, () => "k1:AAAA");
  expect(await readOrMakeKeyFile(path, noKey)).toBe("k1:AAAA");
});

it.each([0o640, 0o604, 0o620, 0o777])("refuses a file that others can reach (%o)", async (mode) => {
  await readOrMakeKeyFile(path, () => "k1:AAAA");
  await chmod(path, mode);
  await expect(readOrMakeKeyFile(path, noKey)).rejects.toMatchObject({
    code: "config.invalid",
    message: expect.stringContaining(`chmod 600 ${path}`),
  });
});

it("keeps the key of another process that was quicker", async () => {
  await readOrMakeKeyFile(join(folder, "data", "other"), () => "unused");
  // `make` runs between the look for the file and its making, where the other process comes in.
  const keys = await readOrMakeKeyFile(path, () => {
    writeFileSync(path, "k1:THEIRS\n", { mode: 0o600 });
    return "k1:OURS";
  });
  expect(keys).toBe("k1:THEIRS");
  expect(await readFile(path, "utf8")).toBe("k1:THEIRS\n");
});

it("takes over what a crash left half made", async () => {
  await readOrMakeKeyFile(join(folder, "data", "other"), () => "unused");
  await writeFile(`${path}.${process.pid}.new`, "k1:HAL");
  expect(await readOrMakeKeyFile(path, () => "k1:AAAA")).toBe("k1:AAAA");
});

it("passes on what else goes wrong", async () => {
  await expect(readOrMakeKeyFile(folder, noKey)).rejects.toThrow();
});
