/** `passbus keys create`: a new API key, straight into the store, also while a server runs. */
import { Option } from "commander";
import type { KeyStore, Role } from "../access/access-store.ts";
import { makeKey } from "../access/keys.ts";
import { ROLES } from "../access/roles.ts";
import type { Config } from "../config/config.ts";
import { systemClock } from "../kernel/clock.ts";
import { idSource } from "../kernel/ids.ts";
import { systemRandom } from "../kernel/random.ts";
import { DEFAULT_ENVIRONMENT } from "../kernel/tenant.ts";
import type { AddCommand, Terminal } from "./cli.ts";

/** The part of the store that commands may use beside a server, as compose.ts opens it. */
export interface AdminStore {
  readonly access: Pick<KeyStore, "insertKey">;
  close(): Promise<void>;
}

export type OpenAdminStore = (config: Config) => Promise<AdminStore>;

interface CreateOptions {
  readonly organisation: string;
  readonly environment: string;
  readonly role: Role;
}

export function keysCommand(openStore: OpenAdminStore): AddCommand {
  return (program, terminal) => {
    const keys = program.command("keys").description("the keys that callers of the API carry");
    keys
      .command("create")
      .description("make a key; the first one of an organisation makes the organisation")
      .requiredOption("--organisation <name>", "whom the key speaks for")
      .option("--environment <name>", "which of its environments", DEFAULT_ENVIRONMENT)
      .addOption(new Option("--role <role>", "what the key may do").choices(ROLES).makeOptionMandatory())
      .action((options: CreateOptions) => createKey(options, openStore, terminal));
  };
}

async function createKey(options: CreateOptions, openStore: OpenAdminStore, terminal: Terminal): Promise<void> {
  const { organisation, environment, role } = options;
  const clock = systemClock;
  const material = { clock, ids: idSource(clock, systemRandom), random: systemRandom };
  const { record, text } = makeKey({ organisation, environment }, role, material);
  const store = await openStore(terminal.settings());
  try {
    await store.access.insertKey(record);
  } finally {
    await store.close();
  }
  terminal.err(`${record.id}: ${role} in ${organisation}/${environment}. It is shown this once:\n`);
  // The key alone, so that a script can take it.
  terminal.out(`${text}\n`);
}
