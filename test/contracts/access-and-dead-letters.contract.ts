/** AccessStore and DeadLetterStore. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { KeyRecord } from "../../src/access/access-store.ts";
import type { DeadLetter } from "../../src/intake/dead-letters.ts";
import { ACME, GLOBEX, type MakeStore, type StoreUnderTest, T0 } from "./rows.ts";

function key(id: string, over: Partial<KeyRecord> = {}): KeyRecord {
  return { id, tenant: ACME, role: "admin", hash: `hash of ${id}`, createdAtMs: T0, ...over };
}

function letter(
  offset: number,
  over: Partial<DeadLetter> = {},
  record: Partial<DeadLetter["record"]> = {},
): DeadLetter {
  return {
    reason: "event.unreadable",
    message: "not JSON",
    record: {
      topic: "pass.events",
      partition: 0,
      offset,
      appendedAtMs: T0,
      key: Uint8Array.of(1, 2),
      value: Uint8Array.of(0, 255, 7),
      headers: { "content-type": "application/json" },
      ...record,
    },
    ...over,
  };
}

const byPlace = (letters: readonly DeadLetter[]): readonly DeadLetter[] =>
  letters.toSorted(
    ({ record: left }, { record: right }) =>
      left.topic.localeCompare(right.topic) || left.partition - right.partition || left.offset - right.offset,
  );

export function accessStoreContract(name: string, make: MakeStore): void {
  let store: StoreUnderTest;
  beforeEach(async () => {
    store = await make();
  });
  afterEach(() => store.close());

  describe(`${name}: keys`, () => {
    test("a key comes back as it was stored, after a restart too", async () => {
      const keys = [
        key("key_1"),
        key("key_2", { tenant: GLOBEX, role: "viewer", expiresAtMs: T0 + 1, revokedAtMs: T0 + 2 }),
      ];
      for (const each of keys) await store.access.insertKey(each);
      const again = await store.reopen();
      for (const each of keys) expect(await again.access.findKey(each.id)).toEqual(each);
    });

    test("an unknown key is not found", async () => {
      await store.access.insertKey(key("key_1"));
      expect(await store.access.findKey("key_2")).toBeUndefined();
      expect(await store.access.findKey("")).toBeUndefined();
    });

    test("a key id is given once, in all tenants", async () => {
      await store.access.insertKey(key("key_1"));
      await expect(store.access.insertKey(key("key_1", { tenant: GLOBEX }))).rejects.toThrow("key_1");
      expect(await store.access.findKey("key_1")).toEqual(key("key_1"));
    });

    test("it is told whether there ever was a key", async () => {
      expect(await store.access.hasKeys()).toBe(false);
      await store.access.insertKey(key("key_1", { revokedAtMs: T0 }));
      expect(await store.access.hasKeys()).toBe(true);
    });

    test("a key that was stored is found by every reader that asks afterwards", async () => {
      const other = await store.connect();
      await store.access.insertKey(key("key_1"));
      expect(await other.access.findKey("key_1")).toEqual(key("key_1"));
    });
  });
}

export function deadLetterStoreContract(name: string, make: MakeStore): void {
  let store: StoreUnderTest;
  beforeEach(async () => {
    store = await make();
  });
  afterEach(() => store.close());

  describe(`${name}: dead letters`, () => {
    test("they are kept as they came, after a restart too", async () => {
      const letters = [
        letter(1),
        letter(2, { reason: "event.empty", message: "no value „ü“" }, { key: null, value: null, headers: {} }),
        letter(3, { reason: "limit.event_bytes" }, { value: new Uint8Array(300_000).fill(9) }),
        letter(4, {}, { value: new Uint8Array() }),
      ];
      await store.deadLetters.put(letters);
      expect(byPlace(await store.storedDeadLetters())).toEqual(letters);
      await store.reopen();
      expect(byPlace(await store.storedDeadLetters())).toEqual(letters);
    });

    test("a record whose bytes look into a larger buffer is kept without the rest of it", async () => {
      const large = new Uint8Array(1_000).fill(5);
      await store.deadLetters.put([
        letter(1, {}, { value: large.subarray(10, 13), key: Buffer.from(large.buffer, 0, 2) }),
      ]);
      const [kept] = await store.storedDeadLetters();
      expect([kept?.record.value?.byteLength, kept?.record.key?.byteLength]).toEqual([3, 2]);
    });

    test("putting one twice leaves one", async () => {
      await store.deadLetters.put([letter(1), letter(2)]);
      await store.deadLetters.put([letter(2), letter(3)]);
      await Promise.all([store.deadLetters.put([letter(4)]), store.deadLetters.put([letter(4)])]);
      expect(byPlace(await store.storedDeadLetters())).toEqual([letter(1), letter(2), letter(3), letter(4)]);
    });

    test("the same offset of another partition or topic is another record", async () => {
      const letters = [letter(1), letter(1, {}, { partition: 1 }), letter(1, {}, { topic: "pass.events.more" })];
      await store.deadLetters.put(letters);
      expect(byPlace(await store.storedDeadLetters())).toEqual(letters);
    });
  });
}
