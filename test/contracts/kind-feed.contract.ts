/** KindFeed: that something of a kind has changed, and whose. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { AuditRecord, KeyRecord } from "../../src/access/access-store.ts";
import { CHANGE_KINDS, CHANGED_IDS, type ChangeKind, type KindReader } from "../../src/delivery/kind-feed.ts";
import type { CountRow } from "../../src/delivery/stats-store.ts";
import type { Bin } from "../../src/inspector/bin-store.ts";
import { deadLetterId } from "../../src/intake/dead-letters.ts";
import type { Tenant } from "../../src/kernel/tenant.ts";
import { sampleLetter } from "../support/samples.ts";
import { eventually } from "../support/within.ts";
import { replay } from "./replay-rows.ts";
import {
  ACME,
  ACME_TEST,
  GLOBEX,
  type MakeStore,
  type StorePorts,
  type StoreUnderTest,
  subscription,
  T0,
} from "./rows.ts";

/** How long a store may take to tell what is durable. */
const TOLD_WITHIN_MS = 5_000;

const key = (id: string, tenant: Tenant): KeyRecord => ({ id, tenant, role: "viewer", hash: id, createdAtMs: T0 });

const session = (id: string, tenant: Tenant) => ({
  ...{ id, tenant, hash: id, createdAtMs: T0 },
  ...{ entityId: "shop", expiresAtMs: T0 + 9 },
});

const certificate = (tenant: Tenant, keyId: string) => ({
  fingerprint: `${tenant.environment}-${keyId}`,
  ...{ tenant, keyId, boundAtMs: T0 },
});

const audit = (id: string, tenant: Tenant, count = 1): AuditRecord => ({
  ...{
    id,
    tenant,
    timeMs: T0,
    actor: "key_1",
    action: "a/B",
    target: "",
    peer: "::1",
    refused: false,
    code: "",
    count,
  },
});

const bin = (id: string, tenant: Tenant): Bin => ({
  ...{ tenant, id, createdAtMs: T0, expiresAtMs: T0 + 9, statusCode: 200, description: "" },
});

const counted = (subscriptionId: string, tenant: Tenant): CountRow => ({
  ...{ tenant, subscriptionId, atMs: T0, delivered: 1, failed: 0, attempts: 1, failedAttempts: 0, events: 1 },
  ...{ durations: new Map([[3, 1]]), delays: new Map() },
});

const health = (subscriptionId: string, tenant: Tenant, version: number) => ({
  ...{ tenant, subscriptionId, version, breaker: "closed" as const, openings: 0, consecutiveFailures: 0 },
});

interface Row {
  readonly kind: ChangeKind;
  /** Makes something of the tenant's: the id that is to be told. */
  readonly make: (store: StorePorts, tenant: Tenant) => Promise<string>;
  /** Each changes it, and is told for itself. */
  readonly change: readonly ((store: StorePorts, tenant: Tenant, id: string) => Promise<unknown>)[];
  /** All environments of the organisation have it together. */
  readonly isOfOrganisation?: true;
}

async function subscribed(store: StorePorts, tenant: Tenant): Promise<string> {
  await store.subscriptions.insert(subscription("sub_1", { tenant }), 100);
  return "sub_1";
}

const ROWS: readonly Row[] = [
  {
    kind: "subscriptions",
    make: subscribed,
    change: [
      (store, tenant, id) => store.subscriptions.replace(subscription(id, { tenant, version: 2, state: "disabled" })),
      (store, tenant, id) => store.subscriptions.remove(tenant, id),
    ],
  },
  {
    kind: "health",
    async make(store, tenant) {
      const id = await subscribed(store, tenant);
      await store.endpoints.write([health(id, tenant, 1)]);
      return id;
    },
    change: [
      (store, tenant, id) => store.endpoints.write([health(id, tenant, 2)]),
      (store, tenant, subscriptionId) => store.endpoints.remove([{ tenant, subscriptionId }]),
    ],
  },
  {
    kind: "statistics",
    async make(store, tenant) {
      await store.stats.addCounts([counted("sub_1", tenant)]);
      return "sub_1";
    },
    change: [(store, tenant, id) => store.stats.addCounts([counted(id, tenant)])],
  },
  {
    kind: "replays",
    async make(store, tenant) {
      await store.replays.insert(replay("rpl_1", { tenant }), 10);
      return "rpl_1";
    },
    change: [(store, tenant, id) => store.replays.change(tenant, id, "pause", T0)],
  },
  {
    kind: "deadLetters",
    async make(store, tenant) {
      const letter = sampleLetter([ACME, GLOBEX, ACME_TEST].indexOf(tenant), {}, { tenant });
      await store.deadLetters.put([letter]);
      return deadLetterId(letter.record);
    },
    change: [(store, tenant, id) => store.deadLetters.noteRedriven(tenant, [id], T0)],
  },
  {
    kind: "bins",
    async make(store, tenant) {
      const id = `bin_${tenant.organisation}_${tenant.environment}`;
      await store.bins.insertBin(bin(id, tenant), 9, T0);
      return id;
    },
    change: [(store, tenant, id) => store.bins.removeBin(tenant, id)],
  },
  {
    kind: "keys",
    async make(store, tenant) {
      const id = `key_${tenant.organisation}_${tenant.environment}`;
      await store.access.insertKey(key(id, tenant));
      return id;
    },
    change: [(store, tenant, id) => store.access.revokeKey(tenant, id, T0)],
  },
  {
    kind: "portalSessions",
    async make(store, tenant) {
      const id = `ses_${tenant.organisation}_${tenant.environment}`;
      await store.access.insertSession(session(id, tenant));
      return id;
    },
    change: [(store, tenant, id) => store.access.revokeSession(tenant, id, T0)],
  },
  {
    kind: "auditRecords",
    async make(store, tenant) {
      await store.access.putAudit([audit("aud_1", tenant)]);
      return "aud_1";
    },
    change: [(store, tenant, id) => store.access.putAudit([audit(id, tenant, 2)])],
  },
  {
    kind: "limits",
    async make(store, { organisation }) {
      await store.limits.setLimits(organisation, { organisation: 5 });
      return organisation;
    },
    change: [(store, { organisation }) => store.limits.setLimits(organisation, {})],
    isOfOrganisation: true,
  },
  {
    kind: "switches",
    async make(store, { organisation }) {
      await store.switches.stop({ organisation, reason: "", sinceMs: T0, by: "key_1" });
      return organisation;
    },
    change: [(store, { organisation }) => store.switches.start(organisation)],
    isOfOrganisation: true,
  },
];

