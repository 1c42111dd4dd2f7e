import { createCipheriv, createDecipheriv, createHmac, createSecretKey, hkdfSync, type KeyObject } from "node:crypto";
import { CodedError } from "../kernel/errors.ts";
import type { Random } from "../kernel/random.ts";

const CIPHER = "aes-256-gcm";
const KEY_BYTES = 32;
/** NIST SP 800-38D §8.2.2: 96 random bits, safe for 2^32 sealings under one key. */
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const KEY_ID = /^[A-Za-z0-9_-]{1,32}$/;

/**
 * Encrypts what must not lie in the store in the clear. `associatedData` says what the text belongs to; a sealed text
 * opens only with the same. A sealed text is `<key id>.<base64url of nonce, ciphertext and tag>`, so that keys can be
 * rotated: put the new one first, and keep the old ones until nothing is sealed under them.
 */
export interface Keyring {
  /** The ids of its keys, the newest first. */
  readonly keyIds: readonly string[];
  /** Under the newest key. */
  seal(text: string, associatedData: string): string;
  /**
   * @throws CodedError `keyring.unknown_key` where the key isn't in the ring, `keyring.damaged` where the text or the
   * associated data isn't what was sealed.
   */
  open(sealed: string, associatedData: string): string;
  /** As `seal`, for bytes: what it answers begins with a zero byte (see `isSealed`). */
  sealBytes(bytes: Uint8Array, associatedData: string): Uint8Array;
  /** @throws CodedError as `open` does. */
  openBytes(sealed: Uint8Array, associatedData: string): Uint8Array;
  /** HMAC-SHA256 under a key made of the newest, in base64url behind that key's id: what was hashed can't be guessed. */
  hash(bytes: Uint8Array): string;
  /** One for another purpose, of keys of its own (HKDF): nothing that either seals opens with the other. */
  derived(purpose: string): Keyring;
}

/**
 * Whether these are sealed bytes, and not a message of protobuf: no field has the number 0, so none begins with a zero.
 */
export function isSealed(bytes: Uint8Array): boolean {
  return bytes[0] === 0;
}

/**
 * Builds the keyring of `PASSBUS_ENCRYPTION_KEYS`: `id:base64` of 32 bytes, comma-separated, newest first.
 * @throws CodedError `config.invalid`. No key is in its message.
 */
export function keyringFrom(keys: string, random: Random): Keyring {
  return keyringOf(parseKeys(keys), random);
}

function keyringOf([newest, ...older]: NamedKeys, random: Random): Keyring {
  const byId = new Map([newest, ...older]);
  const [newestId, newestKey] = newest;
  const hashKey = keyFor("content hash", newestKey);
  const keyOf = (id: string): KeyObject => {
    const key = byId.get(id);
    if (key !== undefined) return key;
    const known = [...byId.keys()].join(", ");
    throw new CodedError("keyring.unknown_key", `sealed under a key that the keyring lacks; it has ${known}`);
  };
  const encrypt = (bytes: Uint8Array, associatedData: string): readonly Uint8Array[] => {
    const nonce = random.bytes(NONCE_BYTES);
    const cipher = createCipheriv(CIPHER, newestKey, nonce).setAAD(Buffer.from(associatedData));
    return [nonce, cipher.update(bytes), cipher.final(), cipher.getAuthTag()];
  };
  return {
    keyIds: [...byId.keys()],
    seal(text, associatedData) {
      const sealed = encrypt(Buffer.from(text), associatedData);
      return `${newestId}.${Buffer.concat(sealed).toString("base64url")}`;
    },
    open(sealed, associatedData) {
      const id = sealedUnder(sealed);
      const key = keyOf(id);
      return decrypt(key, Buffer.from(sealed.slice(id.length + 1), "base64url"), associatedData).toString("utf8");
    },
    sealBytes(bytes, associatedData) {
      const id = Buffer.from(newestId);
      const whole = Buffer.concat([Uint8Array.of(0, id.length), id, ...encrypt(bytes, associatedData)]);
      // Not a view into a pool's buffer, which would live, and be handed to other threads, with it.
      return new Uint8Array(whole);
    },
    openBytes(sealed, associatedData) {
      const id = bytesSealedUnder(sealed) ?? "";
      const key = keyOf(id);
      const end = 2 + Buffer.byteLength(id);
      return new Uint8Array(decrypt(key, Buffer.from(sealed.subarray(end)), associatedData));
    },
    hash: (bytes) => `${newestId}.${createHmac("sha256", hashKey).update(bytes).digest("base64url")}`,
    derived(purpose) {
      const derive = ([id, key]: NamedKey): NamedKey => [id, keyFor(purpose, key)];
      return keyringOf([derive(newest), ...older.map(derive)], random);
    },
  };
}

