import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ADMIN_KEY, type TestApi, testApi } from "../../test/support/api.ts";
import { testTerminal } from "../../test/support/terminal.ts";
import { runCli } from "./cli.ts";
import { subscriptionsCommand } from "./subscriptions.ts";

const KEY = { PASSBUS_KEY: ADMIN_KEY };

let api: TestApi;
beforeEach(async () => {
  api = await testApi();
});
afterEach(() => api.stop(0));

async function subscriptions(args: readonly string[], environment: Record<string, string> = KEY, input = "") {
  const terminal = testTerminal(environment, [input]);
  const code = await runCli(["subscriptions", ...args, "--url", api.url], [subscriptionsCommand()], terminal);
  return { code, ...terminal.said };
}

async function json(args: readonly string[], input = "") {
  const { code, out, err } = await subscriptions([...args, "--json"], KEY, input);
  expect([code, err]).toEqual([0, ""]);
  return out.trimEnd() === ""
    ? []
    : out
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line));
}

async function made(...args: readonly string[]) {
  const [answer] = await json(["create", "--endpoint", "https://a.example/", ...args]);
  return answer.subscription;
}

describe("passbus subscriptions list", () => {
  it("is narrowed by each of its options", async () => {
    const till = await made(
      "--entity",
      "shop",
      "--type",
      "scanned",
      "--label",
      "team=x",
      "--description",
      "the till",
      "--operational-event",
      "delivery.failed",
    );
    await made("--type", "created", "--endpoint", "https://b.example/");
    for (const option of [
      ["--label", "team=x"],
      ["--type", "scanned"],
      ["--operational-event", "delivery.failed"],
      ["--scope", "entity"],
      ["--text", "TILL"],
    ]) {
      expect((await json(["list", ...option])).map(({ id }) => id)).toEqual([till.id]);
    }
  });
});

describe("passbus subscriptions create", () => {
  it("makes none where the endpoint does not answer the challenge", async () => {
    const endpoint = ["--endpoint", "http://127.0.0.1:2/"];
    const { code, err } = await subscriptions(["create", ...endpoint, "--verify"]);
    expect([code, err]).toEqual([1, expect.stringContaining("challenge")]);
    expect(await json(["list"])).toEqual([]);
  });

  it("says each setting, and shows the secret this once", async () => {
    const settings = ["--entity", "shop", "--type", "created", "scanned", "--description", "the till", "--label"];
    const more = ["env=a=b", "team=x", "--header", "x-a=1", "--max-in-flight", "3", "--while-disabled", "hold"];
    more.push("--ordering", "per_pass", "--conflate", "yes");
    const filter = ["--filter", 'event.pass.id == "p"', "--format", "cloudevents", "--state", "disabled"];
    const [answer] = await json(["create", "--endpoint", "https://a.example/", ...settings, ...more, ...filter]);
    expect(answer.secret).toMatch(/^whsec_/);
    expect(answer.subscription).toMatchObject({
      url: "https://a.example/",
      entityId: "shop",
      eventTypes: ["PASS_EVENT_TYPE_CREATED", "PASS_EVENT_TYPE_SCANNED"],
      format: "FORMAT_CLOUDEVENTS",
      description: "the till",
      labels: { env: "a=b", team: "x" },
      headers: { "x-a": "1" },
      policy: {
        maxInFlight: 3,
        whileDisabled: "WHILE_DISABLED_HOLD",
        ordering: "ORDERING_PER_PASS",
        conflate: true,
      },
      filter: 'event.pass.id == "p"',
      state: "STATE_DISABLED",
    });
  });

  it("shows people what was made, with the secret", async () => {
    const { code, out, err } = await subscriptions(["create", "--endpoint", "https://a.example/", "--label", "a=b"]);
    expect([code, err]).toEqual([0, "the signing secret is shown this once\n"]);
    const [id = ""] = /sub_\w+/.exec(out) ?? [];
    expect(out).toMatch(/^id +sub_\w+\n/);
    expect(out).toMatch(/\nsigning secret {2}whsec_\S+\n$/);
    expect(out).toMatch(/\nscope +organisation\n/);
    expect(out).toMatch(/\nlabels +a=b\n/);
    expect((await subscriptions(["get", id])).out).not.toContain("whsec_");
  });

  it("reads a file or the standard input, with the options laid over it", async () => {
    const directory = await mkdtemp(join(tmpdir(), "passbus-subscriptions-"));
    const file = join(directory, "one.json");
    await writeFile(file, JSON.stringify({ url: "https://a.example/", format: "FORMAT_PASSKIT", description: "d" }));
    const [one] = await json(["create", "--file", file, "--description", "over it"]);
    expect(one.subscription).toMatchObject({ format: "FORMAT_PASSKIT", description: "over it" });
    const [two] = await json(["create", "--file", "-"], JSON.stringify({ url: "https://b.example/" }));
    expect(two.subscription.url).toBe("https://b.example/");
    await writeFile(file, "{");
    expect(await subscriptions(["create", "--file", file])).toMatchObject({
      code: 2,
      err: expect.stringContaining("holds no Subscription"),
    });
    await rm(directory, { recursive: true });
    expect(await subscriptions(["create", "--file", file])).toMatchObject({
      code: 2,
      err: expect.stringContaining(`can't read ${file}`),
    });
  });

  it("says what the server refuses", async () => {
    const { code, err } = await subscriptions(["create", "--endpoint", "http://a.example/"]);
    expect([code, err]).toEqual([1, expect.stringContaining("must begin with https://")]);
  });
});

