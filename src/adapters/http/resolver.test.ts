import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type ResolveHost, systemResolver } from "./resolver.ts";

/** What the name server knows: IPv4 addresses as bytes. It says nothing about silent.test, and NXDOMAIN to the rest. */
const ZONE: Readonly<Record<string, readonly (readonly number[])[]>> = {
  "two.test": [
    [10, 0, 0, 1],
    [8, 8, 8, 8],
  ],
};
const TYPE_A = 1;

let server: Socket;
let asked: string[];
let resolve: ResolveHost;

beforeEach(async () => {
  asked = [];
  server = createSocket("udp4");
  server.on("message", (query, from) => {
    const { name, type, end } = questionOf(query);
    asked.push(name);
    if (name === "silent.test") return;
    server.send(answerTo(query.subarray(0, end), ZONE[name], type), from.port, from.address);
  });
  server.bind(0, "127.0.0.1");
  await once(server, "listening");
  const servers = [`127.0.0.1:${server.address().port}`];
  resolve = systemResolver({ servers, queryTimeoutMs: 50 });
});

afterEach(() => {
  server.close();
});

/** RFC 1035 §4.1.2: labels, each with its length before it, then the type and the class. */
function questionOf(query: Buffer): { name: string; type: number; end: number } {
  const labels: string[] = [];
  let at = 12;
  for (let length = query.readUInt8(at); length > 0; length = query.readUInt8(at)) {
    labels.push(query.toString("latin1", at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join("."), type: query.readUInt16BE(at + 1), end: at + 5 };
}

/** RFC 1035 §4.1.1: the question again, with its answers behind it. */
function answerTo(question: Buffer, addresses: readonly (readonly number[])[] | undefined, type: number): Buffer {
  const records = type === TYPE_A ? (addresses ?? []) : [];
  const header = Buffer.from(question);
  header.writeUInt16BE(addresses === undefined ? 0x8183 : 0x8180, 2);
  header.writeUInt16BE(records.length, 6);
  header.writeUInt32BE(0, 8);
  // A pointer to the question's name, type A, class IN, a minute to live, four bytes.
  const record = [0xc0, 12, 0, TYPE_A, 0, 1, 0, 0, 0, 60, 0, 4];
  return Buffer.concat([header, ...records.map((bytes) => Buffer.from([...record, ...bytes]))]);
}

describe("a host name", () => {
  it("has all the addresses that DNS has", async () => {
    expect((await resolve("two.test")).toSorted()).toEqual(["10.0.0.1", "8.8.8.8"]);
  });

  it("is asked for once by those who ask at once, and again by those who come later", async () => {
    await Promise.all([resolve("two.test"), resolve("two.test")]);
    // A and AAAA.
    expect(asked).toEqual(["two.test", "two.test"]);
    await resolve("two.test");
    expect(asked).toHaveLength(4);
  });

  it("fails where its name servers are silent, without asking the system", async () => {
    await expect(resolve("silent.test")).rejects.toMatchObject({
      code: "dns.failed",
      message: "silent.test does not resolve (ETIMEOUT)",
    });
  });

  it("is looked up by the system where DNS does not know it, and fails where neither does", async () => {
    await expect(resolve("unknown.invalid")).rejects.toMatchObject({
      code: "dns.failed",
      message: expect.stringMatching(/^unknown\.invalid does not resolve \((ENOTFOUND|EAI_AGAIN)\)$/),
    });
    expect(asked).toContain("unknown.invalid");
  });

  it("is the system's alone where it is local", async () => {
    for (const address of await resolve("localhost")) expect(["127.0.0.1", "::1"]).toContain(address);
    expect(asked).toEqual([]);
  });
});
