import { describe, expect, it } from "vitest";
import { testTerminal } from "../../test/support/terminal.ts";
import { runCli } from "./cli.ts";
import { configCommand } from "./config.ts";

async function config(environment: Record<string, string>, ...args: readonly string[]) {
  const terminal = testTerminal(environment);
  const code = await runCli(["config", ...args], [configCommand()], terminal);
  return { code, ...terminal.said };
}

const lineOf = (out: string, variable: string) =>
  out
    .split("\n")
    .find((line) => line.startsWith(`${variable} `))
    ?.split(/ {2,}/)
    .slice(1);

const SECRET = "a-secret-key-that-nobody-may-see";

describe("passbus config", () => {
  it("shows each setting, where it comes from, and nothing of a secret", async () => {
    const { code, out, err } = await config({ PASSBUS_LISTEN: "127.0.0.1:9000", PASSBUS_BOOTSTRAP_KEY: SECRET });
    expect([code, err]).toEqual([0, ""]);
    expect(lineOf(out, "PASSBUS_LISTEN")).toEqual(["environment", "127.0.0.1:9000"]);
    expect(lineOf(out, "PASSBUS_DATA_DIR")).toEqual(["default", "./data"]);
    expect(lineOf(out, "PASSBUS_TLS_CERT_FILE")).toEqual(["unset", "-"]);
    expect(lineOf(out, "PASSBUS_BOOTSTRAP_KEY")).toEqual(["environment", "(secret, 32 characters)"]);
    expect(out).not.toContain(SECRET);
  });

  it("shows programs one in JSON a line", async () => {
    const { out } = await config({ PASSBUS_LOG_LEVEL: "warn" }, "--json");
    const settings = out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(settings).toContainEqual({
      variable: "PASSBUS_LOG_LEVEL",
      value: "warn",
      from: "environment",
      secret: false,
    });
  });

  it("checks: what is wrong, exits with 2, as a start would", async () => {
    const wrong = { PASSBUS_LISTEN: "nowhere", PASSBUS_KEY: "short", PASSBUS_TLS_CERT_FILE: "a" };
    const { code, out, err } = await config(wrong, "--check");
    expect([code, out]).toEqual([2, ""]);
    expect(err).toMatch(/^passbus: PASSBUS_LISTEN: must be host:port/m);
    expect(err).toContain("PASSBUS_KEY: must be");
    expect(err).not.toContain("short");
    expect((await config(wrong)).out).toContain("nowhere");
    const together = await config({ PASSBUS_TLS_CERT_FILE: "a" }, "--check");
    expect([together.code, together.err]).toEqual([
      2,
      expect.stringContaining("PASSBUS_TLS_KEY_FILE: must be set too"),
    ]);
    expect(await config({}, "--check")).toEqual({ code: 0, out: "", err: "the settings are valid\n" });
  });

  it.each([
    [{ PASSBUS_LISTNE: "a" }, "PASSBUS_LISTNE is no setting; PASSBUS_LISTEN is the nearest"],
    [{ PASSBUS_KAFKA_GROUP: "g" }, "PASSBUS_KAFKA_GROUP has no effect: the deployment is the embedded one"],
    [{ PASSBUS_LISTEN: "0.0.0.0:8080" }, "PASSBUS_LISTEN is open to other machines without TLS"],
    [{ PASSBUS_PAYLOAD_RETENTION: "60d" }, "PASSBUS_PAYLOAD_RETENTION has no effect"],
    [{ PASSBUS_ALLOW_HTTP: "true" }, "PASSBUS_ALLOW_HTTP lets webhooks leave unencrypted"],
    [
      {
        PASSBUS_KAFKA_BROKERS: "a:9092",
        PASSBUS_MONGODB_URI: "mongodb://a/",
        PASSBUS_ENCRYPTION_KEYS: `k1:${Buffer.alloc(32, 1).toString("base64")}`,
        PASSBUS_DATA_DIR: "/x",
      },
      "PASSBUS_DATA_DIR has no effect: the deployment is the distributed one",
    ],
  ])("notes of %j what is hardly meant, and exits with 0", async (environment, says) => {
    const { code, err } = await config(environment, "--check");
    expect(err).toContain(`note: ${says}`);
    expect(code).toBe(0);
  });
});
