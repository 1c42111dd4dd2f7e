/**
 * `passbus keys reencrypt`: seals everything in the store under the newest of the encryption keys, also while servers
 * run, and says which keys may go. docs/keys.md has the whole of a rotation.
 */
import type { Command } from "commander";
import type { Config } from "../config/config.ts";
import type { ErasureStore } from "../delivery/erasure.ts";
import { reencryptErasures } from "../delivery/erasures.ts";
import { type PayloadWalk, payloadKeyUse } from "../delivery/sealed-payloads.ts";
import type { Keyring } from "../signing/keyring.ts";
import { type KeyUse, keyUse, reencrypt, type SealedSubscriptions, type Unopened } from "../subscriptions/reencrypt.ts";
import { CommandFailed, type Terminal } from "./cli.ts";
import { progressOn } from "./progress.ts";

/** What is sealed, with the keys of the settings or of the data directory. */
export interface SealedStore extends PayloadWalk {
  readonly subscriptions: SealedSubscriptions;
  readonly erasures: Pick<ErasureStore, "dueErasures" | "resealErasure">;
  readonly keyring: Keyring;
  /** How many dead letters are sealed, by their key. */
  letterKeyUse(): Promise<ReadonlyMap<string, number>>;
  close(): Promise<void>;
}

export type OpenSealedStore = (config: Config) => Promise<SealedStore>;

interface Options {
  readonly dryRun?: true;
  readonly json?: true;
}

export function addReencryptCommand(keys: Command, open: OpenSealedStore, terminal: Terminal): void {
  keys
    .command("reencrypt")
    .description("straight in the store: seal all secrets under the newest encryption key, while servers run")
    .option("--dry-run", "only say which encryption keys are in use")
    .option("--json", "the result as one line of JSON")
    .action((options: Options) => run(options, open, terminal));
}

async function run(options: Options, open: OpenSealedStore, terminal: Terminal): Promise<void> {
  const store = await open(terminal.settings());
  const line = progressOn(terminal);
  try {
    const { subscriptions, erasures, keyring } = store;
    const progress = (looked: number, written: number) => {
      const text = `${looked} subscriptions looked at, ${written} written`;
      if (terminal.showsProgress === true) line.show(text);
      else terminal.err(`${text}\n`);
    };
    const done =
      options.dryRun === true
        ? await keyUse(subscriptions, keyring)
        : await reencrypt(subscriptions, keyring, options.json === true ? undefined : progress);
    if (options.dryRun !== true) await reencryptErasures(erasures, keyring);
    line.end();
    const payloads = sum(await payloadKeyUse(store), await store.letterKeyUse());
    const unused = keyring.keyIds.slice(1).filter((id) => !done.texts.has(id) && !payloads.has(id));
    const found = { ...done, payloads, unused };
    terminal.out(options.json === true ? `${jsonOf(found, keyring)}\n` : textOf(found, keyring));
    if (done.unopenedCount > 0) throw new CommandFailed(refusal(done));
    const old = keyring.keyIds.slice(1).filter((id) => done.texts.has(id));
    if (options.dryRun !== true && old.length > 0) {
      throw new CommandFailed(
        `a server whose newest key is another went on sealing under ${old.join(", ")}: give all of them the same keys, then run this again`,
      );
    }
  } finally {
    line.end();
    await store.close();
  }
}

function sum(left: ReadonlyMap<string, number>, right: ReadonlyMap<string, number>): ReadonlyMap<string, number> {
  return new Map([...left, ...right].map(([id]) => [id, (left.get(id) ?? 0) + (right.get(id) ?? 0)]));
}

/** With what is sealed besides texts (payloads of events, and dead letters), and the older keys that nothing is sealed under. */
interface Found extends KeyUse {
  readonly payloads: ReadonlyMap<string, number>;
  readonly unused: readonly string[];
}

function textOf({ texts, payloads, unused }: Found, keyring: Keyring): string {
  const [newest] = keyring.keyIds;
  const used = [...new Set([...texts.keys(), ...payloads.keys()])];
  const missing = used.filter((id) => !keyring.keyIds.includes(id));
  const lines = [...keyring.keyIds, ...missing].map((id) => {
    const notes = [
      ...(id === newest ? ["the newest"] : []),
      ...(unused.includes(id) ? ["nothing is sealed under it any more: it may be taken away"] : []),
      ...(missing.includes(id) ? ["NOT AMONG THE KEYS"] : []),
    ];
    const note = notes.length === 0 ? "" : ` (${notes.join(", ")})`;
    const events = payloads.has(id) ? `, ${payloads.get(id)} payloads, which go with their age` : "";
    return `key ${id}: ${texts.get(id) ?? 0} sealed texts${events}${note}\n`;
  });
  return lines.join("");
}

function jsonOf({ subscriptions, texts, payloads, unused, unopened, unopenedCount }: Found, keyring: Keyring): string {
  const none = Object.fromEntries(keyring.keyIds.map((id) => [id, 0]));
  return JSON.stringify({
    newest: keyring.keyIds[0],
    subscriptions,
    texts: { ...none, ...Object.fromEntries(texts) },
    payloads: { ...none, ...Object.fromEntries(payloads) },
    unused,
    unopened,
    unopenedCount,
  });
}

const SHOWN = 10;

function refusal({ unopened, unopenedCount }: KeyUse): string {
  const lines = unopened.slice(0, SHOWN).map(unopenedLine);
  const more = unopenedCount > lines.length ? [`  and ${unopenedCount - lines.length} more`] : [];
  const what = unopenedCount === 1 ? "1 sealed text" : `${unopenedCount} sealed texts`;
  return [`${what} can't be opened, so that nothing is signed for these subscriptions:`, ...lines, ...more].join("\n");
}

function unopenedLine({ tenant, subscriptionId, code, keyId }: Unopened): string {
  return `  ${subscriptionId} of ${tenant.organisation}/${tenant.environment}: ${code} (key ${keyId})`;
}