describe("passbus subscriptions list and get", () => {
  it("shows a line each, newest first, and only what is asked for", async () => {
    const one = await made("--description", "\u001b[2Jone");
    const two = await made("--entity", "shop", "--type", "created", "deleted", "--state", "disabled");
    const { out } = await subscriptions(["list"]);
    const rows = out
      .trimEnd()
      .split("\n")
      .map((line) => line.split(/ {2,}/));
    expect(rows).toEqual([
      ["ID", "CREATED", "STATE", "FORMAT", "SCOPE", "TYPES", "ENDPOINT", "DESCRIPTION"],
      [two.id, two.createdAt, "disabled (requested)", "standard", "shop", "created,deleted", "https://a.example/", "-"],
      [one.id, one.createdAt, "enabled", "standard", "organisation", "all", "https://a.example/", "\\u{1b}[2Jone"],
    ]);
    const ids = async (...args: readonly string[]) => (await json(["list", ...args])).map(({ id }) => id);
    expect(await ids("--entity", "shop")).toEqual([two.id]);
    expect(await ids("--state", "enabled")).toEqual([one.id]);
    expect(await ids("--format", "passkit")).toEqual([]);
    expect(await ids("--limit", "1")).toEqual([two.id]);
    expect(await subscriptions(["list", "--format", "passkit"])).toEqual({
      code: 0,
      out: "",
      err: "no subscriptions\n",
    });
  });

  it("shows one in JSON as `create --file` takes it", async () => {
    const { id } = await made("--filter", "true");
    const [shown] = await json(["get", id]);
    await subscriptions(["delete", id, "--confirm", id]);
    const [again] = await json(["create", "--file", "-"], JSON.stringify(shown));
    expect(again.subscription).toMatchObject({ url: shown.url, filter: "true" });
  });
});

