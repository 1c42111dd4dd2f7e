/** What watching by kind costs the connections that everything shares, and that a fault loses nothing. */
import { type CommandSucceededEvent, type Document, MongoClient } from "mongodb";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { ACME, GLOBEX, subscription, T0 } from "../../../test/contracts/rows.ts";
import { type MongoDatabase, mongoDatabase } from "../../../test/support/mongo-database.ts";
import { mongodb } from "../../../test/support/services/services.ts";
import { eventually, within } from "../../../test/support/within.ts";
import { CHANGE_KINDS, type ChangeKind, type KindReader } from "../../delivery/kind-feed.ts";
import type { Tenant } from "../../kernel/tenant.ts";
import { type MongoStore, mongoStore } from "./mongodb.ts";

const TENANTS = Array.from({ length: 150 }, (_, at) => ({ organisation: `org${at}`, environment: "production" }));

const bin = (id: string, tenant: Tenant) => ({
  ...{ tenant, id, createdAtMs: T0, expiresAtMs: T0 + 9 },
  ...{ statusCode: 200, description: "" },
});

describe.skipIf(!mongodb.present)(mongodb.title("watching by kind on MongoDB"), () => {
  let database: MongoDatabase;
  let client: MongoClient;
  let store: MongoStore;
  /** Of the change streams that were opened, with those that were opened again. */
  let cursors: Document[];
  let ended: number;
  let connections: { out: number; most: number };
  let readers: KindReader[];
  beforeAll(async () => {
    database = await mongoDatabase();
  });
  beforeEach(async () => {
    [cursors, ended, connections, readers] = [[], 0, { out: 0, most: 0 }, []];
    client = new MongoClient(database.uri, { monitorCommands: true });
    client.on("commandSucceeded", ({ commandName, reply }: CommandSucceededEvent) => {
      // Any other's is at its end with its first answer.
      if (commandName === "aggregate" && `${(reply as Document).cursor.id}` !== "0")
        cursors.push((reply as Document).cursor);
      if (commandName === "killCursors") ended += 1;
    });
    client.on("connectionCheckedOut", () => {
      connections.out += 1;
      connections.most = Math.max(connections.most, connections.out);
    });
    client.on("connectionCheckedIn", () => {
      connections.out -= 1;
    });
    store = mongoStore(await client.connect(), { uri: database.uri });
  });
  afterEach(async () => {
    await Promise.all(readers.map((reader) => reader.close().catch(() => {})));
    await store.close();
    await database.empty();
  });
  afterAll(() => database.drop());

  const watch = async (tenant: Tenant, kind: ChangeKind) => {
    const reader = await store.kinds.watchKind(tenant, kind);
    readers.push(reader);
    return reader;
  };
  const watchAll = (tenants: readonly Tenant[]) =>
    Promise.all(tenants.flatMap((tenant) => CHANGE_KINDS.map((kind) => watch(tenant, kind))));
  const next = (reader: KindReader) =>
    eventually(5_000, "a change", async () => {
      const { ids } = await reader.read();
      return ids.size === 0 ? undefined : [...ids];
    });

  test("a hundred and fifty tenants take one cursor and one connection, and other questions wait for none", async () => {
    await watchAll(TENANTS);
    expect(cursors).toHaveLength(1);
    connections.most = 0;
    const reads = Promise.all(readers.map((reader) => reader.read()));
    for (let at = 0; at < 5; at++) expect(await store.access.findKey("key_none")).toBeUndefined();
    await reads;
    // The stream's, and that of the question.
    expect(connections.most).toBeLessThanOrEqual(2);
    expect(cursors).toHaveLength(1);
  });

  test("the stream ends with its last reader, and the next one begins another", async () => {
    const [one, two] = [await watch(ACME, "bins"), await watch(GLOBEX, "replays")];
    await one.close();
    expect(ended).toBe(0);
    await two.close();
    expect(ended).toBe(1);
    const again = await watch(ACME, "bins");
    expect(cursors).toHaveLength(2);
    await store.bins.insertBin(bin("bin_1", ACME), 9, T0);
    expect(await next(again)).toEqual(["bin_1"]);
  });

  test("each of many tenants hears of its own, and of its own kind, alone", async () => {
    const tenants = TENANTS.slice(0, 5);
    const all = await watchAll(tenants);
    for (const [at, tenant] of tenants.entries()) {
      await store.bins.insertBin(bin(`bin_${at}`, tenant), 9, T0);
      await store.subscriptions.insert(subscription(`sub_${at}`, { tenant }), 9);
      await store.access.insertKey({ id: `key_${at}`, tenant, role: "viewer", hash: `${at}`, createdAtMs: T0 });
    }
    const told = all.map(() => new Set<string>());
    const heard = () =>
      tenants.map((_, at) =>
        CHANGE_KINDS.flatMap((kind, place) =>
          [...(told[at * CHANGE_KINDS.length + place] ?? [])].map((id) => `${kind} ${id}`),
        ),
      );
    await eventually(5_000, "all keys", async () => {
      const read = await Promise.all(all.map((reader) => reader.read()));
      for (const [at, { ids }] of read.entries()) for (const id of ids) told[at]?.add(id);
      return heard().every((each) => each.some((line) => line.startsWith("keys"))) ? true : undefined;
    });
    const expected = tenants.map((_, at) => [`subscriptions sub_${at}`, `bins bin_${at}`, `keys key_${at}`]);
    expect(heard()).toEqual(expected);
  });

  test("a cursor that the server has lost is taken up where it was", async () => {
    const all = [await watch(ACME, "bins"), await watch(GLOBEX, "bins")];
    await Promise.all(all.map((reader) => reader.read()));
    const [cursor] = cursors;
    await database.client.db().command({ killCursors: "$cmd.aggregate", cursors: [cursor?.id] });
    await store.bins.insertBin(bin("bin_a", ACME), 9, T0);
    await store.bins.insertBin(bin("bin_g", GLOBEX), 9, T0);
    expect(await Promise.all(all.map(next))).toEqual([["bin_a"], ["bin_g"]]);
    expect(cursors).toHaveLength(2);
  });

  test("a stream that is over fails every reader of it, and whoever watches then has another", async () => {
    const own = await mongoDatabase();
    const other = await own.connect();
    try {
      const watched = [await other.kinds.watchKind(ACME, "bins"), await other.kinds.watchKind(GLOBEX, "keys")];
      await own.client.db().dropDatabase();
      const errors: unknown[] = [];
      for (const reader of watched) await reader.read().catch((error: unknown) => errors.push(error));
      expect(errors).toHaveLength(2);
      expect(errors[0]).toMatchObject({ code: "store.unavailable" });
      // The second is told why, and not that the stream is closed.
      expect(errors[1]).toBe(errors[0]);
      const again = await other.kinds.watchKind(ACME, "bins");
      await watched[0]?.close();
      await other.bins.insertBin(bin("bin_1", ACME), 9, T0);
      expect(await next(again)).toEqual(["bin_1"]);
      await again.close();
    } finally {
      await other.close();
      await own.drop();
    }
  });

  test("a read ends while writes go on without one", async () => {
    const reader = await watch(ACME, "limits");
    const over = new AbortController();
    const writing = (async () => {
      for (let at = 0; !over.signal.aborted; at++) await store.limits.setLimits("acme", { organisation: at });
    })();
    try {
      await within(5_000, "the end of a read", reader.read());
      await within(5_000, "the end of the next", reader.read());
    } finally {
      over.abort();
      await writing;
    }
  });
});
