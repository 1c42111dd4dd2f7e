import { describe, expect, test } from "vitest";
import { MemoryDeadLetters } from "../../test/support/memory-dead-letters.ts";
import { sampleLetter } from "../../test/support/samples.ts";
import { newer, older, sealing } from "../../test/support/sealing.ts";
import { type DeadLetter, type DeadLetterStore, letterToKeep } from "../intake/dead-letters.ts";
import { LIMITS } from "../kernel/limits.ts";
import { silentLog } from "../kernel/log.ts";
import type { Cursor } from "../kernel/page.ts";
import { systemRandom } from "../kernel/random.ts";
import { keyringFrom } from "../signing/keyring.ts";
import { letterKeyUse, sealedStores } from "./sealed-letters.ts";

const ACME = { organisation: "acme", environment: "production" };
const PASS = "pass-of-a-person";
const bytes = (text: string) => new Uint8Array(Buffer.from(text));

const setup = () => sealing(sealedStores);

const letter = (offset: number, record: Partial<DeadLetter["record"]>): DeadLetter =>
  sampleLetter(offset, record, { tenant: ACME });

const all = async (store: { readonly deadLetters: DeadLetterStore }) =>
  (await store.deadLetters.list(ACME, {}, { size: 50 })).items.toSorted(
    (left, right) => left.record.offset - right.record.offset,
  );

const SAMPLES: readonly Partial<DeadLetter["record"]>[] = [
  { key: bytes("a-key"), value: bytes("a-value"), headers: { "a-header": "a-text" } },
  { key: null, value: null, headers: {} },
  { key: bytes(""), value: bytes(""), headers: {} },
  { key: null, value: bytes("\0passbus sealed letter\0 of nobody's"), headers: { x: "1" } },
  { key: null, value: bytes("\0\0\0\0\u002a"), headers: {} },
];

describe("dead letters", () => {
  test("lie in the store sealed whole, and are read as they were", async () => {
    const { raw, sealed } = setup();
    const [store, plain] = [sealed(older), setup().raw];
    const letters = SAMPLES.map((record, at) => letter(at, record));
    await store.deadLetters.put(letters);
    await plain.deadLetters.put(letters);
    const lying = await all(raw);
    for (const { record, message } of lying) {
      expect(message).toBe("encrypted, as the record is");
      expect([record.key, record.headers]).toEqual([null, {}]);
      expect(Buffer.from(record.value ?? []).toString("latin1")).not.toMatch(/a-key|a-value|a-text|a-header/);
    }
    expect(await all(store)).toEqual(await all(plain));
    const ids = lying.map(({ id }) => id);
    const found = await store.deadLetters.find(ACME, [...ids, "dead_0"]);
    expect(found).toEqual([...(await plain.deadLetters.find(ACME, ids)), undefined]);
    await store.deadLetters.noteRedriven(ACME, ids.slice(0, 1), 7);
    expect((await all(store))[0]).toMatchObject({ redrivenAtMs: 7, record: { key: bytes("a-key") } });
  });

  test("of before messages were sealed keep the ones that stand beside them", async () => {
    const { raw, sealed } = setup();
    const { id, record } = letterToKeep(letter(1, {}));
    const json = Buffer.from(JSON.stringify({ headers: {}, hasValue: true }));
    const length = Buffer.alloc(4);
    length.writeUInt32BE(json.length);
    const keyring = keyringFrom(older, systemRandom);
    const bytesThen = keyring.sealBytes(
      Buffer.concat([length, json, bytes("a-value")]),
      `dead-letter/acme/production/${id}`,
    );
    const value = Buffer.concat([bytes("\0passbus sealed letter\0"), bytesThen]);
    await raw.deadLetters.put([
      { ...letter(1, { ...record, key: null, headers: {}, value }), message: "of before", truncated: false },
    ]);
    expect(await all(sealed(older))).toMatchObject([{ message: "of before", record: { value: bytes("a-value") } }]);
  });

  test("keep headers that only bytes can say", async () => {
    const rawHeaders = [["x", new Uint8Array([0xff, 0])]] as const;
    const { raw } = setup();
    const deadLetters = new MemoryDeadLetters();
    const keyring = keyringFrom(older, systemRandom);
    const store = sealedStores({ ...raw, deadLetters }, { keyring, isOn: true, log: silentLog });
    await store.deadLetters.put([letter(1, { rawHeaders })]);
    expect([...deadLetters.rows.values()].map(({ record }) => record.rawHeaders)).toEqual([undefined]);
    expect((await all(store)).map(({ record }) => record.rawHeaders)).toEqual([rawHeaders]);
  });

  test("are cut as they are without the setting: what is sealed is all that is kept", async () => {
    const { raw, sealed } = setup();
    const value = new Uint8Array(LIMITS.deadLetterBytes + 1).fill(7);
    await sealed(older).deadLetters.put([letter(1, { value }), letter(2, { value: value.subarray(1) })]);
    const [cut, whole] = await all(sealed(older));
    expect([cut?.truncated, cut?.record.value?.length]).toEqual([true, LIMITS.deadLetterBytes]);
    expect([whole?.truncated, whole?.record.value?.length]).toEqual([false, LIMITS.deadLetterBytes]);
    expect((await all(raw))[0]?.record.value?.length).toBeGreaterThan(LIMITS.deadLetterBytes);
  });

  test("of before the setting was turned, either way, stay readable, also under a new key", async () => {
    const { sealed, raw } = setup();
    await sealed(older, false).deadLetters.put([letter(1, SAMPLES[0] ?? {}), letter(3, SAMPLES[3] ?? {})]);
    await sealed(older).deadLetters.put([letter(2, SAMPLES[0] ?? {})]);
    expect((await all(raw))[0]?.record.value).toEqual(bytes("a-value"));
    for (const store of [sealed(`${newer},${older}`), sealed(older, false)]) {
      const values = (await all(store)).map(({ record }) => Buffer.from(record.value ?? []).toString());
      expect(values).toEqual(["a-value", "a-value", "\0passbus sealed letter\0 of nobody's"]);
    }
    expect(await letterKeyUse({ ...raw, retention: { tenants: async () => [{ tenant: ACME }] } })).toEqual(
      new Map([["k1", 2]]),
    );
  });

  test("whose key is missing, or that were copied to another row, keep back none of the others", async () => {
    const { raw, sealed, failures } = setup();
    await sealed(older).deadLetters.put([letter(1, SAMPLES[0] ?? {})]);
    await sealed(newer).deadLetters.put([letter(2, SAMPLES[0] ?? {})]);
    const [first] = await all(raw);
    await raw.deadLetters.put([{ ...letter(3, { value: first?.record.value ?? null }), truncated: false }]);
    const found = await all(sealed(newer));
    expect(found.map(({ truncated, record }) => [truncated, record.value !== null])).toEqual([
      [true, false],
      [false, true],
      [true, false],
    ]);
    expect(failures).toEqual(["dead_letter.not_opened", "dead_letter.not_opened"]);
    const both = (await all(sealed(`${newer},${older}`))).map(({ record }) => record.value !== null);
    expect(both).toEqual([true, true, false]);
  });
});

