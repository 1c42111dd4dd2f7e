import { describe, expect, test } from "vitest";
import { MemorySubscriptions } from "../../test/support/memory-subscriptions.ts";
import { sampleSubscription } from "../../test/support/samples.ts";
import type { Subscription } from "../domain/subscription.ts";
import { systemRandom } from "../kernel/random.ts";
import { keyringFrom, makeEncryptionKey, sealedUnder } from "../signing/keyring.ts";
import {
  openAuthorization,
  openClientKey,
  openSecret,
  sealAuthorization,
  sealClientKey,
  sealSecret,
} from "../signing/secrets.ts";
import { keyUse, reencrypt } from "./reencrypt.ts";

const older = makeEncryptionKey("k1", systemRandom);
const newer = makeEncryptionKey("k2", systemRandom);
const before = keyringFrom(older, systemRandom);
const rotated = keyringFrom(`${newer},${older}`, systemRandom);

/** With two secrets and an authorization, all under the older key. */
function sealedSubscription(id: string, over: Partial<Subscription> = {}): Subscription {
  const base = sampleSubscription({ id, urlKey: `https://${id}.example/`, ...over });
  const secret = (name: string) => ({
    id: `${id}_${name}`,
    sealed: sealSecret(before, base, `${id}_${name}`, `whsec_${id}_${name}`),
    createdAtMs: 1,
  });
  const authorization = sealAuthorization(before, base, `Bearer ${id}`);
  return {
    ...base,
    secrets: [secret("b"), secret("a")],
    formatOptions: { ...base.formatOptions, sealedEthpassAuthorization: authorization },
    tls: { client: { certificates: "PEM", sealedKey: sealClientKey(before, base, `key of ${id}`) } },
  };
}

/** Everything of that name, wherever it stands: what a new field brings is found, and then missed by the walk. */
function sealedNames(value: unknown): readonly string[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, inner]) =>
    typeof inner === "string" && name.startsWith("sealed") ? [inner] : sealedNames(inner),
  );
}

async function storeOf(count: number) {
  const store = new MemorySubscriptions();
  const all = Array.from({ length: count }, (_, at) => sealedSubscription(`sub_${String(at).padStart(3, "0")}`));
  for (const each of all) await store.insert(each, count + 1);
  return { store, all };
}

const texts = (subscription: Subscription | undefined): readonly string[] => [
  ...(subscription?.secrets.map(({ sealed }) => sealed) ?? []),
  subscription?.formatOptions.sealedEthpassAuthorization ?? "",
  subscription?.tls?.client?.sealedKey ?? "",
];

