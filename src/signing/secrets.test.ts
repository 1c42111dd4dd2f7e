import { describe, expect, it } from "vitest";
import { seededRandom, systemRandom } from "../kernel/random.ts";
import { keyringFrom, makeEncryptionKey } from "./keyring.ts";
import { makeSecret, openSecret, sealSecret, secretBytes } from "./secrets.ts";

const owner = { tenant: { organisation: "acme", environment: "production" }, id: "sub_1" };

describe("a signing secret", () => {
  it("is whsec_ and 32 random bytes", () => {
    const text = makeSecret(systemRandom);
    expect(text).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    expect(makeSecret(systemRandom)).not.toBe(text);
    expect(secretBytes(text)).toEqual(Buffer.from(text.slice(6), "base64"));
  });

  it("may be given with 24 to 64 bytes, with or without padding", () => {
    for (const count of [24, 25, 64]) {
      const encoded = Buffer.alloc(count, 7).toString("base64");
      expect(secretBytes(`whsec_${encoded}`)).toHaveLength(count);
      expect(secretBytes(`whsec_${encoded.replace(/=+$/, "")}`)).toHaveLength(count);
    }
  });

  it.each([
    "",
    "whsec_",
    Buffer.alloc(32, 7).toString("base64"),
    `whsec_${Buffer.alloc(23, 7).toString("base64")}`,
    `whsec_${Buffer.alloc(65, 7).toString("base64")}`,
    `whsec_${Buffer.alloc(32, 7).toString("base64")}\n`,
    `whsec_!${Buffer.alloc(32, 7).toString("base64")}`,
    `WHSEC_${Buffer.alloc(32, 7).toString("base64")}`,
  ])("is refused, and not repeated: %j", (text) => {
    expect(() => secretBytes(text)).toThrow(
      expect.objectContaining({
        code: "request.invalid",
        message: "a signing secret must be whsec_ and the base64 of 24 to 64 bytes",
      }),
    );
  });

  it("opens in its own place alone", () => {
    const keyring = keyringFrom(makeEncryptionKey("k1", seededRandom(3)), systemRandom);
    const text = makeSecret(systemRandom);
    const secret = { id: "a", sealed: sealSecret(keyring, owner, "a", text), createdAtMs: 0 };
    expect(openSecret(keyring, owner, secret)).toBe(text);
    const { tenant } = owner;
    for (const [other, id] of [
      [{ ...owner, id: "sub_2" }, "a"],
      [owner, "b"],
      [{ ...owner, tenant: { ...tenant, organisation: "other" } }, "a"],
      [{ ...owner, tenant: { ...tenant, environment: "test" } }, "a"],
    ] as const) {
      expect(() => openSecret(keyring, other, { ...secret, id })).toThrow(
        expect.objectContaining({ code: "keyring.damaged" }),
      );
    }
  });
});
