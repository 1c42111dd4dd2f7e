import { readFileSync } from "node:fs";
import type { RequestListener } from "node:http";
import { join } from "node:path";
import { promisify } from "node:util";
import { buildConnector } from "undici";
import { afterEach, describe, expect, it } from "vitest";
import { httpServer, httpsServer, type TestServer, tcpServer } from "../../../test/support/receiver.ts";
import type { OutboundRequest, Sender } from "../../delivery/sender.ts";
import { networkSet } from "../../kernel/addresses.ts";
import { systemClock } from "../../kernel/clock.ts";
import { ManualClock } from "../../kernel/manual-clock.ts";
import { guardedConnector, guardedLookup } from "./connector.ts";
import { Pools } from "./pools.ts";
import { type HttpSenderOptions, httpSender } from "./sender.ts";

const tlsFolder = join(import.meta.dirname, "../../../test/support/tls");
const key = readFileSync(join(tlsFolder, "key.pem"), "utf8");
const cert = readFileSync(join(tlsFolder, "cert.pem"), "utf8");
const nowhere = networkSet([]);
const loopback = networkSet(["127.0.0.0/8"]);
const open: Sender[] = [];

afterEach(async () => {
  await Promise.all(open.splice(0).map((sender) => sender.close()));
});

function makeSender(options: Partial<HttpSenderOptions> = {}): Sender {
  const sender = httpSender({
    clock: systemClock,
    allowHttp: true,
    allowedNetworks: loopback,
    ...options,
  });
  open.push(sender);
  return sender;
}

function request(url: string, timeoutMs = 5_000): OutboundRequest {
  return { method: "POST", url, headers: {}, body: Buffer.from("{}"), timeoutMs };
}

async function closedPort(): Promise<number> {
  await using gone = await tcpServer(() => {});
  return gone.port;
}

const urlOf = (server: TestServer, host = "127.0.0.1") => `http://${host}:${server.port}/`;

// A subscriber who reads the addresses of a name looks into the network that passbus stands in.
describe("a connection that does not come about", () => {
  // Node tries several at a time only where it may choose what to leave from.
  const ways: readonly (readonly [string, Partial<HttpSenderOptions>])[] = [
    ["one address", { resolve: async () => ["127.0.0.1"] }],
    ["several", { resolve: async () => ["127.0.0.1", "127.0.0.2"] }],
    ["one, and the way out another", { resolve: async () => ["127.0.0.1"], egressAddress: "127.0.0.9" }],
  ];

  it.each(ways)("is told in the words of the URL, where its name has %s", async (_, options) => {
    const port = await closedPort();
    expect(await makeSender(options).send(request(`http://inner.test:${port}/`))).toMatchObject({
      reason: "connect.refused",
      message: `connect ECONNREFUSED inner.test:${port}`,
    });
  });

  it("is told so too where the address to leave from is none of this machine's", async () => {
    const sender = makeSender({ resolve: async () => ["127.0.0.1"], egressAddress: "192.0.2.7" });
    const exchange = await sender.send(request("http://inner.test:8080/"));
    expect(exchange).toMatchObject({ message: "connect EADDRNOTAVAIL inner.test:8080" });
  });

  it("repeats an address that the URL itself has", async () => {
    const port = await closedPort();
    const exchange = await makeSender().send(request(`http://127.0.0.1:${port}/`));
    expect(exchange).toMatchObject({ message: `connect ECONNREFUSED 127.0.0.1:${port}` });
  });

  it.each(["http:", "https:"])("says which host it was for where it took too long (%s)", async (protocol) => {
    const resolve = () => new Promise<never>(() => {});
    const silent = guardedConnector({ allowedNetworks: loopback, resolve, connectTimeoutMs: 5 });
    const target = { protocol, hostname: "inner.test", port: "" };
    const error = await new Promise((done) => silent(target, (...[reason]) => done(reason)));
    const port = protocol === "https:" ? 443 : 80;
    expect(error).toMatchObject({
      code: "UND_ERR_CONNECT_TIMEOUT",
      message: `no connection to inner.test:${port} in time`,
    });
  });
});

