import { create } from "@bufbuild/protobuf";
import { afterEach, expect, test } from "vitest";
import {
  ChangeKind,
  type WatchChangesRequest,
  WatchChangesResponseSchema,
} from "../../gen/passbus/v1/delivery_service_pb.js";
import { type AnsweringServer, answeringServer } from "../../test/support/answering-server.ts";
import { testTerminal } from "../../test/support/terminal.ts";
import { changesCommand } from "./changes.ts";
import { runCli } from "./cli.ts";

const servers: AnsweringServer[] = [];
afterEach(() => Promise.all(servers.splice(0).map((server) => server.stop())));

async function run(...args: readonly string[]) {
  const asked: WatchChangesRequest[] = [];
  const server = await answeringServer({
    "passbus.v1.DeliveryService/WatchChanges": (request: unknown) => {
      asked.push(request as WatchChangesRequest);
      return create(WatchChangesResponseSchema, { kinds: [ChangeKind.BINS, ChangeKind.DEAD_LETTERS] });
    },
  });
  servers.push(server);
  const terminal = testTerminal({ PASSBUS_KEY: "a-key-that-is-long-enough" });
  const code = await runCli(["changes", ...args, "--url", server.url], [changesCommand()], terminal);
  return { code, asked, ...terminal.said };
}

test("shows each kind that changed, a line each with its time, and asks for what is said", async () => {
  const { code, out, asked } = await run("--kind", "dead_letters", "bins", "--entity", "shop");
  expect(code).toBe(0);
  const time = String.raw`\d{4}-\d\d-\d\dT[\d:.]+Z`;
  expect(out).toMatch(new RegExp(`^${time} {2}bins\n${time} {2}dead_letters\n$`));
  expect(asked).toMatchObject([{ kinds: [ChangeKind.DEAD_LETTERS, ChangeKind.BINS], entityId: "shop" }]);
});

test("ends after as many as were asked for, in JSON too", async () => {
  const { code, out, asked } = await run("--limit", "1", "--json");
  expect(code).toBe(0);
  expect(JSON.parse(out)).toEqual({ time: expect.any(String), kind: "bins" });
  expect(asked).toMatchObject([{ kinds: [], entityId: "" }]);
});

test("exits with 2 for a kind that is none", async () => {
  expect(await run("--kind", "weather")).toMatchObject({ code: 2, err: expect.stringContaining("replays") });
});
