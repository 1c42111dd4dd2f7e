/** The slow and the greedy, one connection at a time: each is cut, and the reason is the one that it gave. */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect as connectHttp2 } from "node:http2";
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { afterEach, describe, expect, test } from "vitest";
import { openPort, type Port, type PortOptions } from "../../src/api/port.ts";
import { systemClock } from "../../src/kernel/clock.ts";
import { LIMITS } from "../../src/kernel/limits.ts";
import { ADMIN_KEY, testApi } from "../support/api.ts";
import { eventually, within } from "../support/within.ts";
import { callFields, FLAGS, fields, frame, PREFACE, uint32 } from "./frames.ts";

const LIMIT_MS = 30_000;
const tlsFile = (name: string) => readFileSync(new URL(`../support/tls/${name}`, import.meta.url), "utf8");
const TLS = { cert: tlsFile("cert.pem"), key: tlsFile("key.pem") };

const ports: Port[] = [];
afterEach(async () => {
  await Promise.all(ports.splice(0).map((port) => port.stop(0)));
});

async function open(options: Partial<PortOptions> = {}): Promise<Port> {
  const port = await openPort({
    listen: { host: "127.0.0.1", port: 0 },
    clock: systemClock,
    serve: (_, response) => void response.end("served"),
    ...options,
  });
  ports.push(port);
  return port;
}

