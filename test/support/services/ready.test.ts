import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { describe, expect, it } from "vitest";
import { freePorts } from "./ports.ts";
import { isPrimary, liveBrokers } from "./ready.ts";

/** A server that answers whatever comes with these bytes, in two parts. */
async function answering(bytes: Buffer): Promise<AsyncDisposable & { address: string }> {
  const server = createServer((socket) => {
    socket.once("data", () => {
      socket.write(bytes.subarray(0, 6), () => setImmediate(() => socket.end(bytes.subarray(6))));
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    address,
    [Symbol.asyncDispose]: async () => {
      server.close();
    },
  };
}

describe("a server is not ready", () => {
  it("where nobody listens", async () => {
    const [port] = await freePorts(1);
    expect(await liveBrokers(`127.0.0.1:${port}`)).toBe(0);
    expect(await isPrimary(`127.0.0.1:${port}`)).toBe(false);
  });

  it("where the answer breaks off", async () => {
    await using server = await answering(Buffer.from([0, 0, 0, 100, 0, 0, 0, 1, 0, 0, 0, 3]));
    expect(await liveBrokers(server.address)).toBe(0);
  });
});

describe("a server is ready", () => {
  it("as a broker, for as many as it knows", async () => {
    await using server = await answering(Buffer.from([0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 3]));
    expect(await liveBrokers(server.address)).toBe(3);
  });

  it("as MongoDB, only as a primary", async () => {
    const answer = (primary: number) => {
      const body = Buffer.from(`....\x08isWritablePrimary\0${String.fromCharCode(primary)}`, "latin1");
      body.writeInt32LE(body.length);
      return body;
    };
    await using primary = await answering(answer(1));
    await using secondary = await answering(answer(0));
    expect(await isPrimary(primary.address)).toBe(true);
    expect(await isPrimary(secondary.address)).toBe(false);
  });
});

describe("ports for servers", () => {
  it("are different, free, and not among those of outgoing connections", async () => {
    const ports = await freePorts(20);
    expect(new Set(ports).size).toBe(20);
    expect(Math.max(...ports)).toBeLessThan(32_768);
    const server = createServer().listen(ports[0], "127.0.0.1");
    await once(server, "listening");
    server.close();
  });
});
