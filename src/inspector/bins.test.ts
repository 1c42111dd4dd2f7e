import { describe, expect, test } from "vitest";
import { subscription as subscriptionRow } from "../../test/contracts/rows.ts";
import { embeddedStore } from "../../test/support/embedded-store.ts";
import { settled } from "../../test/support/settled.ts";
import type { Exchange, OutboundRequest } from "../delivery/sender.ts";
import type { Subscription } from "../domain/subscription.ts";
import { formatOf } from "../formats/registry.ts";
import { idSource } from "../kernel/ids.ts";
import { LIMITS } from "../kernel/limits.ts";
import { ManualClock } from "../kernel/manual-clock.ts";
import { systemRandom } from "../kernel/random.ts";
import { keyringFrom, makeEncryptionKey } from "../signing/keyring.ts";
import { makeSecret, sealSecret } from "../signing/secrets.ts";
import { signer } from "../signing/signer.ts";
import { withBins, withBinsDirectly } from "./bin-sender.ts";
import { type Arrived, type BinRequest, Bins } from "./bins.ts";

const ACME = { organisation: "acme", environment: "production" };
const GLOBEX = { organisation: "globex", environment: "production" };
const DAY_MS = 24 * 3_600_000;
const keyring = keyringFrom(makeEncryptionKey("k1", systemRandom), systemRandom);

function setUp() {
  const clock = new ManualClock();
  const { bins: store } = embeddedStore();
  const subscriptions: Subscription[] = [];
  const stage = { version: 1, loads: 0 };
  const bins = new Bins({
    store,
    feed: {
      versions: async (tenants) => tenants.map(() => stage.version),
      async load() {
        stage.loads += 1;
        return { version: stage.version, subscriptions: [...subscriptions] };
      },
    },
    keyring,
    ed25519Keys: () => [],
    clock,
    ids: idSource(clock, systemRandom),
    random: systemRandom,
    lifetimeMs: DAY_MS,
    publicUrl: () => "https://bus.test",
  });
  const create = (statusCode = 0, lifetimeMs?: number) =>
    bins.create(ACME, { statusCode, lifetimeMs, description: "" });
  const requests = async (id: string) => (await bins.requests(ACME, id, { size: 500 })).items;
  return { clock, store, subscriptions, stage, bins, create, requests };
}

const arrived = (over: Partial<Arrived> = {}): Arrived => ({
  ...{ method: "POST", headers: { a: "b" }, body: Buffer.from([0, 255, 10]), path: "", fromPassbus: false },
  ...over,
});

function subscribed(url: string): Subscription {
  const made = subscriptionRow("sub_1", { url });
  const sealed = sealSecret(keyring, made, "a", makeSecret(systemRandom));
  return { ...made, secrets: [{ id: "a", sealed, createdAtMs: 0 }] };
}