export function kindFeedContract(name: string, make: MakeStore): void {
  let store: StoreUnderTest;
  let worker: StorePorts;
  const readers: KindReader[] = [];
  beforeEach(async () => {
    store = await make();
    worker = await store.connect();
  });
  afterEach(async () => {
    for (const reader of readers.splice(0)) await reader.close();
    await store.close();
  });

  const watch = async (kind: ChangeKind, tenant: Tenant = ACME) => {
    const reader = await store.kinds.watchKind(tenant, kind);
    readers.push(reader);
    return reader;
  };
  /** Reads until something is told. */
  const next = (reader: KindReader) =>
    eventually(TOLD_WITHIN_MS, "a change", async () => {
      const { ids, more } = await reader.read();
      expect(more).toBe(false);
      return ids.size === 0 ? undefined : [...ids];
    });

  describe(`${name}: watched by kind`, () => {
    test("each kind has a row here", () => {
      expect(ROWS.map(({ kind }) => kind)).toEqual(CHANGE_KINDS);
    });

    test.each(ROWS)(
      "$kind: what is made, changed and removed is told, each time",
      async ({ kind, make: made, change }) => {
        await made(worker, GLOBEX);
        const reader = await watch(kind);
        const id = await made(worker, ACME);
        // Of what an organisation has there is one, whatever its id.
        const ids = kind === "limits" || kind === "switches" ? [expect.stringContaining(id)] : [id];
        expect(await next(reader)).toEqual(ids);
        for (const each of change) {
          await each(worker, ACME, id);
          expect(await next(reader)).toEqual(ids);
        }
      },
    );

    test.each(ROWS)("$kind: another tenant's is not told", async ({ kind, make: made, isOfOrganisation }) => {
      const reader = await watch(kind);
      await made(worker, GLOBEX);
      if (isOfOrganisation !== true) await made(worker, ACME_TEST);
      // What is told first is its own: those before it were left out.
      await made(worker, ACME);
      expect(await next(reader)).toHaveLength(1);
      expect((await reader.read()).ids).toEqual(new Set());
    });

    test.each(ROWS)(
      "$kind: of two tenants that are watched at once, each hears its own",
      async ({ kind, make: made }) => {
        const [acme, globex] = [await watch(kind), await watch(kind, GLOBEX)];
        const own = await made(worker, ACME);
        expect(await next(acme)).toEqual([expect.stringContaining(own)]);
        expect((await globex.read()).ids).toEqual(new Set());
        const theirs = await made(worker, GLOBEX);
        expect(await next(globex)).toEqual([expect.stringContaining(theirs)]);
        expect((await acme.read()).ids).toEqual(new Set());
      },
    );

    test("limits and the switch are told in every environment, and the service's switch to everybody", async () => {
      const [limits, switches, theirs] = [
        await watch("limits", ACME_TEST),
        await watch("switches", ACME_TEST),
        await watch("switches", GLOBEX),
      ];
      await worker.limits.setLimits("acme", { entity: 1 });
      await worker.switches.stop({ reason: "all", sinceMs: T0, by: "key_1" });
      expect(await next(limits)).toHaveLength(1);
      expect(await next(switches)).toHaveLength(1);
      expect(await next(theirs)).toHaveLength(1);
    });

    test("a certificate is its key's, and a key's use is not told", async () => {
      await worker.access.insertKey(key("key_1", ACME));
      const reader = await watch("keys");
      await worker.access.noteKeyUses([{ id: "key_1", atMs: T0 + 60_000 }]);
      await worker.access.bindCertificate(certificate(ACME, "key_1"));
      expect(await next(reader)).toHaveLength(1);
      await worker.access.unbindCertificate(ACME, "key_1", certificate(ACME, "key_1").fingerprint, T0);
      expect(await next(reader)).toHaveLength(1);
    });

    test("many changes between two reads are told once each, or as more than are said", async () => {
      const reader = await watch("statistics");
      const ids = Array.from({ length: CHANGED_IDS + 5 }, (_, at) => `sub_${at}`);
      await worker.stats.addCounts(ids.map((id) => counted(id, ACME)));
      const told = new Set<string>();
      await eventually(TOLD_WITHIN_MS, "all changes", async () => {
        const { ids: read, more } = await reader.read();
        expect(read.size).toBeLessThanOrEqual(CHANGED_IDS);
        for (const id of read) told.add(id);
        return more || told.size === ids.length ? true : undefined;
      });
    });

    test("two readers of the same are told both, and the end of one takes nothing from the other", async () => {
      const [one, two] = [await store.kinds.watchKind(ACME, "bins"), await watch("bins")];
      await worker.bins.insertBin(bin("bin_0", ACME), 9, T0);
      expect([await next(one), await next(two)]).toEqual([["bin_0"], ["bin_0"]]);
      await one.close();
      await worker.bins.insertBin(bin("bin_1", ACME), 9, T0);
      expect(await next(two)).toEqual(["bin_1"]);
    });
  });
}
