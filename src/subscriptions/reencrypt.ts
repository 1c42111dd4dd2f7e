/**
 * A new encryption key takes the place of the old ones: every sealed text of every subscription is opened and sealed
 * anew under the newest key, while the service runs. A subscription is written over the version that was read, so that
 * no change of anybody's is lost, and in one write, so that whoever reads it finds it whole. What is under the newest key
 * already is left alone: a run that was broken off is simply made again.
 */
import type { Subscription } from "../domain/subscription.ts";
import { CodedError } from "../kernel/errors.ts";
import type { Tenant } from "../kernel/tenant.ts";
import { type Keyring, sealedUnder } from "../signing/keyring.ts";
import {
  openAuthorization,
  openClientKey,
  openSecret,
  sealAuthorization,
  sealClientKey,
  sealSecret,
} from "../signing/secrets.ts";
import type { SubscriptionStore } from "./subscription-store.ts";

/** A place in the walk over all subscriptions of all tenants. */
export type SubscriptionPlace = Pick<Subscription, "tenant" | "id">;

export interface SubscriptionWalk {
  /** Those behind `after`, of every tenant, in an order that stays the same; `limit` at most, none at the end. */
  every(after: SubscriptionPlace | undefined, limit: number): Promise<readonly Subscription[]>;
}

export type SealedSubscriptions = SubscriptionWalk & Pick<SubscriptionStore, "get" | "replace">;

/** A sealed text that can't be opened. */
export interface Unopened {
  readonly tenant: Tenant;
  readonly subscriptionId: string;
  /** `keyring.unknown_key` or `keyring.damaged`. */
  readonly code: string;
  /** The key that it is sealed under. */
  readonly keyId: string;
}

/** What was found in a walk over all subscriptions. */
export interface KeyUse {
  readonly subscriptions: number;
  /** Sealed texts by the id of their key. */
  readonly texts: ReadonlyMap<string, number>;
  /** The first hundred that can't be opened. */
  readonly unopened: readonly Unopened[];
  /** How many can't be opened. */
  readonly unopenedCount: number;
}

export interface Reencrypted extends KeyUse {
  /** Subscriptions that were written. */
  readonly written: number;
  /** Keys of the ring, older than the newest, that nothing is sealed under any more. */
  readonly unused: readonly string[];
}

const STEP = 200;
const UNOPENED_SHOWN = 100;
/** Of a subscription that others change all the time. */
const WRITE_TRIES = 10;

/** Which keys are in use, and whether each sealed text can be opened. Writes nothing. */
export async function keyUse(store: SubscriptionWalk, keyring: Keyring): Promise<KeyUse> {
  let subscriptions = 0;
  const texts = new Map<string, number>();
  const unopened: Unopened[] = [];
  let unopenedCount = 0;
  for await (const subscription of walk(store)) {
    subscriptions += 1;
    const { tenant, id: subscriptionId } = subscription;
    withTexts(keyring, subscription, ({ sealed, open }) => {
      const keyId = sealedUnder(sealed);
      texts.set(keyId, (texts.get(keyId) ?? 0) + 1);
      const opened = tryOpen(open);
      if (typeof opened === "string") return sealed;
      unopenedCount += 1;
      if (unopened.length < UNOPENED_SHOWN) unopened.push({ tenant, subscriptionId, code: opened.code, keyId });
      return sealed;
    });
  }
  return { subscriptions, texts, unopened, unopenedCount };
}

/**
 * Seals all of it under the newest key. `onProgress` is told, now and then, how many were looked at and written. Texts
 * that can't be opened stay as they are, and are in the answer. What was sealed under an older key meanwhile, by a
 * process whose keyring still begins with it, is in the answer too: then the run is to be made again.
 */