describe("passbus subscriptions update", () => {
  it("changes what the options say, and nothing else, an empty value too", async () => {
    const { id } = await made("--filter", "true", "--description", "d", "--type", "created", "--max-in-flight", "3");
    const change = ["--filter", "", "--type", "all", "--while-disabled", "hold", "--endpoint", "https://b.example/"];
    const [changed] = await json(["update", id, ...change]);
    expect(changed).toMatchObject({
      filter: "",
      eventTypes: [],
      description: "d",
      url: "https://b.example/",
      policy: { maxInFlight: 3, whileDisabled: "WHILE_DISABLED_HOLD" },
    });
  });

  it("reads certificates from files, and shows their key never", async () => {
    const folder = join(import.meta.dirname, "../../test/support/tls");
    const pem = (option: string, name: string) => [option, join(folder, name)];
    const files = [
      ...pem("--tls-ca", "authority.pem"),
      ...pem("--tls-certificate", "clients/good.pem"),
      ...pem("--tls-key", "clients/key.pem"),
    ];
    const { id } = await made(...files);
    const [one] = await json(["get", id]);
    expect(one.tls).toMatchObject({ caCertificates: expect.stringContaining("BEGIN CERTIFICATE") });
    expect(JSON.stringify(one)).not.toContain("PRIVATE KEY");
    const [changed] = await json(["update", id, "--unset", "tls-certificate"]);
    expect(changed.tls.clientCertificate).toBe("");
    expect((await subscriptions(["update", id, "--tls-ca", "nowhere.pem"])).err).toContain("There is no such file");
  });

  it("changes what one format knows, and how it is sent", async () => {
    const options = ["--format", "passkit", "--protocol", "membership", "--membership-event", "enrolled", "updated"];
    const passkit = ["--passkit-method", "put", "--passkit-uninstalled", "enum", "--passkit-field", "tier=level"];
    const policy = ["--retry-schedule", "500ms,1.5s,2m,1d", "--attempt-timeout", "9s", "--ed25519", "yes"];
    const { id } = await made(...options, ...passkit, ...policy);
    const [one] = await json(["get", id]);
    expect(one).toMatchObject({
      protocol: "MEMBERSHIP",
      membershipEvents: ["MEMBER_EVENT_ENROLLED", "MEMBER_EVENT_UPDATED"],
      ed25519Signature: true,
      formatOptions: {
        passkitMethod: "METHOD_PUT",
        passkitUninstalledEventName: "PASS_KIT_UNINSTALLED_EVENT_NAME_ENUM",
        passkitFieldMapping: { sourceFieldUniqueName: "tier", destinationFieldKey: "level" },
      },
      policy: { retrySchedule: ["0.500s", "1.500s", "120s", "86400s"], attemptTimeout: "9s" },
    });
    const { out } = await subscriptions(["get", id]);
    for (const line of [/^protocol +MEMBERSHIP$/m, /^memberships +enrolled,updated$/m, /^passkit method +put$/m])
      expect(out).toMatch(line);
    expect(out).toMatch(/^retries after +500ms,1500ms,2m,1d$/m);
    const [changed] = await json(["update", id, "--passkit-method", "own", "--retry-schedule", "default"]);
    expect(changed.formatOptions.passkitMethod).toBe("METHOD_NONE");
    expect(changed.policy.retrySchedule).toHaveLength(10);
    const [cloud] = await json([
      "update",
      id,
      "--format",
      "cloudevents",
      "--cloudevents-mode",
      "binary",
      "--unset",
      "membership-event",
    ]);
    expect(cloud.formatOptions.cloudeventsMode).toBe("CLOUD_EVENTS_MODE_BINARY");
    expect((await subscriptions(["get", id])).out).toMatch(/^cloudevents mode +binary$/m);
  });

  it("unsets what is named, and nothing else", async () => {
    const { id } = await made(
      "--label",
      "a=b",
      "--description",
      "d",
      "--rate",
      "5",
      "--burst",
      "2",
      "--protocol",
      "1000",
    );
    const [changed] = await json(["update", id, "--unset", "label", "rate", "burst", "protocol"]);
    expect(changed).toMatchObject({ labels: {}, description: "d", protocol: "PASS_PROTOCOL_DO_NOT_USE" });
    expect(changed.policy).toMatchObject({ ratePerSecond: 0, burst: 0 });
  });

  it("takes what is set in a file", async () => {
    const { id } = await made("--filter", "true");
    const [shown] = await json(["get", id]);
    const [changed] = await json(["update", id, "--file", "-"], JSON.stringify({ ...shown, description: "new" }));
    expect(changed).toMatchObject({ description: "new", filter: "true", version: "2" });
  });
});

