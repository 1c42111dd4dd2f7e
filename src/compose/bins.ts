/** Request bins, as the API's thread and the engine's each have them. */
import type { Config } from "../config/config.ts";
import { Bins } from "../inspector/bins.ts";
import { clock, ids, random, type Stores } from "./parts.ts";
import type { SigningKeys } from "./signing-keys.ts";

/** `url` is where the API listens, once it does. */
export function binsOf(config: Config, keys: SigningKeys, stores: Stores, url: () => string): Bins {
  return new Bins({
    store: stores.bins,
    feed: stores.feed,
    keyring: keys.keyring,
    ed25519Keys: keys.ed25519Keys,
    clock,
    ids,
    random,
    lifetimeMs: config.binLifetimeMs,
    publicUrl: () => config.publicUrl ?? reachable(url()),
  });
}

/** Who listens at every address is reached at one. As URLs are written in normal form: a default port is left out. */
function reachable(url: string): string {
  const one = url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:");
  return URL.parse(one)?.origin ?? one;
}
