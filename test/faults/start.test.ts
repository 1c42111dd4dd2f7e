/** Starts that fail, and a stop with a dead part: both end everything, and neither costs the only key. */
import { once } from "node:events";
import { createServer } from "node:net";
import { join } from "node:path";
import { MessageChannel, type Worker } from "node:worker_threads";
import { describe, expect, test } from "vitest";
import { apiThreadService } from "../../src/compose/api-thread.ts";
import { startPassbus } from "../../src/compose/compose.ts";
import { readConfig } from "../../src/config/config.ts";
import { silentLog } from "../../src/kernel/log.ts";
import { systemRandom } from "../../src/kernel/random.ts";
import { makeEncryptionKey } from "../../src/signing/keyring.ts";
import { subscribe } from "../support/endpoints.ts";
import { numberedEvents } from "../support/paced-publisher.ts";
import { DataDirectory, type Exit, RunningPassbus, ServeProcess } from "../support/passbus.ts";
import { Sink } from "../support/sink.ts";
import { remains, statusCounts } from "../support/store-files.ts";
import { eventually, within } from "../support/within.ts";

const END_MS = 10_000;
const WRONG_SETTING: Exit = { code: 2, signal: null };
const GENERATED_KEY = /pb_production_[0-9a-f]{32}_[0-9a-f]{64}/g;
const NO_BOOTSTRAP_KEY = { PASSBUS_BOOTSTRAP_KEY: "" };

/** A port of 127.0.0.1 that somebody listens at. */
async function takenPort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the port has no address");
  return { listen: `127.0.0.1:${address.port}`, [Symbol.dispose]: () => server.close() };
}

/** Resolves with the admin key that a start printed, once it listens. */
function printedKeys(serve: ServeProcess): Promise<readonly string[]> {
  return eventually(20_000, "the line that says where passbus listens", () =>
    serve.output.includes(" listens at ") ? (serve.output.match(GENERATED_KEY) ?? []) : undefined,
  );
}

/** What a call is answered that lists the subscriptions of the key's tenant. */
async function listStatus(serve: ServeProcess, key: string): Promise<number> {
  const url = / listens at (\S+)/.exec(serve.output)?.[1];
  const response = await fetch(`${url}/passbus.v1.SubscriptionService/ListSubscriptions`, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: "{}",
  });
  return response.status;
}

describe("a start at an address that is taken", { timeout: 60_000 }, () => {
  test("ends, names the setting, and has sent no webhook", async () => {
    await using sink = await Sink.start();
    using data = new DataDirectory();
    const events = numberedEvents(5);
    await sink.answer("/due", "hang");
    {
      await using passbus = await RunningPassbus.start(data.path);
      const { id } = await subscribe(passbus.api, sink, "/due");
      await passbus.api.events.publishEvents({ events: [...events] });
      await sink.requests("/due", events.length, 10_000);
      await eventually(10_000, "a lease on each", () =>
        statusCounts(data.path, id).attempting === events.length ? true : undefined,
      );
      await passbus.end("SIGKILL");
    }
    await sink.answer("/due", { status: 200 });

    using taken = await takenPort();
    await using refused = new ServeProcess(data.path, { PASSBUS_LISTEN: taken.listen });
    expect(await within(END_MS, "the end of a start that can't listen", refused.exited)).toEqual(WRONG_SETTING);
    expect(refused.output).toContain("passbus: config.invalid\nPASSBUS_LISTEN: must be ");
    expect(refused.output).toContain(taken.listen);
    expect(await sink.receiptsAt("/due")).toHaveLength(events.length);

    await using next = await RunningPassbus.start(data.path);
    await sink.requests("/due", 2 * events.length, 10_000);
    expect(await next.end("SIGTERM")).toEqual({ code: 0, signal: null });
    expect(new Set(remains(data.path).deliveries.map(({ status }) => status))).toEqual(new Set(["delivered"]));
  });

  test("makes no key: the first start that succeeds prints one, and it is valid", async () => {
    using data = new DataDirectory();
    {
      using taken = await takenPort();
      await using refused = new ServeProcess(data.path, { ...NO_BOOTSTRAP_KEY, PASSBUS_LISTEN: taken.listen });
      expect(await within(END_MS, "the end of a start that can't listen", refused.exited)).toEqual(WRONG_SETTING);
      expect(refused.output).not.toMatch(GENERATED_KEY);
    }
    await using first = new ServeProcess(data.path, NO_BOOTSTRAP_KEY);
    const [key = "none", ...more] = await printedKeys(first);
    expect(more).toEqual([]);
    expect(await listStatus(first, key)).toBe(200);
    await first.end("SIGTERM", END_MS);

    await using second = new ServeProcess(data.path, NO_BOOTSTRAP_KEY);
    expect(await printedKeys(second)).toEqual([]);
    expect(await listStatus(second, key)).toBe(200);
  });
});

