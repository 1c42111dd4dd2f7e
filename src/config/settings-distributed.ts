/** The rows of the table of settings (settings.ts) that are of the distributed deployment: Kafka and MongoDB. */
import { optional, setting } from "./setting.ts";
import {
  anyText,
  brokers,
  durationMs,
  kafkaName,
  mongodbUri,
  path,
  saslMechanism,
  tenantBindings,
  topicName,
  wholeNumber,
  yesOrNo,
} from "./shapes.ts";

export const DISTRIBUTED_SETTINGS = {
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
} as const;
