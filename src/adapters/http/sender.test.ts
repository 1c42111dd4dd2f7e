import { readFileSync } from "node:fs";
import type { RequestListener } from "node:http";
import type { Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, describe, expect, it } from "vitest";
import { bodyOf, httpServer, httpsServer, type TestServer, tcpServer } from "../../../test/support/receiver.ts";
import type { Exchange, OutboundRequest, Sender } from "../../delivery/sender.ts";
import { networkSet } from "../../kernel/addresses.ts";
import { systemClock } from "../../kernel/clock.ts";
import { CodedError } from "../../kernel/errors.ts";
import { type HttpSenderOptions, httpSender } from "./sender.ts";

const tlsFolder = join(import.meta.dirname, "../../../test/support/tls");
const key = readFileSync(join(tlsFolder, "key.pem"), "utf8");
const cert = readFileSync(join(tlsFolder, "cert.pem"), "utf8");

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

function request(url: string, more: Partial<OutboundRequest> = {}): OutboundRequest {
  return { method: "POST", url, headers: {}, body: Buffer.from("{}"), timeoutMs: 5_000, ...more };
}

/** Sends one request to a server of its own. */
async function sendTo(
  server: TestServer,
  more: Partial<OutboundRequest> = {},
  options: Partial<HttpSenderOptions> = {},
): Promise<Exchange> {
  return makeSender(options).send(request(`http://127.0.0.1:${server.port}/hook`, more));
}

/** Answers the first request of every connection with these bytes, and closes it if told to. */
function saying(text: string, then: (socket: Socket) => void = () => {}) {
  return tcpServer((socket) => {
    socket.once("data", () => socket.write(text, "latin1", () => then(socket)));
  });
}

const ok: RequestListener = (_request, response) => response.end("ok");

describe("what is sent", () => {
  it("is the request as it was given, and what HTTP asks for", async () => {
    const seen: unknown[] = [];
    await using server = await httpServer(async (incoming, response) => {
      const body = await bodyOf(incoming);
      seen.push(incoming.method, incoming.url, incoming.rawHeaders, body.toString());
      response.end();
    });
    const headers = { "content-type": "application/json", "webhook-id": "dlv_1" };
    const body = Buffer.from('{"event":"PASS_EVENT_INSTALLED"}');
    const url = `http://127.0.0.1:${server.port}/hook?a=b%20c`;
    const exchange = await makeSender().send(request(url, { method: "PUT", headers, body }));
    expect(exchange).toMatchObject({ kind: "response", status: 200 });
    expect(seen).toEqual([
      "PUT",
      "/hook?a=b%20c",
      [
        ...["host", `127.0.0.1:${server.port}`, "connection", "keep-alive"],
        ...["content-type", "application/json", "webhook-id", "dlv_1"],
        ...["content-length", String(body.length)],
      ],
      body.toString(),
    ]);
  });

  // "Pass Deleted (HTTP DELETE)" (seed 003).
  it("has its body with DELETE too", async () => {
    const bodies: string[] = [];
    await using server = await httpServer(async (incoming, response) => {
      bodies.push(`${incoming.method} ${await bodyOf(incoming)}`);
      response.end();
    });
    await sendTo(server, { method: "DELETE", body: Buffer.from("gone") });
    expect(bodies).toEqual(["DELETE gone"]);
  });

  it("goes over https to a certificate that is valid for the host", async () => {
    await using server = await httpsServer({ key, cert }, ok);
    const resolve = async () => ["127.0.0.1"];
    const sender = makeSender({ ca: cert, resolve });
    expect(await sender.send(request(`https://receiver.test:${server.port}/`))).toMatchObject({
      kind: "response",
      status: 200,
    });
    expect(await sender.send(request(`https://other.test:${server.port}/`))).toMatchObject({
      kind: "failure",
      reason: "tls.failed",
    });
  });

  it("reuses connections", async () => {
    await using server = await httpServer(ok);
    const sender = makeSender();
    const url = `http://127.0.0.1:${server.port}/`;
    for (let count = 0; count < 20; count += 1) await sender.send(request(url));
    expect(server.connections()).toBe(1);
  });
});