describe("a bin", () => {
  test("takes any request, answers 200, and shows it as it came, sealed where it is kept", async () => {
    const { bins, store, create, requests } = setUp();
    const { id } = await create();
    expect(bins.urlOf(id)).toMatch(/^https:\/\/bus\.test\/bins\/bin_[0-9a-f]{32}$/);
    const answer = await bins.take(id, arrived({ method: "PATCH", path: "/x?y=1" }));
    expect(answer).toMatchObject({ status: 200, body: '{"status":"ok"}' });
    const [request] = await requests(id);
    expect(request).toMatchObject({
      ...arrived({ method: "PATCH", path: "/x?y=1" }),
      statusCode: 200,
      verdict: "unknown",
    });
    const [kept] = (await store.listRequests(ACME, id, { size: 9 })).items;
    expect(kept?.sealed).toMatch(/^k1\.[\w-]+$/);
  });

  test.each([201, 404, 503])("answers %i where it was asked to", async (statusCode) => {
    const { bins, create, requests } = setUp();
    const { id } = await create(statusCode);
    expect((await bins.take(id, arrived())).status).toBe(statusCode);
    expect(await requests(id)).toMatchObject([{ statusCode }]);
  });

  test.each([[100], [301], [600], [-1]])("that is to answer %i is refused", async (statusCode) => {
    await expect(setUp().create(statusCode)).rejects.toThrow("status_code: must be");
  });

  test.each([[59_999], [DAY_MS + 1], [0]])("that is to live for %i ms is refused", async (lifetimeMs) => {
    await expect(setUp().create(0, lifetimeMs)).rejects.toThrow("lifetime: must be");
  });

  test("is gone with its time, for those who send and those who look", async () => {
    const { bins, clock, create } = setUp();
    const { id } = await create(0, 60_000);
    clock.advance(59_999);
    expect((await bins.take(id, arrived())).status).toBe(200);
    clock.advance(1);
    expect((await bins.take(id, arrived())).status).toBe(410);
    await expect(bins.get(ACME, id)).rejects.toThrow("there is no bin");
    expect((await bins.list(ACME, { size: 9 })).items).toEqual([]);
  });

  test("that never was answers 410, whatever its id looks like", async () => {
    const { bins } = setUp();
    for (const id of [`bin_${"0".repeat(32)}`, "", "bin_1", "../x", "bin_0' OR 1"]) {
      expect((await bins.take(id, arrived())).status).toBe(410);
    }
  });

  test("is nobody else's to see or to delete", async () => {
    const { bins, create } = setUp();
    const { id } = await create();
    for (const look of [
      () => bins.get(GLOBEX, id),
      () => bins.requests(GLOBEX, id, { size: 9 }),
      () => bins.delete(GLOBEX, id),
      () => bins.watch(GLOBEX, id, "", AbortSignal.timeout(1)).next(),
    ]) {
      await expect(look()).rejects.toThrow(`bin_id: there is no bin "${id}"`);
    }
    await bins.delete(ACME, id);
    expect((await bins.take(id, arrived())).status).toBe(410);
  });

  test("takes bodies up to its limit, and so many a second", async () => {
    const { bins, clock, create, requests } = setUp();
    const { id } = await create();
    const large = (bytes: number) => bins.take(id, arrived({ body: Buffer.alloc(bytes) }));
    expect((await large(LIMITS.binBodyBytes + 1)).status).toBe(413);
    expect((await large(LIMITS.binBodyBytes)).status).toBe(200);
    const answers = await Promise.all(Array.from({ length: LIMITS.binBurst }, () => bins.take(id, arrived())));
    const flood = { headers: { "retry-after": "1" } };
    expect(answers.filter(({ status }) => status === 429)).toMatchObject([flood, flood]);
    clock.advance(1_000);
    const more = await Promise.all(Array.from({ length: 60 }, () => bins.take(id, arrived())));
    expect(more.filter(({ status }) => status === 200)).toHaveLength(LIMITS.binRequestsPerSecond);
    expect(await requests(id)).toHaveLength(LIMITS.binBurst - 1 + LIMITS.binRequestsPerSecond);
  });
});