async function lineTo(port: Port): Promise<Socket> {
  const socket = connect(port.address.port, port.address.host);
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

/** All that came until the other side closed. */
async function untilClosed(socket: Socket): Promise<Buffer> {
  const parts: Buffer[] = [];
  socket.on("data", (chunk) => parts.push(chunk));
  // Not `once`, which fails where it is cut with an error.
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  if (!socket.closed) await within(LIMIT_MS, "the end of the connection", closed);
  return Buffer.concat(parts);
}

/** Sends the text's bytes one at a time, each when the last is on its way, until it is cut. */
async function drip(socket: Socket, text: string): Promise<Buffer> {
  const closed = untilClosed(socket);
  let at = 0;
  const timer = setInterval(() => socket.write(text[at++ % text.length] ?? ""), 10);
  try {
    return await closed;
  } finally {
    clearInterval(timer);
  }
}

/** Over HTTP/2: writes until it is cut. */
async function flood(socket: Socket, bytes: Buffer, before: Buffer = Buffer.alloc(0)): Promise<void> {
  socket.resume();
  socket.write(Buffer.concat([PREFACE, before]));
  await eventually(LIMIT_MS, "the end of the flood", () => {
    if (socket.destroyed) return true;
    if (!socket.writableNeedDrain) socket.write(bytes);
    return undefined;
  });
}

const many = (one: Buffer) => Buffer.concat(Array<Buffer>(2_000).fill(one));

const SOON = { portHeadersTimeoutMs: 200, portRequestTimeoutMs: 400, portUnusedMs: 400, portKeepAliveMs: 200 };

describe("is cut, though it goes on sending", () => {
  test("a header that drips", async () => {
    const port = await open({ limits: SOON });
    const answer = await drip(await lineTo(port), `GET / HTTP/1.1\r\nhost: a\r\nx: ${"a".repeat(100_000)}`);
    expect(answer.toString()).toMatch(/^HTTP\/1\.1 408 /);
  });

  test("a body that drips", async () => {
    const port = await open({ limits: SOON, serve: () => {} });
    const socket = await lineTo(port);
    socket.write("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n");
    expect((await drip(socket, "a")).toString()).toMatch(/^HTTP\/1\.1 408 /);
  });

  test("a preface of HTTP/2 that drips", async () => {
    const port = await open({ limits: { ...SOON, portHeadersTimeoutMs: 100 } });
    const socket = await lineTo(port);
    const text = PREFACE.toString("latin1");
    // So slowly that the time is over before its settings have come.
    socket.write(text.slice(0, 10));
    await untilClosed(socket);
  });

  test.each([
    ["that does not go on", "\x16\x03\x01\x02\x00"],
    ["that drips", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],
  ])("a TLS handshake %s", async (_, bytes) => {
    const port = await open({ limits: SOON, tls: TLS });
    const socket = await lineTo(port);
    socket.write(bytes.slice(0, 3), "latin1");
    const timer = setTimeout(() => socket.write(bytes.slice(3), "latin1"), 50);
    await untilClosed(socket);
    clearTimeout(timer);
  });
});

describe("is cut for its silence", () => {
  test("a connection that says nothing", async () => {
    const port = await open({ limits: SOON });
    await untilClosed(await lineTo(port));
  });

  test("one of TLS that says nothing after its handshake", async () => {
    const port = await open({ limits: SOON, tls: TLS });
    const socket = connectTls({ port: port.address.port, host: "127.0.0.1", ca: TLS.cert });
    socket.on("error", () => {});
    await once(socket, "secureConnect");
    await untilClosed(socket);
  });

  test("one of HTTP/2 that never calls, and not one that does", async () => {
    const port = await open({ limits: SOON });
    const session = connectHttp2(`http://127.0.0.1:${port.address.port}`);
    const stream = session.request({ ":path": "/" });
    await once(stream, "response");
    const unused = await lineTo(port);
    unused.write(PREFACE);
    await untilClosed(unused);
    expect(session.closed).toBe(false);
    session.destroy();
  });

  test("one of HTTP/1.1 after its answer", async () => {
    const port = await open({ limits: SOON });
    const socket = await lineTo(port);
    socket.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    expect((await untilClosed(socket)).toString()).toContain("served");
  });
});

describe("is cut for its greed", () => {
  const headers = (stream: number) => frame("HEADERS", FLAGS.endHeaders, stream, callFields("/"));

  test.each([
    ["SETTINGS", frame("SETTINGS", 0, 0, Buffer.concat([Buffer.of(0, 3), uint32(100)]))],
    ["PING", frame("PING", 0, 0, Buffer.alloc(8))],
    ["WINDOW_UPDATE", frame("WINDOW_UPDATE", 0, 0, uint32(1))],
    ["PRIORITY", frame("PRIORITY", 0, 1, Buffer.alloc(5))],
    ["frames of an unknown type", frame("UNKNOWN", 0, 0, Buffer.alloc(16))],
  ])("a flood of %s", async (_, one) => {
    await flood(await lineTo(await open()), many(one));
  });

  test("a flood of CONTINUATION", async () => {
    const before = frame("HEADERS", 0, 1, callFields("/"));
    await flood(await lineTo(await open()), many(frame("CONTINUATION", 0, 1, fields([["x", "a"]]))), before);
  });

  test("a flood of empty DATA", async () => {
    await flood(await lineTo(await open({ serve: () => {} })), many(frame("DATA", 0, 1)), headers(1));
  });

  test("a rapid reset, and what was taken back at once was no call", async () => {
    let served = 0;
    const port = await open({
      serve: (_, response) => {
        served += 1;
        response.end();
      },
    });
    const resets = Array.from({ length: 2_000 }, (_, at) => 2 * at + 1).flatMap((stream) => [
      headers(stream),
      frame("RST_STREAM", 0, stream, uint32(8)),
    ]);
    await flood(await lineTo(port), Buffer.concat(resets));
    // The last of a packet may be half there when its first half is read.
    expect(served).toBeLessThan(20);
  });

  test("a request that was taken back with bytes that have come and are read in another turn is no call", async () => {
    const paths: (string | undefined)[] = [];
    const asked = Promise.withResolvers<void>();
    const first = headers(1);
    const second = frame("HEADERS", FLAGS.endHeaders, 3, callFields("/second"));
    const port = await open({
      limits: { portPieceBytes: PREFACE.length + first.length },
      serve: ({ url }, response) => {
        paths.push(url);
        response.end();
        asked.resolve();
      },
    });
    const socket = await lineTo(port);
    socket.resume();
    socket.write(Buffer.concat([PREFACE, first, frame("RST_STREAM", 0, 1, uint32(8)), second]));
    await within(LIMIT_MS, "the one that was not taken back", asked.promise);
    expect(paths).toEqual(["/second"]);
    socket.destroy();
  });

  test("more requests of HTTP/1.1 than are answered", async () => {
    let served = 0;
    const serve = () => {
      served += 1;
    };
    const port = await open({ serve, limits: { portPipelined: 8 } });
    const socket = await lineTo(port);
    socket.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n".repeat(1_000));
    await untilClosed(socket);
    expect(served).toBe(8);
  });

  test("who acknowledges no limit of calls, and opens as many as it likes", async () => {
    let served = 0;
    const serve = () => {
      served += 1;
    };
    const port = await open({ serve, limits: { portCalls: 10 } });
    const streams = Array.from({ length: 200 }, (_, at) => headers(2 * at + 1));
    const socket = await lineTo(port);
    socket.write(Buffer.concat([PREFACE, ...streams]));
    await eventually(LIMIT_MS, "as many calls as it is given", () => (served >= 10 ? true : undefined));
    expect(served).toBeLessThanOrEqual(20);
    socket.destroy();
  });
});

describe("where there are as many connections as may be", () => {
  test("the oldest that was used with no key makes room, and none that was", async () => {
    const port = await open({
      limits: { portConnections: 2 },
      serve: (_, response, connection) => {
        connection.trust();
        response.end("served");
      },
    });
    const trusted = await lineTo(port);
    trusted.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    await once(trusted, "data");
    const stranger = await lineTo(port);
    const cut = untilClosed(stranger);
    const newcomer = await lineTo(port);
    await cut;
    expect(trusted.closed).toBe(false);
    newcomer.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    expect(String((await once(newcomer, "data"))[0])).toContain("200 OK");
    for (const socket of [trusted, newcomer]) socket.destroy();
  });
});

test("with TLS, too, who floods is cut and who has a key is known", async () => {
  const port = await open({
    tls: TLS,
    limits: { portConnections: 1 },
    serve: (_, response, connection) => {
      connection.trust();
      response.end("served");
    },
  });
  const session = connectHttp2(`https://127.0.0.1:${port.address.port}`, { ca: TLS.cert });
  await once(session.request({ ":path": "/" }), "response");
  // It must make room itself: the one that has a key doesn't.
  await untilClosed(await lineTo(port));
  expect(session.closed).toBe(false);
  session.destroy();
  const other = await open({ tls: TLS });
  const flooding = connectTls({ port: other.address.port, host: "127.0.0.1", ca: TLS.cert, ALPNProtocols: ["h2"] });
  flooding.on("error", () => {});
  await once(flooding, "secureConnect");
  await flood(flooding, many(frame("WINDOW_UPDATE", 0, 0, uint32(1))));
});

test("who sends a body that is too large is refused, and keeps the connection", async () => {
  await using api = await testApi();
  const session = connectHttp2(api.url);
  const post = async (bytes: number) => {
    const stream = session.request({
      ":method": "POST",
      ":path": "/passbus.v1.EventService/ListEvents",
      authorization: `Bearer ${ADMIN_KEY}`,
      "content-type": "application/json",
    });
    const [headers] = await once(stream.end(Buffer.alloc(bytes, " ")), "response");
    stream.resume();
    await within(LIMIT_MS, "the end of the answer", once(stream, "close"));
    return headers[":status"];
  };
  // Far more than may come beside calls, over more than one look at it.
  const untilMs = performance.now() + 500;
  while (performance.now() < untilMs) expect(await post(LIMITS.requestBytes + 1)).toBe(429);
  expect(await post(0)).toBe(400);
  expect(session.destroyed).toBe(false);
  session.destroy();
});

test("who goes away in the middle of a body ends nothing but the call", async () => {
  const served = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<void>();
  const port = await open({
    // As the protocol library does: it listens for errors until the answer's end, which may come before the error.
    serve: (request, response) => {
      const listen = () => {};
      request.on("error", listen);
      response.once("close", () => {
        process.nextTick(() => request.off("error", listen));
        setImmediate(closed.resolve);
      });
      served.resolve();
    },
  });
  const socket = await lineTo(port);
  socket.write("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n{");
  await within(LIMIT_MS, "the call", served.promise);
  socket.destroy();
  // An error that nobody hears would end the process, and here the run.
  await within(LIMIT_MS, "its end", closed.promise);
});
