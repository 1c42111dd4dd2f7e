/** The embedded deployment: the store and the log on `node:sqlite`, in a thread each, in one process. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { embeddedLogReader, embeddedLogWriter, startEmbeddedLog } from "../adapters/embedded-log/embedded-log.ts";
import { LOG_FILE } from "../adapters/embedded-log/log-file.ts";
import { readOrMakeKeyFile } from "../adapters/key-file/key-file.ts";
import { sqliteStore } from "../adapters/sqlite/client.ts";
import { LOCK_FILE, lockDataDirectory } from "../adapters/sqlite/lock.ts";
import { STORE_FILE } from "../adapters/sqlite/schema.ts";
import { startSqliteStore } from "../adapters/sqlite/sqlite-store.ts";
import type { Config } from "../config/config.ts";
import { tenantRule } from "../intake/tenants.ts";
import type { Log } from "../kernel/log.ts";
import type { Preparation, PreparationStep } from "../kernel/preparation.ts";
import { modeOpenToOthers } from "../kernel/private-file.ts";
import type { CallThread } from "../kernel/thread-call.ts";
import { makeEncryptionKey } from "../signing/keyring.ts";
import { type ApiEnds, type ApiPass, type Deployment, random, type Stores } from "./parts.ts";

const ENCRYPTION_KEY_FILE = "encryption.key";
const SIGNING_KEY_FILE = "signing.key";

/** Opens the data directory for this process alone. What is opened is closed by `begun`, in the opposite order. */
export async function openEmbedded(config: Config, begun: AsyncDisposableStack, log: Log): Promise<Deployment> {
  const failures: Promise<Error>[] = [];
  const begin = async (starting: Promise<CallThread>) => {
    const thread = await starting;
    begun.defer(() => thread.stop());
    failures.push(thread.failure);
    return thread;
  };
  const directory = config.dataDir;
  const lock = lockDataDirectory(directory);
  begun.defer(() => lock.release());
  const keyTexts = { encryptionKeys: await encryptionKeysOf(config), signingSeeds: await signingSeedsOf(config) };
  const storeThread = await begin(startSqliteStore({ directory, exclusive: true }));
  const logThread = await begin(
    startEmbeddedLog({ directory, topic: config.kafkaTopic, maxBacklog: config.maxBacklog }),
  );
  const stores = sqliteStore(storeThread.connect());
  begun.defer(() => stores.close());
  warnOfOthers(directory, log);
  const reader = embeddedLogReader(logThread.connect());
  return {
    stores,
    keyTexts,
    fields: { deployment: "embedded", dataDir: directory },
    failures,
    workerEnds: () => ({
      stores,
      reader,
      scrubLog: reader.scrub,
      tenants: ownTenants(config),
      isOwnLog: true,
    }),
    apiPass() {
      const pass: ApiPass = { kind: "embedded", store: storeThread.connect(), log: logThread.connect() };
      return { pass, transfer: [pass.store, pass.log] };
    },
  };
}

export function openEmbeddedApiEnds(pass: Extract<ApiPass, { kind: "embedded" }>, config: Config): ApiEnds {
  const stores = sqliteStore(pass.store);
  const writer = embeddedLogWriter(pass.log);
  return {
    stores,
    writer,
    scrubLog: writer.scrub,
    tenants: ownTenants(config),
    // The main thread watches the store and the log.
    problems: () => [],
    async close() {
      writer.close();
      stores.close();
    },
  };
}

/**
 * Of files that an older passbus made, or another tool: new ones are passbus's own user's alone. No key is in them that
 * opens anything, so that some may share them on purpose, and the start goes on.
 */
function warnOfOthers(directory: string, log: Log): void {
  for (const name of [STORE_FILE, LOG_FILE, LOCK_FILE]) {
    for (const file of ["", "-wal", "-shm"].map((ending) => join(directory, `${name}${ending}`))) {
      const mode = modeOpenToOthers(file);
      if (mode !== undefined) log.warn("data_dir.open_to_others", { file, mode, right: `chmod 600 ${file}` });
    }
  }
}

/** Only the API writes to the embedded log, under the principal's tenant: its topic may speak for anyone. */
function ownTenants(config: Config) {
  return tenantRule([{}], config.bootstrapOrganisation);
}

/** The store without the rest, which may run beside a server. */
export async function openEmbeddedStores(config: Config): Promise<{ readonly stores: Stores; close(): Promise<void> }> {
  const thread = await startSqliteStore({ directory: config.dataDir });
  const stores = sqliteStore(thread.connect());
  return {
    stores,
    async close() {
      stores.close();
      await thread.stop();
    },
  };
}

/** From the settings, or from the data directory's own file, made at the first start. */
export async function encryptionKeysOf(config: Config): Promise<string> {
  if (config.encryptionKeys !== undefined) return config.encryptionKeys;
  return readOrMakeKeyFile(join(config.dataDir, ENCRYPTION_KEY_FILE), () => makeEncryptionKey("k1", random));
}

/** Those that `serve` reads, or makes at its first start. */
export function keyFilesOf({ dataDir, encryptionKeys, signingSeeds }: Config): readonly string[] {
  const files: string[] = [];
  if (encryptionKeys === undefined) files.push(join(dataDir, ENCRYPTION_KEY_FILE));
  if (signingSeeds === undefined) files.push(join(dataDir, SIGNING_KEY_FILE));
  return files;
}

async function signingSeedsOf(config: Config): Promise<string> {
  if (config.signingSeeds !== undefined) return config.signingSeeds;
  return readOrMakeKeyFile(join(config.dataDir, SIGNING_KEY_FILE), () => makeEncryptionKey("s1", random));
}

/** The data directory: `serve` makes it too, since nobody else has to be asked for it. */
export function embeddedPreparation(config: Config): Preparation {
  return {
    async survey() {
      const files: PreparationStep[] = [
        {
          what: `the store ${join(config.dataDir, STORE_FILE)}`,
          state: existsSync(join(config.dataDir, STORE_FILE)) ? "present" : "missing",
          make: async () => (await openEmbeddedStores(config)).close(),
        },
      ];
      if (config.encryptionKeys === undefined) {
        const path = join(config.dataDir, ENCRYPTION_KEY_FILE);
        files.push(keyFileStep("the encryption key", path, () => encryptionKeysOf(config)));
      }
      if (config.signingSeeds === undefined) {
        const path = join(config.dataDir, SIGNING_KEY_FILE);
        files.push(keyFileStep("the signing seed", path, () => signingSeedsOf(config)));
      }
      return files;
    },
  };
}

function keyFileStep(name: string, path: string, make: () => Promise<string>): PreparationStep {
  return {
    what: `${name} ${path}`,
    state: existsSync(path) ? "present" : "missing",
    make: async () => {
      await make();
    },
  };
}
