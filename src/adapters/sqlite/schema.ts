import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { deadLetterId } from "../../intake/dead-letters.ts";
import { CodedError } from "../../kernel/errors.ts";
import { privateFile } from "../../kernel/private-file.ts";

/**
 * What each version adds to the one before; `user_version` counts the steps that a database has had. A step that was
 * released is never edited.
 *
 * `tenants` gives each tenant a number, so that rows and index keys carry one integer and not two names.
 *
 * The indexes on deliveries, at 17 µs a row of 1,000 with all of them against 10 µs with the id's alone (60,000 rows of
 * 1 KB, fan-out 1 and 10): a delivery that is sent at the first attempt is in the four that list (by time,
 * subscription, event, pass) and in none of the partial ones, which hold only what is open or went wrong. Ids are left
 * out of the listing keys (28 µs with them): rows of one millisecond are sorted when they are read.
 */
export const STEPS: readonly string[] = [
  `
  CREATE TABLE tenants (
    tenant INTEGER PRIMARY KEY,
    organisation TEXT NOT NULL,
    environment TEXT NOT NULL,
    subscriptions_version INTEGER NOT NULL DEFAULT 0,
    UNIQUE (organisation, environment)
  ) STRICT;

  CREATE TABLE events (
    tenant INTEGER NOT NULL,
    id TEXT NOT NULL,
    type INTEGER NOT NULL,
    pass_id TEXT NOT NULL,
    entity_id TEXT NOT NULL,
    logged_at INTEGER NOT NULL,
    content_hash TEXT NOT NULL,
    value BLOB NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX events_id ON events (tenant, id);
  CREATE INDEX events_time ON events (tenant, logged_at, type);
  CREATE INDEX events_pass ON events (tenant, pass_id, logged_at);

  CREATE TABLE deliveries (
    tenant INTEGER NOT NULL,
    id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    event_type INTEGER NOT NULL,
    pass_id TEXT NOT NULL,
    subscription_id TEXT NOT NULL,
    status INTEGER NOT NULL,
    work_class INTEGER NOT NULL,
    run INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    run_attempts INTEGER NOT NULL,
    attempt_count INTEGER NOT NULL,
    work_at INTEGER,
    created_at INTEGER NOT NULL,
    finished_at INTEGER,
    attempts TEXT NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX deliveries_id ON deliveries (tenant, id);
  CREATE INDEX deliveries_time ON deliveries (tenant, created_at);
  CREATE INDEX deliveries_subscription ON deliveries (tenant, subscription_id, created_at);
  CREATE INDEX deliveries_event ON deliveries (tenant, event_id);
  CREATE INDEX deliveries_pass ON deliveries (tenant, pass_id, created_at);
  CREATE INDEX deliveries_work ON deliveries (tenant, subscription_id, work_class, work_at, status) WHERE status < 2;
  CREATE INDEX deliveries_unsent ON deliveries (tenant, subscription_id, status, created_at) WHERE status <> 3;
  CREATE INDEX deliveries_status ON deliveries (tenant, status, created_at) WHERE status <> 3;

  CREATE TABLE subscriptions (
    tenant INTEGER NOT NULL,
    id TEXT NOT NULL,
    entity_id TEXT NOT NULL,
    url_key TEXT NOT NULL,
    state TEXT NOT NULL,
    format TEXT NOT NULL,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    document TEXT NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX subscriptions_id ON subscriptions (tenant, id);
  CREATE UNIQUE INDEX subscriptions_url ON subscriptions (tenant, entity_id, url_key);
  CREATE INDEX subscriptions_time ON subscriptions (tenant, created_at, id);

  CREATE TABLE keys (
    id TEXT PRIMARY KEY,
    organisation TEXT NOT NULL,
    environment TEXT NOT NULL,
    role TEXT NOT NULL,
    hash TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE dead_letters (
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    "offset" INTEGER NOT NULL,
    reason TEXT NOT NULL,
    message TEXT NOT NULL,
    appended_at INTEGER NOT NULL,
    key BLOB,
    value BLOB,
    headers TEXT NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX dead_letters_place ON dead_letters (topic, partition, "offset");
  `,
  // Dead letters get an owner, from the headers that our API gave every record. Their id replaces the place as what
  // makes one unique: a log that was begun anew repeats offsets.
  `
  CREATE TABLE owned_dead_letters (
    tenant INTEGER NOT NULL,
    id TEXT NOT NULL,
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    "offset" INTEGER NOT NULL,
    reason TEXT NOT NULL,
    message TEXT NOT NULL,
    appended_at INTEGER NOT NULL,
    key BLOB,
    value BLOB,
    headers TEXT NOT NULL,
    truncated INTEGER NOT NULL,
    redriven_at INTEGER
  ) STRICT;

  CREATE TEMP TABLE owners AS
    SELECT rowid AS letter,
      coalesce(nullif(json_extract(headers, '$."organisation-id"'), ''), 'default') AS organisation,
      coalesce(nullif(json_extract(headers, '$.environment'), ''), 'production') AS environment
    FROM dead_letters;
  INSERT OR IGNORE INTO tenants (organisation, environment) SELECT DISTINCT organisation, environment FROM owners;
  INSERT INTO owned_dead_letters
    SELECT tenant, dead_letter_id(topic, partition, "offset", appended_at), topic, partition, "offset", reason,
      message, appended_at, key, value, headers, 0, NULL
    FROM dead_letters JOIN owners ON owners.letter = dead_letters.rowid JOIN tenants USING (organisation, environment);
  DROP TABLE owners;
  DROP TABLE dead_letters;
  ALTER TABLE owned_dead_letters RENAME TO dead_letters;

  CREATE UNIQUE INDEX dead_letters_id ON dead_letters (id);
  CREATE INDEX dead_letters_time ON dead_letters (tenant, appended_at);
  CREATE INDEX dead_letters_reason ON dead_letters (tenant, reason, appended_at);
  `,
  // What an organisation was given; no value: the default.
  `
  CREATE TABLE organisations (
    organisation TEXT PRIMARY KEY,
    organisation_subscriptions INTEGER,
    entity_subscriptions INTEGER
  ) STRICT, WITHOUT ROWID;
  `,
  // Order and conflation (the place of an event among its pass's), replays, and what was folded into what.
  `
  ALTER TABLE deliveries ADD COLUMN sequence INTEGER;
  ALTER TABLE deliveries ADD COLUMN replay_id TEXT;
  ALTER TABLE deliveries ADD COLUMN folded_into TEXT;
  CREATE INDEX deliveries_chain ON deliveries (tenant, subscription_id, pass_id, sequence)
    WHERE sequence IS NOT NULL AND status < 3;
  `,
  // Retention: what organisations were given, payloads that were dropped, whose turn upkeep is. And the kill switch; an
  // empty organisation is the service.
  `
  ALTER TABLE organisations ADD COLUMN event_retention INTEGER;
  ALTER TABLE organisations ADD COLUMN delivery_retention INTEGER;
  ALTER TABLE organisations ADD COLUMN payload_retention INTEGER;
  ALTER TABLE events ADD COLUMN payload_dropped_at INTEGER;
  CREATE TABLE delivery_stops (
    organisation TEXT PRIMARY KEY,
    reason TEXT NOT NULL,
    stopped_at INTEGER NOT NULL,
    stopped_by TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE upkeep (
    only INTEGER PRIMARY KEY CHECK (only = 0),
    holder TEXT NOT NULL,
    held_until INTEGER NOT NULL,
    state TEXT
  ) STRICT;
  `,
  // Replays as JSON, beside what is searched. Deliveries that no replay ever made due are in neither of the indexes.
  `
  CREATE TABLE replays (
    tenant INTEGER NOT NULL,
    id TEXT NOT NULL,
    state TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    finished_at INTEGER,
    fence INTEGER NOT NULL,
    lease_until INTEGER,
    document TEXT NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX replays_id ON replays (tenant, id);
  CREATE INDEX replays_time ON replays (tenant, created_at);
  CREATE INDEX replays_open ON replays (tenant) WHERE state IN ('running', 'paused');
  CREATE INDEX replays_running ON replays (created_at, id) WHERE state = 'running';
  CREATE INDEX deliveries_replay ON deliveries (tenant, replay_id, status, run_attempts) WHERE replay_id IS NOT NULL;
  CREATE INDEX deliveries_replay_pass ON deliveries (tenant, replay_id, subscription_id, pass_id)
    WHERE replay_id IS NOT NULL AND status < 3;
  `,
  // How endpoints are doing, as JSON, and when the next of those with a rate may go, were there no burst.
  `
  CREATE TABLE endpoints (
    tenant INTEGER NOT NULL,
    subscription_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    breaker TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (tenant, subscription_id)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX endpoints_open ON endpoints (breaker) WHERE breaker <> 'closed';
  CREATE TABLE rates (
    tenant INTEGER NOT NULL,
    subscription_id TEXT NOT NULL,
    arrival_at REAL NOT NULL,
    PRIMARY KEY (tenant, subscription_id)
  ) STRICT, WITHOUT ROWID;
  `,
  // Keys are listed and described; portal sessions; the audit log.
  `
  ALTER TABLE keys ADD COLUMN description TEXT;
  ALTER TABLE keys ADD COLUMN last_used_at INTEGER;
  CREATE INDEX keys_time ON keys (organisation, environment, created_at, id);
  CREATE TABLE portal_sessions (
    tenant INTEGER NOT NULL,
    id TEXT NOT NULL,
    entity_id TEXT NOT NULL,
    hash TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER
  ) STRICT;
  CREATE UNIQUE INDEX portal_sessions_id ON portal_sessions (id);
  CREATE INDEX portal_sessions_time ON portal_sessions (tenant, created_at);
  CREATE INDEX portal_sessions_end ON portal_sessions (tenant, expires_at);
  CREATE TABLE audit_records (
    tenant INTEGER NOT NULL,
    id TEXT NOT NULL,
    happened_at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    peer TEXT NOT NULL,
    refused INTEGER NOT NULL,
    code TEXT NOT NULL,
    count INTEGER NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX audit_records_id ON audit_records (tenant, id);
  CREATE INDEX audit_records_time ON audit_records (tenant, happened_at);
  `,
  // What conflation is to leave alone. Held deliveries of no chain. And those of one pass that a replay made due, whoever's.
  `
  ALTER TABLE deliveries ADD COLUMN protocol_event INTEGER;
  CREATE INDEX deliveries_unchained ON deliveries (tenant, subscription_id, created_at)
    WHERE status = 2 AND (sequence IS NULL OR run > 1);
  DROP INDEX deliveries_replay_pass;
  CREATE INDEX deliveries_replay_pass ON deliveries (tenant, subscription_id, pass_id)
    WHERE replay_id IS NOT NULL AND status < 3;
  `,
  // Of many open breakers those that were opened last are read first.
  `
  DROP INDEX endpoints_open;
  CREATE INDEX endpoints_open ON endpoints (json_extract(document, '$.openedAtMs')) WHERE breaker <> 'closed';
  `,
  `
  CREATE TABLE key_certificates (
    fingerprint TEXT NOT NULL PRIMARY KEY,
    tenant INTEGER NOT NULL,
    key_id TEXT NOT NULL,
    bound_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX key_certificates_key ON key_certificates (tenant, key_id);
  ALTER TABLE organisations ADD COLUMN calls_per_second INTEGER;
  ALTER TABLE organisations ADD COLUMN events_per_second INTEGER;
  `,
  // Request bins; counts of attempts by span; what workers say of themselves. Three of them go with age by `expires_at`.
  `
  CREATE TABLE bins (
    tenant INTEGER NOT NULL,
    id TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    status_code INTEGER NOT NULL,
    description TEXT NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX bins_id ON bins (id);
  CREATE INDEX bins_time ON bins (tenant, created_at, id);
  CREATE INDEX bins_end ON bins (tenant, expires_at);
  CREATE TABLE bin_requests (
    tenant INTEGER NOT NULL,
    bin TEXT NOT NULL,
    id TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    characters INTEGER NOT NULL,
    sealed TEXT NOT NULL
  ) STRICT;
  CREATE INDEX bin_requests_time ON bin_requests (tenant, bin, received_at, id, characters);
  CREATE INDEX bin_requests_end ON bin_requests (tenant, expires_at);
  CREATE TABLE delivery_stats (
    tenant INTEGER NOT NULL,
    id TEXT NOT NULL,
    span INTEGER NOT NULL,
    at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    delivered INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    failed_attempts INTEGER NOT NULL,
    events INTEGER NOT NULL,
    durations TEXT NOT NULL,
    delays TEXT NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX delivery_stats_span ON delivery_stats (tenant, id, span, at);
  CREATE INDEX delivery_stats_end ON delivery_stats (tenant, expires_at);
  CREATE TABLE worker_reports (
    worker TEXT PRIMARY KEY,
    reported_at INTEGER NOT NULL,
    document TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
  `,
  // What was asked to be forgotten, under a key of the keyring, until it is.
  `
  CREATE TABLE erasures (
    id TEXT PRIMARY KEY,
    sealed TEXT NOT NULL,
    asked_at INTEGER NOT NULL,
    next_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  `,
  // A list of deliveries of one type of event passes over those of others in the index, without reading their rows.
  `
  DROP INDEX deliveries_time;
  DROP INDEX deliveries_subscription;
  CREATE INDEX deliveries_time ON deliveries (tenant, created_at, event_type);
  CREATE INDEX deliveries_subscription ON deliveries (tenant, subscription_id, created_at, event_type);
  `,
];