describe("passbus subscriptions delete and rotate", () => {
  it("deletes", async () => {
    const { id } = await made();
    const deleted = { code: 0, out: "", err: `deleted ${id}\n` };
    expect(await subscriptions(["delete", id, "--confirm", id])).toEqual(deleted);
    expect(await subscriptions(["get", id])).toMatchObject({ code: 1, err: expect.stringContaining("not_found") });
  });

  it.each([
    [[], "say --confirm"],
    [["--confirm", "sub_other"], "--confirm must be"],
  ])("deletes nothing that is not named twice: %j", async (args, said) => {
    const { id } = await made();
    expect(await subscriptions(["delete", id, ...args])).toMatchObject({ code: 2, err: expect.stringContaining(said) });
    expect((await subscriptions(["get", id])).code).toBe(0);
  });

  it("asks the person at the terminal, and goes by what is typed", async () => {
    const { id } = await made();
    const typed = async (text: string) => {
      const terminal = testTerminal(KEY, [text], true);
      const code = await runCli(["subscriptions", "delete", id, "--url", api.url], [subscriptionsCommand()], terminal);
      return { code, err: terminal.said.err };
    };
    expect(await typed("yes\n")).toMatchObject({ code: 1, err: expect.stringContaining("nothing was done") });
    expect(await typed(`${id}\n`)).toMatchObject({ code: 0, err: expect.stringContaining(`deleted ${id}`) });
  });

  it("rotates, with the overlap that is said", async () => {
    const { id } = await made();
    const [rotated] = await json(["rotate", id, "--overlap", "30m"]);
    expect(rotated.secret).toMatch(/^whsec_/);
    const [, old] = rotated.subscription.secrets;
    const leftMs = Date.parse(old.expiresAt) - Date.parse(rotated.subscription.updatedAt);
    expect(leftMs).toBe(30 * 60_000);
    const { out } = await subscriptions(["rotate", id, "--overlap", "0"]);
    expect(out.match(/^secret /gm)).toHaveLength(1);
    expect(out).toMatch(/\nsigning secret {2}whsec_\S+\n$/);
  });
});

describe("passbus subscriptions", () => {
  it.each([
    [["create"], KEY, "--endpoint"],
    [["create", "--endpoint", "https://a/", "--type", "lost"], KEY, "created, installed"],
    [["create", "--endpoint", "https://a/", "--label", "a"], KEY, "name=value"],
    [["create", "--endpoint", "https://a/", "--label", "=a"], KEY, "name=value"],
    [["update", "sub_1"], KEY, "say what to change"],
    [["update", "sub_1", "--file", "-", "--state", "enabled"], KEY, "say what to change"],
    [["update", "sub_1", "--unset", "url"], KEY, "filter, description"],
    [["update", "sub_1", "--unset", "filter", "--filter", "true"], KEY, "--filter is both given and unset"],
    [["create", "--endpoint", "https://a/", "--retry-schedule", "5x"], KEY, "like 500ms"],
    [["create", "--endpoint", "https://a/", "--protocol", "7"], KEY, "membership"],
    [["create", "--endpoint", "https://a/", "--passkit-field", "a"], KEY, "source=destination"],
    [["rotate", "sub_1", "--overlap", "1w"], KEY, "like 0, 90s"],
    [["list"], {}, "PASSBUS_KEY"],
  ])("exits with 2 for %j under %j", async (args, environment, says) => {
    const { code, err } = await subscriptions(args, environment, "{}");
    expect([code, err]).toEqual([2, expect.stringContaining(says)]);
  });
});
