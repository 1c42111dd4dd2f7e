/** KeyStore, SessionStore and AuditStore, beyond finding a key. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type {
  AuditFilter,
  AuditRecord,
  CertificateRecord,
  KeyRecord,
  SessionRecord,
} from "../../src/access/access-store.ts";
import { judge } from "../../src/access/authenticate.ts";
import { makeKey, makeSession } from "../../src/access/keys.ts";
import { idSource } from "../../src/kernel/ids.ts";
import { ManualClock } from "../../src/kernel/manual-clock.ts";
import { seededRandom } from "../../src/kernel/random.ts";
import { ACME, ACME_TEST, allPages, GLOBEX, type MakeStore, type StoreUnderTest, T0 } from "./rows.ts";

function key(id: string, over: Partial<KeyRecord> = {}): KeyRecord {
  return { id, tenant: ACME, role: "viewer", hash: `hash of ${id}`, createdAtMs: T0, ...over };
}

function session(id: string, over: Partial<SessionRecord> = {}): SessionRecord {
  const times = { createdAtMs: T0, expiresAtMs: T0 + 1_000 };
  return { id, tenant: ACME, entityId: "shop", hash: `hash of ${id}`, ...times, ...over };
}

function record(id: string, over: Partial<AuditRecord> = {}): AuditRecord {
  const what = { actor: "key_1", action: "passbus.v1.AccessService/CreateKey", target: "key_2", peer: "192.0.2.1" };
  return { id, tenant: ACME, timeMs: T0, ...what, refused: false, code: "", count: 1, ...over };
}

const newestFirst = <T extends KeyRecord | SessionRecord>(records: readonly T[]): readonly T[] =>
  records.toSorted((left, right) => right.createdAtMs - left.createdAtMs || (left.id < right.id ? 1 : -1));

export function accessContract(name: string, make: MakeStore): void {
  let store: StoreUnderTest;
  beforeEach(async () => {
    store = await make();
  });
  afterEach(() => store.close());

  describe(`${name}: keys that are listed`, () => {
    test("come newest first, in pages, as they were stored, and no other tenant's", async () => {
      const keys = Array.from({ length: 7 }, (_, at) => key(`key_${at}`, { createdAtMs: T0 + (at % 3) }));
      const whole = key("key_8", { description: "for CI „ü“", expiresAtMs: T0 + 9, lastUsedAtMs: T0 + 3 });
      const others = [key("key_t", { tenant: ACME_TEST }), key("key_g", { tenant: GLOBEX })];
      for (const each of [...keys, whole, ...others]) await store.access.insertKey(each);
      const pages = await allPages((page) => store.access.listKeys(ACME, page), 3);
      expect(pages.map((page) => page.length)).toEqual([3, 3, 2]);
      expect(pages.flat()).toEqual(newestFirst([...keys, whole]));
      expect((await store.access.listKeys(ACME_TEST, { size: 10 })).items.map(({ id }) => id)).toEqual(["key_t"]);
      expect(await (await store.reopen()).access.findKey("key_8")).toEqual(whole);
    });

    test("count while they are neither revoked nor expired", async () => {
      await store.access.insertKey(key("key_1"));
      await store.access.insertKey(key("key_2", { expiresAtMs: T0 + 1 }));
      await store.access.insertKey(key("key_3", { revokedAtMs: T0 }));
      await store.access.insertKey(key("key_4", { tenant: GLOBEX }));
      expect(await store.access.countLiveKeys(ACME, T0)).toBe(2);
      expect(await store.access.countLiveKeys(ACME, T0 + 1)).toBe(1);
      expect(await store.access.countLiveKeys({ ...ACME, organisation: "nobody" }, T0)).toBe(0);
    });

    test("are revoked in their own tenant alone, for every connection, and the first time stays", async () => {
      const other = await store.connect();
      await store.access.insertKey(key("key_1"));
      expect(await store.access.revokeKey(GLOBEX, "key_1", T0 + 1)).toBe(false);
      expect(await store.access.revokeKey(ACME_TEST, "key_1", T0 + 1)).toBe(false);
      expect(await store.access.revokeKey(ACME, "key_2", T0 + 1)).toBe(false);
      expect(await other.access.findKey("key_1")).toEqual(key("key_1"));
      expect(await store.access.revokeKey(ACME, "key_1", T0 + 2)).toBe(true);
      expect(await store.access.revokeKey(ACME, "key_1", T0 + 9)).toBe(true);
      expect(await other.access.findKey("key_1")).toEqual(key("key_1", { revokedAtMs: T0 + 2 }));
    });

    test("that one process revokes, another takes no more half a second later; portal sessions likewise", async () => {
      const other = await store.connect();
      const clock = new ManualClock(T0);
      const random = seededRandom(5);
      const material = { clock, random, ids: idSource(clock, random) };
      const made = [makeKey(ACME, "viewer", material), makeSession(ACME, "shop", 60_000, material)] as const;
      await store.access.insertKey(made[0].record);
      await store.access.insertSession(made[1].record);
      const judged = judge({ store: other.access, clock });
      const codes = async () =>
        Promise.all(made.map(async ({ text }) => (await judged(`Bearer ${text}`)).refused?.code ?? "in"));
      expect(await codes()).toEqual(["in", "in"]);
      await store.access.revokeKey(ACME, made[0].record.id, clock.now());
      await store.access.revokeSession(ACME, made[1].record.id, clock.now());
      clock.advance(500);
      expect(await codes()).toEqual(["auth.invalid", "auth.invalid"]);
    });

    test("know when they were last used, whichever use is noted last", async () => {
      await store.access.insertKey(key("key_1"));
      await store.access.insertKey(key("key_2"));
      await store.access.noteKeyUses([
        { id: "key_1", atMs: T0 + 5 },
        { id: "key_9", atMs: T0 + 5 },
      ]);
      await store.access.noteKeyUses([{ id: "key_1", atMs: T0 + 3 }]);
      await store.access.noteKeyUses([]);
      expect((await store.access.findKey("key_1"))?.lastUsedAtMs).toBe(T0 + 5);
      expect(await store.access.findKey("key_2")).toEqual(key("key_2"));
      expect(await store.access.findKey("key_9")).toBeUndefined();
    });
  });

  describe(`${name}: clients' certificates`, () => {
    const bound = (fingerprint: string, over: Partial<CertificateRecord> = {}): CertificateRecord => ({
      ...{ fingerprint, tenant: ACME, keyId: "key_1", boundAtMs: T0 },
      ...over,
    });

    test("are found by their fingerprint, and come back as they were bound", async () => {
      const other = await store.connect();
      expect(await store.access.bindCertificate(bound("aa"))).toEqual(bound("aa"));
      expect(await other.access.findCertificate("aa")).toEqual(bound("aa"));
      expect(await store.access.findCertificate("bb")).toBeUndefined();
      expect(await store.access.findCertificate("")).toBeUndefined();
      expect(await (await store.reopen()).access.findCertificate("aa")).toEqual(bound("aa"));
    });

    test("are bound once over all tenants: who comes later is told who has it", async () => {
      const other = await store.connect();
      const claims = [bound("aa"), bound("aa", { tenant: GLOBEX, keyId: "key_g" }), bound("aa", { keyId: "key_2" })];
      const told = await Promise.all(
        claims.map((claim, at) => (at % 2 === 0 ? store : other).access.bindCertificate(claim)),
      );
      const stands = await store.access.findCertificate("aa");
      expect(claims).toContainEqual(stands);
      expect(told).toEqual(claims.map(() => stands));
    });

    test("are listed by their keys, in their own tenant, the oldest first", async () => {
      const rows = [bound("cc"), bound("aa", { boundAtMs: T0 + 1 }), bound("bb", { keyId: "key_2" }), bound("ab")];
      for (const row of [...rows, bound("dd", { tenant: ACME_TEST }), bound("ee", { keyId: "key_3" })]) {
        await store.access.bindCertificate(row);
      }
      const listed = await store.access.listCertificates(ACME, ["key_1", "key_2", "key_9"]);
      expect(listed.map(({ fingerprint }) => fingerprint)).toEqual(["ab", "bb", "cc", "aa"]);
      expect(await store.access.listCertificates(ACME, [])).toEqual([]);
      expect(await store.access.listCertificates(GLOBEX, ["key_1"])).toEqual([]);
    });

    test("are unbound by their own tenant and from their own key alone, and bound again by their own tenant alone", async () => {
      await store.access.bindCertificate(bound("aa"));
      expect(await store.access.unbindCertificate(ACME_TEST, "key_1", "aa", T0 + 3)).toBe(false);
      expect(await store.access.unbindCertificate(GLOBEX, "key_1", "aa", T0 + 3)).toBe(false);
      expect(await store.access.unbindCertificate(ACME, "key_2", "aa", T0 + 3)).toBe(false);
      expect(await store.access.unbindCertificate(ACME, "key_1", "bb", T0 + 3)).toBe(false);
      expect(await store.access.findCertificate("aa")).toEqual(bound("aa"));
      expect(await store.access.unbindCertificate(ACME, "key_1", "aa", T0 + 3)).toBe(true);
      expect(await store.access.findCertificate("aa")).toBeUndefined();
      expect(await store.access.listCertificates(ACME, ["key_1"])).toEqual([]);
      for (const tenant of [GLOBEX, ACME_TEST]) {
        const others = bound("aa", { tenant, keyId: "key_g" });
        expect(await store.access.bindCertificate(others)).toEqual(bound("aa", { keyId: "", boundAtMs: T0 + 3 }));
        expect(await store.access.findCertificate("aa")).toBeUndefined();
      }
      const again = bound("aa", { keyId: "key_2", boundAtMs: T0 + 5 });
      expect(await store.access.bindCertificate(again)).toEqual(again);
      expect(await store.access.findCertificate("aa")).toEqual(again);
    });

    test("are not bound again with a proof of before they were unbound", async () => {
      await store.access.bindCertificate(bound("aa"));
      expect(await store.access.unbindCertificate(ACME, "key_1", "aa", T0 + 3)).toBe(true);
      const again = bound("aa", { boundAtMs: T0 + 5 });
      const unbound = bound("aa", { keyId: "", boundAtMs: T0 + 3 });
      expect(await store.access.bindCertificate(again, T0 + 2)).toEqual(unbound);
      expect(await store.access.findCertificate("aa")).toBeUndefined();
      expect(await store.access.bindCertificate(again, T0 + 3)).toEqual(again);
    });
  });

  describe(`${name}: portal sessions`, () => {
    test("come back as they were stored, and are listed newest first, of their tenant", async () => {
      const sessions = Array.from({ length: 5 }, (_, at) => session(`ses_${at}`, { createdAtMs: T0 + (at % 2) }));
      const theirs = session("ses_g", { tenant: GLOBEX, entityId: "x/y ü", revokedAtMs: T0 + 1 });
      for (const each of [...sessions, theirs]) await store.access.insertSession(each);
      const pages = await allPages((page) => store.access.listSessions(ACME, page), 2);
      expect(pages.flat()).toEqual(newestFirst(sessions));
      const again = await store.reopen();
      expect(await again.access.findSession("ses_g")).toEqual(theirs);
      expect(await again.access.findSession("ses_9")).toBeUndefined();
      expect(await again.access.findSession("")).toBeUndefined();
    });

    test("are given an id once", async () => {
      await store.access.insertSession(session("ses_1"));
      await expect(store.access.insertSession(session("ses_1"))).rejects.toThrow("ses_1");
    });

    test("are revoked in their own tenant alone, and the first time stays", async () => {
      await store.access.insertSession(session("ses_1"));
      expect(await store.access.revokeSession(ACME_TEST, "ses_1", T0 + 1)).toBe(false);
      expect(await store.access.revokeSession(ACME, "ses_2", T0 + 1)).toBe(false);
      expect(await store.access.revokeSession(ACME, "ses_1", T0 + 2)).toBe(true);
      expect(await store.access.revokeSession(ACME, "ses_1", T0 + 3)).toBe(true);
      expect(await store.access.findSession("ses_1")).toEqual(session("ses_1", { revokedAtMs: T0 + 2 }));
    });

    test("count until they end, and go from the store after that", async () => {
      const sessions = [session("ses_1"), session("ses_2", { expiresAtMs: T0 + 2_000 })];
      const revoked = session("ses_3", { revokedAtMs: T0 });
      for (const each of [...sessions, revoked, session("ses_g", { tenant: GLOBEX })]) {
        await store.access.insertSession(each);
      }
      expect(await store.access.countLiveSessions(ACME, T0)).toBe(2);
      expect(await store.access.countLiveSessions(ACME, T0 + 1_000)).toBe(1);
      expect((await store.retention.tenants()).map(({ tenant }) => tenant)).toEqual(
        expect.arrayContaining([ACME, GLOBEX]),
      );
      const purge = { tenant: ACME, kind: "portalSessions", nowMs: T0, limit: 1 } as const;
      const first = await store.retention.purge({ ...purge, beforeMs: T0 + 1_001 });
      expect([first.purged, first.more]).toEqual([1, true]);
      const rest = await store.retention.purge({ ...purge, beforeMs: T0 + 1_001, limit: 9, ...placeOf(first.at) });
      expect([rest.purged, rest.more]).toEqual([1, false]);
      const left = await store.access.listSessions(ACME, { size: 9 });
      expect(left.items.map(({ id }) => id)).toEqual(["ses_2"]);
      expect(await store.access.findSession("ses_g")).toBeDefined();
    });
  });

  const listed = async (filter: AuditFilter = {}, tenant = ACME, size = 2) =>
    (await allPages((page) => store.access.listAudit(tenant, filter, page), size)).flat().map(({ id }) => id);

  describe(`${name}: the audit log`, () => {
    test("is read newest first, as it was written, by its tenant alone", async () => {
      const records = [
        record("aud_1"),
        record("aud_2", { timeMs: T0 + 1, actor: "", action: "", target: "", refused: true, code: "auth.invalid" }),
        record("aud_3", { timeMs: T0 + 1, peer: "2001:db8:1:2::/64", count: 12_345 }),
        record("aud_t", { tenant: ACME_TEST }),
      ];
      await store.access.putAudit(records);
      await store.access.putAudit([]);
      const again = await store.reopen();
      const page = await again.access.listAudit(ACME, {}, { size: 10 });
      expect(page).toEqual({ items: [records[2], records[1], records[0]] });
      expect((await again.access.listAudit(ACME_TEST, {}, { size: 10 })).items).toEqual([records[3]]);
      expect((await again.access.listAudit(GLOBEX, {}, { size: 10 })).items).toEqual([]);
    });

    test("put again, a record has its new count and is the same otherwise", async () => {
      await store.access.putAudit([record("aud_1")]);
      await store.access.putAudit([record("aud_1", { count: 7, timeMs: T0 + 9 }), record("aud_2", { tenant: GLOBEX })]);
      const { items } = await store.access.listAudit(ACME, {}, { size: 10 });
      expect(items).toEqual([record("aud_1", { count: 7 })]);
    });

    test("is narrowed by actor, action, target, refusal and time, all at once too", async () => {
      await store.access.putAudit([
        record("a", { actor: "ses_1" }),
        record("b", { action: "x/Y", timeMs: T0 + 1 }),
        record("c", { target: "sub_1", timeMs: T0 + 2 }),
        record("d", { refused: true, timeMs: T0 + 3 }),
        record("e", { refused: true, actor: "ses_1", timeMs: T0 + 4 }),
      ]);
      expect(await listed({ actor: "ses_1" })).toEqual(["e", "a"]);
      expect(await listed({ action: "x/Y" })).toEqual(["b"]);
      expect(await listed({ target: "sub_1" })).toEqual(["c"]);
      expect(await listed({ refused: true })).toEqual(["e", "d"]);
      expect(await listed({ refused: false })).toEqual(["c", "b", "a"]);
      expect(await listed({ fromMs: T0 + 1, toMs: T0 + 3 })).toEqual(["c", "b"]);
      expect(await listed({ refused: true, actor: "ses_1", toMs: T0 + 4 })).toEqual([]);
    });

    test("comes to a record that stands behind thousands of others", async () => {
      const many = Array.from({ length: 5_500 }, (_, at) => record(`aud_${at}`, { timeMs: T0 + 1 + at }));
      await store.access.putAudit([record("aud_x", { actor: "ses_1" })]);
      for (let from = 0; from < many.length; from += 500) await store.access.putAudit(many.slice(from, from + 500));
      expect(await listed({ actor: "ses_1" })).toEqual(["aud_x"]);
    });

    test("goes with age", async () => {
      await store.access.putAudit([record("a"), record("b", { timeMs: T0 + 5 }), record("c", { tenant: GLOBEX })]);
      const purge = { tenant: ACME, kind: "auditRecords", nowMs: T0, limit: 10, beforeMs: T0 + 4 } as const;
      expect(await store.retention.purge(purge)).toMatchObject({ purged: 1, more: false });
      expect(await listed()).toEqual(["b"]);
      expect(await listed({}, GLOBEX)).toEqual(["c"]);
    });
  });
}

function placeOf(at: { readonly timeMs: number; readonly id: string } | undefined) {
  return at === undefined ? {} : { after: at };
}
