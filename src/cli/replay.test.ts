import { afterEach, describe, expect, it } from "vitest";
import { finished, put, type StorePorts, subscription, waiting } from "../../test/contracts/rows.ts";
import { ADMIN_KEY, TENANT, type TestApi, testApi } from "../../test/support/api.ts";
import { embeddedStore } from "../../test/support/embedded-store.ts";
import { type TestTerminal, testTerminal } from "../../test/support/terminal.ts";
import { eventually, within } from "../../test/support/within.ts";
import { Replays } from "../delivery/replays.ts";
import { systemClock } from "../kernel/clock.ts";
import { idSource } from "../kernel/ids.ts";
import { systemRandom } from "../kernel/random.ts";
import { type AddCommand, EXIT, runCli } from "./cli.ts";
import { deliveriesCommand } from "./deliveries.ts";
import { replayCommand } from "./replay.ts";

const COMMANDS: readonly AddCommand[] = [deliveriesCommand(), replayCommand()];

const opened: TestApi[] = [];
afterEach(() => Promise.all(opened.splice(0).map((api) => api.stop(0))));

async function setUp() {
  const store = embeddedStore();
  await store.subscriptions.insert(subscription("sub_1"), 10);
  await store.subscriptions.insert(subscription("sub_2"), 10);
  const ids = idSource(systemClock, systemRandom);
  const replays = new Replays({
    store: store.replays,
    feed: store.feed,
    clock: systemClock,
    ids,
    wakeWorkers: () => {},
  });
  const api = await testApi({ replays, deliveryLog: store.deliveries });
  opened.push(api);
  const ports = { deliveries: store.deliveries } as StorePorts;
  await put(ports, finished("d1", "failed", "a1"), finished("d2", "delivered", "a2"), waiting("d3"));
  const start = (args: readonly string[], over: Partial<TestTerminal> = {}) => {
    const terminal = Object.assign(testTerminal({ PASSBUS_KEY: ADMIN_KEY }), over);
    return { terminal, ended: runCli([...args, "--url", api.url], COMMANDS, terminal) };
  };
  const run = async (...args: readonly string[]) => {
    const { terminal, ended } = start(args);
    return { code: await within(10_000, "the command's end", ended), ...terminal.said };
  };
  const finish = async (id: string) => {
    const nowMs = Date.now();
    const [job] = await store.replays.take({ nowMs, leaseMs: 60_000, limit: 1 });
    const nothing = { fresh: [], alreadySent: 0, isAtEnd: true, deferred: [] };
    const step = { ...nothing, tenant: TENANT, id, fence: job?.fence ?? 0, nowMs, leaseUntilMs: nowMs + 60_000 };
    await store.replays.step({ ...step, due: ["d1"], skipped: 1, finished: true });
  };
  return { store, start, run, finish };
}

