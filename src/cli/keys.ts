/**
 * `passbus keys create|list|revoke`, and `bind|unbind` (key-certificates.ts): the keys of an environment, over the API. With `--organisation`, `create` writes
 * straight into the store, also while a server runs: so every organisation and environment comes by its first key.
 * `passbus keys reencrypt` is about other keys, those that the store is encrypted under: reencrypt.ts.
 */
import { toJsonString } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Client, createClient } from "@connectrpc/connect";
import { type Command, InvalidArgumentError, Option } from "commander";
import {
  AccessService,
  CreateKeyResponseSchema,
  type Key,
  KeySchema,
  Role as WireRole,
} from "../../gen/passbus/v1/access_service_pb.js";
import type { KeyStore, Role } from "../access/access-store.ts";
import { makeKey } from "../access/keys.ts";
import { ROLES } from "../access/roles.ts";
import type { Config } from "../config/config.ts";
import { systemClock } from "../kernel/clock.ts";
import { idSource } from "../kernel/ids.ts";
import { systemRandom } from "../kernel/random.ts";
import { DEFAULT_ENVIRONMENT } from "../kernel/tenant.ts";
import { type AddCommand, CommandFailed, type Terminal } from "./cli.ts";
import {
  addOutputOptions,
  type ConnectionOptions,
  connected,
  DONE_JSON,
  done,
  type OutputOptions,
} from "./connection.ts";
import { addCertificateCommands } from "./key-certificates.ts";
import { durationMs } from "./moments.ts";
import { addReencryptCommand, type OpenSealedStore } from "./reencrypt.ts";
import { count, listed, momentOf, numberOf, type Row, refused, shown, tableOf, WHOLE, wordOf } from "./table.ts";

/** The part of the store that commands may use beside a server, as compose.ts opens it. */
export interface AdminStore {
  readonly access: Pick<KeyStore, "insertKey">;
  close(): Promise<void>;
}

export type OpenAdminStore = (config: Config) => Promise<AdminStore>;

interface CreateOptions extends OutputOptions {
  readonly organisation?: string;
  readonly environment?: string;
  readonly role: Role;
  readonly description?: string;
  readonly expires?: number;
}

interface ListOptions extends OutputOptions {
  readonly limit: number;
}

export function keysCommand(openStore: OpenAdminStore, openSealed?: OpenSealedStore): AddCommand {
  return (program, terminal) => {
    const keys = program.command("keys").description("the keys that callers of the API carry");
    const create = keys
      .command("create")
      .description("make a key of the calling key's environment; it is shown once")
      .addOption(new Option("--role <role>", "what the key may do").choices(ROLES).makeOptionMandatory())
      .option("--description <text>", "what it is for")
      .option("--expires <duration>", "how long it counts (12h, 90d); without it, until it is revoked", lasting)
      .option("--organisation <name>", "straight into the store: whom the key speaks for, who may be new")
      .option("--environment <name>", `which of its environments (with --organisation: ${DEFAULT_ENVIRONMENT})`);
    addOutputOptions(create, "the key and its text in JSON, for programs").action((options: CreateOptions) =>
      createKey(options, openStore, terminal),
    );
    addListCommand(keys, terminal);
    const revoke = keys
      .command("revoke")
      .description("take keys away: they count no more within a second")
      .argument("<id...>", "the keys' ids (key_…)");
    addOutputOptions(revoke, DONE_JSON).action((ids: readonly string[], options: OutputOptions) =>
      revokeKeys(ids, options, terminal),
    );
    addCertificateCommands(keys, terminal);
    if (openSealed !== undefined) addReencryptCommand(keys, openSealed, terminal);
  };
}

function addListCommand(keys: Command, terminal: Terminal): void {
  const list = keys.command("list").description("show the environment's keys, newest first; never their text");
  addOutputOptions(list)
    .option("--limit <n>", "no more than so many", count, 50)
    .action((options: ListOptions) => listKeys(options, terminal));
}

