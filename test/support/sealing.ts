/** A store in memory whose rows are read as they lie, and as through the seal that is tried. */
import type { ChangeFeed } from "../../src/delivery/change-feed.ts";
import { silentLog } from "../../src/kernel/log.ts";
import { systemRandom } from "../../src/kernel/random.ts";
import { type Keyring, keyringFrom, makeEncryptionKey } from "../../src/signing/keyring.ts";
import { embeddedStore } from "./embedded-store.ts";

export const older = makeEncryptionKey("k1", systemRandom);
export const newer = makeEncryptionKey("k2", systemRandom);

function unwatched() {
  const changes: ChangeFeed = {
    watchEvents: () => Promise.reject(new Error("nobody watches")),
    watchDeliveries: () => Promise.reject(new Error("nobody watches")),
  };
  return { ...embeddedStore(), changes };
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
