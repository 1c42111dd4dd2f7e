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

/** Each other than its default. */
const EVERY_SETTING = {
  PASSBUS_LISTEN: "[::]:0",
  PASSBUS_DATA_DIR: " /var/lib/passbus ",
  PASSBUS_ROLES: "worker",
  PASSBUS_BOOTSTRAP_KEY: "a-bootstrap-key!",
  PASSBUS_BOOTSTRAP_ORGANISATION: "acme",
  PASSBUS_ALLOWED_NETWORKS: "10.0.0.0/8, fd00::/8,127.0.0.1",
  PASSBUS_ALLOWED_PORTS: "443,8443",
  PASSBUS_OUTBOUND_PROXY: "http://user:password@proxy.example:3128",
  PASSBUS_EGRESS_ADDRESS: "192.0.2.7",
  PASSBUS_AUDIT_RETENTION: "90d",
  PASSBUS_ALLOW_HTTP: "true",
  PASSBUS_ENCRYPTION_KEYS: `b:${KEY_B},a:${KEY_A}`,
  PASSBUS_ENCRYPT_PAYLOADS: "true",
  PASSBUS_SIGNING_SEEDS: `s2:${KEY_A},s1:${KEY_B}`,
  PASSBUS_CORS_ORIGINS: "https://a.example,http://localhost:5173",
  PASSBUS_FRAME_ANCESTORS: "https://wallets.example",
  PASSBUS_LOG_LEVEL: "debug",
  PASSBUS_TLS_CERT_FILE: "cert.pem",
  PASSBUS_TLS_KEY_FILE: "key.pem",
  PASSBUS_TLS_CLIENT_CA: "clients.pem",
  PASSBUS_TLS_CLIENT_CRL: "revoked.pem",
  PASSBUS_JWT_ISSUER: "https://issuer.example/",
  PASSBUS_JWT_AUDIENCE: "https://passbus.example",
  PASSBUS_JWT_JWKS_URL: "http://127.0.0.1:9/keys",
  PASSBUS_JWT_ALGORITHMS: "PS256,ES384",
  PASSBUS_JWT_ORGANISATION_CLAIM: "org.id",
  PASSBUS_JWT_ENVIRONMENT_CLAIM: "env",
  PASSBUS_JWT_ROLE_CLAIM: "groups",
  PASSBUS_JWT_ROLES: "bus admins=admin,a=b=viewer",
  PASSBUS_JWT_MAX_LIFETIME: "1h",
  PASSBUS_CALLS_PER_SECOND: "100",
  PASSBUS_EVENTS_PER_SECOND: "0",
  PASSBUS_KAFKA_TOPIC: "passes",
  PASSBUS_KAFKA_BROKERS: "kafka-1:9092, [::1]:9093",
  PASSBUS_MONGODB_URI: "mongodb://mongo-1,mongo-2/bus",
  PASSBUS_KAFKA_GROUP: "passbus-eu",
  PASSBUS_KAFKA_TENANTS: "passes=*,acme=acme/test",
  PASSBUS_KAFKA_DEAD_TOPIC: "passes.dead",
  PASSBUS_KAFKA_CLIENT_ID: "worker-1",
  PASSBUS_KAFKA_SESSION_TIMEOUT: "20s",
  PASSBUS_DISABLE_AFTER: "12h",
  PASSBUS_KAFKA_TLS: "true",
  PASSBUS_KAFKA_TLS_CA_FILE: "ca.pem",
  PASSBUS_KAFKA_TLS_CERT_FILE: "kafka.pem",
  PASSBUS_KAFKA_TLS_KEY_FILE: "kafka-key.pem",
  PASSBUS_KAFKA_SASL_MECHANISM: "scram-sha-512",
  PASSBUS_KAFKA_SASL_USERNAME: "passbus",
  PASSBUS_KAFKA_SASL_PASSWORD: "hidden",
  PASSBUS_KAFKA_PARTITIONS: "24",
  PASSBUS_KAFKA_REPLICATION: "2",
  PASSBUS_EVENT_RETENTION: "90d",
  PASSBUS_DELIVERY_RETENTION: "36h",
  PASSBUS_PAYLOAD_RETENTION: "1h",
  PASSBUS_DEAD_LETTER_RETENTION: "14d",
  PASSBUS_HOLD_RETENTION: "7d",
  PASSBUS_MAX_BACKLOG: "5000",
  PASSBUS_PUBLIC_URL: "https://hooks.example.com/passbus/",
  PASSBUS_METRICS_LISTEN: "off",
  PASSBUS_BIN_LIFETIME: "1h",
  PASSBUS_DRAIN_TIMEOUT: "500ms",
  PASSBUS_URL: "https://passbus.example.com/",
  PASSBUS_KEY: "pb_production_0123456789",
};

