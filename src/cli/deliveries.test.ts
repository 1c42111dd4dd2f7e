import { afterEach, describe, expect, it } from "vitest";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { attempt, event, finished, waiting } from "../../test/contracts/rows.ts";
import { ADMIN_KEY, emptyDeliveryLog, type TestApi, testApi } from "../../test/support/api.ts";
import { MemoryChanges } from "../../test/support/memory-changes.ts";
import { sampleEvent, sampleSubscription } from "../../test/support/samples.ts";
import { type TestTerminal, testTerminal } from "../../test/support/terminal.ts";
import { eventually, within } from "../../test/support/within.ts";
import type { DeliveryFilter, DeliveryLog } from "../delivery/delivery-store.ts";
import type { Delivery } from "../domain/delivery.ts";
import { LIMITS } from "../kernel/limits.ts";
import type { PageRequest } from "../kernel/page.ts";
import { type AddCommand, runCli } from "./cli.ts";
import { deliveriesCommand } from "./deliveries.ts";
import { explainCommand, tailCommand } from "./tail.ts";

const KEY = { PASSBUS_KEY: ADMIN_KEY };
const COMMANDS: readonly AddCommand[] = [deliveriesCommand(), tailCommand(), explainCommand()];
const AT = "2023-11-14T22:13:20.000Z";

const opened: TestApi[] = [];
afterEach(() => Promise.all(opened.splice(0).map((api) => api.stop(0))));

async function setUp(deliveryLog: Partial<DeliveryLog> = {}) {
  const changes = new MemoryChanges();
  const subscriptions = [sampleSubscription(), sampleSubscription({ id: "sub_2", entityId: "other" })];
  const api = await testApi({
    changes,
    feed: { load: async () => ({ version: 1, subscriptions }) },
    deliveryLog: { ...emptyDeliveryLog, ...deliveryLog },
  });
  opened.push(api);
  const start = (args: readonly string[], environment: Record<string, string> = KEY) => {
    const terminal = testTerminal(environment);
    return { terminal, ended: runCli([...args, "--url", api.url], COMMANDS, terminal) };
  };
  const run = async (args: readonly string[], environment?: Record<string, string>) => {
    const { terminal, ended } = start(args, environment);
    return { code: await within(10_000, "the command's end", ended), ...terminal.said };
  };
  return { api, changes, start, run };
}

/** The stream behind the command has begun. */
const begun = (terminal: TestTerminal) =>
  eventually(5_000, "the first answer", () => (terminal.said.err.includes("Ctrl-C") ? true : undefined));

const tried: Delivery = waiting("dlv_1", 1_700_000_005_000, {
  eventId: "evt_\u001b1",
  attempts: [attempt("a1", { statusCode: 503, errorMessage: "answered 503", responseExcerpt: "busy\r\n".repeat(30) })],
  attemptCount: 1,
});

