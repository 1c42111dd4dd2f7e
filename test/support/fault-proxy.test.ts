/** Each mode of the fault proxy, on connections that stand and on new ones. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type FaultMode, FaultProxy } from "./fault-proxy.ts";
import { type TestServer, tcpServer } from "./receiver.ts";
import { eventually, within } from "./within.ts";

/** Long against a loopback's round trip, short for a test. */
const QUIET_MS = 150;

describe("the fault proxy", () => {
  let server: TestServer;
  let proxy: FaultProxy;
  let clients: Client[];

  beforeEach(async () => {
    // It says back what it is told, in upper case.
    server = await tcpServer((socket) => {
      socket.on("data", (chunk: Buffer) => socket.write(chunk.toString("latin1").toUpperCase(), "latin1"));
    });
    proxy = await FaultProxy.start({ port: server.port });
    clients = [];
  });
  afterEach(async () => {
    for (const client of clients) client.socket.destroy();
    await proxy[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });

  const open = async () => {
    const client = new Client(connect(proxy.port, "127.0.0.1"));
    clients.push(client);
    await once(client.socket, "connect");
    return client;
  };

  test("passes both directions, and the ends", async () => {
    const client = await open();
    client.socket.write("hello");
    await client.reads("HELLO");
    const serverSide = server.closed();
    client.socket.end("bye");
    await client.reads("HELLOBYE");
    await within(2_000, "the end at the server", serverSide);
    await within(2_000, "the end at the client", client.ended);
    expect(client.error).toBeUndefined();
    await eventually(2_000, "no connection", () => (proxy.open === 0 ? true : undefined));
  });

  test("delay: everything comes so much later, in order, not piece after piece", async () => {
    const client = await open();
    await proxy.set({ kind: "delay", ms: 200 });
    const fromMs = performance.now();
    for (const word of ["one ", "two ", "three "]) client.socket.write(word);
    await client.reads("ONE TWO THREE ");
    const tookMs = performance.now() - fromMs;
    // There and back.
    expect(tookMs).toBeGreaterThanOrEqual(398);
    expect(tookMs).toBeLessThan(900);
  });

  test("reset: connections that stand get a RST, and new ones too", async () => {
    const client = await open();
    client.socket.write("x");
    await client.reads("X");
    await proxy.set({ kind: "reset" });
    await within(2_000, "the reset", client.closed);
    expect(client.error).toMatchObject({ code: "ECONNRESET" });
    const next = new Client(connect(proxy.port, "127.0.0.1"));
    await within(2_000, "the reset", next.closed);
    expect(next.error).toMatchObject({ code: "ECONNRESET" });
    expect(proxy.accepted).toBe(2);
    expect(server.connections()).toBe(1);
  });

  test("half-open: it takes connections and bytes, and what it swallowed never arrives", async () => {
    const stood = await open();
    await proxy.set({ kind: "half-open" });
    const fresh = await open();
    stood.socket.write("swallowed ");
    fresh.socket.write("swallowed ");
    await quiet();
    expect([stood.text, fresh.text]).toEqual(["", ""]);
    await proxy.pass();
    stood.socket.write("later");
    await stood.reads("LATER");
    fresh.socket.write("later");
    await quiet();
    expect(fresh.text).toBe("");
    expect(fresh.error).toBeUndefined();
  });

  test("drip: so many bytes a second", async () => {
    const client = await open();
    await proxy.set({ kind: "drip", bytesPerSecond: 50 });
    const fromMs = performance.now();
    client.socket.write("0123456789");
    await client.reads("0123456789");
    const tookMs = performance.now() - fromMs;
    expect(tookMs).toBeGreaterThanOrEqual(175);
    expect(tookMs).toBeLessThan(1_500);
  });

  // "`" and "a" differ by the bit; upper case has no "`", so where it was flipped can be told.
  test.each([
    ["client", "@AA"],
    ["server", "`AA"],
  ] as const)("corrupt: a bit is flipped on the way to the %s, and on no other", async (towards, came) => {
    const client = await open();
    await proxy.set({ kind: "corrupt", towards });
    client.socket.write("aaa");
    await client.reads(came);
    await proxy.pass();
    client.socket.write("!");
    await client.reads(`${came}!`);
  });

  test("partition: nothing passes and nothing ends; what was sent comes when it is over", async () => {
    const stood = await open();
    stood.socket.write("before ");
    await stood.reads("BEFORE ");
    await proxy.set({ kind: "partition" });
    const fresh = await open();
    stood.socket.write("meanwhile");
    fresh.socket.end("meanwhile");
    await quiet();
    expect([stood.text, fresh.text]).toEqual(["BEFORE ", ""]);
    expect(server.connections()).toBe(1);
    server.cut();
    await quiet();
    expect(fresh.error).toBeUndefined();
    await proxy.pass();
    await fresh.reads("MEANWHILE");
    await within(2_000, "the end", fresh.ended);
  });

  test("refuse: nobody listens, and at the same port somebody does again", async () => {
    const stood = await open();
    await proxy.set({ kind: "refuse" });
    await within(2_000, "the cut", stood.closed);
    const refused = new Client(connect(proxy.port, "127.0.0.1"));
    await within(2_000, "the refusal", refused.closed);
    expect(refused.error).toMatchObject({ code: "ECONNREFUSED" });
    await proxy.pass();
    const client = await open();
    client.socket.write("x");
    await client.reads("X");
  });

  test("a target that is not there: the client is reset", async () => {
    await server[Symbol.asyncDispose]();
    const client = await open();
    await within(2_000, "the reset", client.closed);
    expect(client.error).toMatchObject({ code: "ECONNRESET" });
    server = await tcpServer(() => {});
  });

  test.each<FaultMode>([
    { kind: "pass" },
    { kind: "drip", bytesPerSecond: 1_000 },
    { kind: "partition" },
    { kind: "half-open" },
  ])("ends with its connections in mode $kind", async (mode) => {
    const client = await open();
    client.socket.write("x".repeat(10_000));
    await proxy.set(mode);
    await proxy[Symbol.asyncDispose]();
    await within(2_000, "the cut", client.closed);
    expect(proxy.open).toBe(0);
  });
});

/** For "nothing came": there is no signal of what doesn't happen. */
function quiet(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  setTimeout(resolve, QUIET_MS);
  return promise;
}

class Client {
  readonly socket: Socket;
  text = "";
  error: Error | undefined;
  readonly ended: Promise<unknown>;
  readonly closed: Promise<void>;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => {
      this.text += chunk.toString("latin1");
    });
    socket.on("error", (error) => {
      this.error = error;
    });
    this.ended = new Promise((resolve) => socket.once("end", resolve));
    this.closed = new Promise((resolve) => socket.once("close", () => resolve()));
  }

  async reads(text: string): Promise<void> {
    await eventually(5_000, `"${text}"`, () => (this.text.length >= text.length ? true : undefined));
    expect(this.text).toBe(text);
  }
}
