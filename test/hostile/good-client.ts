/** A thread of its own with one good client: calls at a steady pace, and says how long each took. */
import { connect } from "node:http2";
import { setTimeout as delay } from "node:timers/promises";
import { parentPort, workerData } from "node:worker_threads";

const { url, key } = workerData as { readonly url: string; readonly key: string };
/** Between the end of one call and the next. */
const PAUSE_MS = 3;

let session = connect(url);
session.on("error", () => {});

function call(): Promise<boolean> {
  if (session.destroyed || session.closed) {
    session = connect(url);
    session.on("error", () => {});
  }
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

parentPort?.on("message", async ({ windowMs }: { readonly windowMs: number }) => {
  const tookMs: number[] = [];
  let failed = 0;
  const endMs = performance.now() + windowMs;
  while (performance.now() < endMs) {
    const startMs = performance.now();
    if (await call()) tookMs.push(performance.now() - startMs);
    else failed += 1;
    await delay(PAUSE_MS);
  }
  parentPort?.postMessage({ tookMs, failed });
});