describe("a start with a TLS file that can't be read", { timeout: 60_000 }, () => {
  test("ends and names the file's variable", async () => {
    using data = new DataDirectory();
    const missing = join(data.path, "missing.pem");
    const readable = join(import.meta.dirname, "../support/tls/cert.pem");
    for (const [variable, cert, key] of [
      ["PASSBUS_TLS_CERT_FILE", missing, missing],
      ["PASSBUS_TLS_KEY_FILE", readable, missing],
    ] as const) {
      await using refused = new ServeProcess(data.path, { PASSBUS_TLS_CERT_FILE: cert, PASSBUS_TLS_KEY_FILE: key });
      expect(await within(END_MS, "the end of a start without its TLS files", refused.exited)).toEqual(WRONG_SETTING);
      expect(refused.output).toContain(`passbus: config.invalid\n${variable}: must name a file`);
      expect(refused.output).toContain(missing);
    }
  });
});

describe("in one process", { timeout: 60_000 }, () => {
  function settings(dataDir: string) {
    return readConfig({ PASSBUS_DATA_DIR: dataDir, PASSBUS_LISTEN: "127.0.0.1:0", PASSBUS_LOG_LEVEL: "silent" });
  }

  test("the API answers as not ready until it hears that the worker runs", async () => {
    using data = new DataDirectory();
    const api = apiThreadService();
    // Nobody is at the other end: readiness asks neither the store nor the log.
    const [store, log, wake] = [new MessageChannel(), new MessageChannel(), new MessageChannel()];
    const encryptionKeys = makeEncryptionKey("k1", systemRandom);
    const started = await api.handlers.start({
      config: settings(data.path),
      tls: undefined,
      encryptionKeys,
      pass: { kind: "embedded", store: store.port1, log: log.port1 },
      wake: wake.port1,
    });
    if (!("url" in started)) throw new Error("the API's start answered something else");
    const readyz = async () => {
      const response = await fetch(`${started.url}/readyz`);
      return { status: response.status, body: await response.json() };
    };
    expect(await readyz()).toEqual({ status: 503, body: { ready: false, reasons: ["starting"] } });
    await api.handlers.setReadiness({ ready: true, reasons: [] });
    expect(await readyz()).toEqual({ status: 200, body: { ready: true, reasons: [] } });
    await api.close();
    for (const { port2 } of [store, log, wake]) port2.close();
  });

  test("a key that was shown and not stored is followed by another", async () => {
    using data = new DataDirectory();
    const shown: string[] = [];
    const broken = startPassbus(settings(data.path), {
      log: silentLog,
      showKey(key) {
        shown.push(key);
        throw new Error("died between the key's display and its storage");
      },
    });
    await expect(broken).rejects.toThrow("died between");
    const passbus = await startPassbus(settings(data.path), { log: silentLog, showKey: (key) => shown.push(key) });
    await passbus.stop();
    expect(new Set(shown).size).toBe(2);
  });

  test("a stop ends all that is left where the API's thread died, and says so", async () => {
    using data = new DataDirectory();
    const threads: Worker[] = [];
    const remember = (thread: Worker) => threads.push(thread);
    process.on("worker", remember);
    const passbus = await startPassbus(settings(data.path), { log: silentLog }).finally(() =>
      process.off("worker", remember),
    );
    const ends = threads.map((thread) => once(thread, "exit"));
    const api = threads.find(({ threadName }) => threadName === "api");
    await api?.terminate();
    expect(await within(END_MS, "the word of the API's death", passbus.failed)).toMatchObject({
      message: expect.stringContaining("the api thread ended"),
    });
    await expect(within(END_MS, "the stop", passbus.stop())).rejects.toThrow("the API is gone");
    expect(await within(END_MS, "the end of every thread", Promise.all(ends))).toHaveLength(3);

    // The lock is free, and nothing was left half done.
    const next = await startPassbus(settings(data.path), { log: silentLog });
    expect(next.state()).toMatchObject({ stalled: false, inFlight: 0 });
    await next.stop();
  });
});