describe("passbus deliveries", () => {
  it("lists what is asked for, a line each, over as many pages as it takes", async () => {
    const asked: [DeliveryFilter, PageRequest][] = [];
    const { run } = await setUp({
      listDeliveries: async (_tenant, filter, page) => {
        asked.push([filter, page]);
        if (page.after !== undefined) return { items: [finished("dlv_2", "delivered", "a")] };
        return { items: [tried], next: { timeMs: 7, id: "dlv_1" } };
      },
    });
    const filters = [
      "--subscription",
      "sub_1",
      "--event",
      "e",
      "--pass",
      "p",
      "--status",
      "waiting",
      "--type",
      "created",
      "--limit",
      "30",
    ];
    const range = ["--since", AT, "--until", "2023-11-14T22:13:21Z"];
    const { out } = await run(["deliveries", "list", ...filters, ...range]);
    expect(
      out
        .trimEnd()
        .split("\n")
        .map((line) => line.split(/ {2,}/)),
    ).toEqual([
      ["ID", "CREATED", "STATUS", "ATTEMPTS", "LAST", "NEXT", "EVENT", "TYPE", "SUBSCRIPTION"],
      ["dlv_1", AT, "waiting", "1", "503", "2023-11-14T22:13:25.000Z", "evt_\\u{1b}1", "created", "sub_1"],
      ["dlv_2", AT, "delivered", "1", "500", "-", "evt_1", "created", "sub_1"],
    ]);
    const times = { fromMs: Date.parse(AT), toMs: Date.parse(AT) + 1_000 };
    const filter = {
      subscriptionId: "sub_1",
      eventId: "e",
      passId: "p",
      status: "waiting",
      type: PassEventType.CREATED,
      ...times,
    };
    expect(asked).toEqual([
      [filter, { size: 30 }],
      [filter, { size: 29, after: { timeMs: 7, id: "dlv_1" } }],
    ]);
    const json = await run(["deliveries", "list", "--json", "--limit", "2"]);
    expect(
      json.out
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line).id),
    ).toEqual(["dlv_1", "dlv_2"]);
  });

  it("says that there are none", async () => {
    const { run } = await setUp();
    expect(await run(["deliveries", "list"])).toEqual({ code: 0, out: "", err: "no deliveries\n" });
  });

  it("shows one with its attempts, and nothing that moves the cursor", async () => {
    const { run } = await setUp({ getDelivery: async (_tenant, id) => (id === "dlv_1" ? tried : undefined) });
    const { out } = await run(["deliveries", "get", "dlv_1"]);
    expect(out).not.toMatch(/[^\P{C}\n]/u);
    expect(out).toContain("\nnext attempt  2023-11-14T22:13:25.000Z\n");
    const [heads = "", row = ""] = out.trimEnd().split("\n").slice(-2);
    expect(heads.split(/ {2,}/)).toEqual(["STARTED", "TOOK", "STATUS", "ERROR", "RESPONSE"]);
    expect(row.split(/ {2,}/)).toEqual([
      AT,
      "12 ms",
      "503",
      "http.status: answered 503",
      expect.stringMatching(/^busy\\u\{d\}.*…$/),
    ]);
    expect(JSON.parse((await run(["deliveries", "get", "dlv_1", "--json"])).out)).toMatchObject({ id: "dlv_1" });
    expect(await run(["deliveries", "get", "dlv_2"])).toMatchObject({
      code: 1,
      err: expect.stringContaining('there is no delivery "dlv_2"'),
    });
  });

  it("retries those that are named, up to the first that is refused", async () => {
    const retried: string[] = [];
    const { api, run } = await setUp({
      retry: async (_tenant, id) => {
        retried.push(id);
        return id === "dlv_3" ? "attempting" : waiting(id, 0, { run: 2 });
      },
    });
    const { code, err } = await run(["deliveries", "retry", "dlv_1", "dlv_2", "dlv_3", "dlv_4"]);
    expect([code, retried, api.stage.wakes]).toEqual([1, ["dlv_1", "dlv_2", "dlv_3"], 2]);
    expect(err).toContain("dlv_1 is waiting, in run 2\ndlv_2 is waiting, in run 2\n");
    expect(err).toContain("is being attempted right now");
    expect(JSON.parse((await run(["deliveries", "retry", "dlv_1", "--json"])).out)).toMatchObject({ run: 2 });
  });

  it("watches until its limit", async () => {
    const { changes, start } = await setUp();
    const { terminal, ended } = start([
      "deliveries",
      "watch",
      "--status",
      "delivered",
      "--type",
      "created",
      "--limit",
      "2",
    ]);
    await begun(terminal);
    const scan = finished("dlv_1", "delivered", "a", { eventType: PassEventType.SCANNED });
    changes.change(tried, scan, finished("dlv_2", "delivered", "a"), finished("dlv_3", "delivered", "a"));
    expect(await within(5_000, "the end", ended)).toBe(0);
    expect(terminal.said.out).toBe(
      "dlv_2  delivered   1 attempt   500  evt_1  sub_1\ndlv_3  delivered   1 attempt   500  evt_1  sub_1\n",
    );
  });
});