/** RFC 5869: what encrypts must not be used for anything else. */
function keyFor(purpose: string, key: KeyObject): KeyObject {
  return createSecretKey(Buffer.from(hkdfSync("sha256", key, new Uint8Array(), `passbus ${purpose}`, KEY_BYTES)));
}

/** The id of the key that bytes were sealed under; undefined where they are not sealed. */
export function bytesSealedUnder(bytes: Uint8Array): string | undefined {
  return isSealed(bytes) ? Buffer.from(bytes.subarray(2, 2 + (bytes[1] ?? 0))).toString() : undefined;
}

/** The id of the key that a text was sealed under; empty where it is no sealed text. */
export function sealedUnder(sealed: string): string {
  return sealed.slice(0, Math.max(0, sealed.indexOf(".")));
}

/** A new key in the form of `PASSBUS_ENCRYPTION_KEYS`. */
export function makeEncryptionKey(id: string, random: Random): string {
  return `${id}:${Buffer.from(random.bytes(KEY_BYTES)).toString("base64")}`;
}

function decrypt(key: KeyObject, bytes: Buffer, associatedData: string): Buffer {
  try {
    const end = bytes.length - TAG_BYTES;
    const nonce = bytes.subarray(0, NONCE_BYTES);
    const decipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES });
    decipher.setAAD(Buffer.from(associatedData)).setAuthTag(bytes.subarray(end));
    const text = decipher.update(bytes.subarray(NONCE_BYTES, end));
    // Throws where the tag doesn't fit: nothing decrypted may leave before.
    return Buffer.concat([text, decipher.final()]);
  } catch (cause) {
    throw damaged(cause);
  }
}

function damaged(cause: unknown): CodedError {
  return new CodedError("keyring.damaged", "a sealed secret is not what was sealed", { cause });
}

type NamedKey = readonly [id: string, key: KeyObject];
/** The newest first. */
type NamedKeys = readonly [NamedKey, ...NamedKey[]];

/**
 * Keys of 32 bytes as a setting has them: `id:base64`, comma-separated, newest first.
 * @throws CodedError `config.invalid`. No key is in its message.
 */
export function parseKeys(keys: string): NamedKeys {
  const named = keys.split(",").map((entry, index) => parseKey(entry.trim(), index));
  const [newest, ...older] = named;
  if (newest === undefined || new Set(named.map(([id]) => id)).size < named.length) {
    throw wrongKeys("two keys have the same id");
  }
  return [newest, ...older];
}

function parseKey(entry: string, index: number): NamedKey {
  const colon = entry.indexOf(":");
  const id = entry.slice(0, Math.max(0, colon));
  const text = entry.slice(colon + 1);
  const bytes = Buffer.from(text, "base64");
  if (!KEY_ID.test(id)) throw wrongKeys(`the id of key ${index + 1} is not one`);
  if (bytes.length !== KEY_BYTES || bytes.toString("base64") !== text) {
    throw wrongKeys(`key ${index + 1} (${id}) is not ${KEY_BYTES} bytes in base64`);
  }
  return [id, createSecretKey(bytes)];
}

function wrongKeys(flaw: string): CodedError {
  return new CodedError(
    "config.invalid",
    `${flaw}; right is id:base64 of ${KEY_BYTES} bytes, comma-separated, newest first ("openssl rand -base64 32" makes one)`,
  );
}