describe("a new encryption key", () => {
  test("takes the place of the old one in every sealed text, and nothing else changes", async () => {
    const { store, all } = await storeOf(450);
    const told: (readonly number[])[] = [];
    const done = await reencrypt(store, rotated, (looked, written) => void told.push([looked, written]));
    expect(done).toMatchObject({ subscriptions: 450, written: 450, unused: ["k1"], unopenedCount: 0 });
    expect([...done.texts]).toEqual([["k2", 1800]]);
    expect(told).toEqual([
      [200, 200],
      [400, 400],
      [450, 450],
    ]);
    const [first] = all;
    if (first === undefined) throw new Error("none");
    const now = await store.get(first.tenant, first.id);
    const { secrets, formatOptions, tls } = now ?? {};
    expect(now).toEqual({ ...first, version: 2, secrets, formatOptions, tls });
    expect(sealedNames(now).map(sealedUnder)).toEqual(Array.from({ length: 4 }, () => "k2"));
    expect(texts(now).map(sealedUnder)).toEqual(["k2", "k2", "k2", "k2"]);
    const alone = keyringFrom(newer, systemRandom);
    expect(now?.secrets.map((secret) => openSecret(alone, first, secret))).toEqual([
      `whsec_${first.id}_b`,
      `whsec_${first.id}_a`,
    ]);
    expect(openAuthorization(alone, first, texts(now)[2] ?? "")).toBe(`Bearer ${first.id}`);
    expect(openClientKey(alone, first, texts(now)[3] ?? "")).toBe(`key of ${first.id}`);
  });

  test("goes on where a run was broken off, and a second whole run writes nothing", async () => {
    const { store } = await storeOf(30);
    store.beforeReplace = async () => {
      if (store.replacements === 12) throw new Error("the store is gone");
    };
    await expect(reencrypt(store, rotated)).rejects.toThrow("the store is gone");
    store.beforeReplace = async () => undefined;
    expect(await reencrypt(store, rotated)).toMatchObject({ written: 18, unused: ["k1"] });
    expect(await reencrypt(store, rotated)).toMatchObject({ written: 0, unused: ["k1"] });
  });

  test("overwrites nobody's change, and forgets who is deleted meanwhile", async () => {
    const { store, all } = await storeOf(2);
    const [changed, deleted] = all;
    if (changed === undefined || deleted === undefined) throw new Error("none");
    let isFirst = true;
    store.beforeReplace = async () => {
      if (!isFirst) return;
      isFirst = false;
      await store.remove(deleted.tenant, deleted.id);
      await store.replace({ ...changed, url: "https://elsewhere.example/", version: 2 });
    };
    expect(await reencrypt(store, rotated)).toMatchObject({ subscriptions: 1, written: 1 });
    const now = await store.get(changed.tenant, changed.id);
    expect(now).toMatchObject({ url: "https://elsewhere.example/", version: 3 });
    expect(texts(now).map(sealedUnder)).toEqual(["k2", "k2", "k2", "k2"]);
  });

  test("leaves alone what it can't open, and says what that is", async () => {
    const { store, all } = await storeOf(3);
    const [first, second] = all;
    if (first === undefined || second === undefined) throw new Error("none");
    const lost = keyringFrom(makeEncryptionKey("k0", systemRandom), systemRandom);
    const underLost = sealAuthorization(lost, first, "Bearer lost");
    const formatOptions = { ...first.formatOptions, sealedEthpassAuthorization: underLost };
    await store.replace({ ...first, formatOptions, version: 2 });
    // Another record's: bound to that one, it opens nowhere else.
    await store.replace({ ...second, secrets: first.secrets, version: 2 });
    const done = await reencrypt(store, rotated);
    expect(done).toMatchObject({ unused: [], unopenedCount: 3 });
    const { tenant, id } = first;
    expect(done.unopened).toEqual([
      { tenant, subscriptionId: id, code: "keyring.unknown_key", keyId: "k0" },
      { tenant, subscriptionId: second.id, code: "keyring.damaged", keyId: "k1" },
      { tenant, subscriptionId: second.id, code: "keyring.damaged", keyId: "k1" },
    ]);
    expect(texts(await store.get(tenant, id))[2]).toBe(underLost);
  });

  test("is looked for without a write", async () => {
    const { store } = await storeOf(3);
    const use = await keyUse(store, keyringFrom(newer, systemRandom));
    expect(use).toMatchObject({ subscriptions: 3, unopenedCount: 12 });
    expect([...use.texts]).toEqual([["k1", 12]]);
    expect(store.replacements).toBe(0);
  });
});

describe("a sealed text", () => {
  test("opens for its own subscription, tenant and field alone", () => {
    const keyring = rotated;
    const owner = sampleSubscription({ id: "sub_1" });
    const { tenant } = owner;
    const secret = { id: "sec_1", sealed: sealSecret(keyring, owner, "sec_1", "text"), createdAtMs: 1 };
    const authorization = sealAuthorization(keyring, owner, "text");
    const others = [
      { ...owner, id: "sub_2" },
      { ...owner, tenant: { ...tenant, organisation: "other" } },
      { ...owner, tenant: { ...tenant, environment: "other" } },
    ];
    const damaged = expect.objectContaining({ code: "keyring.damaged" });
    for (const other of others) {
      expect(() => openSecret(keyring, other, secret)).toThrow(damaged);
      expect(() => openAuthorization(keyring, other, authorization)).toThrow(damaged);
    }
    expect(() => openSecret(keyring, owner, { ...secret, id: "sec_2" })).toThrow(damaged);
    expect(() => openSecret(keyring, owner, { ...secret, sealed: authorization })).toThrow(damaged);
    expect(() => openAuthorization(keyring, owner, secret.sealed)).toThrow(damaged);
    expect(() => openClientKey(keyring, owner, authorization)).toThrow(damaged);
    // Under another key's name, too: the id in front is not part of what is sealed, but the key is.
    expect(() => openAuthorization(keyring, owner, authorization.replace(/^k2/, "k1"))).toThrow(damaged);
    expect(openAuthorization(keyring, owner, authorization)).toBe("text");
  });
});
