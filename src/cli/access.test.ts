/** `passbus keys`, `portal` and `audit` over the API. */
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ADMIN_KEY, type TestApi, testApi } from "../../test/support/api.ts";
import { testTerminal } from "../../test/support/terminal.ts";
import { eventually } from "../../test/support/within.ts";
import { auditCommand } from "./audit.ts";
import { runCli } from "./cli.ts";
import { keysCommand } from "./keys.ts";
import { portalCommand } from "./portal.ts";
import { whoamiCommand } from "./whoami.ts";

let api: TestApi;
beforeAll(async () => {
  api = await testApi();
});
afterAll(() => api.stop(0));

const commands = [
  keysCommand(() => Promise.reject(new Error("not over the API"))),
  portalCommand(),
  auditCommand(),
  whoamiCommand(),
];

async function run(args: readonly string[], key = ADMIN_KEY) {
  const terminal = testTerminal({ PASSBUS_KEY: key });
  const code = await runCli([...args, "--url", api.url], commands, terminal);
  return { code, ...terminal.said };
}

const cells = (line: string | undefined) => line?.split(/ {2,}/);

describe("passbus keys", () => {
  it("makes a key of the caller's environment, shows it once, lists it, and revokes it", async () => {
    const made = await run([
      "keys",
      "create",
      "--role",
      "admin",
      "--description",
      "for CI\u001b[2J",
      "--expires",
      "90d",
    ]);
    expect(made.code).toBe(0);
    const text = made.out.trimEnd();
    expect(text).toMatch(/^pb_production_[0-9a-f]{32}_[0-9a-f]{64}$/);
    const id = /key_\w+/.exec(made.err)?.[0] ?? "";
    expect(made.err).toBe(`${id}: admin in production. It is shown this once:\n`);

    const listed = await run(["keys", "list"], text);
    const [heads, line] = listed.out.split("\n");
    expect(cells(heads)).toEqual(["ID", "ROLE", "CREATED", "LAST USED", "ENDS", "FOR"]);
    expect(cells(line)).toEqual([
      id,
      "admin",
      expect.any(String),
      expect.any(String),
      expect.any(String),
      "for CI\\u{1b}[2J",
    ]);
    expect(listed.out).not.toContain(text.slice(-64));

    expect(await run(["keys", "revoke", id])).toMatchObject({ code: 0, err: `${id}: revoked\n` });
    await eventually(1_000, "the key's end", async () =>
      (await run(["keys", "list"], text)).code === 1 ? true : undefined,
    );
    const [json = ""] = (await run(["keys", "list", "--json", "--limit", "1"])).out.split("\n");
    expect(JSON.parse(json)).toMatchObject({ id, role: "ROLE_ADMIN", revokedAt: expect.any(String) });
  });

  it("says what the server refuses, and what is no length of time", async () => {
    const other = await run(["keys", "create", "--role", "viewer", "--environment", "staging"]);
    expect([other.code, other.err]).toEqual([1, expect.stringContaining("of its own environment alone")]);
    const unknown = await run(["keys", "revoke", "key_0"]);
    expect([unknown.code, unknown.err]).toEqual([1, expect.stringContaining('there is no key "key_0"')]);
    expect((await run(["keys", "create", "--role", "viewer", "--expires", "soon"])).code).toBe(2);
  });
});

describe("passbus whoami", () => {
  it("says whom a key speaks for, until when, and in JSON what it may call; never the key", async () => {
    const key = (await run(["keys", "create", "--role", "viewer", "--expires", "1d"])).out.trimEnd();
    const { code, out } = await run(["whoami"], key);
    expect([
      code,
      Object.fromEntries(
        out
          .trimEnd()
          .split("\n")
          .map((line) => line.split(/ {2,}/)),
      ),
    ]).toEqual([
      0,
      {
        organisation: "acme",
        environment: "production",
        role: "viewer",
        key: expect.stringMatching(/^key_[0-9a-f]{32}$/),
        ends: expect.stringMatching(/^\d{4}-.*Z$/),
        "may call": expect.stringMatching(/^\d+ methods/),
      },
    ]);
    const { methods, ...caller } = JSON.parse((await run(["whoami", "--json"], key)).out);
    expect(caller).toMatchObject({ role: "ROLE_VIEWER", entityId: "", operatesService: false });
    expect(methods).toContain("passbus.v1.DeliveryService/ListDeliveries");
    expect(methods).not.toContain("passbus.v1.DeliveryService/RetryDelivery");
    expect(out).not.toContain(key.slice(-64));
  });

  it("says of the bootstrap key that it operates passbus, and of a portal session which entity it sees", async () => {
    expect((await run(["whoami"])).out).toMatch(/key +bootstrap\nends +never\nmay call .*\noperates +this passbus\n$/);
    const token = (await run(["portal", "create", "--entity", "shop"])).out.trimEnd();
    expect((await run(["whoami"], token)).out).toMatch(/role +portal session\nentity +shop\nkey +ses_/);
  });
});