describe("erasing a pass", () => {
  const target = { kind: "pass", tenant: ACME, passId: PASS } as const;

  test("finds the sealed letters that hold it, as it finds those that aren't, and no others", async () => {
    const { sealed } = setup();
    const records: readonly Partial<DeadLetter["record"]>[] = [
      { key: bytes(PASS), value: bytes("unreadable") },
      { value: bytes(`{"pass":{"id":"${PASS}"`) },
      { value: null, headers: { subject: PASS } },
      { value: bytes("of another") },
    ];
    const store = sealed(older);
    await store.deadLetters.put(records.map((record, at) => letter(at, record)));
    await sealed(older, false).deadLetters.put(records.map((record, at) => letter(10 + at, record)));
    const at = (await all(store)).map(({ record }) => record.appendedAtMs);
    const request = { target, madeAtMs: Math.max(...at), limit: 500 };
    expect(await store.erasures.erase({ ...request, beforeMs: Math.min(...at) - 1 })).toMatchObject({ deadLetters: 0 });
    const erased = await store.erasures.erase({ ...request, beforeMs: Math.max(...at) });
    expect(erased).toMatchObject({ deadLetters: 6, more: false });
    expect((await all(store)).map(({ record }) => record.offset)).toEqual([3, 13]);
  });

  test("goes on in steps of its limit", async () => {
    const { sealed } = setup();
    const store = sealed(older);
    await store.deadLetters.put([1, 2, 3].map((offset) => letter(offset, { value: bytes(PASS) })));
    const beforeMs = Math.max(...(await all(store)).map(({ record }) => record.appendedAtMs));
    const request = { target, madeAtMs: beforeMs, beforeMs, limit: 2 };
    const gone: number[] = [];
    let lettersAfter: Cursor | undefined;
    for (let more = true; more; ) {
      const step = await store.erasures.erase(lettersAfter === undefined ? request : { ...request, lettersAfter });
      if (step.deadLetters > 0) gone.push(step.deadLetters);
      more = step.more;
      lettersAfter = step.lettersAt ?? lettersAfter;
    }
    expect(gone).toEqual([2, 1]);
    expect(await all(store)).toEqual([]);
  });
});
