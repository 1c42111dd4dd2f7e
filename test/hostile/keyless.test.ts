/** Streams that need no key: as many as may be of one address and of all, then no more until one ends. */
import { once } from "node:events";
import { type ClientHttp2Stream, connect, constants } from "node:http2";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { expect, onTestFinished, test } from "vitest";
import { Health } from "../../gen/grpc/health/v1/health_pb.js";
import { KeylessBeginnings, KeylessStreams } from "../../src/api/keyless.ts";
import { LIMITS } from "../../src/kernel/limits.ts";
import { ManualClock } from "../../src/kernel/manual-clock.ts";
import { testApi } from "../support/api.ts";
import { eventually } from "../support/within.ts";

test("are counted by address and in all", () => {
  const streams = new KeylessStreams();
  const ended = new AbortController();
  const peers = LIMITS.keylessStreams / LIMITS.keylessStreamsPerPeer;
  for (let peer = 0; peer < peers; peer++) {
    const signal = peer === 0 ? ended.signal : new AbortController().signal;
    for (let at = 0; at < LIMITS.keylessStreamsPerPeer; at++) streams.take(`peer ${peer}`, signal);
    if (peer === 0)
      expect(() => streams.take("peer 0", signal)).toThrow(expect.objectContaining({ code: "limit.streams" }));
  }
  const { signal } = new AbortController();
  expect(() => streams.take("another", signal)).toThrow(expect.objectContaining({ code: "limit.streams" }));
  ended.abort();
  streams.take("another", signal);
  streams.take("peer 0", signal);
});

test("are given back when the call ends", { timeout: 60_000 }, async () => {
  await using api = await testApi();
  const health = createClient(Health, createGrpcTransport({ baseUrl: api.url }));
  const watch = async (signal: AbortSignal) => {
    const first = await health.watch({}, { signal })[Symbol.asyncIterator]().next();
    return first.done === true ? "ended" : "watching";
  };
  const ended = new AbortController();
  const watches = Array.from({ length: LIMITS.keylessStreamsPerPeer }, () => watch(ended.signal));
  expect(new Set(await Promise.all(watches))).toEqual(new Set(["watching"]));
  const again = new AbortController();
  await expect(watch(again.signal)).rejects.toThrow("resource_exhausted");
  expect(await health.check({})).toBeDefined();
  ended.abort();
  await eventually(30_000, "a place", () => watch(again.signal).catch(() => undefined));
  again.abort();
});

test("are begun so many times a second by one address, refused or not", () => {
  const clock = new ManualClock();
  const begun = new KeylessBeginnings(clock);
  for (let at = 0; at < LIMITS.keylessStreamsPerSecond; at++) expect(begun.take("peer")).toBe(true);
  expect(begun.take("peer")).toBe(false);
  expect(begun.take("another")).toBe(true);
  clock.advance(999);
  expect(begun.take("peer")).toBe(false);
  clock.advance(1);
  expect(begun.take("peer")).toBe(true);
});

/** However it ends. */
const ended = (stream: ClientHttp2Stream) => new Promise((resolve) => stream.once("close", resolve));

test("beyond that are refused before they are calls; others go on", { timeout: 60_000 }, async () => {
  // A standing clock: all is one second, but for the rests between strangers' turns.
  const clock = new ManualClock();
  await using api = await testApi({ clock });
  const rests = setInterval(() => clock.advance(LIMITS.portTurnMs), 1);
  onTestFinished(() => clearInterval(rests));
  const session = connect(api.url);
  const headers = { ":method": "POST", ":path": "/grpc.health.v1.Health/Watch", "content-type": "application/grpc" };
  const begin = () => session.request(headers).on("error", () => {});
  const open = Array.from({ length: LIMITS.keylessStreamsPerSecond }, begin);
  await once(session.request({ ":path": "/healthz" }).resume(), "end");
  expect(open.every(({ rstCode }) => rstCode !== constants.NGHTTP2_REFUSED_STREAM)).toBe(true);
  const beyond = begin();
  await ended(beyond);
  expect(beyond.rstCode).toBe(constants.NGHTTP2_REFUSED_STREAM);
  const answer = await fetch(`${api.url}${headers[":path"]}`, {
    method: "POST",
    headers: { "content-type": "application/grpc-web+proto" },
    body: new Uint8Array(5),
  });
  expect(answer.status).toBe(429);
  session.destroy();
});