function lasting(text: string): number {
  const ms = durationMs(text);
  if (ms === undefined) throw new InvalidArgumentError("It must be a length of time: 30m, 12h, 90d.");
  return ms;
}

function createKey(options: CreateOptions, openStore: OpenAdminStore, terminal: Terminal): Promise<void> {
  const { organisation } = options;
  return organisation === undefined
    ? createOverApi(options, terminal)
    : createInStore({ ...options, organisation }, openStore, terminal);
}

async function createOverApi(options: CreateOptions, terminal: Terminal): Promise<void> {
  const { role, environment = "", description = "", expires } = options;
  const expiresAt = expires === undefined ? {} : { expiresAt: timestampFromMs(systemClock.now() + expires) };
  const draft = { role: numberOf<WireRole>(WireRole, role), environment, description, ...expiresAt };
  const answer = await withAccess(options, terminal, (access) => access.createKey({ key: draft }));
  if (options.json === true) return terminal.out(`${toJsonString(CreateKeyResponseSchema, answer, WHOLE)}\n`);
  const { key, secret } = answer;
  terminal.err(`${key?.id}: ${role} in ${key?.environment}. It is shown this once:\n`);
  terminal.out(`${secret}\n`);
}

async function createInStore(
  options: CreateOptions & { readonly organisation: string },
  openStore: OpenAdminStore,
  terminal: Terminal,
): Promise<void> {
  const { organisation, environment = DEFAULT_ENVIRONMENT, role, description, expires } = options;
  const clock = systemClock;
  const material = { clock, ids: idSource(clock, systemRandom), random: systemRandom };
  const { record, text } = makeKey({ organisation, environment }, role, material, {
    ...(description !== undefined && { description }),
    ...(expires !== undefined && { expiresAtMs: clock.now() + expires }),
  });
  const store = await openStore(terminal.settings());
  try {
    await store.access.insertKey(record);
  } finally {
    await store.close();
  }
  if (options.json === true) {
    return terminal.out(
      `${JSON.stringify({ key: { id: record.id, organisation, environment, role }, secret: text })}\n`,
    );
  }
  terminal.err(`${record.id}: ${role} in ${organisation}/${environment}. It is shown this once:\n`);
  // The key alone, so that a script can take it.
  terminal.out(`${text}\n`);
}

async function listKeys(options: ListOptions, terminal: Terminal): Promise<void> {
  const keys = await withAccess(options, terminal, (access) =>
    listed(options.limit, async (page) => {
      const { keys: items, nextPageToken } = await access.listKeys(page);
      return { items, nextPageToken };
    }),
  );
  if (options.json === true) for (const key of keys) terminal.out(`${toJsonString(KeySchema, key, WHOLE)}\n`);
  else if (keys.length === 0) terminal.err("no keys\n");
  else terminal.out(tableOf(["ID", "ROLE", "CREATED", "LAST USED", "ENDS", "FOR"], keys.map(rowOf)));
}

function rowOf({ id, role, createdAt, lastUsedAt, expiresAt, revokedAt, description }: Key): Row {
  const ends = revokedAt === undefined ? momentOf(expiresAt) : `revoked ${momentOf(revokedAt)}`;
  return [id, wordOf(WireRole, role), momentOf(createdAt), momentOf(lastUsedAt), ends, shown(description)];
}

async function revokeKeys(ids: readonly string[], options: OutputOptions, terminal: Terminal): Promise<void> {
  await withAccess(options, terminal, async (access) => {
    for (const id of ids) {
      await access.revokeKey({ id });
      done(terminal, options, `${id}: revoked`, { revoked: id });
    }
  });
}

/** What the server refuses is said in its words. */
export async function withAccess<T>(
  options: ConnectionOptions,
  terminal: Terminal,
  use: (access: Client<typeof AccessService>) => Promise<T>,
): Promise<T> {
  return connected(options, terminal, (transport) =>
    use(createClient(AccessService, transport)).catch((reason: unknown) => {
      throw reason instanceof CommandFailed ? reason : refused(reason);
    }),
  );
}
