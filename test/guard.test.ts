/** The guard against what testers of server-side request forgery try: at creation, and at every connection. */
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { directSender } from "../src/adapters/http/direct-sender.ts";
import { endpointCheck } from "../src/adapters/http/endpoint-check.ts";
import { type ResolveHost, systemResolver } from "../src/adapters/http/resolver.ts";
import { type HttpSenderOptions, httpSender } from "../src/adapters/http/sender.ts";
import { networkSet } from "../src/kernel/addresses.ts";
import { systemClock } from "../src/kernel/clock.ts";
import { CodedError } from "../src/kernel/errors.ts";
import { GOOD_TARGETS, HOSTILE_TARGETS, HOSTILE_ZONE } from "./support/hostile-targets.ts";
import { type NameServer, nameServer } from "./support/name-server.ts";
import { httpServer, type TestServer } from "./support/receiver.ts";

const PUBLIC = "93.184.215.14";
const REFUSALS = ["guard.refused", "url.invalid"];

let names: NameServer;
/** What a test makes of names of its own, while it runs. */
const zone = new Map<string, readonly string[]>();
let resolve: ResolveHost;
/** Whatever connects to it is counted; what passbus sends must go nowhere else. */
let receiver: TestServer;
let proxyPort: number;
const proxied: string[] = [];
const closing: (() => unknown)[] = [];

beforeAll(async () => {
  names = await nameServer((name) => {
    const own = zone.get(name);
    if (own !== undefined) return own;
    if (name === "mixed.example.com") return ["10.0.0.1", PUBLIC, "fd00::1"];
    return HOSTILE_ZONE[name] ?? (name.endsWith(".example.com") || name === "example.com" ? [PUBLIC] : undefined);
  });
  resolve = systemResolver({ servers: [names.address], queryTimeoutMs: 500 });
  receiver = await httpServer((_request, response) => response.end("ok"));
  // A proxy that connects every address to the receiver: so "let through" is seen, without the internet.
  const proxy = createServer();
  proxy.on("connect", (request, socket) => {
    proxied.push(request.url ?? "");
    const onward = connect(receiver.port, "127.0.0.1", () => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      onward.pipe(socket).pipe(onward);
    });
    for (const end of [onward, socket]) end.on("error", () => end.destroy());
  });
  await new Promise<void>((done) => proxy.listen(0, "127.0.0.1", done));
  ({ port: proxyPort } = proxy.address() as AddressInfo);
  closing.push(() => {
    proxy.closeAllConnections();
    proxy.close();
  });
});

afterAll(async () => {
  for (const close of closing) await close();
  await names[Symbol.asyncDispose]();
  await receiver[Symbol.asyncDispose]();
});

/** Everything that a URL could be let through for is: but the proxy shows each connection that is made. */
function options(over: Partial<HttpSenderOptions> = {}): HttpSenderOptions {
  const proxy = { host: "127.0.0.1", port: proxyPort };
  return { clock: systemClock, allowHttp: true, allowedNetworks: networkSet([]), resolve, proxy, ...over };
}

const request = (url: string) => ({ method: "POST", url, headers: {}, body: Buffer.from("{}"), timeoutMs: 3_000 });

/** The codes that the three doors say: creation, the engine's sender, the sender of tests. */
async function verdicts(url: string): Promise<readonly string[]> {
  const engine = httpSender(options());
  const direct = directSender(options());
  try {
    const created = endpointCheck(options())(url).then(
      () => "ok",
      (error: unknown) => (error instanceof CodedError ? error.code : String(error)),
    );
    const [creation, sent, tested] = await Promise.all([created, engine.send(request(url)), direct.send(request(url))]);
    const word = (exchange: typeof sent) => (exchange.kind === "response" ? "ok" : exchange.reason);
    return [creation, word(sent), word(tested.exchange)];
  } finally {
    await engine.close();
    direct.close();
  }
}

test("the corpus is large, and names each target once", () => {
  expect(new Set(HOSTILE_TARGETS.map(({ url }) => url)).size).toBe(HOSTILE_TARGETS.length);
  expect(HOSTILE_TARGETS.length).toBeGreaterThanOrEqual(150);
  expect(GOOD_TARGETS.length).toBeGreaterThanOrEqual(20);
});

describe("a target that leads inside", () => {
  test.each(HOSTILE_TARGETS)("is refused at creation and at each connection: $url", async ({ url }) => {
    for (const verdict of await verdicts(url)) expect(REFUSALS).toContain(verdict);
  });

  test("none of them was connected to", () => {
    expect(proxied).toEqual([]);
    expect(receiver.connections()).toBe(0);
  });
});

