/**
 * The one table of settings. A row is all there is to a setting: `config.ts` reads the environment by it, and
 * docs/config.md is written from it.
 */
import { optional, setting } from "./setting.ts";
import { DISTRIBUTED_SETTINGS } from "./settings-distributed.ts";
import {
  anyText,
  bearerKey,
  bearerText,
  durationMs,
  durationOrNeverMs,
  encryptionKeys,
  issuerUrl,
  jwtAlgorithms,
  jwtRoles,
  listenAddress,
  listenOrOff,
  logLevel,
  networks,
  origins,
  ownAddress,
  path,
  ports,
  processRoles,
  proxyUrl,
  publicUrl,
  retentionMs,
  signingSeeds,
  tenantName,
  wholeNumber,
  yesOrNo,
} from "./shapes.ts";

export const SETTINGS = {
  listen: setting({
    variable: "PASSBUS_LISTEN",
    shape: listenAddress,
    fallback: "127.0.0.1:8080",
    about: "Where gRPC, gRPC-Web and Connect are served. Port 0 takes a free one.",
  }),
  publicUrl: optional({
    variable: "PASSBUS_PUBLIC_URL",
    shape: publicUrl,
    about:
      "Where others reach PASSBUS_LISTEN: the URLs of request bins begin with it, and deliveries to them stay in the process. The same for every process. Without it: the address that is listened at.",
  }),
  metricsListen: setting({
    variable: "PASSBUS_METRICS_LISTEN",
    shape: listenOrOff,
    fallback: "127.0.0.1:9464",
    about:
      "Where /metrics is served, for Prometheus, without a key; `off` serves it nowhere. An address that is taken is told in the log and stops nothing.",
  }),
  binLifetimeMs: setting({
    variable: "PASSBUS_BIN_LIFETIME",
    shape: durationMs,
    fallback: "24h",
    about: "How long a request bin lives at most, and what it has taken in with it.",
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
    about:
      "Networks that endpoints may lie in although they are private, loopback or otherwise special. Clouds' metadata services only where listed as single addresses.",
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
  encryptPayloads: setting({
    variable: "PASSBUS_ENCRYPT_PAYLOADS",
    shape: yesOrNo,
    fallback: "false",
    about:
      "Whether events' payloads and dead letters are encrypted at rest too, in the store and in the embedded log. What was written before stays as it is, and is readable either way. Kafka topics are not encrypted (docs/keys.md).",
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
  frameAncestors: setting({
    variable: "PASSBUS_FRAME_ANCESTORS",
    shape: origins,
    fallback: "",
    about: "The origins whose pages may show passbus's pages in a frame: those that a portal is built into.",
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
  tlsClientCa: optional({
    variable: "PASSBUS_TLS_CLIENT_CA",
    shape: path,
    about:
      "The authorities (a file in PEM) of clients' certificates. With it every client is asked for a certificate, and none needs one; `passbus keys bind` says which key it speaks for. Goes with PASSBUS_TLS_CERT_FILE.",
  }),
  tlsClientCrl: optional({
    variable: "PASSBUS_TLS_CLIENT_CRL",
    shape: path,
    about:
      "Revocation lists (a file in PEM) of the authorities of PASSBUS_TLS_CLIENT_CA, with which it goes: one of each, and none that is past its next update, or no certificate of that authority counts. A client with a revoked certificate is refused at the handshake. The file is read again within ten seconds of a change.",
  }),
  jwtIssuer: optional({
    variable: "PASSBUS_JWT_ISSUER",
    shape: issuerUrl,
    about:
      "The issuer whose tokens (JWT) are taken as keys are, exactly as their `iss` says it. Goes with PASSBUS_JWT_AUDIENCE.",
  }),
  jwtAudience: optional({
    variable: "PASSBUS_JWT_AUDIENCE",
    shape: anyText,
    about: "What a token's `aud` must be, or name among others.",
  }),
  jwtJwksUrl: optional({
    variable: "PASSBUS_JWT_JWKS_URL",
    shape: issuerUrl,
    about: "Where the issuer's public keys are. Without it: where its discovery document says.",
  }),
  jwtAlgorithms: setting({
    variable: "PASSBUS_JWT_ALGORITHMS",
    shape: jwtAlgorithms,
    fallback: "RS256,ES256,EdDSA",
    about: "The algorithms that tokens may be signed with.",
  }),
  jwtOrganisationClaim: setting({
    variable: "PASSBUS_JWT_ORGANISATION_CLAIM",
    shape: anyText,
    fallback: "organisation",
    about: "The claim that names a token's organisation: its name, or a path into it with dots.",
  }),
  jwtEnvironmentClaim: optional({
    variable: "PASSBUS_JWT_ENVIRONMENT_CLAIM",
    shape: anyText,
    about: "The claim that names a token's environment. Without it: every token is of `production`.",
  }),
  jwtRoleClaim: setting({
    variable: "PASSBUS_JWT_ROLE_CLAIM",
    shape: anyText,
    fallback: "role",
    about: "The claim that names a token's role; of a list, the strongest counts.",
  }),
  jwtRoles: setting({
    variable: "PASSBUS_JWT_ROLES",
    shape: jwtRoles,
    fallback: "",
    about: "What values of PASSBUS_JWT_ROLE_CLAIM mean. Left empty: the roles' own names; others mean nothing.",
  }),
  jwtMaxLifetimeMs: setting({
    variable: "PASSBUS_JWT_MAX_LIFETIME",
    shape: durationMs,
    fallback: "24h",
    about: "From a token's `iat` to its `exp`, at most: a token can't be taken back.",
  }),
  callsPerSecond: setting({
    variable: "PASSBUS_CALLS_PER_SECOND",
    shape: wholeNumber(0, 1_000_000),
    fallback: "5000",
    about:
      "Calls that one key may make of one API process, a second, and all of an organisation's four times as many; 0 is any number. An organisation may be given another number.",
  }),
  eventsPerSecond: setting({
    variable: "PASSBUS_EVENTS_PER_SECOND",
    shape: wholeNumber(0, 1_000_000),
    fallback: "100000",
    about:
      "Events that one organisation may publish to one API process, a second; 0 is any number. An organisation may be given another number.",
  }),
  ...DISTRIBUTED_SETTINGS,
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
  clientUrl: optional({
    variable: "PASSBUS_URL",
    shape: publicUrl,
    about:
      "Where the passbus listens that commands call: what `--url` is where it is not said. Without both: http://127.0.0.1:8080. `serve` does not read it.",
  }),
  clientKey: optional({
    variable: "PASSBUS_KEY",
    shape: bearerText,
    about: "The key or token that commands such as `passbus publish` call the API with. `serve` does not read it.",
    secret: true,
  }),
} as const;