describe("where the time went", () => {
  it("is told by when the request went out and when the first byte came, on an open connection too", async () => {
    const slowly: RequestListener = (_request, response) => {
      setTimeout(() => response.write("a"), 60);
      setTimeout(() => response.end("b"), 120);
    };
    await using server = await httpServer(slowly);
    const sender = makeSender();
    for (const _ of ["a new connection", "the same"]) {
      const {
        sentAfterMs = -1,
        firstByteAfterMs = -1,
        durationMs,
      } = await sender.send(request(`http://127.0.0.1:${server.port}/hook`));
      expect(sentAfterMs).toBeGreaterThanOrEqual(0);
      expect(firstByteAfterMs - sentAfterMs).toBeGreaterThanOrEqual(50);
      expect(durationMs - firstByteAfterMs).toBeGreaterThanOrEqual(50);
    }
    expect(server.connections()).toBe(1);
  });

  it("names the phases of the connection that was made for it, and none of one that was open", async () => {
    await using server = await httpsServer({ key, cert }, ok);
    const resolve = async () => {
      await delay(30);
      return ["127.0.0.1"];
    };
    const sender = makeSender({ ca: cert, resolve });
    const url = `https://localhost:${server.port}/hook`;
    const { connection, sentAfterMs = -1 } = await sender.send(request(url));
    expect(connection).toEqual({ dnsMs: expect.any(Number), connectMs: expect.any(Number), tlsMs: expect.any(Number) });
    const { dnsMs = 0, connectMs = 0, tlsMs = 0 } = connection ?? {};
    expect(dnsMs).toBeGreaterThanOrEqual(29);
    // Each is rounded for itself.
    expect(dnsMs + connectMs + tlsMs).toBeLessThanOrEqual(sentAfterMs + 2);
    expect(await sender.send(request(url))).not.toHaveProperty("connection");
    expect(server.connections()).toBe(1);
  });

  it("gives each of several at once the phases of its own connection", async () => {
    await using server = await httpServer((_request, response) => setTimeout(() => response.end(), 50));
    const sender = makeSender();
    const url = `http://127.0.0.1:${server.port}/hook`;
    const sendAll = () => Promise.all(Array.from({ length: 5 }, () => sender.send(request(url))));
    const first = await sendAll();
    expect(first.map(({ connection }) => connection)).toEqual(first.map(() => ({ connectMs: expect.any(Number) })));
    expect((await sendAll()).filter(({ connection }) => connection !== undefined)).toEqual([]);
    expect(server.connections()).toBe(5);
  });

  it("tells how far a connection came that was not made", async () => {
    const resolve = async () => {
      await delay(30);
      throw new Error("no such name");
    };
    const failed = await makeSender({ resolve }).send(request("http://nobody.example/"));
    expect(failed.connection).toEqual({ dnsMs: expect.any(Number) });
    await using silent = await tcpServer(() => {});
    const url = `https://127.0.0.1:${silent.port}/hook`;
    const { connection } = await makeSender().send(request(url, { timeoutMs: 300 }));
    expect(connection).toEqual({ connectMs: expect.any(Number) });
  });

  it("says no more than what was reached", async () => {
    await using silent = await tcpServer(() => {});
    const sent = await makeSender().send(request(`http://127.0.0.1:${silent.port}/hook`, { timeoutMs: 200 }));
    expect(sent).toHaveProperty("sentAfterMs");
    expect(sent).not.toHaveProperty("firstByteAfterMs");
    const never = await makeSender().send(request("http://10.0.0.1/"));
    expect(never).not.toHaveProperty("sentAfterMs");
  });
});

