/** AccessStore and DeadLetterStore. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { KeyRecord } from "../../src/access/access-store.ts";
import {
  type DeadLetter,
  type DeadLetterFilter,
  deadLetterId,
  type KeptDeadLetter,
} from "../../src/intake/dead-letters.ts";
import { LIMITS } from "../../src/kernel/limits.ts";
import { ACME, ACME_TEST, allPages, GLOBEX, type MakeStore, type StorePorts, type StoreUnderTest, T0 } from "./rows.ts";

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
    tenant: ACME,
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

/** As a store gives it back. */
function kept(of: DeadLetter, over: Partial<KeptDeadLetter> = {}): KeptDeadLetter {
  return { ...of, id: deadLetterId(of.record), truncated: false, ...over };
}

const idOf = ({ record }: DeadLetter): string => deadLetterId(record);
const idsOf = (letters: readonly DeadLetter[]): readonly string[] => letters.map(idOf);

const newestFirst = (letters: readonly DeadLetter[]): readonly KeptDeadLetter[] =>
  letters
    .map((each) => kept(each))
    .toSorted((left, right) => right.record.appendedAtMs - left.record.appendedAtMs || (left.id < right.id ? 1 : -1));

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

  const listed = async (tenant = ACME, filter: DeadLetterFilter = {}, from: StorePorts = store) =>
    (await allPages((page) => from.deadLetters.list(tenant, filter, page), 500)).flat();

  describe(`${name}: dead letters`, () => {
    test("they are kept as they came, after a restart too", async () => {
      const letters = [
        letter(1),
        letter(2, { reason: "event.empty", message: "no value „ü“" }, { key: null, value: null, headers: {} }),
        letter(3, { reason: "limit.event_bytes" }, { value: new Uint8Array(300_000).fill(9) }),
        letter(4, {}, { value: new Uint8Array() }),
      ];
      await store.deadLetters.put(letters);
      expect(await listed()).toEqual(newestFirst(letters));
      const again = await store.reopen();
      expect(await listed(ACME, {}, again)).toEqual(newestFirst(letters));
    });

    test("a record whose bytes look into a larger buffer is kept without the rest of it", async () => {
      const large = new Uint8Array(1_000).fill(5);
      await store.deadLetters.put([
        letter(1, {}, { value: large.subarray(10, 13), key: Buffer.from(large.buffer, 0, 2) }),
      ]);
      const [only] = await listed();
      expect([only?.record.value?.byteLength, only?.record.key?.byteLength]).toEqual([3, 2]);
    });

    test("a value over the limit is cut, and says so", async () => {
      const cut = { ...letter(9, {}, { value: new Uint8Array(LIMITS.deadLetterBytes + 40).fill(2) }), truncated: true };
      await store.deadLetters.put([cut]);
      const [sealed] = (await store.deadLetters.list(ACME, {}, { size: 1 })).items;
      // Said to be what is to be kept: a sealed one is larger than what it holds.
      expect([sealed?.truncated, sealed?.record.value?.length]).toEqual([true, LIMITS.deadLetterBytes + 40]);
      const fits = letter(1, {}, { value: new Uint8Array(LIMITS.deadLetterBytes).fill(1) });
      const over = letter(2, {}, { value: new Uint8Array(LIMITS.deadLetterBytes + 1).fill(2) });
      await store.deadLetters.put([fits, over]);
      const found = await store.deadLetters.find(ACME, [idOf(fits), idOf(over)]);
      expect(found.map((each) => [each?.truncated, each?.record.value?.length])).toEqual([
        [false, LIMITS.deadLetterBytes],
        [true, LIMITS.deadLetterBytes],
      ]);
    });

    test("putting one twice leaves one", async () => {
      await store.deadLetters.put([letter(1), letter(2)]);
      await store.deadLetters.put([letter(2), letter(3)]);
      await Promise.all([store.deadLetters.put([letter(4)]), store.deadLetters.put([letter(4)])]);
      expect(await listed()).toEqual(newestFirst([letter(1), letter(2), letter(3), letter(4)]));
    });

    test("one that is put again stays as it was, and sent again", async () => {
      await store.deadLetters.put([letter(1)]);
      await store.deadLetters.noteRedriven(ACME, [idOf(letter(1))], T0 + 9);
      await store.deadLetters.put([letter(1, { message: "by another version's words" })]);
      expect(await listed()).toEqual([kept(letter(1), { redrivenAtMs: T0 + 9 })]);
    });

    test("the same offset of another partition, topic or recreated topic is another record", async () => {
      const letters = [
        letter(1),
        letter(1, {}, { partition: 1 }),
        letter(1, {}, { topic: "pass.events.more" }),
        letter(1, {}, { appendedAtMs: T0 + 1 }),
      ];
      await store.deadLetters.put(letters);
      expect(await listed()).toEqual(newestFirst(letters));
    });
  });

  describe(`${name}: dead letters are listed`, () => {
    test("newest first, in pages that come to each once, also where many died at one moment", async () => {
      const letters = Array.from({ length: 27 }, (_, at) =>
        letter(at, {}, { appendedAtMs: T0 + Math.floor(((at * 7) % 27) / 10) }),
      );
      await store.deadLetters.put(letters);
      const pages = await allPages((page) => store.deadLetters.list(ACME, {}, page), 10);
      expect(pages.map((page) => page.length)).toEqual([10, 10, 7]);
      expect(pages.flat()).toEqual(newestFirst(letters));
    });

    test("a full last page has no next one", async () => {
      await store.deadLetters.put([letter(1), letter(2)]);
      const page = await store.deadLetters.list(ACME, {}, { size: 2 });
      expect([page.items.length, page.next]).toEqual([2, undefined]);
    });

    test("by reason", async () => {
      const conflicts = [letter(1, { reason: "event.conflict" }), letter(3, { reason: "event.conflict" })];
      await store.deadLetters.put([...conflicts, letter(2)]);
      const pages = await allPages((page) => store.deadLetters.list(ACME, { reason: "event.conflict" }, page), 1);
      expect(pages.flat()).toEqual(newestFirst(conflicts));
      expect(await listed(ACME, { reason: "tenant.forbidden" })).toEqual([]);
    });

    test("large values make short pages, and none is left out", async () => {
      const letters = Array.from({ length: 20 }, (_, at) =>
        letter(at, {}, { appendedAtMs: T0 + at, value: new Uint8Array(LIMITS.deadLetterBytes).fill(at) }),
      );
      await store.deadLetters.put(letters);
      const pages = await allPages((page) => store.deadLetters.list(ACME, {}, page), 500);
      expect(idsOf(pages.flat())).toEqual(idsOf(letters).toReversed());
      expect(pages.length).toBeGreaterThan(1);
    });

    test("found by id, in the order asked, with a gap for what is not there", async () => {
      await store.deadLetters.put([letter(1), letter(2)]);
      const asked = [idOf(letter(2)), "dead_unknown", idOf(letter(1)), "", idOf(letter(2))];
      const found = await store.deadLetters.find(ACME, asked);
      expect(found).toEqual([kept(letter(2)), undefined, kept(letter(1)), undefined, kept(letter(2))]);
      expect(await store.deadLetters.find(ACME, [])).toEqual([]);
    });

    test("when they were last sent again is noted, of those that were named", async () => {
      await store.deadLetters.put([letter(1), letter(2)]);
      await store.deadLetters.noteRedriven(ACME, [idOf(letter(1)), "dead_unknown"], T0 + 5);
      await store.deadLetters.noteRedriven(ACME, [idOf(letter(1))], T0 + 7);
      const again = await store.reopen();
      expect(await again.deadLetters.find(ACME, [idOf(letter(1)), idOf(letter(2))])).toEqual([
        kept(letter(1), { redrivenAtMs: T0 + 7 }),
        kept(letter(2)),
      ]);
    });

    test("no organisation or environment sees or notes another's", async () => {
      const [mine, test, theirs] = [
        letter(1),
        letter(2, { tenant: ACME_TEST }),
        letter(3, { tenant: GLOBEX }, { headers: { "organisation-id": "acme" } }),
      ] as const;
      await store.deadLetters.put([mine, test, theirs]);
      expect(await listed(ACME)).toEqual([kept(mine)]);
      expect(await listed(ACME_TEST, { reason: "event.unreadable" })).toEqual([kept(test)]);
      expect(await listed(GLOBEX)).toEqual([kept(theirs)]);
      expect(await listed({ organisation: "nobody", environment: "production" })).toEqual([]);
      const ids = idsOf([mine, test, theirs]);
      expect(await store.deadLetters.find(ACME, ids)).toEqual([kept(mine), undefined, undefined]);
      await store.deadLetters.noteRedriven(ACME, ids, T0 + 1);
      await store.deadLetters.noteRedriven({ organisation: "nobody", environment: "production" }, ids, T0 + 1);
      expect(await listed(GLOBEX)).toEqual([kept(theirs)]);
      expect(await listed(ACME_TEST)).toEqual([kept(test)]);
    });

    test("what was put is found by every reader that asks afterwards", async () => {
      const other = await store.connect();
      await store.deadLetters.put([letter(1)]);
      expect(await listed(ACME, {}, other)).toEqual([kept(letter(1))]);
    });
  });
}
