/** Verified with the receivers' own libraries and plain node:crypto, never with ours. */
import { createHmac, createPublicKey, verify } from "node:crypto";
import { Webhook as StandardWebhook } from "standardwebhooks";
import { Webhook as SvixWebhook } from "svix";
import { describe, expect, it } from "vitest";
import { DEFAULT_POLICY, type SealedSecret, type Subscription } from "../domain/subscription.ts";
import { seededRandom, systemRandom } from "../kernel/random.ts";
import { ed25519KeysFrom, jsonWebKeySet } from "./ed25519.ts";
import { type Keyring, keyringFrom, makeEncryptionKey } from "./keyring.ts";
import { makeSecret, sealAuthorization, sealSecret } from "./secrets.ts";
import { signer } from "./signer.ts";

const random = seededRandom(7);
const keyring = keyringFrom(makeEncryptionKey("k1", random), systemRandom);
const passkit = { bodySignatureHeader: "x-passkit-signature" };
const body = Buffer.from('{"event":"PASS_EVENT_INSTALLED","name":"Grüße & 😀"}');
const id = "dlv_0123456789abcdefghijkl";
const owner = { tenant: { organisation: "acme", environment: "production" }, id: "sub_1" };

function sealed(secretId: string, text: string, expiresAtMs?: number): SealedSecret {
  const expiry = expiresAtMs === undefined ? {} : { expiresAtMs };
  const secret = sealSecret(keyring, owner, secretId, text);
  return { id: secretId, sealed: secret, createdAtMs: 0, ...expiry };
}

function subscription(secrets: readonly SealedSecret[], version = 1): Subscription {
  return {
    ...owner,
    entityId: "",
    url: "https://receiver.test/",
    urlKey: "https://receiver.test/",
    eventTypes: [],
    format: "PASSKIT",
    formatOptions: { passkitUninstalledName: "documented", passkitMethod: 0 },
    state: "enabled",
    disabledSpans: [],
    description: "",
    labels: {},
    headers: {},
    policy: DEFAULT_POLICY,
    protocol: 0,
    secrets,
    createdAtMs: 0,
    updatedAtMs: 0,
    version,
  };
}

const hmac = (text: string) => createHmac("sha256", text).update(body).digest("hex");

describe("a signed webhook", () => {
  const text = makeSecret(random);
  // The libraries compare with the real clock, and refuse more than five minutes off.
  const nowMs = Date.now();
  const sign = (bytes: Uint8Array = body) =>
    signer(keyring).sign(subscription([sealed("a", text)]), passkit, id, nowMs, bytes);

  it("verifies with standardwebhooks", () => {
    const payload = new StandardWebhook(text).verify(body, sign());
    expect(payload).toEqual(JSON.parse(body.toString()));
  });

  it("verifies with svix, under the names that svix gives the same headers too", () => {
    const headers = sign();
    expect(() => new SvixWebhook(text).verify(body, headers)).not.toThrow();
    const renamed = {
      "svix-id": headers["webhook-id"] ?? "",
      "svix-timestamp": headers["webhook-timestamp"] ?? "",
      "svix-signature": headers["webhook-signature"] ?? "",
    };
    expect(() => new SvixWebhook(text).verify(body, renamed)).not.toThrow();
  });

  it("does not verify with another body, id, time or secret", () => {
    const headers = sign();
    const changed = Buffer.from(body.toString().replace("INSTALLED", "UNINSTALLED"));
    const verifier = new StandardWebhook(text);
    expect(() => verifier.verify(changed, headers)).toThrow();
    expect(() => verifier.verify(body, { ...headers, "webhook-id": "dlv_x" })).toThrow();
    const seconds = String(Math.floor(nowMs / 1_000) - 1);
    expect(() => verifier.verify(body, { ...headers, "webhook-timestamp": seconds })).toThrow();
    expect(() => new StandardWebhook(makeSecret(random)).verify(body, headers)).toThrow();
  });

  it("carries the vendor's signature: hex HMAC-SHA256 by the secret's whole text", () => {
    expect(sign()["x-passkit-signature"]).toBe(hmac(text));
    expect(text).toMatch(/^whsec_/);
  });

  it("carries no vendor's signature in a format without one", () => {
    const headers = signer(keyring).sign(subscription([sealed("a", text)]), {}, id, nowMs, body);
    expect(Object.keys(headers)).toEqual(["webhook-id", "webhook-timestamp", "webhook-signature"]);
    expect(headers["webhook-timestamp"]).toBe(String(Math.floor(nowMs / 1_000)));
  });
});