describe("passbus tail", () => {
  const created = sampleEvent("evt_1").stored;

  it("shows events as they are stored, until it is told to stop", async () => {
    const { changes, start } = await setUp();
    const { terminal, ended } = start(["tail", "--pass", "pass-1", "--type", "installed"]);
    await begun(terminal);
    changes.store(sampleEvent("evt_0", { passId: "another" }).stored, created);
    await eventually(5_000, "the event's line", () => (terminal.said.out === "" ? undefined : true));
    terminal.signal("SIGINT");
    expect(await within(5_000, "the end", ended)).toBe(0);
    expect(terminal.said).toEqual({
      out: `${AT}  installed    evt_1  pass-1\n`,
      err: "waiting for events; Ctrl-C ends it\n",
    });
    await eventually(5_000, "the reader closed", () => (changes.open === 0 ? true : undefined));
  });

  it("gives a line in JSON each", async () => {
    const { changes, start } = await setUp();
    const { terminal, ended } = start(["tail", "--json", "--limit", "1"]);
    await begun(terminal);
    changes.store(created);
    expect(await within(5_000, "the end", ended)).toBe(0);
    expect(JSON.parse(terminal.said.out)).toMatchObject({ acceptedAt: AT.replace(".000", ""), event: { id: "evt_1" } });
  });

  it("exits with 1 when the server stops", async () => {
    const { api, start } = await setUp();
    const { terminal, ended } = start(["tail"]);
    await begun(terminal);
    await api.stop(1_000);
    expect(await within(5_000, "the end", ended)).toBe(1);
    expect(terminal.said.err).toContain("passbus is stopping");
  });
});

describe("passbus explain", () => {
  it("says what became of an event", async () => {
    const { stored } = sampleEvent("evt_1");
    const { run } = await setUp({ getEvent: async () => stored });
    const { out } = await run(["explain", "evt_1"]);
    expect(
      out
        .trimEnd()
        .split("\n")
        .map((line) => line.split(/ {2,}/).slice(0, 3)),
    ).toEqual([
      ["SUBSCRIPTION", "DELIVERY", "REASON"],
      ["sub_1", "-", "match.pending"],
      ["sub_2", "-", "match.scope"],
    ]);
    const one = await run(["explain", "evt_1", "--subscription", "sub_2", "--json"]);
    expect(JSON.parse(one.out)).toMatchObject({ subscriptionId: "sub_2", reason: "match.scope" });
  });

  it("says where there are more than one answer holds", async () => {
    const { stored } = sampleEvent("evt_1");
    const many = Array.from({ length: LIMITS.pageSize + 1 }, (_, at) => waiting(`d_${at}`));
    const { run } = await setUp({ getEvent: async () => stored, listDeliveries: async () => ({ items: many }) });
    const { out, err } = await run(["explain", "evt_1"]);
    expect(out.trimEnd().split("\n")).toHaveLength(LIMITS.pageSize + 1);
    expect(err).toBe("there are more; --subscription asks for one\n");
  });

  it("says that there is no such event", async () => {
    const { run } = await setUp();
    const { code, err } = await run(["explain", event("evt_1").id]);
    expect([code, err]).toEqual([1, expect.stringContaining('there is no event "evt_1"')]);
  });
});

describe("the commands that read", () => {
  it.each([
    [["deliveries", "list", "--status", "lost"], KEY, "waiting, attempting, held"],
    [["deliveries", "watch", "--limit", "0"], KEY, "from 1 on"],
    [["deliveries", "retry"], KEY, "id"],
    [["tail", "--type", "lost"], KEY, "created, installed"],
    [["tail"], {}, "PASSBUS_KEY"],
    [["explain"], KEY, "event"],
  ])("exit with 2 for %j under %j", async (args, environment, says) => {
    const { run } = await setUp();
    const { code, err } = await run(args, environment);
    expect([code, err]).toEqual([2, expect.stringContaining(says)]);
  });

  it.each([["tail"], ["deliveries watch"], ["deliveries list"], ["explain evt_1"]])(
    "%s exits with 1 where the key is nobody's",
    async (command) => {
      const { run } = await setUp();
      const { code, err } = await run([...command.split(" "), "--key", "nobodys-key-at-all"]);
      expect([code, err]).toEqual([1, expect.stringContaining("unauthenticated")]);
    },
  );
});