describe("floods", () => {
  const statuses = async (requests: readonly Promise<{ readonly status: number }>[]) =>
    (await Promise.all(requests)).map(({ status }) => status);

  test("the bins of one organisation take so much together", async () => {
    const { bins, create } = setUp();
    const made = await Promise.all(Array.from({ length: 4 }, () => create()));
    const theirs = await bins.create(GLOBEX, { statusCode: 0, lifetimeMs: undefined, description: "" });
    const each = LIMITS.binBurst - 10;
    const taken = await statuses(
      made.flatMap(({ id }) => Array.from({ length: each }, () => bins.take(id, arrived({ body: Buffer.alloc(0) })))),
    );
    expect(taken.filter((status) => status === 200)).toHaveLength(LIMITS.organisationBinBurst);
    expect(taken.filter((status) => status === 429)).toHaveLength(4 * each - LIMITS.organisationBinBurst);
    expect((await bins.take(theirs.id, arrived())).status).toBe(200);
  });

  test("other bins' requests give nobody a new allowance", async () => {
    const { bins, store, create, clock } = setUp();
    const { id } = await create();
    await statuses(Array.from({ length: LIMITS.binBurst }, () => bins.take(id, arrived())));
    for (let at = 0; at < 1_100; at++) {
      const tenant = { organisation: `org-${at}`, environment: "production" };
      const other = { ...(await bins.get(ACME, id)), tenant, id: `bin_${at.toString(16).padStart(32, "0")}` };
      await store.insertBin(other, LIMITS.bins, clock.now());
      await bins.take(other.id, arrived());
      if (at % 100 === 0) expect((await bins.take(id, arrived())).status).toBe(429);
    }
    expect((await bins.take(id, arrived())).status).toBe(429);
  });

  test("a body is read only where there is a bin that may take it", async () => {
    const { bins, create, clock } = setUp();
    const reads: string[] = [];
    const receive = async (id: string) => {
      const read = async () => {
        reads.push(id);
        return arrived();
      };
      return (await bins.receive(id, read)).status;
    };
    const [{ id }, gone] = [await create(), await create(0, 60_000)];
    clock.advance(60_001);
    expect(await receive(gone.id)).toBe(410);
    expect(await receive("nonsense")).toBe(410);
    expect(reads).toEqual([]);
    for (let at = 0; at < LIMITS.binBurst; at++) expect(await receive(id)).toBe(200);
    expect(await receive(id)).toBe(429);
    expect(reads).toHaveLength(LIMITS.binBurst);
  });

  test("what comes while its bin is deleted is not kept", async () => {
    const { bins, store, create } = setUp();
    const { id } = await create();
    const answer = await bins.receive(id, async () => {
      await bins.delete(ACME, id);
      return arrived();
    });
    expect(answer.status).toBe(410);
    expect((await store.listRequests(ACME, id, { size: 9 })).items).toEqual([]);
  });
});

describe("a subscription that points to a bin", () => {
  test("has its signatures checked, as soon as it is there, and read again only when it changes", async () => {
    const { bins, stage, subscriptions, create, requests } = setUp();
    const { id } = await create();
    await bins.take(id, arrived());
    const subscription = subscribed(`${bins.urlOf(id)}/more?x=1`);
    subscriptions.push(subscription, subscriptionRow("sub_2"));
    stage.version += 1;
    const body = Buffer.from("{}");
    const headers = signer(keyring).sign(subscription, formatOf("STANDARD"), "dlv_1", 1_700_000_000_000, body);
    for (const each of [body, Buffer.from("[]")]) await bins.take(id, arrived({ headers, body: each }));
    expect(new Set((await requests(id)).map(({ verdict }) => verdict))).toEqual(
      new Set(["invalid", "valid", "unknown"]),
    );
    expect(stage.loads).toBe(2);
  });

  test("is delivered to in-process, and all others through the sender", async () => {
    const { bins, clock, create, requests } = setUp();
    const { id } = await create(503);
    const sent: string[] = [];
    const other: Exchange = { kind: "response", status: 299, headers: {}, excerpt: new Uint8Array(), durationMs: 1 };
    const request = (url: string): OutboundRequest => {
      return { method: "PUT", url, headers: { "webhook-id": "dlv_1" }, body: Buffer.from("{}"), timeoutMs: 1_000 };
    };
    const through = {
      async send({ url }: OutboundRequest) {
        sent.push(url);
        return other;
      },
      close: async () => {},
    };
    const sender = withBins(through, { bins, clock });
    expect(await sender.send(request(`${bins.urlOf(id)}/deep`))).toMatchObject({ kind: "response", status: 503 });
    expect(await sender.send(request(bins.urlOf(`bin_${"0".repeat(32)}`)))).toMatchObject({ status: 410 });
    expect(await sender.send(request("https://bus.test/other"))).toBe(other);
    expect(await sender.send(request(`https://bus.test.evil/bins/${id}`))).toBe(other);
    expect(sent).toHaveLength(2);
    const direct = withBinsDirectly(
      { send: async () => ({ exchange: other, phases: { totalMs: 1 } }), close: () => {} },
      { bins, clock },
    );
    expect((await direct.send(request(bins.urlOf(id)))).exchange).toMatchObject({ status: 503 });
    expect((await direct.send(request("https://other.test/"))).exchange).toBe(other);
    const here = { fromPassbus: true, method: "PUT", headers: { "webhook-id": "dlv_1", "content-length": "2" } };
    const shown = (await requests(id)).map(({ path }) => path).sort();
    expect(shown).toEqual(["", "/deep"]);
    for (const each of await requests(id)) expect(each).toMatchObject(here);
  });

  test("is answered 503 while the store takes nothing: the delivery is tried again", async () => {
    const clock = new ManualClock();
    const bins = { targetOf: () => ({ id: "bin_1", path: "" }), take: () => Promise.reject(new Error("down")) };
    const none = { send: () => Promise.reject(new Error("not asked")), close: async () => {} };
    const request = { method: "POST", url: "x", headers: {}, body: Buffer.alloc(0), timeoutMs: 1 };
    expect(await withBins(none, { bins, clock }).send(request)).toMatchObject({ kind: "response", status: 503 });
  });
});

