import { describe, expect, it } from "vitest";
import { testTerminal } from "../../test/support/terminal.ts";
import type { KeyRecord } from "../access/access-store.ts";
import { hashKey, idOfKey } from "../access/keys.ts";
import { runCli } from "./cli.ts";
import { keysCommand } from "./keys.ts";

function store() {
  const inserted: KeyRecord[] = [];
  let closed = 0;
  const command = keysCommand(async () => ({
    access: { insertKey: async (record) => void inserted.push(record) },
    close: async () => {
      closed += 1;
    },
  }));
  return { inserted, command, closes: () => closed };
}

const create = (...args: string[]) => ["keys", "create", ...args];

describe("passbus keys create", () => {
  it("stores a key's hash and prints its text alone", async () => {
    const { inserted, command, closes } = store();
    const terminal = testTerminal();
    const args = create("--organisation", "acme", "--environment", "test_1", "--role", "publisher");
    expect(await runCli(args, [command], terminal)).toBe(0);
    const text = terminal.said.out.trimEnd();
    expect(text).toMatch(/^pb_test_1_[0-9a-f]{32}_[0-9a-f]{64}$/);
    expect(inserted).toMatchObject([
      {
        id: idOfKey(text),
        hash: hashKey(text),
        role: "publisher",
        tenant: { organisation: "acme", environment: "test_1" },
      },
    ]);
    expect(terminal.said.err).not.toContain(text);
    expect(closes()).toBe(1);
  });

  it.each([
    [create("--role", "admin"), "PASSBUS_KEY"],
    [create("--role", "admin", "--expires", "soon"), "12h, 90d"],
    [create("--organisation", "acme"), "--role"],
    [create("--organisation", "acme", "--role", "king"), "admin, operator"],
    [create("--organisation", "a/b", "--role", "admin"), "organisation: must be"],
  ])("exits with 2 for %j, and stores nothing", async (args, says) => {
    const { inserted, command } = store();
    const terminal = testTerminal();
    expect(await runCli(args, [command], terminal)).toBe(2);
    expect(terminal.said.err).toContain(says);
    expect(inserted).toEqual([]);
  });

  it("closes the store where it takes no key", async () => {
    let closed = 0;
    const command = keysCommand(async () => ({
      access: { insertKey: () => Promise.reject(new Error("disk full")) },
      close: async () => {
        closed += 1;
      },
    }));
    const args = create("--organisation", "acme", "--role", "admin");
    expect(await runCli(args, [command], testTerminal())).toBe(1);
    expect(closed).toBe(1);
  });
});