describe("a response", () => {
  it("is kept with its status, its headers joined, and its first 4 KiB", async () => {
    await using server = await httpServer((_request, response) => {
      response.writeHead(429, { "retry-after": "7", "set-cookie": ["a=1", "b=2"] });
      response.end("é".repeat(4_000));
    });
    const exchange = await sendTo(server);
    if (exchange.kind !== "response") throw new Error(exchange.message);
    expect(exchange.status).toBe(429);
    expect(exchange.headers).toMatchObject({ "retry-after": "7", "set-cookie": "a=1, b=2" });
    expect(Buffer.from(exchange.excerpt).toString()).toBe("é".repeat(2_048));
  });

  it("that never ends is read to 64 KiB, and its connection closed; the status counts", async () => {
    await using server = await httpServer((_request, response) => {
      const more = () => {
        while (!response.destroyed) {
          if (!response.write(Buffer.alloc(16_384, "x"))) return response.once("drain", more);
        }
        return undefined;
      };
      more();
    });
    const closed = server.closed();
    const exchange = await sendTo(server);
    expect(exchange).toMatchObject({ kind: "response", status: 200 });
    expect(exchange.kind === "response" && exchange.excerpt.length).toBe(4_096);
    await closed;
  });

  it("that redirects is the answer, and is not followed", async () => {
    let hits = 0;
    await using server = await httpServer((_request, response) => {
      hits += 1;
      response.writeHead(307, { location: "/elsewhere" }).end();
    });
    expect(await sendTo(server)).toMatchObject({ kind: "response", status: 307 });
    expect(hits).toBe(1);
  });

  it("may be preceded by interim ones", async () => {
    await using server = await saying(
      "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n",
    );
    const exchange = await sendTo(server);
    expect(exchange).toMatchObject({ status: 202, headers: { "content-length": "0" } });
  });

  it("without a length ends with its connection", async () => {
    await using server = await saying("HTTP/1.1 200 OK\r\n\r\nhello", (socket) => socket.end());
    const exchange = await sendTo(server);
    expect(exchange.kind === "response" && Buffer.from(exchange.excerpt).toString()).toBe("hello");
  });

  it("that is compressed is not unpacked", async () => {
    const packed = Buffer.from([0x1f, 0x8b, 0x08, 0x00]);
    await using server = await httpServer((_request, response) => {
      response.writeHead(200, { "content-encoding": "gzip" }).end(packed);
    });
    const exchange = await sendTo(server);
    expect(exchange.kind === "response" && Buffer.from(exchange.excerpt)).toEqual(packed);
  });
});

