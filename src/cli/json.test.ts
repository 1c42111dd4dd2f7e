/** What `--json` says of commands that change something: their facts on the standard output, and nothing else. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ADMIN_KEY, type TestApi, testApi } from "../../test/support/api.ts";
import { sampleLetter } from "../../test/support/samples.ts";
import { testTerminal } from "../../test/support/terminal.ts";
import type { AddCommand } from "./cli.ts";
import { runCli } from "./cli.ts";
import { deadLettersCommand } from "./dead-letters.ts";
import { deliveriesCommand } from "./deliveries.ts";
import { keysCommand } from "./keys.ts";
import { limitsCommand } from "./limits.ts";
import { portalCommand } from "./portal.ts";
import { subscriptionsCommand } from "./subscriptions.ts";

let api: TestApi;
beforeAll(async () => {
  api = await testApi();
});
afterAll(() => api.stop(0));

const inStore: { id: string }[] = [];
const openStore = async () => ({
  access: { insertKey: async ({ id }: { id: string }) => void inStore.push({ id }) },
  close: async () => {},
});
const COMMANDS: readonly AddCommand[] = [
  deadLettersCommand(),
  deliveriesCommand(),
  keysCommand(openStore),
  limitsCommand(),
  portalCommand(),
  subscriptionsCommand(),
];

async function json(...args: readonly string[]) {
  const terminal = testTerminal({ PASSBUS_KEY: ADMIN_KEY });
  const url = args.includes("--organisation") ? [] : ["--url", api.url];
  const code = await runCli([...args, "--json", ...url], COMMANDS, terminal);
  expect([code, terminal.said.err]).toEqual([0, ""]);
  return JSON.parse(terminal.said.out);
}

describe("in JSON", () => {
  it("a key is made, with its text, and revoked", async () => {
    const { key, secret } = await json("keys", "create", "--role", "viewer");
    expect([key.role, secret]).toEqual(["ROLE_VIEWER", expect.stringMatching(/^pb_production_/)]);
    expect(await json("keys", "revoke", key.id)).toEqual({ revoked: key.id });
    const first = await json("keys", "create", "--role", "admin", "--organisation", "globex");
    expect(first).toEqual({
      key: { id: inStore[0]?.id, organisation: "globex", environment: "production", role: "admin" },
      secret: expect.stringMatching(/^pb_production_/),
    });
  });

  it("a portal session is made, with its token, and ended", async () => {
    const { session, token } = await json("portal", "create", "--entity", "shop");
    expect([session.entityId, token]).toEqual(["shop", expect.stringMatching(/^pbs_production_/)]);
    expect(await json("portal", "revoke", session.id)).toEqual({ revoked: session.id });
  });

  it("limits are shown and set", async () => {
    expect(await json("limits", "set", "--entity-subscriptions", "25")).toMatchObject({ entitySubscriptions: 25 });
    expect(await json("limits", "show")).toMatchObject({ entitySubscriptions: 25, eventRetention: "2592000s" });
  });

  it("deliveries are stopped and started", async () => {
    expect(await json("deliveries", "stop")).toEqual({ scope: "organisation", stopped: true });
    expect(await json("deliveries", "start")).toEqual({ scope: "organisation", stopped: false });
  });

  it("a subscription is deleted", async () => {
    const { subscription } = await json("subscriptions", "create", "--endpoint", "https://a.example/");
    expect(await json("subscriptions", "delete", subscription.id, "--confirm", subscription.id)).toEqual({
      deleted: subscription.id,
    });
  });

  it("dead letters are sent again", async () => {
    const ids = await api.stage.deadLetters.add(sampleLetter(1), sampleLetter(2));
    expect(await json("dead-letters", "redrive", ...ids)).toEqual({ redriven: 2 });
  });
});
