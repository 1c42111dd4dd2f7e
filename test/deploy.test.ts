/** What can be known of deploy/ without a container engine: its settings are passbus's own, and a start would take them. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { readConfig, unknownSettings } from "../src/config/config.ts";

const ROOT = join(import.meta.dirname, "..");
const read = (path: string): string => readFileSync(join(ROOT, path), "utf8");

interface Service {
  readonly image?: string;
  readonly build?: { readonly context: string; readonly dockerfile: string };
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
}

const compose = parse(read("deploy/compose.yaml"), { merge: true }) as {
  readonly services: Readonly<Record<string, Service>>;
};

/** As compose fills them in: from the person's environment, or with what stands behind `:-`. */
function filledIn(environment: Service["environment"] = {}): Readonly<Record<string, string>> {
  const given: Readonly<Record<string, string>> = {
    PASSBUS_ENCRYPTION_KEYS: `k1:${Buffer.alloc(32, 7).toString("base64")}`,
    PASSBUS_BOOTSTRAP_KEY: "0123456789abcdef0123456789abcdef",
    PASSBUS_SIGNING_SEEDS: `s1:${Buffer.alloc(32, 9).toString("base64")}`,
  };
  const fill = (value: unknown) =>
    String(value).replace(
      /\$\{(\w+)(?::-([^}]*)|:\?[^}]*)?\}/g,
      (_all, name, otherwise) => given[name] ?? otherwise ?? "",
    );
  return Object.fromEntries(Object.entries(environment).map(([name, value]) => [name, fill(value)]));
}

describe("deploy/compose.yaml", () => {
  test.each(["init", "api", "worker"])("%s has settings that a start takes", (name) => {
    const environment = filledIn(compose.services[name]?.environment);
    expect(unknownSettings(environment)).toEqual([]);
    const config = readConfig(environment);
    expect(config.kafkaBrokers).toEqual(["kafka:9092"]);
    expect(config.signingSeeds).toContain("s1:");
    expect(config.roles).toEqual(name === "init" ? ["api", "worker"] : [name]);
  });

  test("the servers are of fixed versions, and the images of passbus are built from files that are there", () => {
    const { kafka, mongodb, ...ours } = compose.services;
    for (const server of [kafka, mongodb]) expect(server?.image).toMatch(/^[a-z]+(\/[a-z]+)?:\d+\.\d+/);
    for (const { build } of Object.values(ours)) {
      expect(build).toEqual({ context: "..", dockerfile: "deploy/Dockerfile" });
    }
  });
});

test("deploy/Dockerfile copies what is there and is not ignored", () => {
  const copied = [...read("deploy/Dockerfile").matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, names = ""]) =>
    names.split(" "),
  );
  expect(copied).toContain("src");
  const sent = read(".dockerignore").split("\n");
  for (const name of copied) {
    expect(existsSync(join(ROOT, name))).toBe(true);
    expect(sent).toContain(`!${name}`);
  }
  expect(sent[0]).toBe("*");
});