describe("a failure", () => {
  const cases: readonly (readonly [what: string, answer: string, reason: string])[] = [
    ["garbage", "this is not HTTP\r\n\r\n", "response.invalid"],
    ["a header over the limit", `HTTP/1.1 200 OK\r\nx: ${"y".repeat(20_000)}\r\n\r\n`, "response.invalid"],
    ["nothing", "", "connection.closed"],
    ["half a header", "HTTP/1.1 200 OK\r\ncontent-le", "connection.closed"],
    ["half a body", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello", "connection.closed"],
    ["half a chunk", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nhello", "connection.closed"],
    [
      "an upgrade nobody asked for",
      "HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
      "connection.closed",
    ],
  ];

  it.each(cases)("where the receiver says %s", async (_what, answer, reason) => {
    await using server = await saying(answer, (socket) => socket.end());
    expect(await sendTo(server)).toMatchObject({ kind: "failure", reason });
    expect(server.connections()).toBe(1);
  });

  it("where the receiver resets the connection", async () => {
    await using server = await tcpServer((socket) => socket.once("data", () => socket.resetAndDestroy()));
    expect(await sendTo(server)).toMatchObject({ reason: "connection.closed" });
  });

  it("where nobody listens", async () => {
    const server = await tcpServer(() => {});
    await server[Symbol.asyncDispose]();
    expect(await sendTo(server)).toMatchObject({ reason: "connect.refused" });
  });

  it("where the certificate is not trusted, or there is no TLS at all", async () => {
    await using server = await httpsServer({ key, cert }, ok);
    await using plain = await httpServer(ok);
    const sender = makeSender();
    for (const { port } of [server, plain]) {
      const exchange = await sender.send(request(`https://127.0.0.1:${port}/`));
      expect(exchange).toMatchObject({ kind: "failure", reason: "tls.failed" });
    }
  });

  it("where the connection is not made in time", async () => {
    // Accepts TCP and never answers the handshake: to TLS the connection is not there yet.
    await using server = await tcpServer(() => {});
    const sender = makeSender({ connectTimeoutMs: 100 });
    const exchange = await sender.send(request(`https://127.0.0.1:${server.port}/`));
    expect(exchange).toMatchObject({ kind: "failure", reason: "connect.timeout" });
  });

  it("where the name does not resolve", async () => {
    const resolve = async () => {
      throw new CodedError("dns.failed", "receiver.test does not resolve (ENOTFOUND)");
    };
    const exchange = await makeSender({ resolve }).send(request("https://receiver.test/"));
    expect(exchange).toMatchObject({ reason: "dns.failed", message: expect.stringContaining("ENOTFOUND") });
  });
});

describe("the deadline", () => {
  it("ends a receiver that hangs, and cuts the connection", async () => {
    await using server = await httpServer(() => {});
    const closed = server.closed();
    const exchange = await sendTo(server, { timeoutMs: 60 });
    expect(exchange).toMatchObject({ kind: "failure", reason: "attempt.timeout" });
    expect(exchange.durationMs).toBeGreaterThanOrEqual(55);
    await closed;
  });

  it("isn't stretched by a body that drips", async () => {
    await using server = await httpServer((_request, response) => {
      response.writeHead(200);
      const drip = setInterval(() => response.write("."), 10);
      response.on("close", () => clearInterval(drip));
    });
    const closed = server.closed();
    const exchange = await sendTo(server, { timeoutMs: 150 });
    expect(exchange).toMatchObject({ kind: "failure", reason: "attempt.timeout" });
    expect(exchange.durationMs).toBeLessThan(2_000);
    await closed;
  });

  it("isn't stretched by interim responses", async () => {
    await using server = await tcpServer((socket) => {
      const drip = setInterval(() => socket.write("HTTP/1.1 103 Early Hints\r\n\r\n"), 10);
      socket.on("close", () => clearInterval(drip));
    });
    expect(await sendTo(server, { timeoutMs: 150 })).toMatchObject({ reason: "attempt.timeout" });
  });

  it("is not waited for where interim responses flood it", async () => {
    await using server = await tcpServer((socket) => {
      socket.once("data", () => socket.write("HTTP/1.1 103 Early Hints\r\n\r\n".repeat(33)));
    });
    const closed = server.closed();
    expect(await sendTo(server)).toMatchObject({ reason: "response.invalid" });
    await closed;
  });

  it("counts the wait for a connection, and leaves that connection to the next request", async () => {
    const answers: (() => void)[] = [];
    await using server = await httpServer((_request, response) => {
      answers.push(() => response.end());
    });
    const sender = makeSender({ connectionsPerOrigin: 1 });
    const url = `http://127.0.0.1:${server.port}/`;
    const first = sender.send(request(url));
    expect(await sender.send(request(url, { timeoutMs: 50 }))).toMatchObject({
      reason: "attempt.timeout",
    });
    const third = sender.send(request(url));
    await expect.poll(() => answers.length).toBe(1);
    answers[0]?.();
    expect(await first).toMatchObject({ status: 200 });
    await expect.poll(() => answers.length).toBe(2);
    answers[1]?.();
    expect(await third).toMatchObject({ status: 200 });
    expect(server.connections()).toBe(1);
  });
});