/** How long a transaction waits for another process's. */
export const BUSY_TIMEOUT_MS = 5_000;

/** The file of the store in its data directory. */
export const STORE_FILE = "store.db";

/**
 * Opens the store of a data directory, made or brought up to date where needed. Several processes may have it open:
 * each waits up to 5 s for another's transaction.
 */
export function openStore(directory: string): DatabaseSync {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const database = new DatabaseSync(privateFile(join(directory, STORE_FILE)), { timeout: BUSY_TIMEOUT_MS });
  try {
    // An answered write survives a power cut (synchronous=FULL). The WAL is folded back every 32 MiB, not every 4:
    // pages that change often are then written once instead of eight times. What is deleted is overwritten with zeros:
    // what was erased must not lie in free pages until something else needs them.
    database.exec(`
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = FULL;
      PRAGMA wal_autocheckpoint = 8192;
      PRAGMA journal_size_limit = 67108864;
      PRAGMA cache_size = -16384;
      PRAGMA temp_store = MEMORY;
      PRAGMA secure_delete = ON;
    `);
    migrate(database);
  } catch (error) {
    database.close();
    throw error;
  }
  return database;
}

/** Brings a database to the newest version, in one transaction; refuses one that a newer passbus wrote. */
export function migrate(database: DatabaseSync): void {
  database.function("dead_letter_id", { deterministic: true }, (topic, partition, offset, appendedAtMs) =>
    deadLetterId({
      topic: String(topic),
      partition: Number(partition),
      offset: Number(offset),
      appendedAtMs: Number(appendedAtMs),
    }),
  );
  database.exec("BEGIN IMMEDIATE");
  try {
    const version = Number(database.prepare("PRAGMA user_version").get()?.user_version);
    if (version > STEPS.length) {
      throw new CodedError(
        "data_dir.newer",
        `the store has schema ${version}, this passbus knows ${STEPS.length}: use the passbus that wrote it, or a newer one`,
      );
    }
    for (const step of STEPS.slice(version)) database.exec(step);
    database.exec(`PRAGMA user_version = ${STEPS.length}; COMMIT`);
  } catch (error) {
    if (database.isTransaction) database.exec("ROLLBACK");
    throw error;
  }
}
