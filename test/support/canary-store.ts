/** What the store may hold of the canaries' run, and what not. */
import { expect } from "vitest";
import type { Canaries } from "./canary.ts";
import type { CanaryReceiver } from "./canary-receiver.ts";

interface Store {
  /** Its payloads are. */
  readonly isEncrypted: boolean;
  /** By the name of the table or collection. */
  contents(): Promise<ReadonlyMap<string, string>>;
}

/**
 * Where docs/erasure.md says that personal data is kept: what receivers answered, and, where payloads are not encrypted,
 * events and dead letters. A subscription's URL and headers are its owner's own.
 */
const PERSONAL_IN = ["deliveries", "subscriptions"];
const PERSONAL_UNENCRYPTED_IN = ["dead_letters", "events"];

interface Sought {
  readonly canaries: Canaries;
  readonly receiver: Pick<CanaryReceiver, "hashes">;
  /** Nowhere. */
  readonly secrets: readonly string[];
}

export async function judgeStore(store: Store, { canaries, receiver, secrets }: Sought): Promise<void> {
  const contents = await store.contents();
  const holding = [...contents].filter(([where, text]) => canaries.foundIn(where, text).length > 0);
  expect(holding.map(([where]) => where).toSorted()).toEqual(
    [...PERSONAL_IN, ...(store.isEncrypted ? [] : PERSONAL_UNENCRYPTED_IN)].toSorted(),
  );
  for (const [where, text] of contents)
    for (const one of secrets) expect(text.includes(one), `${one} in ${where}`).toBe(false);
  // Without encryption it says which body was sent, and who has a guess at it can check that.
  const stored = [...contents.values()].join();
  expect([...receiver.hashes].some((hash) => stored.includes(hash))).toBe(!store.isEncrypted);
}
