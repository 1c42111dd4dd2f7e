import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { httpServer, httpsServer, tcpServer } from "../../../test/support/receiver.ts";
import { within } from "../../../test/support/within.ts";
import type { DirectSender, OutboundRequest } from "../../delivery/sender.ts";
import { networkSet } from "../../kernel/addresses.ts";
import { systemClock } from "../../kernel/clock.ts";
import { type DirectSenderOptions, directSender } from "./direct-sender.ts";

const tlsFolder = join(import.meta.dirname, "../../../test/support/tls");
const key = readFileSync(join(tlsFolder, "key.pem"), "utf8");
const cert = readFileSync(join(tlsFolder, "cert.pem"), "utf8");
const open: DirectSender[] = [];

afterEach(() => {
  for (const sender of open.splice(0)) sender.close();
});

function makeSender(options: Partial<DirectSenderOptions> = {}): DirectSender {
  const allowedNetworks = networkSet(["127.0.0.0/8"]);
  const sender = directSender({ clock: systemClock, allowHttp: true, allowedNetworks, ...options });
  open.push(sender);
  return sender;
}

function request(url: string, more: Partial<OutboundRequest> = {}): OutboundRequest {
  return {
    method: "POST",
    url,
    headers: { "webhook-id": "dlv_1" },
    body: Buffer.from("{}"),
    timeoutMs: 5_000,
    ...more,
  };
}

describe("the direct sender", () => {
  it("says how long name, connection, handshake and first byte took, over TLS", async () => {
    await using server = await httpsServer({ key, cert }, (_request, response) => response.end("taken"));
    const sender = makeSender({ resolve: async () => ["127.0.0.1"], ca: cert });
    const { exchange, phases } = await sender.send(request(`https://localhost:${server.port}/hook`));
    expect(exchange).toMatchObject({ kind: "response", status: 200, excerpt: Buffer.from("taken") });
    const { dnsMs = -1, connectMs = -1, tlsMs = -1, firstByteMs = -1, totalMs } = phases;
    for (const ms of [dnsMs, connectMs, tlsMs, firstByteMs]) expect(ms).toBeGreaterThanOrEqual(0);
    expect(tlsMs).toBeGreaterThan(0);
    expect(dnsMs + connectMs + tlsMs + firstByteMs).toBeLessThanOrEqual(totalMs);
  });

  it("puts the time that the receiver takes down to the first byte", async () => {
    const HELD_MS = 60;
    await using server = await httpServer((_request, response) => {
      systemClock.after(HELD_MS, () => response.end());
    });
    const { phases } = await makeSender().send(request(`http://127.0.0.1:${server.port}/`));
    // A timer may fire a millisecond early by another clock.
    expect(phases.firstByteMs).toBeGreaterThan(HELD_MS - 2);
    expect(phases.connectMs).toBeLessThan(phases.firstByteMs ?? 0);
  });

  it("has no phase of what there was none of: no name, no TLS", async () => {
    await using server = await httpServer((_request, response) => response.end());
    const { phases } = await makeSender().send(request(`http://127.0.0.1:${server.port}/`));
    expect(Object.keys(phases).sort()).toEqual(["connectMs", "firstByteMs", "totalMs"]);
  });

  it("has no phase that was not reached", async () => {
    await using mute = await tcpServer(() => {});
    const silent = await makeSender().send(request(`http://127.0.0.1:${mute.port}/`, { timeoutMs: 50 }));
    expect(silent.exchange).toMatchObject({ kind: "failure", reason: "attempt.timeout" });
    expect(Object.keys(silent.phases).sort()).toEqual(["connectMs", "totalMs"]);
    const nobody = await makeSender().send(request("http://127.0.0.1:2/"));
    expect(nobody.exchange).toMatchObject({ kind: "failure", reason: "connect.refused" });
    expect(Object.keys(nobody.phases)).toEqual(["totalMs"]);
  });

  it("makes a connection for every request, and ends it", async () => {
    await using server = await httpServer((_request, response) => response.end());
    const sender = makeSender();
    const ended = server.closed();
    await sender.send(request(`http://127.0.0.1:${server.port}/`));
    await ended;
    await sender.send(request(`http://127.0.0.1:${server.port}/`));
    expect(server.connections()).toBe(2);
  });

  it("keeps no connection that came up after its request's deadline", async () => {
    await using server = await httpServer((_request, response) => response.end());
    const { promise: resolved, resolve: answer } = Promise.withResolvers<readonly string[]>();
    const sender = makeSender({ resolve: () => resolved });
    const late = await sender.send(request(`http://late.example:${server.port}/`, { timeoutMs: 20 }));
    expect(late.exchange).toMatchObject({ reason: "attempt.timeout" });
    const ended = server.closed();
    answer(["127.0.0.1"]);
    // undici would keep an idle one for four seconds.
    await within(2_000, "the connection's end", ended);
  });

  it.each([
    ["an address", "http://127.0.0.1", undefined],
    ["a name that resolves to one", "http://inside.example", async () => ["127.0.0.1"]],
  ])("the guard holds: %s that is not allowed", async (_, origin, resolve) => {
    await using server = await httpServer((_request, response) => response.end());
    const sender = makeSender({ allowedNetworks: networkSet([]), ...(resolve && { resolve }) });
    const { exchange } = await sender.send(request(`${origin}:${server.port}/`));
    expect(exchange).toMatchObject({ kind: "failure", reason: "guard.refused" });
    expect(server.connections()).toBe(0);
  });

  it("refuses plain http where that is not allowed", async () => {
    const { exchange } = await makeSender({ allowHttp: false }).send(request("http://127.0.0.1:2/"));
    expect(exchange).toMatchObject({ kind: "failure", reason: "url.invalid" });
  });

  it("an end cuts what is in flight, and lets nothing out after", async () => {
    const { promise: arrived, resolve: arrive } = Promise.withResolvers<void>();
    await using server = await httpServer(() => arrive());
    const sender = makeSender();
    const sending = sender.send(request(`http://127.0.0.1:${server.port}/`));
    await arrived;
    sender.close();
    expect((await sending).exchange).toMatchObject({ kind: "failure", reason: "attempt.cancelled" });
    const late = await sender.send(request(`http://127.0.0.1:${server.port}/`));
    expect(late.exchange).toMatchObject({ reason: "attempt.cancelled" });
    expect(server.connections()).toBe(1);
  });
});
