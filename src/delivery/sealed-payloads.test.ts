import { expect, test } from "vitest";
import {
  attempt,
  claim,
  delivery,
  event,
  finished,
  first,
  outcome,
  put,
  T0,
  waiting,
} from "../../test/contracts/rows.ts";
import { newer, older, sealing } from "../../test/support/sealing.ts";
import type { Delivery } from "../domain/delivery.ts";
import { isSealed } from "../signing/keyring.ts";
import { withSealedPayloads } from "./sealed-payloads.ts";

const ACME = { organisation: "acme", environment: "production" };

const setup = () => sealing(withSealedPayloads);

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

const HASH = "9132e93d7b3bd40938dc12457c3bfa9db6fafe08573667d277a6058bb917aa37";
const request = { method: "POST", url: "https://a.example/", headers: {}, bodySha256: HASH, bodyBytes: 9 };
const hashesOf = (of: Delivery | undefined) => of?.attempts.map((each) => each.request?.bodySha256);

test("the hash of an attempt's body lies in the store under a key, and is read as it was by every way of reading", async () => {
  const { raw, sealed } = setup();
  const told: Delivery[] = [];
  raw.changes.watchDeliveries = async () => ({
    read: async () => ({ items: told, more: false, skipped: 0 }),
    close: async () => {},
  });
  const store = sealed(older);
  const attempts = [attempt("att_1", { request }), attempt("att_2")];
  await put(ports(store), finished("dlv_1", "failed", "", { attempts }));
  await put(ports(store), waiting("dlv_2", T0));
  const taken = (await claim(ports(store))).claimed[0]?.delivery ?? delivery("");
  const write = outcome(taken, { status: "waiting", dueAtMs: T0 + 9, workClass: "retry" }, "att_3");
  const tried = { ...write, attempt: attempt("att_3", { request }) };
  await store.deliveries.flush({ events: [], deliveries: [tried] });
  for (const id of ["dlv_1", "dlv_2"]) {
    const lying = await raw.deliveries.getDelivery(ACME, id);
    expect(JSON.stringify(lying)).toContain('"bodySha256":"k1.');
    expect(JSON.stringify(lying)).not.toContain(HASH);
    if (lying !== undefined) told.push(lying);
  }
  expect(hashesOf(await store.deliveries.getDelivery(ACME, "dlv_1"))).toEqual([HASH, undefined]);
  const { items } = await store.deliveries.listDeliveries(ACME, {}, { size: 5 });
  expect(items.map(hashesOf).toSorted()).toEqual([[HASH], [HASH, undefined]]);
  const watched = await (await store.changes.watchDeliveries(ACME)).read(5);
  expect(watched.items.map(hashesOf)).toEqual([[HASH, undefined], [HASH]]);
  expect(hashesOf((await store.deliveries.cancel(ACME, "dlv_2", T0))?.delivery)).toEqual([HASH]);
  const again = await store.deliveries.retry(ACME, "dlv_1", T0);
  expect(typeof again === "object" && hashesOf(again)).toEqual([HASH, undefined]);
});

test("a hash that was stored plainly stays readable, one that belongs to another attempt or whose key is gone is empty", async () => {
  const { raw, sealed } = setup();
  await put(
    ports(sealed(older, false)),
    finished("dlv_1", "failed", "", { attempts: [attempt("att_1", { request })] }),
  );
  expect(hashesOf(await raw.deliveries.getDelivery(ACME, "dlv_1"))).toEqual([HASH]);
  expect(hashesOf(await sealed(older).deliveries.getDelivery(ACME, "dlv_1"))).toEqual([HASH]);
  await put(ports(sealed(older)), finished("dlv_2", "failed", "", { attempts: [attempt("att_2", { request })] }));
  expect(hashesOf(await sealed(older, false).deliveries.getDelivery(ACME, "dlv_2"))).toEqual([HASH]);
  expect(hashesOf(await sealed(newer).deliveries.getDelivery(ACME, "dlv_2"))).toEqual([""]);
  const other = await raw.deliveries.getDelivery(ACME, "dlv_2");
  const moved = attempt("att_3", other?.attempts[0]?.request ? { request: other.attempts[0].request } : {});
  const row = finished("dlv_3", "failed", "", { attempts: [moved] });
  await raw.deliveries.flush({ events: [], deliveries: [first(row)] });
  expect(hashesOf(await sealed(older).deliveries.getDelivery(ACME, "dlv_3"))).toEqual([""]);
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