describe("passbus replay", () => {
  it("creates one with all that is asked for, and says its id", async () => {
    const { store, run } = await setUp();
    const filters = [
      "--subscription",
      "sub_1",
      "--type",
      "created",
      "scanned",
      "--pass",
      "pass-1",
      "--status",
      "failed",
    ];
    const times = ["--since", "2023-01-01T00:00:00Z", "--until", "2023-12-31T00:00:00.5+01:00"];
    const { code, out, err } = await run(
      "replay",
      "create",
      ...filters,
      ...times,
      "--to",
      "sub_2",
      "--rate",
      "2.5",
      "--fresh-ids",
    );
    expect(code).toBe(0);
    const id = out.trim();
    expect(err).toContain("1 fit");
    expect(await store.replays.get(TENANT, id)).toMatchObject({
      filter: {
        subscriptionId: "sub_1",
        eventTypes: [1, 7],
        passId: "pass-1",
        status: "failed",
        fromMs: Date.UTC(2023, 0, 1),
        toMs: Date.UTC(2023, 11, 30, 23, 0, 0, 500),
      },
      targetSubscriptionId: "sub_2",
      ratePerSecond: 2.5,
      freshIds: true,
      counted: 1,
    });
  });

  it("counts only, where that is asked for", async () => {
    const { run } = await setUp();
    expect(await run("replay", "create", "--dry-run")).toEqual({ code: 0, out: "3 would be looked at\n", err: "" });
    expect((await run("replay", "list")).err).toBe("no replays\n");
  });

  it("lists, shows, pauses, resumes and cancels", async () => {
    const { run } = await setUp();
    const id = (await run("replay", "create")).out.trim();
    for (const [command, state] of [
      ["pause", "paused"],
      ["resume", "running"],
      ["cancel", "cancelled"],
    ] as const) {
      expect((await run("replay", command, id)).out).toMatch(new RegExp(`^state +${state}$`, "m"));
    }
    expect((await run("replay", "list")).out).toMatch(new RegExp(`^${id} .* cancelled +3 +0 +0`, "m"));
    expect(JSON.parse((await run("replay", "get", id, "--json")).out)).toMatchObject({ id, matched: "3", sent: "0" });
    const again = await run("replay", "resume", id);
    expect([again.code, again.err]).toEqual([EXIT.failed, expect.stringContaining("is cancelled")]);
  });

  it("watches one until it is over, a line for each step", async () => {
    const { start, run, finish } = await setUp();
    const id = (await run("replay", "create")).out.trim();
    const { terminal, ended } = start(["replay", "watch", id]);
    await eventually(5_000, "the first line", () => (terminal.said.out.includes("\n") ? true : undefined));
    await finish(id);
    expect(await within(10_000, "the end of the watch", ended)).toBe(0);
    expect(terminal.said.out).toBe(
      "running: 0 of 3 sent, 0 skipped; 0 delivered, 0 failed, 0 pending\n" +
        "finished: 1 of 3 sent, 1 skipped; 0 delivered, 0 failed, 1 pending\n",
    );
    expect(terminal.said.err).toBe("");
  });

  it("shows a bar to somebody at a terminal, and the end as a line", async () => {
    const { start, run, finish } = await setUp();
    const id = (await run("replay", "create")).out.trim();
    await finish(id);
    const { terminal, ended } = start(["replay", "watch", id], { showsProgress: true });
    expect(await within(10_000, "the end of the watch", ended)).toBe(0);
    const text = "finished: 1 of 3 sent, 1 skipped; 0 delivered, 0 failed, 1 pending";
    expect(terminal.said).toEqual({ out: `${text}\n`, err: `\r[################--------] ${text}\u001b[K\n` });
  });

  it("ends its watch, and not the replay, at a signal", async () => {
    const { store, start, run } = await setUp();
    const id = (await run("replay", "create")).out.trim();
    const { terminal, ended } = start(["replay", "watch", id, "--json"]);
    await eventually(5_000, "the first line", () => (terminal.said.out.includes("\n") ? true : undefined));
    terminal.signal("SIGINT");
    expect(await within(10_000, "the end of the watch", ended)).toBe(0);
    expect((await store.replays.get(TENANT, id))?.state).toBe("running");
  });

  it.each([
    ["replay", "create", "--since", "yesterday"],
    ["replay", "create", "--status", "waiting"],
    ["replay", "create", "--rate", "0"],
    ["deliveries", "retry"],
    ["deliveries", "retry", "d1", "--failed-since", "1h"],
    ["deliveries", "retry", "d1", "--subscription", "sub_1"],
  ])("refuses %s %s %s %s %s as usage", async (...args) => {
    const { run } = await setUp();
    expect((await run(...args)).code).toBe(EXIT.usage);
  });
});

describe("passbus deliveries", () => {
  it("retries all that failed since a time, as a replay", async () => {
    const { store, run } = await setUp();
    const beforeMs = Date.now();
    const { out } = await run("deliveries", "retry", "--failed-since", "2h", "--subscription", "sub_1");
    const replay = await store.replays.get(TENANT, out.trim());
    expect(replay?.filter).toMatchObject({ status: "failed", subscriptionId: "sub_1", eventTypes: [] });
    const agoMs = beforeMs - (replay?.filter.fromMs ?? 0);
    expect(agoMs).toBeGreaterThan(2 * 3_600_000 - 10_000);
    expect(agoMs).toBeLessThanOrEqual(2 * 3_600_000);
  });

  it("cancels what waits, and says what can't be", async () => {
    const { run } = await setUp();
    const { code, err } = await run("deliveries", "cancel", "d3", "d1");
    expect(code).toBe(EXIT.failed);
    expect(err).toContain("d3 is cancelled");
    expect(err).toContain("is failed already");
  });
});
