import { chmodSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ADMIN_KEY, testApi } from "../../test/support/api.ts";
import { testTerminal } from "../../test/support/terminal.ts";
import type { PreparationStep } from "../kernel/preparation.ts";
import { runCli } from "./cli.ts";
import { type DoctorDeps, doctorCommand } from "./doctor.ts";

let directory: string;
const servers: Server[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "passbus-doctor-"));
});
afterEach(async () => {
  rmSync(directory, { recursive: true });
  await Promise.all(servers.splice(0).map((server) => new Promise((resolve) => server.close(resolve))));
});

/** Of a machine on which nothing is wrong. */
const WELL: DoctorDeps = {
  preparation: () => ({ survey: async () => [{ what: "the store", state: "present" }], close: async () => {} }),
  keyFiles: () => [],
  embeddedStore: () => ({ version: 7, newest: 7 }),
  encryptionKeyUse: async () => ({ newest: "k1", texts: new Map([["k1", 3]]), unopened: [], unopenedCount: 0 }),
  storeClockAheadMs: async () => undefined,
  resolveHost: async () => ["192.0.2.1"],
};

interface Given {
  readonly deps?: Partial<DoctorDeps>;
  readonly environment?: Record<string, string>;
  readonly args?: readonly string[];
}

async function doctor({ deps = {}, environment = {}, args = [] }: Given = {}) {
  // Port 1 is nobody's.
  const terminal = testTerminal({ PASSBUS_DATA_DIR: directory, PASSBUS_LISTEN: "127.0.0.1:1", ...environment });
  const code = await runCli(["doctor", ...args], [doctorCommand({ ...WELL, ...deps })], terminal);
  return { code, ...terminal.said };
}

