import { once } from "node:events";
import { readFileSync } from "node:fs";
import { type ClientHttp2Session, connect as connectHttp2 } from "node:http2";
import { get } from "node:https";
import { connect, type Socket } from "node:net";
import tls from "node:tls";
import { afterEach, describe, expect, it } from "vitest";
import { systemClock } from "../kernel/clock.ts";
import { ManualClock } from "../kernel/manual-clock.ts";
import { type HttpResponse, openPort, type Port, type PortOptions } from "./port.ts";

const tlsFile = (name: string) => readFileSync(new URL(`../../test/support/tls/${name}`, import.meta.url), "utf8");
const TEST_TLS = { cert: tlsFile("cert.pem"), key: tlsFile("key.pem") };

const ports: Port[] = [];

async function open(options: Partial<PortOptions> = {}): Promise<Port> {
  const port = await openPort({
    listen: { host: "127.0.0.1", port: 0 },
    clock: systemClock,
    serve: (request, response) => {
      response.end(`HTTP/${request.httpVersion}`);
    },
    ...options,
  });
  ports.push(port);
  return port;
}

afterEach(async () => {
  await Promise.all(ports.splice(0).map((port) => port.stop(0)));
});

async function socketTo(port: Port): Promise<Socket> {
  const socket = connect(port.address.port, port.address.host);
  await once(socket, "connect");
  return socket;
}

/** Reads until the text has `end` in it. */
async function readUntil(socket: Socket, end: string): Promise<string> {
  let text = "";
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    text += chunk;
    if (text.includes(end)) return text;
  }
  throw new Error(`the connection ended after ${JSON.stringify(text)}`);
}

async function body(stream: AsyncIterable<Buffer>): Promise<string> {
  let text = "";
  for await (const chunk of stream) text += chunk;
  return text;
}

/** Rejects where the stream ends without an answer: node:http2 ends it quietly. */
async function requestHttp2(session: ClientHttp2Session): Promise<string> {
  const stream = session.request({ ":path": "/" }).end();
  let answered = false;
  stream.once("response", () => {
    answered = true;
  });
  const text = await body(stream);
  if (!answered) throw new Error("the stream ended without an answer");
  return text;
}

const HTTP1_REQUEST = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

describe("one address for HTTP/1.1 and HTTP/2", () => {
  it("serves both without TLS", async () => {
    const port = await open();
    const http1 = await fetch(`http://127.0.0.1:${port.address.port}/`);
    expect(await http1.text()).toBe("HTTP/1.1");
    const session = connectHttp2(`http://127.0.0.1:${port.address.port}`);
    expect(await requestHttp2(session)).toBe("HTTP/2.0");
    expect(await requestHttp2(session)).toBe("HTTP/2.0");
    session.close();
  });

  it("serves both with TLS", async () => {
    const port = await open({ tls: TEST_TLS });
    const url = `https://127.0.0.1:${port.address.port}/`;
    const [response] = await once(get(url, { ca: TEST_TLS.cert, agent: false }), "response");
    expect(await body(response)).toBe("HTTP/1.1");
    const session = connectHttp2(url, { ca: TEST_TLS.cert });
    expect(await requestHttp2(session)).toBe("HTTP/2.0");
    session.close();
  });

  it("serves TLS 1.2 and later, whatever the process was started with", async () => {
    const { DEFAULT_MIN_VERSION, DEFAULT_CIPHERS } = tls;
    const ciphers = "DEFAULT@SECLEVEL=0";
    Object.assign(tls, { DEFAULT_MIN_VERSION: "TLSv1", DEFAULT_CIPHERS: ciphers });
    const port = await open({ tls: TEST_TLS }).finally(() =>
      Object.assign(tls, { DEFAULT_MIN_VERSION, DEFAULT_CIPHERS }),
    );
    const handshake = async (maxVersion: tls.SecureVersion) => {
      const options = { ca: TEST_TLS.cert, ciphers, minVersion: "TLSv1", maxVersion } as const;
      const socket = tls.connect(port.address.port, "127.0.0.1", options);
      await once(socket, "secureConnect").finally(() => socket.destroy());
    };
    await expect(handshake("TLSv1.1")).rejects.toThrow(/protocol version/);
    await handshake("TLSv1.2");
  });

  it("waits for as many bytes as tell the two apart", async () => {
    const port = await open();
    for (const request of [HTTP1_REQUEST, HTTP1_REQUEST.replace("GET", "PROPFIND")]) {
      const socket = await socketTo(port);
      socket.setNoDelay();
      socket.write(request.slice(0, 1));
      await fetch(`http://127.0.0.1:${port.address.port}/`);
      socket.write(request.slice(1));
      expect(await readUntil(socket, "HTTP/1.1")).toContain("200 OK");
      socket.destroy();
    }
    const socket = await socketTo(port);
    const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    socket.write(preface.slice(0, 2), "latin1");
    await fetch(`http://127.0.0.1:${port.address.port}/`);
    socket.write(preface.slice(2), "latin1");
    const [frame] = await once(socket, "data");
    expect(frame[3]).toBe(4); // SETTINGS
    socket.destroy();
  });

  it("fails to open where the address is taken", async () => {
    const port = await open();
    await expect(open({ listen: port.address })).rejects.toThrow("EADDRINUSE");
  });
});

/** Longer than a test may take: what ends within the test ended without waiting for it. */
const GRACE_MS = 60_000;

describe("stop", () => {
  it("closes what is idle or has said nothing, and takes nothing new", async () => {
    const port = await open();
    const silent = await socketTo(port);
    const idle = await socketTo(port);
    idle.write(HTTP1_REQUEST);
    await readUntil(idle, "\r\n\r\n");
    const session = connectHttp2(`http://127.0.0.1:${port.address.port}`);
    await requestHttp2(session);
    const closed = Promise.all([once(silent, "close"), once(idle, "close"), once(session, "close")]);
    silent.resume();
    idle.resume();
    await port.stop(GRACE_MS);
    await closed;
    await expect(fetch(`http://127.0.0.1:${port.address.port}/`)).rejects.toThrow();
  });

  it.each([1, 2])("lets a call in flight over HTTP/%s end", async (version) => {
    const begun = Promise.withResolvers<HttpResponse>();
    const port = await open({ serve: (_, response) => begun.resolve(response) });
    const url = `http://127.0.0.1:${port.address.port}`;
    const session = version === 2 ? connectHttp2(url) : undefined;
    const answer = session === undefined ? fetch(url).then((response) => response.text()) : requestHttp2(session);
    const response = await begun.promise;
    const stopped = port.stop(GRACE_MS);
    response.end("done");
    expect(await answer).toBe("done");
    await stopped;
  });

  it.each([1, 2])("cuts a call over HTTP/%s that goes on for longer than the grace", async (version) => {
    const clock = new ManualClock();
    const begun = Promise.withResolvers<HttpResponse>();
    const port = await open({ clock, serve: (_, response) => begun.resolve(response) });
    const url = `http://127.0.0.1:${port.address.port}`;
    const session = version === 2 ? connectHttp2(url) : undefined;
    const answer = session === undefined ? fetch(url) : requestHttp2(session);
    const cut = expect(answer).rejects.toThrow();
    await begun.promise;
    const stopped = port.stop(1_000);
    clock.advance(1_000);
    await stopped;
    await cut;
  });
});
