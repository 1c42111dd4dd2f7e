/**
 * More than can be sent: every endpoint hangs, and producers don't end. Memory stays where it is, producers are told to
 * wait, and nothing that was accepted is lost.
 */
import { execFileSync } from "node:child_process";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { judge, subscribe } from "../support/endpoints.ts";
import { printTable } from "../support/figures.ts";
import { type NewEvent, numberedEvent, numberedEvents, passIdOf } from "../support/paced-publisher.ts";
import { DataDirectory, RunningPassbus } from "../support/passbus.ts";
import { Sink } from "../support/sink.ts";
import { logState, remains } from "../support/store-files.ts";
import { eventually } from "../support/within.ts";

const MIB = 1024 * 1024;

/** What the process has of memory, in bytes. */
function memory(pid: number): number {
  return Number(execFileSync("ps", ["-o", "rss=", "-p", String(pid)], { encoding: "utf8" })) * 1024;
}

const PAYLOAD_BYTES = 60_000;
const LARGE_EVENTS = 3_000;

function largeEvent(at: number): NewEvent {
  const { id, type } = numberedEvent(at);
  return {
    id,
    type: type ?? PassEventType.CREATED,
    pass: { id: `pass-${at}`, recordData: { blob: `${at}`.padEnd(PAYLOAD_BYTES, ".") } },
  };
}

test("180 MB of events for three endpoints that hang stay out of memory, and all of it goes when they answer", async () => {
  using directory = new DataDirectory();
  await using sink = await Sink.start();
  await using passbus = await RunningPassbus.start(directory.path);
  const paths = ["/a", "/b", "/c"];
  for (const path of paths) await sink.answer(path, "hang");
  const policy = { attemptTimeout: { seconds: 2n } };
  const endpoints = [];
  for (const path of paths) endpoints.push(await subscribe(passbus.api, sink, path, { policy }));
  const idle = memory(passbus.pid);

  let most = idle;
  const accepted = new Set<string>();
  for (let from = 0; from < LARGE_EVENTS; from += 50) {
    const events = Array.from({ length: 50 }, (_, at) => largeEvent(from + at));
    await passbus.api.events.publishEvents({ events });
    for (const event of events) accepted.add(passIdOf(event));
    most = Math.max(most, memory(passbus.pid));
  }
  // All of it has left the log for the store: hanging endpoints hold up neither.
  await eventually(30_000, "the log's position at its end", () => {
    const { end, committed } = logState(directory.path);
    return end === LARGE_EVENTS && committed === end ? true : undefined;
  });
  const hanging = memory(passbus.pid);
  for (const path of paths) await sink.answer(path, { status: 200 });
  await sink.reach(paths, LARGE_EVENTS, 90_000);
  const over = memory(passbus.pid);

  const receipts = await sink.receipts();
  for (const endpoint of endpoints) {
    const { missing, unexpected, forged } = judge(endpoint, receipts, accepted);
    expect({ missing, unexpected, forged }).toEqual({ missing: [], unexpected: [], forged: [] });
  }
  const mib = (bytes: number) => `${Math.round(bytes / MIB)} MiB`;
  printTable(`RSS: ${LARGE_EVENTS} events of ${PAYLOAD_BYTES} bytes, 3 endpoints that hang`, [
    ["idle", mib(idle)],
    ["most while they came", mib(most)],
    ["all accepted", mib(hanging)],
    ["all delivered", mib(over)],
  ]);
  // Held in memory, with their bodies, they would be more than that. It is 750 MiB with 840 MB of events too.
  expect(Math.max(most, hanging, over)).toBeLessThan(1_024 * MIB);
}, 180_000);

test("producers that don't wait are refused with RESOURCE_EXHAUSTED and told when to try again; what was accepted arrives", async () => {
  using directory = new DataDirectory();
  await using sink = await Sink.start();
  await using passbus = await RunningPassbus.start(directory.path, { PASSBUS_MAX_BACKLOG: "400" });
  const endpoint = await subscribe(passbus.api, sink, "/hook");
  const events = numberedEvents(4_000);
  let refused = 0;
  const waitsMs = new Set<number>();
  const publish = async (batch: readonly NewEvent[]) => {
    for (;;) {
      try {
        await passbus.api.events.publishEvents({ events: [...batch] });
        return;
      } catch (reason) {
        const error = ConnectError.from(reason);
        if (error.code !== Code.ResourceExhausted) throw error;
        refused += 1;
        const [retry] = error.findDetails(RetryInfoSchema);
        waitsMs.add(retry?.retryDelay === undefined ? 0 : durationMs(retry.retryDelay));
      }
    }
  };
  const batches = Array.from({ length: 40 }, (_, at) => events.slice(at * 100, (at + 1) * 100));
  await Promise.all(batches.map(publish));
  await sink.reach([endpoint.path], events.length, 60_000);
  const { missing, unexpected, repeats } = judge(endpoint, await sink.receipts(), new Set(events.map(passIdOf)));
  expect({ missing, unexpected, repeats }).toEqual({ missing: [], unexpected: [], repeats: [] });
  expect(refused).toBeGreaterThan(0);
  expect([...waitsMs]).toEqual([1_000]);
  await passbus.end("SIGTERM");
  expect(remains(directory.path).storedEvents.size).toBe(events.length);
}, 90_000);