describe("an ordinary endpoint", () => {
  test.each(GOOD_TARGETS)("is taken at creation, and sent to: %s", async (url) => {
    expect(await verdicts(url)).toEqual(["ok", "ok", "ok"]);
  });

  test("each was sent to at a public address", () => {
    expect(proxied.length).toBe(2 * GOOD_TARGETS.length);
    expect(proxied.filter((authority) => /^(10|127|169\.254)\.|^\[f/.test(authority))).toEqual([]);
  });
});

describe("a metadata service inside a network that is let through", () => {
  const allowed = networkSet(["100.64.0.0/10", "169.254.0.0/16", "192.0.0.0/24", "fd00::/8"]);
  const addresses = ["100.100.100.200", "169.254.169.254", "169.254.170.2", "192.0.0.192", "fd00:ec2::254"];

  test.each(addresses)("is refused as a literal and behind a name: %s", async (address) => {
    const name = "inside.attacker.test";
    zone.set(name, [address]);
    const before = proxied.length;
    const sender = httpSender(options({ allowedNetworks: allowed }));
    closing.push(() => sender.close());
    for (const host of [address.includes(":") ? `[${address}]` : address, name]) {
      const url = `http://${host}/latest/meta-data/`;
      const created = endpointCheck(options({ allowedNetworks: allowed }))(url);
      await expect(created).rejects.toMatchObject({ code: "guard.refused" });
      expect(await sender.send(request(url))).toMatchObject({ reason: "guard.refused" });
    }
    expect(proxied.length).toBe(before);
  });

  test("is sent to where its very address is let through", async () => {
    const sender = httpSender(options({ allowedNetworks: networkSet(["169.254.169.254"]) }));
    closing.push(() => sender.close());
    expect(await sender.send(request("http://169.254.169.254/"))).toMatchObject({ status: 200 });
  });
});

describe("what changes after the check", () => {
  test("a name that turns inside between creation and connection is refused at the connection", async () => {
    const name = "rebind.attacker.test";
    const url = `http://${name}/`;
    const sender = httpSender(options());
    const direct = directSender(options());
    closing.push(() => sender.close());
    closing.push(() => direct.close());
    zone.set(name, [PUBLIC]);
    await endpointCheck(options())(url);
    expect(await sender.send(request(url))).toMatchObject({ status: 200 });
    const before = { proxied: proxied.length, connections: receiver.connections() };
    const fresh = httpSender(options());
    closing.push(() => fresh.close());
    for (const inside of [["127.0.0.1"], ["169.254.169.254"], ["::1", "10.0.0.1"]]) {
      zone.set(name, inside);
      const asked = names.asked.length;
      expect(await fresh.send(request(url))).toMatchObject({ reason: "guard.refused" });
      expect((await direct.send(request(url))).exchange).toMatchObject({ reason: "guard.refused" });
      expect(names.asked.slice(asked)).toEqual([name, name, name, name]);
    }
    expect({ proxied: proxied.length, connections: receiver.connections() }).toEqual(before);
  });

  test("a connection that is kept alive stays with the address that was checked", async () => {
    await using kept = await httpServer((_request, response) => response.end("ok"));
    const name = "turning.attacker.test";
    zone.set(name, ["127.0.0.1"]);
    const sender = httpSender(options({ allowedNetworks: networkSet(["127.0.0.1/32"]), proxy: undefined }));
    closing.push(() => sender.close());
    const url = `http://${name}:${kept.port}/`;
    expect(await sender.send(request(url))).toMatchObject({ status: 200 });
    zone.set(name, ["127.0.0.2"]);
    expect(await sender.send(request(url))).toMatchObject({ status: 200 });
    expect(kept.connections()).toBe(1);
    kept.cut();
    await kept.closed();
    expect(await sender.send(request(url))).toMatchObject({ kind: "failure", reason: "guard.refused" });
  });

  test("a redirect inside is an answer like any, and not followed", async () => {
    const paths: (string | undefined)[] = [];
    await using redirecting = await httpServer((incoming, response) => {
      paths.push(incoming.url);
      response.writeHead(307, { location: `http://127.0.0.1:${receiver.port}/inside` }).end();
    });
    const sender = httpSender(options({ allowedNetworks: networkSet(["127.0.0.0/8"]), proxy: undefined }));
    closing.push(() => sender.close());
    expect(await sender.send(request(`http://127.0.0.1:${redirecting.port}/out`))).toMatchObject({ status: 307 });
    expect(paths).toEqual(["/out"]);
  });

  test("proxy variables of the environment change nothing", async () => {
    const before = receiver.connections();
    const variables = { HTTP_PROXY: "", http_proxy: "", ALL_PROXY: "" };
    const kept = Object.keys(variables).map((name) => [name, process.env[name]] as const);
    for (const name of Object.keys(variables)) process.env[name] = `http://127.0.0.1:${receiver.port}`;
    try {
      await using target = await httpServer((_request, response) => response.end());
      const sender = httpSender(options({ allowedNetworks: networkSet(["127.0.0.0/8"]), proxy: undefined }));
      closing.push(() => sender.close());
      expect(await sender.send(request(`http://127.0.0.1:${target.port}/`))).toMatchObject({ status: 200 });
      expect(receiver.connections()).toBe(before);
    } finally {
      for (const [name, value] of kept) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
    }
  });
});
