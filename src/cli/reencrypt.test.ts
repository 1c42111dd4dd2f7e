import { expect, test } from "vitest";
import { event } from "../../test/contracts/rows.ts";
import { embeddedStore } from "../../test/support/embedded-store.ts";
import { MemorySubscriptions } from "../../test/support/memory-subscriptions.ts";
import { sampleSubscription } from "../../test/support/samples.ts";
import { testTerminal } from "../../test/support/terminal.ts";
import { systemRandom } from "../kernel/random.ts";
import { keyringFrom, makeEncryptionKey } from "../signing/keyring.ts";
import { sealSecret } from "../signing/secrets.ts";
import { runCli } from "./cli.ts";
import { keysCommand } from "./keys.ts";

const older = makeEncryptionKey("k1", systemRandom);
const newer = makeEncryptionKey("k2", systemRandom);

async function setup(keys: string, under = older) {
  const subscriptions = new MemorySubscriptions();
  const owner = sampleSubscription({ id: "sub_1" });
  const sealed = sealSecret(keyringFrom(under, systemRandom), owner, "sec_1", "whsec_text");
  await subscriptions.insert({ ...owner, secrets: [{ id: "sec_1", sealed, createdAtMs: 1 }] }, 10);
  const store = embeddedStore();
  const walk = { deliveries: store.deliveries, retention: { tenants: async () => [{ tenant: owner.tenant }] } };
  const letters = new Map<string, number>();
  let closed = 0;
  const close = async () => {
    closed += 1;
  };
  const keyring = keyringFrom(keys, systemRandom);
  const command = keysCommand(
    () => Promise.reject(new Error("not the admin store")),
    async () => ({
      subscriptions,
      erasures: store.erasures,
      ...walk,
      letterKeyUse: async () => letters,
      keyring,
      close,
    }),
  );
  const terminal = testTerminal();
  const run = (...args: string[]) => runCli(["keys", "reencrypt", ...args], [command], terminal);
  return { store, letters, tenant: owner.tenant, subscriptions, terminal, run, closes: () => closed };
}

test("keys reencrypt seals under the newest key and says which may go", async () => {
  const { terminal, run, closes, subscriptions } = await setup(`${newer},${older}`);
  expect(await run("--dry-run")).toBe(0);
  expect(terminal.said.out).toBe("key k2: 0 sealed texts (the newest)\nkey k1: 1 sealed texts\n");
  expect(subscriptions.replacements).toBe(0);
  terminal.said.out = "";
  expect(await run()).toBe(0);
  expect(terminal.said.out).toBe(
    "key k2: 1 sealed texts (the newest)\nkey k1: 0 sealed texts (nothing is sealed under it any more: it may be taken away)\n",
  );
  expect(terminal.said.err).toContain("1 subscriptions looked at, 1 written");
  terminal.said.out = "";
  expect(await run("--json")).toBe(0);
  expect(JSON.parse(terminal.said.out)).toEqual({
    newest: "k2",
    subscriptions: 1,
    texts: { k2: 1, k1: 0 },
    payloads: { k2: 0, k1: 0 },
    unused: ["k1"],
    unopened: [],
    unopenedCount: 0,
  });
  expect(closes()).toBe(3);
});

test("keys reencrypt fails where a key in use is missing, and names what it is in use for", async () => {
  const { terminal, run, closes } = await setup(newer);
  expect(await run("--dry-run")).toBe(1);
  expect(terminal.said.out).toContain("key k1: 1 sealed texts (NOT AMONG THE KEYS)");
  expect(terminal.said.err).toContain("sub_1 of acme/production: keyring.unknown_key (key k1)");
  expect(closes()).toBe(1);
});

test("keys reencrypt keeps a key that payloads in the store are sealed under", async () => {
  const { terminal, run, store, tenant } = await setup(`${newer},${older}`);
  const value = keyringFrom(older, systemRandom).sealBytes(Buffer.from("payload"), "event/acme/production/evt_1");
  await store.deliveries.flush({ events: [event("evt_1", { tenant, value })], deliveries: [] });
  expect(await run()).toBe(0);
  expect(terminal.said.out).toContain("key k1: 0 sealed texts, 1 payloads, which go with their age\n");
});

test("keys reencrypt keeps a key that dead letters in the store are sealed under", async () => {
  const { terminal, run, letters } = await setup(`${newer},${older}`);
  letters.set("k1", 2);
  expect(await run()).toBe(0);
  expect(terminal.said.out).toContain("key k1: 0 sealed texts, 2 payloads, which go with their age\n");
  expect(terminal.said.out).not.toContain("taken away");
});
