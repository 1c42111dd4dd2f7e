/**
 * The one table of settings. A row is all there is to a setting: `config.ts` reads the environment by it, and
 * docs/config.md is written from it.
 */
import {
  bearerKey,
  durationMs,
  encryptionKeys,
  listenAddress,
  logLevel,
  networks,
  origins,
  path,
  processRoles,
  type Shape,
  tenantName,
  topicName,
  yesOrNo,
} from "./shapes.ts";

/** A setting that may be absent has no default; its value is then undefined. */
export interface Setting<T> {
  readonly variable: `PASSBUS_${string}`;
  readonly shape: Shape<T>;
  /** As a person would write it. */
  readonly fallback?: string;
  readonly about: string;
  /** Its value is shown to nobody. */
  readonly secret?: true;
}

interface SettingWithDefault<T> extends Setting<T> {
  readonly fallback: string;
}

function setting<T>(row: SettingWithDefault<T>): SettingWithDefault<T> {
  return row;
}

function optional<T>(row: Setting<T>): Setting<T> {
  return row;
}

export const SETTINGS = {
  listen: setting({
    variable: "PASSBUS_LISTEN",
    shape: listenAddress,
    fallback: "127.0.0.1:8080",
    about: "Where gRPC, gRPC-Web and Connect are served. Port 0 takes a free one.",
  }),
  dataDir: setting({
    variable: "PASSBUS_DATA_DIR",
    shape: path,
    fallback: "./data",
    about: "Where the embedded store and the embedded event log keep their files. Made if it is not there.",
  }),
  roles: setting({
    variable: "PASSBUS_ROLES",
    shape: processRoles,
    fallback: "api,worker",
    about: "What this process does: `api` answers calls, `worker` delivers webhooks.",
  }),
  bootstrapKey: optional({
    variable: "PASSBUS_BOOTSTRAP_KEY",
    shape: bearerKey,
    about:
      "An admin key for the environment `production` of PASSBUS_BOOTSTRAP_ORGANISATION. Without it, and while there is no other key, an embedded start makes a key and prints it once.",
    secret: true,
  }),
  bootstrapOrganisation: setting({
    variable: "PASSBUS_BOOTSTRAP_ORGANISATION",
    shape: tenantName,
    fallback: "default",
    about: "The organisation that the bootstrap key belongs to.",
  }),
  allowedNetworks: setting({
    variable: "PASSBUS_ALLOWED_NETWORKS",
    shape: networks,
    fallback: "",
    about: "Networks that endpoints may lie in although they are private, loopback or otherwise special.",
  }),
  allowHttp: setting({
    variable: "PASSBUS_ALLOW_HTTP",
    shape: yesOrNo,
    fallback: "false",
    about: "Whether endpoints may be plain http.",
  }),
  encryptionKeys: optional({
    variable: "PASSBUS_ENCRYPTION_KEYS",
    shape: encryptionKeys,
    about:
      "The keys that secrets are encrypted under at rest, the newest first: it encrypts, all decrypt. Without it, the embedded deployment keeps a key in its data directory.",
    secret: true,
  }),
  corsOrigins: setting({
    variable: "PASSBUS_CORS_ORIGINS",
    shape: origins,
    fallback: "",
    about: "The origins whose pages may call the API from a browser.",
  }),
  logLevel: setting({
    variable: "PASSBUS_LOG_LEVEL",
    shape: logLevel,
    fallback: "info",
    about: "The least severe log lines that are written.",
  }),
  tlsCertFile: optional({
    variable: "PASSBUS_TLS_CERT_FILE",
    shape: path,
    about: "The certificate chain (PEM) that PASSBUS_LISTEN is served with. Goes with PASSBUS_TLS_KEY_FILE.",
  }),
  tlsKeyFile: optional({
    variable: "PASSBUS_TLS_KEY_FILE",
    shape: path,
    about: "The private key (PEM) of PASSBUS_TLS_CERT_FILE.",
  }),
  kafkaTopic: setting({
    variable: "PASSBUS_KAFKA_TOPIC",
    shape: topicName,
    fallback: "pass.events",
    about: "The name of the event log, which dead letters name as their origin.",
  }),
  drainTimeoutMs: setting({
    variable: "PASSBUS_DRAIN_TIMEOUT",
    shape: durationMs,
    fallback: "10s",
    about: "How long a stop waits for calls and attempts in flight before it cuts them.",
  }),
  clientKey: optional({
    variable: "PASSBUS_KEY",
    shape: bearerKey,
    about: "The key that commands such as `passbus publish` call the API with. `serve` does not read it.",
    secret: true,
  }),
} as const;

/** Settings of deployments that this version does not have: set, they stop the start rather than be passed over. */
export const UNAVAILABLE_SETTINGS = ["PASSBUS_MONGODB_URI", "PASSBUS_KAFKA_BROKERS"] as const;
