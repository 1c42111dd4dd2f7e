import { describe, expect, test } from "vitest";
import {
  auditVerdict,
  billOfMaterials,
  type Lock,
  type Manifest,
  readLock,
  runtimePackages,
  supply,
  supplyFlaws,
} from "../../scripts/supply.ts";

interface Bill {
  readonly bomFormat: string;
  readonly components: readonly { readonly name: string; readonly group?: string; readonly version: string }[];
}

/** Those for other platforms are locked, and not installed here. */
const isForAnyPlatform = (name: string) => !/-(android|darwin|freebsd|linux|openharmony|win32|wasm32)(-|$)/.test(name);

test("the bill of materials lists every package that runs", { timeout: 60_000 }, async () => {
  const bill = JSON.parse(await billOfMaterials()) as Bill;
  expect(bill.bomFormat).toBe("CycloneDX");
  const listed = new Set(
    bill.components.map(({ group, name, version }) => `${group === undefined ? "" : `${group}/`}${name} ${version}`),
  );
  const running = runtimePackages(await readLock()).filter(({ name }) => isForAnyPlatform(name));
  expect(bill.components.map(({ name }) => name)).not.toContain("vitest");
  expect(running.length).toBeGreaterThan(20);
  expect(running.map(({ name, version }) => `${name} ${version}`).filter((each) => !listed.has(each))).toEqual([]);
});

test("what is locked is as it must be", async () => {
  expect(await supply()).toBe("");
});

describe("it is told", () => {
  const manifest: Manifest = { dependencies: { a: "1.0.0" }, devDependencies: {}, allowScripts: { dev: true } };
  const locked = { version: "1.0.0", license: "MIT", integrity: "sha512-x" };
  const lock = (more: object, name = "node_modules/a"): Lock => ({
    packages: { "": {}, [name]: { ...locked, ...more } },
  });

  test.each([
    ["a version that is not exact", { ...manifest, dependencies: { a: "^1.0.0" } }, lock({}), "no exact version"],
    ["an install script of what runs", manifest, lock({ hasInstallScript: true }), "runs, and has an install script"],
    ["one that nobody reviewed", manifest, lock({ hasInstallScript: true, dev: true }), "nobody reviewed"],
    ["a licence that is not on the list", manifest, lock({ license: "AGPL-3.0" }), "licence AGPL-3.0"],
    ["no licence", manifest, lock({ license: undefined }), "licence undefined"],
    ["no integrity", manifest, lock({ integrity: undefined }), "no integrity"],
  ])("%s", (_, given, of, flaw) => {
    expect(supplyFlaws(given, of).join()).toContain(flaw);
  });

  test("nothing where nothing is wrong", () => {
    expect(supplyFlaws(manifest, lock({}))).toEqual([]);
    expect(supplyFlaws(manifest, lock({ hasInstallScript: true, dev: true }, "node_modules/dev"))).toEqual([]);
  });
});

describe("an audit", () => {
  test("names what is known, or is skipped with the reason", () => {
    const metadata = { vulnerabilities: { total: 1 } };
    const found = { metadata, vulnerabilities: { a: { severity: "high", range: "<2" } } };
    expect(auditVerdict(JSON.stringify(found), "")).toBe("a <2: high");
    expect(auditVerdict(JSON.stringify({ metadata, vulnerabilities: {} }), "")).toBe("");
    expect(auditVerdict('{"message":"405"}', "")).toEqual({ skipped: "the registry answers no audits: 405" });
    expect(auditVerdict("", "no network")).toEqual({ skipped: "npm audit gave no answer: no network" });
  });
});
