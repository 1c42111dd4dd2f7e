import { expect, test } from "vitest";
import { delivery, event, finished, first, put } from "../../test/contracts/rows.ts";
import { embeddedStore } from "../../test/support/embedded-store.ts";
import { silentLog } from "../kernel/log.ts";
import { ManualClock } from "../kernel/manual-clock.ts";
import { systemRandom } from "../kernel/random.ts";
import { keyringFrom, makeEncryptionKey } from "../signing/keyring.ts";
import { Erasures, reencryptErasures } from "./erasures.ts";

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
const ACME = { organisation: "acme", environment: "production" };
const older = makeEncryptionKey("k1", systemRandom);
const newer = makeEncryptionKey("k2", systemRandom);

function setup() {
  const store = embeddedStore();
  const clock = new ManualClock();
  let scrubs = 0;
  const scrubLog = async () => {
    scrubs += 1;
  };
  const make = (keys: string) =>
    new Erasures({ store: store.erasures, scrubLog, keyring: keyringFrom(keys, systemRandom), clock, log: silentLog });
  const left = async () => (await store.deliveries.listDeliveries(ACME, {}, { size: 50 })).items.map(({ id }) => id);
  const rows = () => store.erasures.dueErasures(Number.MAX_SAFE_INTEGER, 50);
  return { store, clock, make, left, rows, scrubs: () => scrubs };
}

const stores = (store: ReturnType<typeof embeddedStore>) => store as Parameters<typeof put>[0];

const PASS = { kind: "pass", tenant: ACME, passId: "pass-of-a-person" } as const;

test("an erasure is made at once and again, with growing pauses, for a day: what was in flight or unread goes too", async () => {
  const { store, clock, make, left, rows } = setup();
  const erasures = make(older);
  const mine = { passId: PASS.passId, createdAtMs: clock.now() };
  await put(stores(store), finished("dlv_1", "delivered", "att_1", mine));
  const askedAtMs = clock.now();
  expect(await erasures.erase(PASS, 1_000)).toMatchObject({ events: 1, deliveries: 1, isDone: true });
  const bin = { tenant: ACME, id: "bin_1", createdAtMs: 0, expiresAtMs: 9e15, statusCode: 200, description: "" };
  await store.bins.insertBin(bin, 1, clock.now());
  const seconds: number[] = [];
  while ((await rows()).length > 0) {
    const [row] = await rows();
    if (row === undefined) break;
    clock.advance(row.nextAtMs - clock.now());
    seconds.push((clock.now() - askedAtMs) / 1_000);
    // Recorded late, from a record that the log had taken before.
    const late = event("evt_late", { passId: PASS.passId, loggedAtMs: askedAtMs });
    const next = delivery("dlv_late", { passId: PASS.passId, eventId: "evt_late", createdAtMs: clock.now() });
    await store.deliveries.flush({ events: [late], deliveries: [first(next)] });
    const arrived = { id: `brq_${seconds.length}`, receivedAtMs: clock.now(), sealed: "its webhook" };
    await store.bins.putRequest(bin, arrived, { requests: 9, characters: 999 });
    await erasures.makeDue();
    expect(await left()).toEqual([]);
    expect((await store.bins.listRequests(ACME, bin.id, { size: 9 })).items).toEqual([]);
  }
  expect(seconds.slice(0, 5)).toEqual([30, 60, 120, 240, 480]);
  expect(seconds.at(-1)).toBeGreaterThanOrEqual(DAY_MS / 1_000);
  expect(seconds.length).toBeLessThan(20);
});

test("the list of erasures does not say what is to be forgotten, and opens under each key of the ring", async () => {
  const { store, clock, make, rows } = setup();
  const { id } = await make(older).erase(PASS, 1_000);
  expect(JSON.stringify(await rows())).not.toContain(PASS.passId);
  expect(id).toMatch(/^ers_[A-Za-z0-9_-]{22}$/);
  const rotated = keyringFrom(`${newer},${older}`, systemRandom);
  expect([...(await reencryptErasures(store.erasures, rotated))]).toEqual([["k2", 1]]);
  clock.advance(MINUTE_MS);
  await make(newer).makeDue();
  expect((await rows())[0]?.nextAtMs).toBeGreaterThan(clock.now());
});

test("an erasure that is asked for again while it is made keeps being made for what was asked later", async () => {
  const { store, clock, make, rows } = setup();
  await make(older).erase(PASS, 1_000);
  for (const afterMs of [MINUTE_MS, DAY_MS]) {
    clock.advance(afterMs);
    let asking: Promise<unknown> | undefined;
    // Asked for by another process, when the worker has read the row and not yet written it.
    const during = {
      ...store.erasures,
      async erase(request: Parameters<typeof store.erasures.erase>[0]) {
        clock.advance(1_000);
        asking ??= make(older).erase(PASS, 1_000);
        await asking;
        return store.erasures.erase(request);
      },
    };
    const keyring = keyringFrom(older, systemRandom);
    await new Erasures({ store: during, keyring, clock, log: silentLog }).makeDue();
    const askedAtMs = clock.now();
    expect(await rows()).toMatchObject([{ askedAtMs, nextAtMs: askedAtMs + 30_000 }]);
  }
});

test("a deleted subscription's deliveries go a minute later", async () => {
  const { store, clock, make, left } = setup();
  const erasures = make(older);
  await put(stores(store), finished("dlv_1", "delivered", "att_1"), finished("dlv_2", "failed", "att_2"));
  await erasures.eraseDeleted({ kind: "subscription", tenant: ACME, subscriptionId: "sub_1" });
  clock.advance(MINUTE_MS - 1);
  await erasures.makeDue();
  expect(await left()).toHaveLength(2);
  clock.advance(1);
  await erasures.makeDue();
  expect(await left()).toEqual([]);
});

test("dead letters are looked through to the last, step by step", async () => {
  const { store, clock, make } = setup();
  const place = { topic: "t", partition: 0, appendedAtMs: clock.now(), key: null, headers: {} };
  const letters = Array.from({ length: 1_200 }, (_, offset) => ({
    ...{ tenant: ACME, reason: "event.invalid" as const, message: "wrong" },
    record: { ...place, offset, value: Buffer.from(offset % 400 === 399 ? PASS.passId : "of another") },
  }));
  await store.deadLetters.put(letters);
  const making = make(older).erase(PASS, 60_000);
  for (let turn = 0; turn < 50; turn++) {
    await new Promise(setImmediate);
    clock.advance(100);
  }
  expect(await making).toMatchObject({ deadLetters: 3, isDone: true });
});

test("an erasure that a crash broke off is gone on with by whoever looks next", async () => {
  const { store, clock, make, left, scrubs } = setup();
  const many = Array.from({ length: 600 }, (_, at) =>
    finished(`dlv_${at}`, "delivered", `att_${at}`, {
      passId: PASS.passId,
      eventId: `evt_${at}`,
      createdAtMs: clock.now(),
    }),
  );
  await put(stores(store), ...many);
  // No patience: it ends after the first step.
  const broken = make(older).erase(PASS, -1);
  expect(await broken).toMatchObject({ isDone: false });
  expect((await left()).length).toBeGreaterThan(0);
  clock.advance(MINUTE_MS);
  const next = make(older);
  const made = next.makeDue();
  // Its rests between steps.
  for (let turn = 0; turn < 50; turn++) {
    await new Promise(setImmediate);
    clock.advance(100);
  }
  await made;
  expect(await left()).toEqual([]);
  expect(scrubs()).toBe(2);
});
