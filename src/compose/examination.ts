/** What `passbus doctor` asks of the adapters. Nothing here makes or changes anything. */
import { existsSync } from "node:fs";
import { systemResolver } from "../adapters/http/resolver.ts";
import { connectMongo } from "../adapters/mongodb/mongodb.ts";
import { type ExaminedStore, examineStore } from "../adapters/sqlite/examine.ts";
import type { Config } from "../config/config.ts";
import { type KeyUse, keyUse } from "../subscriptions/reencrypt.ts";
import { isDistributed, openSealedStore } from "./compose.ts";
import { keyFilesOf } from "./embedded.ts";
import { clock } from "./parts.ts";

export const resolveHost = systemResolver();

/** The files that hold keys of the embedded deployment. */
export function keyFiles(config: Config): readonly string[] {
  return isDistributed(config) ? [] : keyFilesOf(config);
}

/** Undefined where there is none yet, and in the distributed deployment. */
export function embeddedStore(config: Config): ExaminedStore | undefined {
  return isDistributed(config) ? undefined : examineStore(config.dataDir);
}

/** Undefined where the store is of another schema than this passbus: opening it would change it. */
export async function encryptionKeyUse(config: Config): Promise<(KeyUse & { readonly newest: string }) | undefined> {
  if (!isDistributed(config)) {
    const store = examineStore(config.dataDir);
    if (store === undefined || store.version !== store.newest) return undefined;
    // A key file that is missing would be made.
    if (!keyFilesOf(config).every((file) => existsSync(file))) return undefined;
  }
  const sealed = await openSealedStore(config);
  try {
    const use = await keyUse(sealed.subscriptions, sealed.keyring);
    return { ...use, newest: sealed.keyring.keyIds[0] ?? "" };
  } finally {
    await sealed.close();
  }
}

/** By how much the store's clock is ahead of this process's, in ms; undefined where it is the same clock. */
export async function storeClockAheadMs({ mongodbUri: uri }: Config): Promise<number | undefined> {
  if (uri === undefined) return undefined;
  const store = await connectMongo({ uri, clock });
  try {
    const before = clock.now();
    const told = await store.clockMs();
    return told - (before + clock.now()) / 2;
  } finally {
    await store.close();
  }
}