describe("a subscription with ed25519 keys", () => {
  const text = makeSecret(random);
  const keys = ed25519KeysFrom(`${makeEncryptionKey("new", random)},${makeEncryptionKey("old", random)}`)(owner.tenant);
  const nowMs = Date.now();

  it("has a v1a signature for each after the v1, which the libraries pass over", () => {
    const by = signer(keyring, { ed25519Keys: ({ id }) => (id === "sub_1" ? keys : []) });
    const headers = by.sign(subscription([sealed("a", text)]), {}, id, nowMs, body);
    const [first, ...others] = headers["webhook-signature"]?.split(" ") ?? [];
    expect(first).toMatch(/^v1,/);
    const signed = Buffer.concat([Buffer.from(`${id}.${headers["webhook-timestamp"]}.`), body]);
    const published = jsonWebKeySet(keys).keys.map((key) => createPublicKey({ key, format: "jwk" }));
    expect(others).toHaveLength(2);
    for (const [at, signature] of others.entries()) {
      const [version, encoded = ""] = signature.split(",");
      const key = published[at];
      expect(version).toBe("v1a");
      expect(key !== undefined && verify(null, signed, key, Buffer.from(encoded, "base64"))).toBe(true);
    }
    expect(() => new StandardWebhook(text).verify(body, headers)).not.toThrow();
    expect(() => new SvixWebhook(text).verify(body, headers)).not.toThrow();
  });
});

describe("the stored authorization", () => {
  const sealedText = sealAuthorization(keyring, owner, "Basic hush");
  const secrets = [sealed("a", makeSecret(random))];
  const plain = subscription(secrets);
  const stored = { ...plain, formatOptions: { ...plain.formatOptions, sealedEthpassAuthorization: sealedText } };
  const sends = { sendsAuthorization: true } as const;

  it("is sent as it is, by the format that sends it alone", () => {
    const by = signer(keyring);
    expect(by.sign(stored, sends, id, 0, body)).toMatchObject({ authorization: "Basic hush" });
    expect(by.sign(stored, {}, id, 0, body)).not.toHaveProperty("authorization");
    expect(signer(keyring).sign(plain, sends, id, 0, body)).not.toHaveProperty("authorization");
  });

  it("does not open in another subscription", () => {
    const other = { ...stored, id: "sub_2", secrets: [] };
    expect(() => signer(keyring).sign(other, sends, id, 0, body)).toThrow(
      expect.objectContaining({ code: "keyring.damaged" }),
    );
  });
});

describe("while a secret is being rotated", () => {
  const old = makeSecret(random);
  const fresh = makeSecret(random);
  const endsMs = Date.now() + 60_000;
  const rotating = subscription([sealed("b", fresh), sealed("a", old, endsMs)]);

  it("both sign, and the vendor's header is the new one's", () => {
    const headers = signer(keyring).sign(rotating, passkit, id, endsMs - 1, body);
    expect(headers["webhook-signature"]?.split(" ")).toHaveLength(2);
    expect(() => new StandardWebhook(old).verify(body, headers)).not.toThrow();
    expect(() => new StandardWebhook(fresh).verify(body, headers)).not.toThrow();
    expect(() => new SvixWebhook(old).verify(body, headers)).not.toThrow();
    expect(headers["x-passkit-signature"]).toBe(hmac(fresh));
  });

  it("the old one ends by its time, from the kept keys too", () => {
    const one = signer(keyring);
    one.sign(rotating, passkit, id, endsMs - 1, body);
    const headers = one.sign(rotating, passkit, id, endsMs, body);
    expect(headers["webhook-signature"]?.split(" ")).toHaveLength(1);
    expect(() => new StandardWebhook(old).verify(body, headers)).toThrow();
  });

  it("nothing is sent where no secret is live", () => {
    const dead = subscription([sealed("a", old, endsMs)]);
    expect(() => signer(keyring).sign(dead, passkit, id, endsMs, body)).toThrow("no live secret");
  });
});

describe("the kept keys", () => {
  function counting(): [Keyring, () => number] {
    let opened = 0;
    const open: Keyring["open"] = (text, data) => {
      opened += 1;
      return keyring.open(text, data);
    };
    return [{ ...keyring, open }, () => opened];
  }
  const first = makeSecret(random);
  const second = makeSecret(random);
  const sign = (by: ReturnType<typeof signer>, of: Subscription) =>
    by.sign(of, passkit, id, 0, body)["x-passkit-signature"];

  it("are opened once a version", () => {
    const [counted, opened] = counting();
    const by = signer(counted);
    const before = subscription([sealed("a", first)]);
    for (let count = 0; count < 3; count += 1) expect(sign(by, before)).toBe(hmac(first));
    expect(opened()).toBe(1);
    expect(sign(by, subscription([sealed("b", second)], 2))).toBe(hmac(second));
    expect(opened()).toBe(2);
  });

  it("are another's where the id is the same and the tenant isn't", () => {
    const by = signer(keyring);
    const ours = subscription([sealed("a", first)]);
    sign(by, ours);
    const tenant = { organisation: "other", environment: "production" };
    expect(() => sign(by, { ...ours, tenant })).toThrow(expect.objectContaining({ code: "keyring.damaged" }));
  });

  it("are forgotten for the subscription used longest ago", () => {
    const [counted, opened] = counting();
    const by = signer(counted, { cacheSize: 2 });
    const subscriptions = ["sub_1", "sub_2", "sub_3"].map((name) => {
      const secret = sealSecret(keyring, { ...owner, id: name }, "a", first);
      return { ...subscription([{ id: "a", sealed: secret, createdAtMs: 0 }]), id: name };
    });
    const [one, two, three] = subscriptions;
    if (one === undefined || two === undefined || three === undefined) throw new Error("three");
    for (const used of [one, two, one, three, one]) sign(by, used);
    expect(opened()).toBe(3);
    sign(by, two);
    expect(opened()).toBe(4);
  });
});
