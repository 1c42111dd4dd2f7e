import { create } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { afterEach, describe, expect, it } from "vitest";
import {
  type GetDeliveryStatsRequest,
  GetDeliveryStatsResponseSchema,
  GetOverviewResponseSchema,
  WatchOverviewResponseSchema,
} from "../../gen/passbus/v1/delivery_service_pb.js";
import { EndpointCondition } from "../../gen/passbus/v1/subscription_pb.js";
import { type AnsweringServer, type Answers, answeringServer } from "../../test/support/answering-server.ts";
import { testTerminal } from "../../test/support/terminal.ts";
import { runCli } from "./cli.ts";
import { overviewCommand, statsCommand } from "./stats.ts";

const AT = "2023-11-14T22:13:20.000Z";
const time = timestampFromMs(1_700_000_000_000);

const servers: AnsweringServer[] = [];
afterEach(() => Promise.all(servers.splice(0).map((server) => server.stop())));

async function run(answers: Answers, ...args: readonly string[]) {
  const server = await answeringServer(answers);
  servers.push(server);
  const terminal = testTerminal({ PASSBUS_KEY: "a-key-that-is-long-enough" });
  const code = await runCli([...args, "--url", server.url], [statsCommand(), overviewCommand()], terminal);
  return { code, ...terminal.said };
}

const rowsOf = (out: string) =>
  out
    .trimEnd()
    .split("\n")
    .map((line) => line.split(/ {2,}/));

describe("passbus stats", () => {
  it("shows a line for each step and one for all, and asks for what is said", async () => {
    const asked: GetDeliveryStatsRequest[] = [];
    const numbers = { delivered: 5n, failed: 1n, attempts: 9n, failedAttempts: 4n, p50: durationFromMs(12) };
    const point = { time, ...numbers, p99: durationFromMs(1_500), delayP50: durationFromMs(300_000) };
    const stats = (request: unknown) => {
      asked.push(request as GetDeliveryStatsRequest);
      return create(GetDeliveryStatsResponseSchema, { points: [point], total: numbers });
    };
    const answers = { "passbus.v1.DeliveryService/GetDeliveryStats": stats };
    const args = ["stats", "--subscription", "sub_1", "--since", AT, "--until", AT, "--step", "5m"];
    const { code, out } = await run(answers, ...args);
    expect(code).toBe(0);
    expect(rowsOf(out).slice(1)).toEqual([
      [AT, "5", "1", "9", "4", "12 ms", "1.5 s", "5 min", "-"],
      ["together", "5", "1", "9", "4", "12 ms", "-", "-", "-"],
    ]);
    const range = { startTime: time, endTime: time };
    expect(asked).toMatchObject([{ subscriptionId: "sub_1", step: durationFromMs(300_000), ...range }]);
    expect(JSON.parse((await run(answers, "stats", "--json")).out)).toMatchObject({ delivered: "5", p50: "0.012s" });
  });

  it("exits with 2 for a step that is none", async () => {
    expect(await run({}, "stats", "--step", "0m")).toMatchObject({ code: 2, err: expect.stringContaining("1m, 5m") });
  });
});

describe("passbus overview", () => {
  const answers = {
    "passbus.v1.DeliveryService/GetOverview": () =>
      create(GetOverviewResponseSchema, {
        eventsPerSecond: 1.234,
        backlog: { waiting: 7n, due: 3n, oldestDueAge: durationFromMs(90_000) },
        failing: [
          {
            subscriptionId: "sub_1",
            url: "https://a/",
            health: { condition: EndpointCondition.OPEN, failingSince: time },
          },
        ],
        failingCount: 3,
        breakers: { open: 1 },
        service: { lagRecords: 11n, workers: [{ id: "w1", inFlight: 2n, stalled: true }] },
      }),
  };

  it("shows rates, what waits, what fails and who works", async () => {
    const { code, out } = await run(answers, "overview");
    expect(code).toBe(0);
    expect(out).toMatch(/^events a second +1.23$/m);
    expect(out).toMatch(/^waiting +7, of them due 3, the oldest for 90 s$/m);
    expect(out).toMatch(/^lag of the log +11 records$/m);
    expect(out).toMatch(new RegExp(`^sub_1 +https://a/ +open +${AT} +-$`, "m"));
    expect(out).toContain("and 2 more\n");
    expect(out).toMatch(/^w1 +- +2 +0 +0 +0 +yes/m);
    expect(JSON.parse((await run(answers, "overview", "--json")).out)).toMatchObject({ failingCount: 3 });
  });

  it("shows it anew whenever it has changed, with its time", async () => {
    const watched = {
      "passbus.v1.DeliveryService/WatchOverview": () =>
        create(WatchOverviewResponseSchema, { overview: { time, eventsPerSecond: 5 } }),
    };
    const { out } = await run(watched, "overview", "--watch");
    expect(out).toMatch(new RegExp(`^\n${AT}\nevents a second +5$`, "m"));
    expect(JSON.parse((await run(watched, "overview", "--watch", "--json")).out)).toMatchObject({ eventsPerSecond: 5 });
  });
});