describe("passbus keys bind and unbind", () => {
  const file = (name: string) => join(import.meta.dirname, "../../test/support/tls/clients", name);

  it("binds a certificate, shows its fingerprint, and takes it away by that", async () => {
    const made = await run(["keys", "create", "--role", "publisher", "--json"]);
    const { id } = JSON.parse(made.out).key;
    const fingerprint = new X509Certificate(readFileSync(file("good.pem"))).fingerprint256;
    const plain = fingerprint.replaceAll(":", "").toLowerCase();
    const own = ["--certificate", file("good.pem"), "--private-key", file("key.pem")];
    const bound = await run(["keys", "bind", id, ...own]);
    expect([bound.code, bound.out, bound.err]).toEqual([0, `${plain}\n`, `${id}: bound to\n`]);
    const json = await run(["keys", "bind", id, ...own, "--json"]);
    expect(JSON.parse(json.out)).toMatchObject({ id, certificateFingerprints: [plain] });
    const unbound = await run(["keys", "unbind", id, fingerprint]);
    expect([unbound.code, unbound.out, unbound.err]).toEqual([0, "", `${id}: no certificates\n`]);
    expect((await run(["keys", "unbind", id, fingerprint])).code).toBe(1);
  });

  it.each(["key.pem", "none.pem"])("sends nothing of a file that is no certificate: %s", async (name) => {
    const own = ["--certificate", file(name), "--private-key", file("key.pem")];
    const { code, err } = await run(["keys", "bind", "key_1", ...own]);
    expect(code).toBe(2);
    expect(err).toContain("is no certificate that can be read");
    expect(err).not.toContain("PRIVATE");
  });

  it.each([
    ["no private key", "good.pem", file("good.pem"), "is no private key in PEM"],
    ["nowhere", "good.pem", file("none.key"), "is no private key in PEM"],
  ])("sends nothing where --private-key is %s", async (_, certificate, key, words) => {
    const { code, err } = await run([
      "keys",
      "bind",
      "key_1",
      "--certificate",
      file(certificate),
      "--private-key",
      key,
    ]);
    expect([code, err]).toEqual([2, expect.stringContaining(words)]);
  });

  it("sends nothing where --private-key is another certificate's", async () => {
    const key = join(import.meta.dirname, "../../test/support/tls/key.pem");
    const { code, err } = await run(["keys", "bind", "key_1", "--certificate", file("good.pem"), "--private-key", key]);
    expect([code, err]).toEqual([2, expect.stringContaining("is not that of the certificate")]);
  });
});

describe("passbus portal", () => {
  it("makes a session, shows its token once, lists it, and ends it", async () => {
    const made = await run(["portal", "create", "--entity", "shop", "--lifetime", "10m"]);
    expect(made.out).toMatch(/^pbs_production_[0-9a-f]{32}_[0-9a-f]{64}\n$/);
    const id = /ses_\w+/.exec(made.err)?.[0] ?? "";
    const [heads, line] = (await run(["portal", "list"])).out.split("\n");
    expect(cells(heads)).toEqual(["ID", "ENTITY", "CREATED", "ENDS"]);
    const [listedId, entity, created = "", ends = ""] = cells(line) ?? [];
    expect([listedId, entity, Date.parse(ends) - Date.parse(created)]).toEqual([id, "shop", 600_000]);
    expect(await run(["portal", "revoke", id])).toMatchObject({ code: 0, err: `${id}: revoked\n` });
    const [json = ""] = (await run(["portal", "list", "--json"])).out.split("\n");
    expect(JSON.parse(json)).toMatchObject({ id, entityId: "shop", revokedAt: expect.any(String) });
    expect((await run(["portal", "create", "--entity", "shop", "--lifetime", "25h"])).err).toContain("24 hours");
  });
});

describe("passbus audit", () => {
  it("shows changes and refusals, narrowed as asked", async () => {
    const made = await run(["portal", "create", "--entity", "shop"]);
    const id = /ses_\w+/.exec(made.err)?.[0] ?? "";
    const changes = (await run(["audit", "--changes", "--target", id, "--since", "1h"])).out.split("\n");
    expect(cells(changes[0])).toEqual(["WHEN", "WHO", "WHAT", "ABOUT", "FROM", "CAME TO"]);
    const action = "passbus.v1.AccessService/CreatePortalSession";
    expect(cells(changes[1])?.slice(1)).toEqual(["bootstrap", action, id, "127.0.0.1", "done"]);
    expect(changes).toHaveLength(3);

    const viewer = api.stage.key("viewer");
    for (let times = 0; times < 3; times++) expect((await run(["keys", "list"], viewer)).code).toBe(1);
    const refused = ["audit", "--refused", "--action", "passbus.v1.AccessService/ListKeys", "--json"];
    const record = await eventually(5_000, "the refusals' record", async () => {
      const { out } = await run(refused);
      return out === "" ? undefined : (JSON.parse(out.split("\n")[0] ?? "") as Record<string, unknown>);
    });
    expect(record).toMatchObject({ refused: true, code: "role.insufficient", peer: "127.0.0.1" });
    expect((await run(["audit"], viewer)).err).toContain("may not call");
    expect((await run(["audit", "--refused", "--changes"])).code).toBe(2);
  });
});
