/** Ends and starts of the process other than the kill under load: a graceful stop, leases left behind, a second server. */
import { describe, expect, test } from "vitest";
import { DeliveryStatus } from "../../gen/passbus/v1/delivery_pb.js";
import { deliveriesOf } from "../support/api-log.ts";
import { judge, subscribe, subscribeHealthy } from "../support/endpoints.ts";
import { recordFault } from "../support/fault-table.ts";
import { printTable } from "../support/figures.ts";
import { numberedEvents, PacedPublisher, passIdOf } from "../support/paced-publisher.ts";
import { DataDirectory, RunningPassbus, ServeProcess } from "../support/passbus.ts";
import { Sink } from "../support/sink.ts";
import { remains, statusCounts } from "../support/store-files.ts";
import { eventually, within } from "../support/within.ts";

const DONE = { code: 0, signal: null };
/** Much less than the lease of 60 s. */
const AT_ONCE_MS = 5_000;

describe("SIGTERM", { timeout: 60_000 }, () => {
  test("waits for requests in flight, records them, and ends with 0: none is sent again", async () => {
    await using sink = await Sink.start();
    using data = new DataDirectory();
    const events = numberedEvents(40);
    await sink.answer("/slow", "hold");
    await using passbus = await RunningPassbus.start(data.path);
    const endpoint = await subscribe(passbus.api, sink, "/slow");
    await passbus.api.events.publishEvents({ events: [...events] });
    await sink.requests("/slow", events.length, 10_000);

    const ended = passbus.end("SIGTERM");
    await eventually(5_000, "the word that it stops", () => (passbus.output.includes("stopping") ? true : undefined));
    await sink.release("/slow");
    expect(await ended).toEqual(DONE);
    const left = remains(data.path);
    expect(new Set(left.deliveries.map(({ status }) => status))).toEqual(new Set(["delivered"]));
    expect(left.log).toEqual({ committed: events.length, end: events.length });

    await using next = await RunningPassbus.start(data.path);
    const delivered = await deliveriesOf(next.api, endpoint.id, DeliveryStatus.DELIVERED);
    expect(delivered.map(({ attemptCount }) => attemptCount)).toEqual(events.map(() => 1));
    expect(await sink.receiptsAt("/slow")).toHaveLength(events.length);
  });

  test("in the middle of a steady stream, three times, loses nothing and repeats nothing", async ({ task }) => {
    await using sink = await Sink.start();
    using data = new DataDirectory();
    const events = numberedEvents(800);
    const passes = new Set(events.map(passIdOf));
    let passbus = await RunningPassbus.start(data.path);
    try {
      const healthy = await subscribeHealthy(passbus.api, sink, "", 4);
      const publisher = new PacedPublisher(events, { batch: 4, everyMs: 20 }, passbus.api);
      const published = publisher.run();
      published.catch(() => {});
      const endedMs: number[] = [];
      for (const count of [200, 400, 600]) {
        await Promise.race([publisher.whenAccepted(count), published]);
        publisher.interrupt();
        const signalledMs = performance.now();
        expect(await passbus.end("SIGTERM")).toEqual(DONE);
        endedMs.push(performance.now() - signalledMs);
        passbus = await RunningPassbus.start(data.path);
        publisher.resume(passbus.api);
      }
      await published;
      const paths = healthy.map(({ path }) => path);
      await sink.reach(paths, events.length, 10_000);
      await eventually(5_000, "the record of every webhook", () =>
        healthy.every(({ id }) => statusCounts(data.path, id).delivered === events.length) ? true : undefined,
      );
      const receipts = await sink.receipts();
      const verdicts = healthy.map((endpoint) => judge(endpoint, receipts, passes));
      printTable("SIGTERM, three times, in 800 events to 4 endpoints", [
        ["ended after (ms)", "repeats", "missing"],
        [
          endedMs.map((ms) => Math.round(ms)).join(", "),
          verdicts.reduce((sum, { repeats }) => sum + repeats.length, 0),
          verdicts.reduce((sum, { missing }) => sum + missing.length, 0),
        ],
      ]);
      recordFault(task, {
        row: "SIGTERM amid 200 events/s, 3 times",
        accepted: events.length,
        delivered: verdicts.reduce((sum, { firstAtMs }) => sum + firstAtMs.size, 0),
        lost: verdicts.reduce((sum, { missing }) => sum + missing.length, 0),
        repeated: verdicts.reduce((sum, { repeats }) => sum + repeats.length, 0),
        repeatBound: 0,
      });
      for (const { missing, unexpected, forged, repeats } of verdicts) {
        expect({ missing, unexpected, forged, repeats }).toEqual({
          missing: [],
          unexpected: [],
          forged: [],
          repeats: [],
        });
      }
    } finally {
      await passbus[Symbol.asyncDispose]();
    }
  });
});

