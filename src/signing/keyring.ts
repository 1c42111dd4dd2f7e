import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from "node:crypto";
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
  /** Under the newest key. */
  seal(text: string, associatedData: string): string;
  /**
   * @throws CodedError `keyring.unknown_key` where the key isn't in the ring, `keyring.damaged` where the text or the
   * associated data isn't what was sealed.
   */
  open(sealed: string, associatedData: string): string;
}

/**
 * Builds the keyring of `PASSBUS_ENCRYPTION_KEYS`: `id:base64` of 32 bytes, comma-separated, newest first.
 * @throws CodedError `config.invalid`. No key is in its message.
 */
export function keyringFrom(keys: string, random: Random): Keyring {
  const [newest, ...older] = parseKeys(keys);
  const byId = new Map([newest, ...older]);
  const [newestId, newestKey] = newest;
  return {
    seal(text, associatedData) {
      const nonce = random.bytes(NONCE_BYTES);
      const cipher = createCipheriv(CIPHER, newestKey, nonce).setAAD(Buffer.from(associatedData));
      const sealed = [nonce, cipher.update(text, "utf8"), cipher.final(), cipher.getAuthTag()];
      return `${newestId}.${Buffer.concat(sealed).toString("base64url")}`;
    },
    open(sealed, associatedData) {
      const dot = sealed.indexOf(".");
      const key = byId.get(sealed.slice(0, Math.max(0, dot)));
      if (key === undefined) {
        const known = [...byId.keys()].join(", ");
        throw new CodedError("keyring.unknown_key", `sealed under a key that the keyring lacks; it has ${known}`);
      }
      return decrypt(key, Buffer.from(sealed.slice(dot + 1), "base64url"), associatedData);
    },
  };
}

/** A new key in the form of `PASSBUS_ENCRYPTION_KEYS`. */
export function makeEncryptionKey(id: string, random: Random): string {
  return `${id}:${Buffer.from(random.bytes(KEY_BYTES)).toString("base64")}`;
}

function decrypt(key: KeyObject, bytes: Buffer, associatedData: string): string {
  try {
    const end = bytes.length - TAG_BYTES;
    const nonce = bytes.subarray(0, NONCE_BYTES);
    const decipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES });
    decipher.setAAD(Buffer.from(associatedData)).setAuthTag(bytes.subarray(end));
    const text = decipher.update(bytes.subarray(NONCE_BYTES, end));
    // Throws where the tag doesn't fit: nothing decrypted may leave before.
    return Buffer.concat([text, decipher.final()]).toString("utf8");
  } catch (cause) {
    throw damaged(cause);
  }
}

function damaged(cause: unknown): CodedError {
  return new CodedError("keyring.damaged", "a sealed secret is not what was sealed", { cause });
}

type NamedKey = readonly [id: string, key: KeyObject];

/**
 * Keys of 32 bytes as a setting has them: `id:base64`, comma-separated, newest first.
 * @throws CodedError `config.invalid`. No key is in its message.
 */
export function parseKeys(keys: string): readonly [NamedKey, ...NamedKey[]] {
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
