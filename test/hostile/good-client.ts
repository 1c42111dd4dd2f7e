/**
 * A thread of its own with one good client: calls at a steady pace, and says how long each took. Beside it others come,
 * one after the other, each with a connection of its own for its only call.
 */
import { type ClientHttp2Session, connect } from "node:http2";
import { setTimeout as delay } from "node:timers/promises";
import { parentPort, workerData } from "node:worker_threads";

const { url, key } = workerData as { readonly url: string; readonly key: string };
/** Between the end of one call and the next. */
const PAUSE_MS = 3;
/** Between the end of one newcomer and the next. */
const NEWCOMER_PAUSE_MS = 200;

let session = connect(url);
session.on("error", () => {});

function call(): Promise<boolean> {
  if (session.destroyed || session.closed) {
    session = connect(url);
    session.on("error", () => {});
  }
  return callOver(session);
}

async function newcomer(): Promise<boolean> {
  const own = connect(url);
  own.on("error", () => {});
  try {
    return await callOver(own);
  } finally {
    own.destroy();
  }
}

function callOver(session: ClientHttp2Session): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const stream = session.request({
    ":method": "POST",
    ":path": "/passbus.v1.EventService/ListEvents",
    "content-type": "application/json",
    authorization: `Bearer ${key}`,
  });
  stream.once("response", (headers) => {
    stream.once("end", () => resolve(headers[":status"] === 200));
    stream.resume();
  });
  stream.once("error", () => resolve(false));
  stream.once("close", () => resolve(false));
  stream.end('{"pageSize":1}');
  return promise;
}

/** One call after the other until then; how long those took that were answered, and how many were not. */
async function repeat(once: () => Promise<boolean>, pauseMs: number, endMs: number) {
  const tookMs: number[] = [];
  let failed = 0;
  while (performance.now() < endMs) {
    const startMs = performance.now();
    if (await once()) tookMs.push(performance.now() - startMs);
    else failed += 1;
    await delay(pauseMs);
  }
  return { tookMs, failed };
}

parentPort?.on("message", async ({ windowMs }: { readonly windowMs: number }) => {
  const endMs = performance.now() + windowMs;
  const [known, newcomers] = await Promise.all([
    repeat(call, PAUSE_MS, endMs),
    repeat(newcomer, NEWCOMER_PAUSE_MS, endMs),
  ]);
  parentPort?.postMessage({ known, newcomers });
});