export async function reencrypt(
  store: SealedSubscriptions,
  keyring: Keyring,
  onProgress: (looked: number, written: number) => void = () => {},
): Promise<Reencrypted> {
  let looked = 0;
  let written = 0;
  for await (const subscription of walk(store)) {
    looked += 1;
    if (await sealAnew(store, keyring, subscription)) written += 1;
    if (looked % STEP === 0) onProgress(looked, written);
  }
  onProgress(looked, written);
  const use = await keyUse(store, keyring);
  const [, ...older] = keyring.keyIds;
  return { ...use, written, unused: older.filter((id) => !use.texts.has(id)) };
}

async function* walk(store: SubscriptionWalk): AsyncGenerator<Subscription> {
  let after: SubscriptionPlace | undefined;
  for (;;) {
    const step = await store.every(after, STEP);
    yield* step;
    const last = step.at(-1);
    if (last === undefined) return;
    after = { tenant: last.tenant, id: last.id };
  }
}

/** Whether it was written. */
async function sealAnew(store: SealedSubscriptions, keyring: Keyring, found: Subscription): Promise<boolean> {
  let current: Subscription | undefined = found;
  for (let tries = 0; tries < WRITE_TRIES; tries++) {
    const next = underNewest(keyring, current);
    if (next === undefined) return false;
    if ((await store.replace(next)) === "replaced") return true;
    current = await store.get(found.tenant, found.id);
    if (current === undefined) return false;
  }
  throw new CodedError("version.changed", `subscription ${found.id} is being changed by others; run it again`);
}

/** Undefined where nothing in it is to be written. `updatedAtMs` stays: nobody changed what it says. */
function underNewest(keyring: Keyring, current: Subscription): Subscription | undefined {
  const [newest] = keyring.keyIds;
  let changed = false;
  const next = withTexts(keyring, current, ({ sealed, open, seal }) => {
    const text = sealedUnder(sealed) === newest ? undefined : tryOpen(open);
    if (typeof text !== "string") return sealed;
    changed = true;
    return seal(text);
  });
  return changed ? { ...next, version: current.version + 1 } : undefined;
}

/** One sealed text of a subscription, with what it is bound to. */
interface SealedText {
  readonly sealed: string;
  open(): string;
  seal(text: string): string;
}

/** The one place that knows all that is sealed in a subscription: with each of them as `change` answers. Their names begin with `sealed`. */
function withTexts(keyring: Keyring, owner: Subscription, change: (text: SealedText) => string): Subscription {
  const secrets = owner.secrets.map((secret) => ({
    ...secret,
    sealed: change({
      sealed: secret.sealed,
      open: () => openSecret(keyring, owner, secret),
      seal: (text) => sealSecret(keyring, owner, secret.id, text),
    }),
  }));
  return {
    ...owner,
    secrets,
    ...withAuthorizationText(keyring, owner, change),
    ...withClientKey(keyring, owner, change),
  };
}

function withAuthorizationText(keyring: Keyring, owner: Subscription, change: (text: SealedText) => string) {
  const { sealedEthpassAuthorization: sealed } = owner.formatOptions;
  if (sealed === undefined) return {};
  const sealedEthpassAuthorization = change({
    sealed,
    open: () => openAuthorization(keyring, owner, sealed),
    seal: (text) => sealAuthorization(keyring, owner, text),
  });
  return { formatOptions: { ...owner.formatOptions, sealedEthpassAuthorization } };
}

function withClientKey(keyring: Keyring, owner: Subscription, change: (text: SealedText) => string) {
  const client = owner.tls?.client;
  if (client === undefined) return {};
  const sealedKey = change({
    sealed: client.sealedKey,
    open: () => openClientKey(keyring, owner, client.sealedKey),
    seal: (text) => sealClientKey(keyring, owner, text),
  });
  return { tls: { ...owner.tls, client: { ...client, sealedKey } } };
}

/** The text, or the error of the keyring. */
function tryOpen(open: () => string): string | CodedError {
  try {
    return open();
  } catch (error) {
    if (error instanceof CodedError && error.code.startsWith("keyring.")) return error;
    throw error;
  }
}
