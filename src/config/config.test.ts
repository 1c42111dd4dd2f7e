import { describe, expect, test } from "vitest";
import { CodedError } from "../kernel/errors.ts";
import { readConfig, unknownSettings } from "./config.ts";

const KEY_A = Buffer.alloc(32, 1).toString("base64");
const KEY_B = Buffer.alloc(32, 2).toString("base64");

function failure(environment: Record<string, string>): CodedError {
  try {
    readConfig(environment);
  } catch (error) {
    if (error instanceof CodedError) return error;
    throw error;
  }
  throw new Error("the configuration was accepted");
}

describe("readConfig", () => {
  test("an empty environment has the defaults of the design", () => {
    expect(readConfig({})).toEqual({
      listen: { host: "127.0.0.1", port: 8080 },
      dataDir: "./data",
      roles: ["api", "worker"],
      bootstrapKey: undefined,
      bootstrapOrganisation: "default",
      allowedNetworks: [],
      allowHttp: false,
      encryptionKeys: undefined,
      corsOrigins: [],
      logLevel: "info",
      tlsCertFile: undefined,
      tlsKeyFile: undefined,
      kafkaTopic: "pass.events",
      drainTimeoutMs: 10_000,
      clientKey: undefined,
    });
  });

  test("reads every setting", () => {
    const config = readConfig({
      PASSBUS_LISTEN: "[::]:0",
      PASSBUS_DATA_DIR: " /var/lib/passbus ",
      PASSBUS_ROLES: "worker",
      PASSBUS_BOOTSTRAP_KEY: "a-bootstrap-key!",
      PASSBUS_BOOTSTRAP_ORGANISATION: "acme",
      PASSBUS_ALLOWED_NETWORKS: "10.0.0.0/8, fd00::/8,127.0.0.1",
      PASSBUS_ALLOW_HTTP: "true",
      PASSBUS_ENCRYPTION_KEYS: `b:${KEY_B},a:${KEY_A}`,
      PASSBUS_CORS_ORIGINS: "https://a.example,http://localhost:5173",
      PASSBUS_LOG_LEVEL: "debug",
      PASSBUS_TLS_CERT_FILE: "cert.pem",
      PASSBUS_TLS_KEY_FILE: "key.pem",
      PASSBUS_KAFKA_TOPIC: "passes",
      PASSBUS_DRAIN_TIMEOUT: "500ms",
      PASSBUS_KEY: "pb_production_0123456789",
    });
    expect(config).toEqual({
      listen: { host: "::", port: 0 },
      dataDir: "/var/lib/passbus",
      roles: ["worker"],
      bootstrapKey: "a-bootstrap-key!",
      bootstrapOrganisation: "acme",
      allowedNetworks: ["10.0.0.0/8", "fd00::/8", "127.0.0.1"],
      allowHttp: true,
      encryptionKeys: `b:${KEY_B},a:${KEY_A}`,
      corsOrigins: ["https://a.example", "http://localhost:5173"],
      logLevel: "debug",
      tlsCertFile: "cert.pem",
      tlsKeyFile: "key.pem",
      kafkaTopic: "passes",
      drainTimeoutMs: 500,
      clientKey: "pb_production_0123456789",
    });
    expect(Object.isFrozen(config)).toBe(true);
    expect(Object.isFrozen(config.listen)).toBe(true);
    expect(Object.isFrozen(config.roles)).toBe(true);
  });

  test("a variable that is set to nothing counts as not set", () => {
    expect(readConfig({ PASSBUS_LISTEN: "", PASSBUS_MONGODB_URI: " " }).listen.port).toBe(8080);
  });

  test.each([
    ["PASSBUS_LISTEN", "8080"],
    ["PASSBUS_LISTEN", "127.0.0.1:65536"],
    ["PASSBUS_LISTEN", "[nonsense]:80"],
    ["PASSBUS_LISTEN", "::1:80"],
    ["PASSBUS_ROLES", "api,api"],
    ["PASSBUS_ROLES", "api,"],
    ["PASSBUS_ROLES", "web"],
    ["PASSBUS_BOOTSTRAP_ORGANISATION", "a/b"],
    ["PASSBUS_ALLOWED_NETWORKS", "10.0.0.0/33"],
    ["PASSBUS_ALLOWED_NETWORKS", "10.0.0.0/8,example.com"],
    ["PASSBUS_ALLOW_HTTP", "yes"],
    ["PASSBUS_CORS_ORIGINS", "https://a.example/"],
    ["PASSBUS_CORS_ORIGINS", "a.example"],
    ["PASSBUS_LOG_LEVEL", "verbose"],
    ["PASSBUS_KAFKA_TOPIC", "a b"],
    ["PASSBUS_KAFKA_TOPIC", ".."],
    ["PASSBUS_DRAIN_TIMEOUT", "10"],
    ["PASSBUS_DRAIN_TIMEOUT", "25h"],
  ])("%s=%s stops the start with the name, the value and what would be right", (variable, value) => {
    const error = failure({ [variable]: value });
    expect(error.code).toBe("config.invalid");
    expect(error.violations.map((violation) => violation.field)).toEqual([variable]);
    expect(error.message).toMatch(/^PASSBUS_[A-Z_]+: must be .+; it is ".*"$/);
    expect(error.message).toContain(JSON.stringify(value));
  });

  test.each([
    ["PASSBUS_BOOTSTRAP_KEY", "tooshort-secret"],
    ["PASSBUS_BOOTSTRAP_KEY", "a key with blanks in it"],
    ["PASSBUS_KEY", "tooshort-secret"],
    ["PASSBUS_ENCRYPTION_KEYS", `a:${KEY_A.slice(0, 40)}`],
    ["PASSBUS_ENCRYPTION_KEYS", `a:${KEY_A},a:${KEY_B}`],
    ["PASSBUS_ENCRYPTION_KEYS", KEY_A],
  ])("a wrong %s (%s) is never shown", (variable, value) => {
    const { message } = failure({ [variable]: value });
    expect(message).toContain(variable);
    expect(message).toContain(`it is a text of ${value.length} characters`);
    expect(message).not.toContain(value);
    expect(message).not.toContain(KEY_A.slice(0, 8));
  });

  test("names everything that is wrong in one go", () => {
    const error = failure({ PASSBUS_LISTEN: "x", PASSBUS_LOG_LEVEL: "y" });
    expect(error.violations.map((violation) => violation.field)).toEqual(["PASSBUS_LISTEN", "PASSBUS_LOG_LEVEL"]);
  });

  test.each(["PASSBUS_MONGODB_URI", "PASSBUS_KAFKA_BROKERS"])("%s stops the start of this version", (variable) => {
    expect(failure({ [variable]: "somewhere:1" }).message).toContain(`${variable}: this version of passbus has the`);
  });

  test("a certificate without its key, and a key without its certificate, stop the start", () => {
    expect(failure({ PASSBUS_TLS_CERT_FILE: "c" }).violations[0]?.field).toBe("PASSBUS_TLS_KEY_FILE");
    expect(failure({ PASSBUS_TLS_KEY_FILE: "k" }).violations[0]?.field).toBe("PASSBUS_TLS_CERT_FILE");
  });
});

describe("unknownSettings", () => {
  test("names what nothing reads, with the name that was probably meant", () => {
    const environment = { PASSBUS_LITSEN: "a", PASSBUS_LISTEN: "b", PASSBUS_KAFKA_BROKERS: "c", PATH: "d" };
    expect(unknownSettings(environment)).toEqual([{ variable: "PASSBUS_LITSEN", nearest: "PASSBUS_LISTEN" }]);
  });
});
