import { describe, expect, it } from "vitest";
import { seededRandom, systemRandom } from "../kernel/random.ts";
import { isSealed, keyringFrom, makeEncryptionKey } from "./keyring.ts";

const random = seededRandom(1);
const older = makeEncryptionKey("k1", random);
const newer = makeEncryptionKey("k2", random);
const damaged = expect.objectContaining({ code: "keyring.damaged" });

describe("a keyring", () => {
  it("opens what it sealed, for the same thing alone", () => {
    const keyring = keyringFrom(older, systemRandom);
    const sealed = keyring.seal("whsec_grüße", "a");
    expect(keyring.open(sealed, "a")).toBe("whsec_grüße");
    expect(() => keyring.open(sealed, "b")).toThrow(damaged);
    expect(keyring.open(keyring.seal("", ""), "")).toBe("");
  });

  it("never seals twice alike, and shows nothing of the text", () => {
    const keyring = keyringFrom(older, systemRandom);
    const sealed = keyring.seal("whsec_text", "a");
    expect(keyring.seal("whsec_text", "a")).not.toBe(sealed);
    expect(Buffer.from(sealed.slice(3), "base64url").includes("whsec_text")).toBe(false);
  });

  it("seals under the newest key and opens under all, whatever their order", () => {
    const before = keyringFrom(older, systemRandom).seal("text", "a");
    const rotated = keyringFrom(`${newer}, ${older}`, systemRandom);
    expect(rotated.open(before, "a")).toBe("text");
    expect(rotated.seal("text", "a")).toMatch(/^k2\./);
    expect(before).toMatch(/^k1\./);
  });

  it("says which keys it has where another one is needed", () => {
    const sealed = keyringFrom(older, systemRandom).seal("text", "a");
    const other = keyringFrom(newer, systemRandom);
    expect(() => other.open(sealed, "a")).toThrow(
      expect.objectContaining({ code: "keyring.unknown_key", message: expect.stringContaining("it has k2") }),
    );
    expect(() => other.open("nonsense", "a")).toThrow(expect.objectContaining({ code: "keyring.unknown_key" }));
  });

  it("notices a change of any byte, and of the length", () => {
    const keyring = keyringFrom(older, systemRandom);
    const sealed = keyring.seal("text", "a");
    const bytes = Buffer.from(sealed.slice(3), "base64url");
    expect(bytes.length).toBe(12 + 4 + 16);
    for (let at = 0; at < bytes.length; at += 1) {
      const changed = Buffer.from(bytes);
      changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
      expect(() => keyring.open(`k1.${changed.toString("base64url")}`, "a")).toThrow(damaged);
      const short = bytes.subarray(0, at).toString("base64url");
      expect(() => keyring.open(`k1.${short}`, "a")).toThrow(damaged);
    }
  });
});

describe("a derived keyring", () => {
  it("opens what another of the same keys and purpose sealed, and nothing of any other", () => {
    const keyring = keyringFrom(older, systemRandom);
    const sealed = keyring.derived("page token").seal("text", "a");
    expect(keyringFrom(older, systemRandom).derived("page token").open(sealed, "a")).toBe("text");
    expect(keyringFrom(`${newer},${older}`, systemRandom).derived("page token").open(sealed, "a")).toBe("text");
    expect(() => keyring.open(sealed, "a")).toThrow(damaged);
    expect(() => keyring.derived("something else").open(sealed, "a")).toThrow(damaged);
    expect(() => keyring.derived("page token").open(keyring.seal("text", "a"), "a")).toThrow(damaged);
  });
});

describe("the keys", () => {
  const { length } = older;
  it.each([
    ["", "the id of key 1"],
    ["k1", "the id of key 1"],
    [":AAAA", "the id of key 1"],
    [`k 1${older.slice(2)}`, "the id of key 1"],
    [older.slice(0, length - 5), "key 1 (k1)"],
    [`${newer},${older}AAAA`, "key 2 (k1)"],
    [older.replace("=", ""), "key 1 (k1)"],
    [`${older},${older}`, "same id"],
  ])("are refused: %s", (keys, flaw) => {
    const refusal = expect.objectContaining({
      code: "config.invalid",
      message: expect.stringContaining(flaw),
    });
    expect(() => keyringFrom(keys, systemRandom)).toThrow(refusal);
  });

  it("are not told in the refusal", () => {
    const secret = older.slice(3, 20);
    expect(() => keyringFrom(`k1:${secret}`, systemRandom)).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining(secret) }),
    );
  });
});

describe("bytes", () => {
  const keyring = keyringFrom(`${newer},${older}`, systemRandom);
  const bytes = Uint8Array.from({ length: 1_000 }, (_, at) => at % 256);

  it("are sealed and opened for the same thing alone, and say that they are", () => {
    const sealed = keyring.sealBytes(bytes, "a");
    expect(isSealed(sealed)).toBe(true);
    expect(keyring.openBytes(sealed, "a")).toEqual(bytes);
    expect(keyring.openBytes(keyringFrom(older, systemRandom).sealBytes(bytes, "a"), "a")).toEqual(bytes);
    expect(() => keyring.openBytes(sealed, "b")).toThrow(damaged);
    expect(() => keyring.openBytes(sealed.subarray(0, 20), "a")).toThrow(damaged);
    expect(() => keyringFrom(older, systemRandom).openBytes(sealed, "a")).toThrow(
      expect.objectContaining({ code: "keyring.unknown_key" }),
    );
    expect(isSealed(Uint8Array.of(0x0a, 1, 65))).toBe(false);
    expect(isSealed(new Uint8Array())).toBe(false);
  });

  it("have one hash under one key, which nobody makes without it", () => {
    const hash = keyring.hash(bytes);
    expect(hash).toMatch(/^k2\.[A-Za-z0-9_-]{43}$/);
    expect(keyringFrom(newer, systemRandom).hash(bytes)).toBe(hash);
    expect(keyringFrom(older, systemRandom).hash(bytes).slice(3)).not.toBe(hash.slice(3));
    expect(keyring.hash(bytes.subarray(1))).not.toBe(hash);
  });
});