describe("the guard", () => {
  it.each(["127.0.0.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "[::1]", "0.0.0.0"])(
    "lets no request out to %s",
    async (host) => {
      await using server = await httpServer((_request, response) => response.end());
      const sender = makeSender({ allowedNetworks: nowhere });
      const exchange = await sender.send(request(urlOf(server, host)));
      expect(exchange).toMatchObject({ kind: "failure", reason: "guard.refused" });
      expect(server.connections()).toBe(0);
    },
  );

  it("lets no request out to a name that resolves to such an address", async () => {
    await using server = await httpServer((_request, response) => response.end());
    const sender = makeSender({ allowedNetworks: nowhere, resolve: async () => ["127.0.0.1"] });
    const exchange = await sender.send(request(urlOf(server, "rebound.test")));
    expect(exchange).toMatchObject({
      reason: "guard.refused",
      message: expect.stringContaining("every address that rebound.test resolves to is private"),
    });
    expect(exchange).toMatchObject({ message: expect.not.stringContaining("127.0.0.1") });
    expect(server.connections()).toBe(0);
  });

  it("asks again for every connection, so that a name can't turn", async () => {
    await using server = await httpServer((_request, response) =>
      response.writeHead(200, { connection: "close" }).end(),
    );
    const answers = [["127.0.0.1"], ["10.0.0.1"]];
    const resolve = async () => answers.shift() ?? [];
    const sender = makeSender({ resolve });
    expect(await sender.send(request(urlOf(server, "rebound.test")))).toMatchObject({
      kind: "response",
    });
    expect(await sender.send(request(urlOf(server, "rebound.test")))).toMatchObject({
      reason: "guard.refused",
    });
  });

  it("offers the allowed addresses of a name to the connection, and no other", async () => {
    const allowedNetworks = networkSet(["127.0.0.1/32"]);
    const resolve = async () => ["10.0.0.1", "127.0.0.2", "::1", "127.0.0.1", "2606:4700::1111"];
    const look = promisify(guardedLookup(resolve, allowedNetworks));
    expect(await look("several.test", { all: true })).toEqual([
      { address: "127.0.0.1", family: 4 },
      { address: "2606:4700::1111", family: 6 },
    ]);
    await using server = await httpServer((_request, response) => response.end());
    const sender = makeSender({ allowedNetworks, resolve });
    expect(await sender.send(request(urlOf(server, "several.test")))).toMatchObject({
      kind: "response",
      status: 200,
    });
  });

  it("makes no connection to such an address even where no URL was judged", async () => {
    const connect = guardedConnector({
      allowedNetworks: nowhere,
      resolve: async () => [],
      connectTimeoutMs: 1_000,
    });
    const target = { protocol: "http:", hostname: "127.0.0.1", port: "80" };
    const answer = new Promise((resolve) => connect(target, (...[error]) => resolve(error)));
    expect(await answer).toMatchObject({ code: "guard.refused" });
  });

  it("looks at the URL too: plain http that is no longer allowed isn't sent", async () => {
    const exchange = await makeSender({ allowHttp: false }).send(request("http://127.0.0.1/"));
    expect(exchange).toMatchObject({ reason: "url.invalid", durationMs: 0 });
  });

  it("judges what the system resolves where it is given no other resolver", async () => {
    const sender = makeSender({ allowedNetworks: nowhere });
    expect(await sender.send(request("https://localhost/"))).toMatchObject({
      reason: "guard.refused",
    });
  });
});

function serverOf(scheme: string, listener: RequestListener): Promise<TestServer> {
  return scheme === "http" ? httpServer(listener) : httpsServer({ key, cert }, listener);
}

describe("a kept-alive connection that the receiver has dropped", () => {
  it.each(["http", "https"])("costs a second try over a fresh one (%s)", async (scheme) => {
    let seen = 0;
    await using server = await serverOf(scheme, (incoming, response) => {
      seen += 1;
      if (seen === 2) incoming.socket.destroy();
      else response.end();
    });
    const sender = makeSender({ connectionsPerOrigin: 1, ca: cert });
    const url = `${scheme}://127.0.0.1:${server.port}/`;
    expect(await sender.send(request(url))).toMatchObject({ status: 200 });
    expect(await sender.send(request(url))).toMatchObject({ status: 200 });
    expect(server.connections()).toBe(2);
  });

  it("is not followed by another kept one, which may be as dead", async () => {
    const arrived: { answer: () => void; drop: () => void }[] = [];
    await using server = await httpServer((incoming, response) => {
      const answer = () => response.end();
      const drop = () => incoming.socket.destroy();
      if (arrived.length === 3) (server.connections() > 2 ? answer : drop)();
      else arrived.push({ answer, drop });
    });
    const sender = makeSender();
    const sendOne = async (count: number) => {
      const sent = sender.send(request(urlOf(server)));
      await expect.poll(() => arrived.length).toBe(count);
      return { sent };
    };
    const first = await sendOne(1);
    const second = await sendOne(2);
    arrived[1]?.answer();
    await second.sent;
    // undici rests a connection for a turn of the event loop.
    await new Promise(setImmediate);
    const third = await sendOne(3);
    expect(server.connections()).toBe(2);
    arrived[0]?.answer();
    await first.sent;
    await new Promise(setImmediate);
    arrived[2]?.drop();
    expect(await third.sent).toMatchObject({ status: 200 });
    expect(server.connections()).toBe(3);
  });

  it("costs no third try, whatever a receiver sends that is no response", async () => {
    let seen = 0;
    await using server = await tcpServer((socket) => {
      // HTTP allows empty lines before a message, so there is no response, but there are bytes.
      socket.once("data", () => socket.end("\r\n"));
      seen += 1;
    });
    expect(await makeSender().send(request(urlOf(server)))).toMatchObject({
      reason: "connection.closed",
    });
    expect(seen).toBe(2);
  });

  it("costs no third try where the fresh one is dropped too", async () => {
    let seen = 0;
    await using server = await httpServer((incoming, response) => {
      seen += 1;
      if (seen === 1) response.end();
      else incoming.socket.destroy();
    });
    const sender = makeSender({ connectionsPerOrigin: 1 });
    await sender.send(request(urlOf(server)));
    expect(await sender.send(request(urlOf(server)))).toMatchObject({
      reason: "connection.closed",
    });
    expect(seen).toBe(3);
  });

  it("costs none where a part of the response was there already", async () => {
    let seen = 0;
    await using server = await tcpServer((socket) => {
      socket.on("data", () => {
        seen += 1;
        if (seen === 1) socket.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        else socket.end("HTTP/1.1 500 ");
      });
    });
    const sender = makeSender({ connectionsPerOrigin: 1 });
    await sender.send(request(urlOf(server)));
    expect(await sender.send(request(urlOf(server)))).toMatchObject({
      reason: "connection.closed",
    });
    expect(seen).toBe(2);
  });

  it.each(["http", "https"])("costs none where the connection was new (%s)", async (scheme) => {
    let seen = 0;
    const listener: RequestListener = (incoming) => {
      seen += 1;
      incoming.socket.destroy();
    };
    await using server = await serverOf(scheme, listener);
    const url = `${scheme}://127.0.0.1:${server.port}/`;
    expect(await makeSender({ ca: cert }).send(request(url))).toMatchObject({
      reason: "connection.closed",
    });
    expect(seen).toBe(1);
  });
});

describe("closing", () => {
  it("cuts what is in flight, and sends nothing more", async () => {
    let seen = 0;
    await using server = await httpServer(() => {
      seen += 1;
    });
    const sender = makeSender();
    const closed = server.closed();
    const running = sender.send(request(urlOf(server)));
    await expect.poll(() => seen).toBe(1);
    await sender.close();
    expect(await running).toMatchObject({ kind: "failure", reason: "attempt.cancelled" });
    await closed;
    expect(await sender.send(request(urlOf(server)))).toMatchObject({
      reason: "attempt.cancelled",
    });
    expect(seen).toBe(1);
  });
});

describe("the pools", () => {
  const options = { idleMs: 60_000, maxPools: 2, pool: {}, connector: () => buildConnector({}) };

  it("close what was not used for a while, and their timer with the last", () => {
    const clock = new ManualClock();
    const pools = new Pools({ ...options, clock });
    const used = pools.acquire("http://a.test");
    pools.release(pools.acquire("http://b.test"));
    clock.advance(59_999);
    expect(pools.size).toBe(2);
    clock.advance(30_001);
    // a is in use however long it takes.
    expect(pools.size).toBe(1);
    pools.release(used);
    expect(used.dispatcher.closed).toBe(false);
    clock.advance(90_000);
    expect(pools.size).toBe(0);
    expect(used.dispatcher.closed).toBe(true);
    expect(clock.pending).toBe(0);
  });

  it("are so many at most, less those in use; the one used longest ago goes", () => {
    const clock = new ManualClock();
    const pools = new Pools({ ...options, clock });
    const a = pools.acquire("http://a.test");
    const b = pools.acquire("http://b.test");
    const c = pools.acquire("http://c.test");
    expect(pools.size).toBe(3);
    for (const pool of [b, a, c]) {
      clock.advance(1);
      pools.release(pool);
    }
    const d = pools.acquire("http://d.test");
    expect(pools.size).toBe(3);
    expect(pools.acquire("http://a.test")).toBe(a);
    expect(pools.acquire("http://c.test")).toBe(c);
    expect(pools.acquire("http://b.test")).not.toBe(b);
    pools.release(d);
  });

  it("and all timers are gone when a sender was not used for a while", async () => {
    const clock = new ManualClock();
    await using server = await httpServer((_request, response) => response.end());
    const sender = makeSender({ clock });
    const closed = server.closed();
    await sender.send(request(urlOf(server)));
    // The deadline's is gone; the pools' looks again.
    expect(clock.pending).toBe(1);
    clock.advance(90_000);
    expect(clock.pending).toBe(0);
    await closed;
  });
});
