/** A store in memory whose rows are read as they lie, and as through the seal that is tried. */
import type { ChangeFeed } from "../../src/delivery/change-feed.ts";
import { withSealedPayloads } from "../../src/delivery/sealed-payloads.ts";
import { silentLog } from "../../src/kernel/log.ts";
import { systemRandom } from "../../src/kernel/random.ts";
import { type Keyring, keyringFrom, makeEncryptionKey } from "../../src/signing/keyring.ts";
import type { StorePorts, StoreUnderTest } from "../contracts/rows.ts";
import { embeddedStore } from "./embedded-store.ts";

export const older = makeEncryptionKey("k1", systemRandom);
export const newer = makeEncryptionKey("k2", systemRandom);

const NOBODY_WATCHES: ChangeFeed = {
  watchEvents: () => Promise.reject(new Error("nobody watches")),
  watchDeliveries: () => Promise.reject(new Error("nobody watches")),
};

const unwatched = () => ({ ...embeddedStore(), changes: NOBODY_WATCHES });

/** The same ports, with payloads under a key that is the same each time. */
export function underKey<P extends Pick<StorePorts, "deliveries" | "replays">>(ports: P): P {
  const sealing = { keyring: keyringFrom(older, systemRandom), isOn: true, log: silentLog };
  return withSealedPayloads({ changes: NOBODY_WATCHES, ...ports }, sealing);
}

/** A store under test whose payloads lie under a key, over each of its connections. */
export function sealedStore<T extends StoreUnderTest>(make: () => Promise<T>): () => Promise<T> {
  return async () => {
    const store = await make();
    const connect = async () => underKey(await store.connect());
    const reopen = async () => underKey(await store.reopen());
    return { ...underKey(store), connect, reopen };
  };
}

type Raw = ReturnType<typeof unwatched>;
type Seal = (raw: Raw, sealing: { keyring: Keyring; isOn: boolean; log: typeof silentLog }) => Raw;

/** `sealed` takes the keys as the setting does, and whether new rows are sealed; `failures` are the errors logged. */
export function sealing(seal: Seal) {
  const raw = unwatched();
  const failures: string[] = [];
  const log = { ...silentLog, error: (name: string) => void failures.push(name) };
  const sealed = (keys: string, isOn = true) => seal(raw, { keyring: keyringFrom(keys, systemRandom), isOn, log });
  return { raw, sealed, failures };
}