describe("readConfig", () => {
  test("an empty environment has the defaults of the design", () => {
    expect(readConfig({})).toEqual({
      listen: { host: "127.0.0.1", port: 8080 },
      publicUrl: undefined,
      metricsListen: { host: "127.0.0.1", port: 9464 },
      binLifetimeMs: 86_400_000,
      dataDir: "./data",
      roles: ["api", "worker"],
      bootstrapKey: undefined,
      bootstrapOrganisation: "default",
      allowedNetworks: [],
      allowedPorts: [],
      outboundProxy: undefined,
      egressAddress: undefined,
      auditRetentionMs: 365 * 86_400_000,
      allowHttp: false,
      encryptionKeys: undefined,
      encryptPayloads: false,
      signingSeeds: undefined,
      corsOrigins: [],
      frameAncestors: [],
      logLevel: "info",
      tlsCertFile: undefined,
      tlsKeyFile: undefined,
      tlsClientCa: undefined,
      tlsClientCrl: undefined,
      jwtIssuer: undefined,
      jwtAudience: undefined,
      jwtJwksUrl: undefined,
      jwtAlgorithms: ["RS256", "ES256", "EdDSA"],
      jwtOrganisationClaim: "organisation",
      jwtEnvironmentClaim: undefined,
      jwtRoleClaim: "role",
      jwtRoles: [],
      jwtMaxLifetimeMs: 86_400_000,
      callsPerSecond: 5_000,
      eventsPerSecond: 100_000,
      kafkaTopic: "pass.events",
      kafkaBrokers: undefined,
      mongodbUri: undefined,
      kafkaGroup: "passbus",
      kafkaTenants: [{}],
      kafkaDeadTopic: "pass.events.dead",
      kafkaClientId: "passbus",
      kafkaSessionMs: 10_000,
      kafkaTls: false,
      kafkaTlsCaFile: undefined,
      kafkaTlsCertFile: undefined,
      kafkaTlsKeyFile: undefined,
      kafkaSaslMechanism: undefined,
      kafkaSaslUsername: undefined,
      kafkaSaslPassword: undefined,
      kafkaPartitions: 12,
      kafkaReplication: undefined,
      disableAfterMs: 5 * 86_400_000,
      eventRetentionMs: 30 * 86_400_000,
      deliveryRetentionMs: 30 * 86_400_000,
      payloadRetentionMs: undefined,
      deadLetterRetentionMs: 30 * 86_400_000,
      holdRetentionMs: 30 * 86_400_000,
      maxBacklog: 1_000_000,
      drainTimeoutMs: 10_000,
      clientUrl: undefined,
      clientKey: undefined,
    });
  });

  test("reads every setting", () => {
    expect(readConfig(EVERY_SETTING)).toEqual({
      listen: { host: "::", port: 0 },
      publicUrl: "https://hooks.example.com/passbus",
      metricsListen: "off",
      binLifetimeMs: 3_600_000,
      dataDir: "/var/lib/passbus",
      roles: ["worker"],
      bootstrapKey: "a-bootstrap-key!",
      bootstrapOrganisation: "acme",
      allowedNetworks: ["10.0.0.0/8", "fd00::/8", "127.0.0.1"],
      allowedPorts: [443, 8443],
      outboundProxy: "http://user:password@proxy.example:3128",
      egressAddress: "192.0.2.7",
      auditRetentionMs: 90 * 86_400_000,
      allowHttp: true,
      encryptionKeys: `b:${KEY_B},a:${KEY_A}`,
      encryptPayloads: true,
      signingSeeds: `s2:${KEY_A},s1:${KEY_B}`,
      corsOrigins: ["https://a.example", "http://localhost:5173"],
      frameAncestors: ["https://wallets.example"],
      logLevel: "debug",
      tlsCertFile: "cert.pem",
      tlsKeyFile: "key.pem",
      tlsClientCa: "clients.pem",
      tlsClientCrl: "revoked.pem",
      jwtIssuer: "https://issuer.example/",
      jwtAudience: "https://passbus.example",
      jwtJwksUrl: "http://127.0.0.1:9/keys",
      jwtAlgorithms: ["PS256", "ES384"],
      jwtOrganisationClaim: "org.id",
      jwtEnvironmentClaim: "env",
      jwtRoleClaim: "groups",
      jwtRoles: [
        { value: "bus admins", role: "admin" },
        { value: "a=b", role: "viewer" },
      ],
      jwtMaxLifetimeMs: 3_600_000,
      callsPerSecond: 100,
      eventsPerSecond: 0,
      kafkaTopic: "passes",
      kafkaBrokers: ["kafka-1:9092", "[::1]:9093"],
      mongodbUri: "mongodb://mongo-1,mongo-2/bus",
      kafkaGroup: "passbus-eu",
      kafkaTenants: [{ topic: "passes" }, { topic: "acme", organisation: "acme", environment: "test" }],
      kafkaDeadTopic: "passes.dead",
      kafkaClientId: "worker-1",
      kafkaSessionMs: 20_000,
      kafkaTls: true,
      kafkaTlsCaFile: "ca.pem",
      kafkaTlsCertFile: "kafka.pem",
      kafkaTlsKeyFile: "kafka-key.pem",
      kafkaSaslMechanism: "scram-sha-512",
      kafkaSaslUsername: "passbus",
      kafkaSaslPassword: "hidden",
      kafkaPartitions: 24,
      kafkaReplication: 2,
      disableAfterMs: 12 * 3_600_000,
      eventRetentionMs: 90 * 86_400_000,
      deliveryRetentionMs: 36 * 3_600_000,
      payloadRetentionMs: 3_600_000,
      deadLetterRetentionMs: 14 * 86_400_000,
      holdRetentionMs: 7 * 86_400_000,
      maxBacklog: 5_000,
      drainTimeoutMs: 500,
      clientUrl: "https://passbus.example.com",
      clientKey: "pb_production_0123456789",
    });
  });

  test("can't be changed", () => {
    const config = readConfig(EVERY_SETTING);
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
    ["PASSBUS_JWT_ALGORITHMS", "HS256"],
    ["PASSBUS_JWT_ALGORITHMS", "ES256,none"],
    ["PASSBUS_JWT_ISSUER", "http://issuer.example"],
    ["PASSBUS_JWT_ISSUER", "https://issuer.example/?a=b"],
    ["PASSBUS_JWT_ROLES", "admins=root"],
    ["PASSBUS_JWT_ROLES", "a=admin,a=viewer"],
    ["PASSBUS_ROLES", "api,"],
    ["PASSBUS_ROLES", "web"],
    ["PASSBUS_BOOTSTRAP_ORGANISATION", "a/b"],
    ["PASSBUS_ALLOWED_NETWORKS", "10.0.0.0/33"],
    ["PASSBUS_ALLOWED_PORTS", "443,0"],
    ["PASSBUS_ALLOWED_PORTS", "70000"],
    ["PASSBUS_EGRESS_ADDRESS", "eth0"],
    ["PASSBUS_ALLOWED_NETWORKS", "10.0.0.0/8,example.com"],
    ["PASSBUS_ALLOW_HTTP", "yes"],
    ["PASSBUS_CORS_ORIGINS", "https://a.example/"],
    ["PASSBUS_CORS_ORIGINS", "a.example"],
    ["PASSBUS_LOG_LEVEL", "verbose"],
    ["PASSBUS_KAFKA_TOPIC", "a b"],
    ["PASSBUS_KAFKA_TOPIC", ".."],
    ["PASSBUS_KAFKA_BROKERS", "kafka-1"],
    ["PASSBUS_KAFKA_TENANTS", "acme=acme"],
    ["PASSBUS_KAFKA_PARTITIONS", "0"],
    ["PASSBUS_DELIVERY_RETENTION", "5m"],
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
    ["PASSBUS_OUTBOUND_PROXY", "https://user:password@proxy.example:3128"],
    ["PASSBUS_OUTBOUND_PROXY", "http://user:password@proxy.example:3128/path"],
    ["PASSBUS_SIGNING_SEEDS", KEY_A],
    ["PASSBUS_SIGNING_SEEDS", [1, 2, 3, 4, 5].map((at) => `s${at}:${KEY_A}`).join(",")],
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

  const distributed = {
    PASSBUS_KAFKA_BROKERS: "kafka-1:9092",
    PASSBUS_MONGODB_URI: "mongodb://user:hidden@mongo/bus",
    PASSBUS_ENCRYPTION_KEYS: `a:${KEY_A}`,
  };

  test("with brokers and a store the deployment is the distributed one, in one role or both", () => {
    expect(readConfig({ ...distributed, PASSBUS_ROLES: "worker" }).kafkaBrokers).toEqual(["kafka-1:9092"]);
    expect(failure({ PASSBUS_ROLES: "worker" }).violations[0]?.field).toBe("PASSBUS_ROLES");
  });

  test.each([
    ["PASSBUS_KAFKA_BROKERS", { PASSBUS_MONGODB_URI: "mongodb://m" }],
    ["PASSBUS_JWT_AUDIENCE", { PASSBUS_JWT_ISSUER: "https://issuer.example" }],
    ["PASSBUS_JWT_ISSUER", { PASSBUS_JWT_JWKS_URL: "https://issuer.example/keys" }],
    ["PASSBUS_MONGODB_URI", { PASSBUS_KAFKA_BROKERS: "k:1" }],
    ["PASSBUS_ENCRYPTION_KEYS", { ...distributed, PASSBUS_ENCRYPTION_KEYS: "" }],
    ["PASSBUS_KAFKA_TENANTS", { ...distributed, PASSBUS_KAFKA_TENANTS: "acme=acme/production" }],
    ["PASSBUS_KAFKA_DEAD_TOPIC", { ...distributed, PASSBUS_KAFKA_DEAD_TOPIC: "pass.events" }],
    ["PASSBUS_KAFKA_SASL_PASSWORD", { PASSBUS_KAFKA_SASL_MECHANISM: "plain", PASSBUS_KAFKA_SASL_USERNAME: "u" }],
    ["PASSBUS_KAFKA_TLS_KEY_FILE", { PASSBUS_KAFKA_TLS_CERT_FILE: "c" }],
    ["PASSBUS_KAFKA_TLS", { ...distributed, PASSBUS_KAFKA_TLS_CA_FILE: "ca.pem" }],
  ])("%s is asked for by the others", (variable, environment) => {
    expect(failure(environment).violations.map(({ field }) => field)).toContain(variable);
  });

  test("a start without an encryption key is told how to make one", () => {
    const { message } = failure({ ...distributed, PASSBUS_ENCRYPTION_KEYS: "" });
    expect(message).toMatch(/PASSBUS_ENCRYPTION_KEYS: must be set .*openssl rand -base64 32/);
  });

  test("a connection string that is none never shows its password", () => {
    const { message } = failure({ ...distributed, PASSBUS_MONGODB_URI: "postgres://user:hidden@mongo/bus" });
    expect(message).not.toContain("hidden");
  });

  test("a certificate without its key, and a key without its certificate, stop the start", () => {
    expect(failure({ PASSBUS_TLS_CERT_FILE: "c" }).violations[0]?.field).toBe("PASSBUS_TLS_KEY_FILE");
    expect(failure({ PASSBUS_TLS_KEY_FILE: "k" }).violations[0]?.field).toBe("PASSBUS_TLS_CERT_FILE");
    expect(failure({ PASSBUS_TLS_CLIENT_CA: "c" }).violations[0]?.field).toBe("PASSBUS_TLS_CERT_FILE");
  });
});

describe("unknownSettings", () => {
  test("names what nothing reads, with the name that was probably meant", () => {
    const environment = { PASSBUS_LITSEN: "a", PASSBUS_LISTEN: "b", PASSBUS_KAFKA_BROKERS: "c", PATH: "d" };
    expect(unknownSettings(environment)).toEqual([{ variable: "PASSBUS_LITSEN", nearest: "PASSBUS_LISTEN" }]);
  });
});
