/**
 * The one table of settings. A row is all there is to a setting: `config.ts` reads the environment by it, and
 * docs/config.md is written from it.
 */
import {
  anyText,
  bearerKey,
  brokers,
  durationMs,
  durationOrNeverMs,
  encryptionKeys,
  kafkaName,
  listenAddress,
  logLevel,
  mongodbUri,
  networks,
  origins,
  ownAddress,
  path,
  ports,
  processRoles,
  proxyUrl,
  retentionMs,
  type Shape,
  saslMechanism,
  signingSeeds,
  tenantBindings,
  tenantName,
  topicName,
  wholeNumber,
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
    about:
      "What this process does: `api` answers calls, `worker` delivers webhooks. The embedded deployment is one process with both.",
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
  allowedPorts: setting({
    variable: "PASSBUS_ALLOWED_PORTS",
    shape: ports,
    fallback: "",
    about:
      "The only ports that endpoints may have. Left empty: any but those of other protocols (the Fetch standard's bad ports).",
  }),
  outboundProxy: optional({
    variable: "PASSBUS_OUTBOUND_PROXY",
    shape: proxyUrl,
    about:
      "An HTTP proxy that all webhooks leave through, by CONNECT to addresses that passbus has resolved and checked. Proxy variables of the environment are never read.",
    secret: true,
  }),
  egressAddress: optional({
    variable: "PASSBUS_EGRESS_ADDRESS",
    shape: ownAddress,
    about: "The address of this machine that webhooks leave from, for receivers that let only known ones in.",
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
      "The keys that secrets are encrypted under at rest, the newest first: it encrypts, all decrypt. Without it, the embedded deployment keeps a key in its data directory; the distributed one needs it.",
    secret: true,
  }),
  signingSeeds: optional({
    variable: "PASSBUS_SIGNING_SEEDS",
    shape: signingSeeds,
    about:
      "The seeds that the ed25519 keys of `v1a` signatures are made from, the newest first: each of them signs and is published at /.well-known/jwks.json. Without it, the embedded deployment keeps a seed in its data directory; in the distributed one no subscription can ask for such signatures.",
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
    about:
      "The topic that is the event log. The embedded log bears the name too: dead letters name it as their origin.",
  }),
  kafkaBrokers: optional({
    variable: "PASSBUS_KAFKA_BROKERS",
    shape: brokers,
    about:
      "The Kafka brokers to begin with. Goes with PASSBUS_MONGODB_URI: with both the deployment is the distributed one.",
  }),
  mongodbUri: optional({
    variable: "PASSBUS_MONGODB_URI",
    shape: mongodbUri,
    about:
      "Where MongoDB is: a replica set or a sharded cluster. Its path names the database (`passbus` without one); credentials and TLS stand in it as MongoDB's documentation says.",
    secret: true,
  }),
  kafkaGroup: setting({
    variable: "PASSBUS_KAFKA_GROUP",
    shape: kafkaName,
    fallback: "passbus",
    about: "The consumer group of the workers.",
  }),
  kafkaTenants: setting({
    variable: "PASSBUS_KAFKA_TENANTS",
    shape: tenantBindings,
    fallback: "*",
    about:
      "Which topic may speak for which organisation and environment. Every topic that it names is read beside PASSBUS_KAFKA_TOPIC, which it must then name too. A record that doesn't say belongs to its topic's first entry.",
  }),
  kafkaDeadTopic: setting({
    variable: "PASSBUS_KAFKA_DEAD_TOPIC",
    shape: topicName,
    fallback: "pass.events.dead",
    about: "The topic that gets each record which could not become an event, as it came, with the reason.",
  }),
  kafkaClientId: setting({
    variable: "PASSBUS_KAFKA_CLIENT_ID",
    shape: kafkaName,
    fallback: "passbus",
    about: "How this process names itself to the brokers, for their logs and quotas.",
  }),
  kafkaSessionMs: setting({
    variable: "PASSBUS_KAFKA_SESSION_TIMEOUT",
    shape: durationMs,
    fallback: "10s",
    about:
      "Without a heartbeat for this long the group gives a worker's partitions to others. The brokers bound it (`group.min.session.timeout.ms`, 6 s by default).",
  }),
  kafkaTls: setting({
    variable: "PASSBUS_KAFKA_TLS",
    shape: yesOrNo,
    fallback: "false",
    about: "Whether the brokers are reached over TLS, their certificates checked.",
  }),
  kafkaTlsCaFile: optional({
    variable: "PASSBUS_KAFKA_TLS_CA_FILE",
    shape: path,
    about: "The authorities (PEM) that the brokers' certificates are checked against, instead of the system's.",
  }),
  kafkaTlsCertFile: optional({
    variable: "PASSBUS_KAFKA_TLS_CERT_FILE",
    shape: path,
    about: "The certificate chain (PEM) that passbus shows to the brokers. Goes with PASSBUS_KAFKA_TLS_KEY_FILE.",
  }),
  kafkaTlsKeyFile: optional({
    variable: "PASSBUS_KAFKA_TLS_KEY_FILE",
    shape: path,
    about: "The private key (PEM) of PASSBUS_KAFKA_TLS_CERT_FILE.",
  }),
  kafkaSaslMechanism: optional({
    variable: "PASSBUS_KAFKA_SASL_MECHANISM",
    shape: saslMechanism,
    about: "How passbus logs in at the brokers. Goes with the user's name and password.",
  }),
  kafkaSaslUsername: optional({
    variable: "PASSBUS_KAFKA_SASL_USERNAME",
    shape: anyText,
    about: "The user's name.",
  }),
  kafkaSaslPassword: optional({
    variable: "PASSBUS_KAFKA_SASL_PASSWORD",
    shape: anyText,
    about: "The user's password.",
    secret: true,
  }),
  kafkaPartitions: setting({
    variable: "PASSBUS_KAFKA_PARTITIONS",
    shape: wholeNumber(1, 10_000),
    fallback: "12",
    about:
      "How many partitions `passbus init` gives a topic that it makes. It bounds the number of workers that have work.",
  }),
  kafkaReplication: optional({
    variable: "PASSBUS_KAFKA_REPLICATION",
    shape: wholeNumber(1, 15),
    about:
      "How many replicas `passbus init` gives a topic that it makes. Without it: 3, or as many as there are brokers.",
  }),
  disableAfterMs: setting({
    variable: "PASSBUS_DISABLE_AFTER",
    shape: durationOrNeverMs,
    fallback: "5d",
    about:
      "After so long of nothing but failures passbus disables a subscription; its events are held until somebody enables it again.",
  }),
  eventRetentionMs: setting({
    variable: "PASSBUS_EVENT_RETENTION",
    shape: retentionMs,
    fallback: "30d",
    about: "How long an event is kept whose deliveries are all finished. An organisation may be given another time.",
  }),
  deliveryRetentionMs: setting({
    variable: "PASSBUS_DELIVERY_RETENTION",
    shape: retentionMs,
    fallback: "30d",
    about: "How long a delivery is kept after it was finished. An organisation may be given another time.",
  }),
  payloadRetentionMs: optional({
    variable: "PASSBUS_PAYLOAD_RETENTION",
    shape: retentionMs,
    about:
      "How long an event's payload is kept, where that is shorter than the event itself. An organisation may be given another time. Without it: as long as the event.",
  }),
  deadLetterRetentionMs: setting({
    variable: "PASSBUS_DEAD_LETTER_RETENTION",
    shape: retentionMs,
    fallback: "30d",
    about: "How long a dead letter is kept.",
  }),
  auditRetentionMs: setting({
    variable: "PASSBUS_AUDIT_RETENTION",
    shape: retentionMs,
    fallback: "365d",
    about: "How long it is kept who changed what, and who was refused.",
  }),
  holdRetentionMs: setting({
    variable: "PASSBUS_HOLD_RETENTION",
    shape: retentionMs,
    fallback: "30d",
    about:
      "How long a delivery may be held while its subscription is disabled: after its creation and since the subscription was disabled, whichever is later. Then it ends as failed.",
  }),
  maxBacklog: setting({
    variable: "PASSBUS_MAX_BACKLOG",
    shape: wholeNumber(1, 999_999_999),
    fallback: "1000000",
    about:
      "How many records of the embedded log may wait for their work to be durable before publishing is refused with RESOURCE_EXHAUSTED. On Kafka it is the topic's retention that counts.",
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
