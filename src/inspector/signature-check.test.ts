import { describe, expect, test } from "vitest";
import { subscription as subscriptionRow } from "../../test/contracts/rows.ts";
import type { Subscription } from "../domain/subscription.ts";
import { formatOf } from "../formats/registry.ts";
import { seededRandom, systemRandom } from "../kernel/random.ts";
import { ed25519KeysFrom } from "../signing/ed25519.ts";
import { keyringFrom, makeEncryptionKey } from "../signing/keyring.ts";
import { makeSecret, sealAuthorization, sealSecret } from "../signing/secrets.ts";
import { signer } from "../signing/signer.ts";
import { judgeSignatures } from "./signature-check.ts";

const NOW = 1_700_000_000_000;
const random = seededRandom(3);
const keyring = keyringFrom(makeEncryptionKey("k1", random), systemRandom);
const ed25519Keys = ed25519KeysFrom(makeEncryptionKey("s1", random));
const deps = { keyring, ed25519Keys };
const body = Buffer.from('{"name":"Grüße"}');

function subscribed(id: string, over: Partial<Subscription> = {}): Subscription {
  const made = subscriptionRow(id, over);
  const sealed = sealSecret(keyring, made, "a", makeSecret(random));
  return { ...made, secrets: [{ id: "a", sealed, createdAtMs: 0 }] };
}

function signed(subscription: Subscription, atMs = NOW): Record<string, string> {
  const keys = signer(keyring, { ed25519Keys: ({ tenant }) => ed25519Keys(tenant) });
  return keys.sign(subscription, formatOf(subscription.format), "dlv_1", atMs, body);
}

const judge = (headers: Record<string, string>, pointing: readonly Subscription[], given: Uint8Array = body) =>
  judgeSignatures(deps, { headers, body: given }, pointing, NOW);

describe("a webhook of passbus in a bin", () => {
  test.each([
    ["STANDARD", ["v1"]],
    ["PASSKIT", ["v1", "passkit"]],
    ["PASSENTRY", ["v1", "passentry"]],
  ] as const)("in %s is valid in each of its signatures", (format, schemes) => {
    const subscription = subscribed("sub_1", { format });
    const { verdict, checks, reason } = judge(signed(subscription), [subscription]);
    expect(verdict).toBe("valid");
    expect(checks.map(({ scheme, verdict: each }) => [scheme, each])).toEqual(schemes.map((each) => [each, "valid"]));
    expect(checks.every(({ subscriptionId }) => subscriptionId === "sub_1")).toBe(true);
    expect(reason).toContain("sub_1");
  });

  test("with ed25519 is valid in both of Standard Webhooks' schemes", () => {
    const subscription = subscribed("sub_1", { ed25519Signature: true });
    const { checks } = judge(signed(subscription), [subscription]);
    expect(checks.map(({ scheme, verdict }) => [scheme, verdict])).toEqual([["v1", "valid"], ["v1a", "valid"]]); // biome-ignore format: a table
    const [v1 = ""] = (signed(subscription)["webhook-signature"] ?? "").split(" ");
    const without = judge({ ...signed(subscription), "webhook-signature": v1 }, [subscription]);
    expect([without.verdict, without.reason]).toEqual(["invalid", expect.stringContaining("no v1a signature")]);
  });

  test("in ETHPASS is held against the stored authorization too", () => {
    const made = subscribed("sub_1", { format: "ETHPASS" });
    const sealedEthpassAuthorization = sealAuthorization(keyring, made, "Bearer right");
    const subscription = { ...made, formatOptions: { ...made.formatOptions, sealedEthpassAuthorization } };
    expect(judge(signed(subscription), [subscription]).verdict).toBe("valid");
    const wrong = judge({ ...signed(subscription), authorization: "Bearer wrong" }, [subscription]);
    expect(wrong).toMatchObject({ verdict: "invalid", reason: expect.stringContaining("authorization") });
  });

  test("is the one's of those that point here whose secret fits", () => {
    const [one, other] = [subscribed("sub_1"), subscribed("sub_2")];
    expect(judge(signed(other), [one, other])).toMatchObject({
      verdict: "valid",
      checks: [{ subscriptionId: "sub_2" }],
    });
  });
});

describe("what is not right", () => {
  const subscription = subscribed("sub_1", { format: "PASSKIT" });
  const good = signed(subscription);

  test("says so of a changed body, in every signature", () => {
    const { verdict, checks } = judge(good, [subscription], Buffer.from("{}"));
    expect([verdict, ...checks.map((each) => each.verdict)]).toEqual(["invalid", "invalid", "invalid"]);
  });

  test.each([
    ["another id", { "webhook-id": "dlv_2" }, "no v1 signature fits"],
    ["another time", { "webhook-timestamp": String(NOW / 1_000 - 1) }, "no v1 signature fits"],
    ["no number", { "webhook-timestamp": "now" }, "no number of seconds"],
    ["another signature", { "webhook-signature": "v1,AAAA" }, "no v1 signature fits"],
    ["another scheme", { "webhook-signature": "v9,AAAA" }, "no v1 signature in it"],
    ["another vendor signature", { "x-passkit-signature": "00" }, "x-passkit-signature"],
  ])("says so of %s", (_, over, reason) => {
    expect(judge({ ...good, ...over }, [subscription])).toMatchObject({
      verdict: "invalid",
      reason: expect.stringContaining(reason),
    });
  });

  test("says so of a missing id, and of a time that receivers would refuse, though it is signed right", () => {
    const { "webhook-id": _, ...without } = good;
    expect(judge(without, [subscription]).reason).toContain("there is no webhook-id");
    expect(judge(signed(subscription, NOW - 300_000), [subscription]).verdict).toBe("valid");
    expect(judge(signed(subscription, NOW - 302_000), [subscription]).reason).toContain("302 s old");
    expect(judge(signed(subscription, NOW + 302_000), [subscription]).reason).toContain("302 s ahead");
  });

  test("says so of a secret that has ended", () => {
    const ended = { ...subscription, secrets: subscription.secrets.map((each) => ({ ...each, expiresAtMs: NOW })) };
    expect(judge(good, [ended]).verdict).toBe("invalid");
  });
});

describe("what can't be said", () => {
  test("is so without a subscription, or without a signature", () => {
    const subscription = subscribed("sub_1");
    expect(judge(signed(subscription), [])).toMatchObject({
      verdict: "unknown",
      reason: expect.stringContaining("no subscription"),
      checks: [],
    });
    expect(judge({ "content-type": "text/plain" }, [subscription])).toMatchObject({
      verdict: "unknown",
      reason: expect.stringContaining("no signature header"),
    });
  });
});