describe("leases that a dead process left", { timeout: 60_000 }, () => {
  test("are no reason to wait: what was in flight at a hanging endpoint is sent again at once", async ({ task }) => {
    await using sink = await Sink.start();
    using data = new DataDirectory();
    const events = numberedEvents(5);
    await sink.answer("/hanging", "hang");
    await using passbus = await RunningPassbus.start(data.path);
    const { id } = await subscribe(passbus.api, sink, "/hanging");
    await passbus.api.events.publishEvents({ events: [...events] });
    await sink.requests("/hanging", events.length, 10_000);
    await eventually(10_000, "a lease on each", () =>
      statusCounts(data.path, id).attempting === events.length ? true : undefined,
    );
    await passbus.end("SIGKILL");
    await sink.answer("/hanging", { status: 200 });

    await using next = await RunningPassbus.start(data.path);
    const receipts = await sink.requests("/hanging", 2 * events.length, AT_ONCE_MS);
    const ids = new Set(receipts.map(({ webhookId }) => webhookId));
    expect(ids.size).toBe(events.length);
    await eventually(5_000, "their record", () =>
      statusCounts(data.path, id).delivered === events.length ? true : undefined,
    );
    const lastMs = Math.max(...receipts.map(({ atMs }) => atMs)) - next.readyAtMs;
    const [accepted, delivered, repeated] = [events.length, ids.size, receipts.length - ids.size];
    const row = "kill -9 with everything under a lease, at an endpoint that hangs";
    recordFault(task, { row, accepted, delivered, lost: 0, repeated, repeatBound: accepted, recoveredMs: lastMs });
  });
});

describe("a backlog that a dead process left in the store", { timeout: 60_000 }, () => {
  test("goes out as quickly as its endpoint answers", async () => {
    await using sink = await Sink.start();
    using data = new DataDirectory();
    const events = numberedEvents(640);
    await sink.answer("/slow", "hold");
    await using passbus = await RunningPassbus.start(data.path);
    const { id } = await subscribe(passbus.api, sink, "/slow");
    await passbus.api.events.publishEvents({ events: [...events] });
    await eventually(10_000, "everything in the store", () => {
      const { waiting = 0, attempting = 0 } = statusCounts(data.path, id);
      return waiting + attempting === events.length ? true : undefined;
    });
    await passbus.end("SIGKILL");
    // 64 requests at a time of 200 ms each: 320 a second, so 2 s for all of it.
    await sink.answer("/slow", { status: 200, afterMs: 200 });

    await using next = await RunningPassbus.start(data.path);
    await sink.reach(["/slow"], events.length, 15_000);
    const lastMs = Math.max(...(await sink.receipts()).map(({ atMs }) => atMs)) - next.readyAtMs;
    printTable("640 deliveries waited in the store at kill -9; the endpoint takes 320 a second", [
      ["last of them, after ready", `${lastMs} ms`],
    ]);
    expect(lastMs).toBeLessThan(AT_ONCE_MS);
  });
});

describe("a second server on a data directory", { timeout: 60_000 }, () => {
  test("refuses to start, says why, and leaves the first alone", async () => {
    using data = new DataDirectory();
    await using sink = await Sink.start();
    await using first = await RunningPassbus.start(data.path);
    await using second = new ServeProcess(data.path);
    expect(await within(20_000, "the second's end", second.exited)).toEqual({ code: 1, signal: null });
    expect(second.output).toContain("data_dir.locked");
    expect(second.output).toContain(data.path);

    await subscribe(first.api, sink, "/first");
    await first.api.events.publishEvents({ events: [...numberedEvents(1)] });
    await sink.requests("/first", 1, 10_000);
  });

  test("may start as soon as the first was killed", async () => {
    using data = new DataDirectory();
    await using first = await RunningPassbus.start(data.path);
    await first.end("SIGKILL");
    await using second = await RunningPassbus.start(data.path);
    expect((await second.api.events.listEvents({})).events).toEqual([]);
  });
});
