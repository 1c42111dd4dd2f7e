import { expect, test } from "vitest";
import { claim, event, put, T0, waiting } from "../../test/contracts/rows.ts";
import { embeddedStore } from "../../test/support/embedded-store.ts";
import { silentLog } from "../kernel/log.ts";
import { systemRandom } from "../kernel/random.ts";
import { isSealed, keyringFrom, makeEncryptionKey } from "../signing/keyring.ts";
import { withSealedPayloads } from "./sealed-payloads.ts";

const older = makeEncryptionKey("k1", systemRandom);
const newer = makeEncryptionKey("k2", systemRandom);
const ACME = { organisation: "acme", environment: "production" };
const quiet = {
  watchEvents: () => Promise.reject(new Error("nobody watches")),
  watchDeliveries: () => Promise.reject(new Error("nobody watches")),
};

function setup() {
  const raw = { ...embeddedStore(), changes: quiet };
  const failures: string[] = [];
  const log = { ...silentLog, error: (name: string) => void failures.push(name) };
  const sealed = (keys: string, isOn = true) =>
    withSealedPayloads(raw, { keyring: keyringFrom(keys, systemRandom), isOn, log });
  return { raw, sealed, failures };
}

const ports = (store: object) => store as Parameters<typeof put>[0];
const textOf = (value: Uint8Array | undefined) => Buffer.from(value ?? []).toString();

test("a payload lies in the store under a key, and is read as it was by every way of reading", async () => {
  const { raw, sealed } = setup();
  const store = sealed(older);
  await put(ports(store), waiting("dlv_1", T0));
  const content = "content of evt_1";
  const lying = await raw.deliveries.getEvent({ tenant: ACME, id: "evt_1" });
  expect(isSealed(lying?.value ?? new Uint8Array())).toBe(true);
  expect(textOf(lying?.value)).not.toContain("content");
  expect(await store.deliveries.getEvent({ tenant: ACME, id: "evt_1" })).toEqual(event("evt_1"));
  const { items } = await store.deliveries.listEvents(ACME, {}, { size: 5 });
  expect(items.map(({ value }) => textOf(value))).toEqual([content]);
  const { claimed } = await claim(ports(store));
  expect(claimed.map((one) => textOf(one.event.value))).toEqual([content]);
  const found = await store.replays.events(ACME, ["evt_1"]);
  expect(textOf(found.get("evt_1")?.value)).toBe(content);
});

test("rows of before the setting was turned, either way, stay readable, also under a new key", async () => {
  const { sealed } = setup();
  await put(ports(sealed(older, false)), waiting("dlv_1", T0, { eventId: "evt_1" }));
  await put(ports(sealed(older)), waiting("dlv_2", T0, { eventId: "evt_2" }));
  for (const store of [sealed(`${newer},${older}`), sealed(older, false)]) {
    const { items } = await store.deliveries.listEvents(ACME, {}, { size: 5 });
    expect(items.map(({ value }) => textOf(value)).toSorted()).toEqual(["content of evt_1", "content of evt_2"]);
  }
});

test("one whose key is missing keeps back none of the others, and opens when the key is back", async () => {
  const { raw, sealed, failures } = setup();
  await put(ports(sealed(older)), waiting("dlv_1", T0, { eventId: "evt_1" }));
  await put(ports(sealed(newer)), waiting("dlv_2", T0, { eventId: "evt_2" }));
  const { claimed } = await claim(ports(sealed(newer)));
  expect(claimed.map(({ delivery }) => delivery.id)).toEqual(["dlv_2"]);
  expect(failures).toEqual(["payload.not_opened"]);
  const again = await claim(ports(sealed(`${newer},${older}`)), { nowMs: T0 + 120_000 });
  expect(again.claimed.map(({ delivery }) => delivery.id)).toContain("dlv_1");
  // Bound to its row: another event's payload does not open there.
  const other = await raw.deliveries.getEvent({ tenant: ACME, id: "evt_1" });
  await raw.deliveries.flush({ events: [event("evt_3", { value: other?.value ?? new Uint8Array() })], deliveries: [] });
  await expect(sealed(older).deliveries.getEvent({ tenant: ACME, id: "evt_3" })).rejects.toMatchObject({
    code: "keyring.damaged",
  });
});
