/** `passbus limits` and `passbus deliveries stop|start|switch`: the commands of AccessService. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ADMIN_KEY, type TestApi, testApi } from "../../test/support/api.ts";
import { testTerminal } from "../../test/support/terminal.ts";
import { runCli } from "./cli.ts";
import { deliveriesCommand } from "./deliveries.ts";
import { limitsCommand } from "./limits.ts";

let api: TestApi;
beforeEach(async () => {
  api = await testApi();
});
afterEach(() => api.stop(0));

async function run(args: readonly string[], key: string = ADMIN_KEY) {
  const terminal = testTerminal({ PASSBUS_KEY: key });
  const code = await runCli([...args, "--url", api.url], [limitsCommand(), deliveriesCommand()], terminal);
  return { code, ...terminal.said };
}

const linesOf = (out: string) =>
  out
    .trimEnd()
    .split("\n")
    .map((line) => line.split(/ {2,}/));

describe("passbus limits", () => {
  it("shows what holds, and changes what is named and nothing else", async () => {
    expect(linesOf((await run(["limits", "show"])).out)).toEqual([
      ["organisation subscriptions", "10"],
      ["entity subscriptions", "10"],
      ["event retention", "30 d"],
      ["delivery retention", "30 d"],
      ["payload retention", "as the event"],
      ["calls a second", "any number"],
      ["events a second", "any number"],
    ]);
    const set = await run(["limits", "set", "--event-retention", "90d", "--payload-retention", "36h"]);
    expect([set.code, linesOf(set.out).slice(2, 5)]).toEqual([
      0,
      [
        ["event retention", "90 d"],
        ["delivery retention", "30 d"],
        ["payload retention", "36 h"],
      ],
    ]);
    await run(["limits", "set", "--entity-subscriptions", "25", "--payload-retention", "0"]);
    expect(linesOf((await run(["limits", "show"])).out)).toEqual([
      ["organisation subscriptions", "10"],
      ["entity subscriptions", "25"],
      ["event retention", "90 d"],
      ["delivery retention", "30 d"],
      ["payload retention", "as the event"],
      ["calls a second", "any number"],
      ["events a second", "any number"],
    ]);
  });

  it.each([
    [["--event-retention", "30m"], "It must be a whole number of days or hours"],
    [["--entity-subscriptions", "many"], "It must be a whole number from 0 on"],
    [[], "say what to change"],
  ])("set %j is a mistake of use", async (args, message) => {
    const { code, err } = await run(["limits", "set", ...args]);
    expect([code, err]).toEqual([2, expect.stringContaining(message)]);
  });

  it("says what the server refuses", async () => {
    const { code, err } = await run(["limits", "set", "--event-retention", "2d", "--payload-retention", "3d"]);
    expect([code, err]).toEqual([
      1,
      expect.stringContaining("limits.payload_retention: must not be longer than event"),
    ]);
  });
});

describe("passbus deliveries stop, start and switch", () => {
  it("turn and show the organisation's and the service's", async () => {
    expect(linesOf((await run(["deliveries", "switch"])).out)).toEqual([
      ["SCOPE", "DELIVERIES", "SINCE", "BY", "REASON"],
      ["organisation", "go out", "-", "-", "-"],
      ["service", "go out", "-", "-", "-"],
    ]);
    expect((await run(["deliveries", "stop", "--reason", "an incident"])).err).toBe(
      "deliveries of the organisation: stopped\n",
    );
    expect((await run(["deliveries", "stop", "--service"])).err).toBe("deliveries of the service: stopped\n");
    const [, own = [], service = []] = linesOf((await run(["deliveries", "switch"])).out);
    expect([own[0], own[1], own[3], own[4]]).toEqual(["organisation", "stopped", "bootstrap", "an incident"]);
    expect([service[0], service[1], service[4]]).toEqual(["service", "stopped", "-"]);
    await run(["deliveries", "start"]);
    await run(["deliveries", "start", "--service"]);
    const { out } = await run(["deliveries", "switch", "--json"]);
    expect(
      out
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line)),
    ).toMatchObject([
      { scope: "DELIVERY_SWITCH_SCOPE_ORGANISATION", stopped: false },
      { scope: "DELIVERY_SWITCH_SCOPE_SERVICE", stopped: false },
    ]);
  });

  it("say what the server refuses", async () => {
    const key = api.stage.key("viewer");
    const { code, err } = await run(["deliveries", "stop"], key);
    expect([code, err]).toEqual([1, expect.stringContaining("a key of the role viewer may not call")]);
  });
});