describe("a watch", () => {
  async function watching(setup: ReturnType<typeof setUp>, id: string, after = "") {
    const ending = new AbortController();
    const told: (BinRequest | undefined)[] = [];
    const watch = setup.bins.watch(ACME, id, after, ending.signal);
    const done = (async () => {
      for await (const each of watch) told.push(each);
    })();
    done.catch(() => {});
    await settled();
    const pass = async (ms: number) => {
      for (let left = ms; left > 0; left -= 250) {
        setup.clock.advance(250);
        await settled();
      }
    };
    const paths = () => told.flatMap((each) => (each === undefined ? [] : [each.path]));
    return { told, done, pass, paths, stop: () => ending.abort() };
  }

  test("tells what arrives from its beginning on, each once, and lives on in silence", async () => {
    const setup = setUp();
    const { id } = await setup.create();
    await setup.bins.take(id, arrived({ path: "/before" }));
    const { told, pass, paths, stop, done } = await watching(setup, id);
    expect(told).toEqual([undefined]);
    for (const path of ["/1", "/2"]) await setup.bins.take(id, arrived({ path }));
    await pass(500);
    await setup.bins.take(id, arrived({ path: "/3" }));
    await pass(1_000);
    expect(paths().sort()).toEqual(["/1", "/2", "/3"]);
    const before = told.length;
    await pass(21_000);
    expect(told.slice(before)).toEqual([undefined]);
    stop();
    await pass(250);
    await done;
  });

  test("goes on after a request that was seen", async () => {
    const setup = setUp();
    const { id } = await setup.create();
    for (const path of ["/1", "/2", "/3"]) {
      await setup.bins.take(id, arrived({ path }));
      setup.clock.advance(10);
    }
    const seen = (await setup.requests(id)).find(({ path }) => path === "/2");
    const { pass, paths, stop } = await watching(setup, id, seen?.id);
    await pass(250);
    expect(paths()).toEqual(["/3"]);
    stop();
    await expect(setup.bins.watch(ACME, id, "nonsense", AbortSignal.abort()).next()).rejects.toThrow(
      "after_request_id",
    );
  });

  test("ends when the bin does", async () => {
    const setup = setUp();
    const { id } = await setup.create();
    const { pass, done } = await watching(setup, id);
    await setup.bins.delete(ACME, id);
    await pass(2_500);
    await expect(done).rejects.toThrow("there is no bin");
  });
});