async function answering(status: number, body: string, headers: Record<string, string> = {}): Promise<string> {
  const server = createServer((_, response) => response.writeHead(status, headers).end(body));
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe("passbus doctor", () => {
  it("says what it found, and exits with 0 where nothing is wrong", async () => {
    const url = await answering(200, '{"ready":true,"reasons":[],"notes":["deliveries are stopped"]}');
    const { code, out, err } = await doctor({ args: ["--url", url] });
    expect([code, err]).toEqual([0, "nothing is wrong\n"]);
    expect(out).not.toContain("WRONG");
    for (const says of [
      /^ok +settings +valid; 2 of \d+ are set$/m,
      /^(ok|note) +data directory +[\d.]+ GiB free at /m,
      /^(ok|note) +data directory +a write reaches the disk in [\d.]+ ms/m,
      /^ok +store and log +the store$/m,
      /^ok +sealed secrets +3 can be opened$/m,
      /^ok +service +a passbus answers at /m,
      /^note +service +deliveries are stopped$/m,
    ])
      expect(out).toMatch(says);
  });

  it("leaves nothing behind, and notes that nobody serves yet", async () => {
    const { code, out } = await doctor({ environment: { PASSBUS_DATA_DIR: join(directory, "none", "yet") } });
    expect(code).toBe(0);
    expect(out).toMatch(/^note +service +nobody answers at http:\/\/127.0.0.1:1: .*ECONNREFUSED/m);
    expect(readdirSync(directory)).toEqual([]);
  });

  it("tells programs each finding in JSON", async () => {
    const { out } = await doctor({ args: ["--json"] });
    const findings = out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(findings).toContainEqual({ check: "store and log", verdict: "ok", what: "the store" });
    expect(findings.at(-1)).toMatchObject({ check: "service", verdict: "note", advice: expect.any(String) });
  });

  const failing = (message: string) => async () => {
    throw new Error(message);
  };
  const stepping = (step: object): Partial<DoctorDeps> => ({
    preparation: () => ({
      survey: async () => [{ what: "topic t", state: "missing", ...step }],
      close: async () => {},
    }),
  });
  const distributed = {
    PASSBUS_KAFKA_BROKERS: "broker.test:9092",
    PASSBUS_MONGODB_URI: "mongodb://user:password@store.test:27017/passbus",
    PASSBUS_ENCRYPTION_KEYS: `k1:${Buffer.alloc(32, 1).toString("base64")}`,
    PASSBUS_KAFKA_TENANTS: "pass.events=*",
  };

  it.each<[says: string, given: Given]>([
    ["settings +PASSBUS_LISTEN must be host:port", { environment: { PASSBUS_LISTEN: "nowhere" } }],
    [
      "store and log +the broker is away",
      { deps: { preparation: () => ({ survey: failing("the broker is away"), close: async () => {} }) } },
    ],
    [
      "store and log +topic t: missing\\n +-> run `passbus init`",
      { deps: stepping({ make: async () => {} }), environment: distributed },
    ],
    [
      "store and log +topic t: wrong \\(2 partitions\\)\\n +-> mend it",
      { deps: stepping({ state: "wrong", detail: "2 partitions" }) },
    ],
    [
      "store and log +the store is damaged: row 3",
      { deps: { embeddedStore: () => ({ version: 7, newest: 7, damage: "row 3" }) } },
    ],
    [
      "store and log +the store has schema 8, this passbus knows 7",
      { deps: { embeddedStore: () => ({ version: 8, newest: 7 }) } },
    ],
    [
      "sealed secrets +2 secrets can't be opened; they are sealed under k0",
      {
        deps: {
          encryptionKeyUse: async () => ({
            newest: "k1",
            texts: new Map(),
            unopened: [{ subscriptionId: "s", keyId: "k0" }],
            unopenedCount: 2,
          }),
        },
      },
    ],
    ["clock +this clock is 120 s behind the store's", { deps: { storeClockAheadMs: async () => 120_000 } }],
    [
      "names +nowhere.test has no address: no such name",
      { deps: { resolveHost: failing("no such name") }, args: ["--resolve", "nowhere.test"] },
    ],
    ["names +broker.test has no address", { deps: { resolveHost: failing("no") }, environment: distributed }],
    ["names +store.test has no address", { deps: { resolveHost: failing("no") }, environment: distributed }],
    ["service +nobody answers at http://127.0.0.1:1", { args: ["--url", "http://127.0.0.1:1"] }],
    ["service +nobody answers at http://127.0.0.1:1", { environment: { PASSBUS_URL: "http://127.0.0.1:1" } }],
    [
      "TLS +PASSBUS_TLS_CERT_FILE: must name a file",
      { environment: { PASSBUS_TLS_CERT_FILE: "/none", PASSBUS_TLS_KEY_FILE: "/none" } },
    ],
  ])("exits with 1 where this is wrong: %s", async (says, given) => {
    const { code, out, err } = await doctor(given);
    expect(out).toMatch(new RegExp(`^WRONG +${says}`, "m"));
    expect([code, err]).toEqual([1, expect.stringMatching(/^passbus: wrong: \d+; each says above what to do\n$/)]);
    expect(out).not.toContain("password");
  });

  it("tells many things that are missing as one, with the first of them", async () => {
    const steps = Array.from({ length: 9 }, (_, at) => ({
      what: `index ${at}`,
      state: "missing",
      make: async () => {},
    }));
    const preparation = () => ({ survey: async () => steps as PreparationStep[], close: async () => {} });
    const { out } = await doctor({ deps: { preparation }, environment: distributed });
    expect(out).toMatch(
      /^WRONG +store and log +index 0: missing; .*index 3: missing; and 5 more\n +-> run `passbus init`/m,
    );
    expect(out).not.toContain("index 4");
  });

  it("says which file of keys others may read", async () => {
    const file = join(directory, "encryption.key");
    writeFileSync(file, "k1:x", { mode: 0o600 });
    const deps = { keyFiles: () => [file] };
    expect((await doctor({ deps })).out).toContain(`${file} is its owner's alone`);
    chmodSync(file, 0o644);
    const { code, out } = await doctor({ deps });
    expect([code, out]).toEqual([1, expect.stringContaining(`-> chmod 600 ${file}`)]);
  });

  it("holds the clock against a web server's", async () => {
    const right = await answering(404, "");
    const wrong = await answering(200, "", { date: "Mon, 06 Jul 2020 07:00:00 GMT" });
    const ok = await doctor({ args: ["--clock-url", right] });
    expect([ok.code, ok.out]).toEqual([0, expect.stringContaining(`this clock is with that of ${right}`)]);
    const { code, out } = await doctor({ args: ["--clock-url", wrong] });
    expect([code, out]).toEqual([1, expect.stringMatching(/WRONG +clock +this clock is \d+ s ahead of that of/)]);
  });

  it("says whether a running passbus takes the key", async () => {
    await using api = await testApi();
    const said = async (key: string) => {
      const { out } = await doctor({ args: ["--url", api.url], environment: { PASSBUS_KEY: key } });
      return out.split("\n").filter((line) => line.includes("PASSBUS_KEY"));
    };
    expect(await said(ADMIN_KEY)).toEqual([expect.stringMatching(/^ok +service +it takes the key/)]);
    expect(await said(api.stage.key("publisher"))).toEqual([expect.stringMatching(/^ok +service +it takes the key/)]);
    expect(await said("nobodys-key-at-all")).toEqual([expect.stringMatching(/^WRONG +service +.*unauthenticated/)]);
  });

  it("notes a data directory that others may read", async () => {
    expect((await doctor()).out).not.toContain("has mode");
    chmodSync(directory, 0o755);
    const { code, out } = await doctor();
    expect([code, out]).toEqual([0, expect.stringContaining(`-> chmod 700 ${directory}`)]);
  });

  it("says why a passbus is not ready, and what is none", async () => {
    const unready = await answering(503, '{"ready":false,"reasons":["the store does not answer"]}');
    const { code, out } = await doctor({ args: ["--url", unready] });
    expect([code, out]).toEqual([1, expect.stringContaining("is not ready: the store does not answer")]);
    const other = await answering(200, "<html>");
    expect((await doctor({ args: ["--url", other] })).out).toContain("something that is no passbus");
  });

  it("notes keys that may be sealed anew, and a store that the next start brings up to date", async () => {
    const texts = new Map([["k0", 1]]);
    const { code, out } = await doctor({
      deps: {
        encryptionKeyUse: async () => ({ newest: "k1", texts, unopened: [], unopenedCount: 0 }),
        embeddedStore: () => ({ version: 6, newest: 7 }),
      },
    });
    expect(code).toBe(0);
    expect(out).toMatch(
      /^note +sealed secrets +some secrets are still sealed under k0\n +-> `passbus keys reencrypt`/m,
    );
    expect(out).toMatch(/^note +store and log +the store has schema 6, this passbus 7\n +-> the next start/m);
  });
});
