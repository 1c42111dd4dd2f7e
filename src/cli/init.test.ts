import { expect, test } from "vitest";
import { testTerminal } from "../../test/support/terminal.ts";
import type { KeyRecord } from "../access/access-store.ts";
import type { PreparationStep } from "../kernel/preparation.ts";
import { EXIT, runCli } from "./cli.ts";
import { type FirstKeyStore, initCommand } from "./init.ts";

function setUp(steps: readonly PreparationStep[], environment: Record<string, string> = {}) {
  const keys: KeyRecord[] = [];
  const open = { preparation: 0, store: 0 };
  const access: FirstKeyStore = {
    insertKey: async (record: KeyRecord) => void keys.push(record),
    hasKeys: async () => keys.length > 0,
  };
  const command = initCommand({
    preparation: () => {
      open.preparation++;
      return { survey: async () => steps, close: async () => void open.preparation-- };
    },
    openStore: async () => {
      open.store++;
      return { access, close: async () => void open.store-- };
    },
    makeFirstKey: async (_config, store, show) => {
      if (await store.hasKeys()) return false;
      show("pb_production_the-key");
      await store.insertKey({
        id: "k",
        tenant: { organisation: "o", environment: "e" },
        role: "admin",
        hash: "",
        createdAtMs: 0,
      });
      return true;
    },
  });
  const run = async (...args: readonly string[]) => {
    const terminal = testTerminal(environment);
    const code = await runCli(["init", ...args], [command], terminal);
    return { code, ...terminal.said };
  };
  return { run, keys, open };
}

const missing = (what: string, made: string[]): PreparationStep => ({
  what,
  state: made.includes(what) ? "present" : "missing",
  make: async () => void made.push(what),
});

test("makes what is missing, in order, and the first key, which stands alone on a line", async () => {
  const made: string[] = [];
  const { run, keys, open } = setUp([missing("topic a", made), missing("index b", made)]);
  const { code, out, err } = await run();
  expect(code).toBe(EXIT.done);
  expect(made).toEqual(["topic a", "index b"]);
  expect(out).toMatch(/^made {7}topic a\nmade {7}index b\npb_production_the-key\nmade {7}an admin's key/);
  expect(err).toContain("shown this once");
  expect(keys).toHaveLength(1);
  expect(open).toEqual({ preparation: 0, store: 0 });
});

test("a dry run says the same and makes nothing", async () => {
  const made: string[] = [];
  const { run, keys } = setUp([missing("topic a", made), { what: "topic b", state: "present" }]);
  const { code, out } = await run("--dry-run");
  expect(code).toBe(EXIT.done);
  expect(out).toBe(
    "would make topic a\nthere      topic b\nwould make an admin's key of default/production, if there is no key yet\n",
  );
  expect([made, keys]).toEqual([[], []]);
});

test("done again it finds all there", async () => {
  const { run } = setUp([{ what: "topic a", state: "present" }]);
  await run();
  expect((await run()).out).toBe("there      topic a\nthere      a key\n");
  expect((await run("--dry-run")).out).toBe("there      topic a\nthere      a key\n");
});

test("what it can't mend fails it, after everything else was made", async () => {
  const made: string[] = [];
  const { run } = setUp([{ what: "topic a", state: "wrong", detail: "1 replica" }, missing("index b", made)]);
  const { code, out, err } = await run();
  expect(code).toBe(EXIT.failed);
  expect(out).toContain("WRONG      topic a: 1 replica\n");
  expect(made).toEqual(["index b"]);
  expect(err).toContain("1 of these passbus can't mend");
});

test("tells programs each thing in JSON, the key too", async () => {
  const { run } = setUp([{ what: "topic a", state: "wrong", detail: "1 replica", make: async () => {} }]);
  const { out, err } = await run("--json");
  const lines = out
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(lines).toEqual([
    { did: "mended", what: "topic a", detail: "1 replica" },
    { key: "pb_production_the-key" },
    { did: "made", what: "an admin's key of default/production" },
  ]);
  expect(err).toBe("");
});

test("with a bootstrap key none is made", async () => {
  const { run, keys } = setUp([], { PASSBUS_BOOTSTRAP_KEY: "a-bootstrap-key!" });
  expect((await run()).out).toBe("there      a key: PASSBUS_BOOTSTRAP_KEY\n");
  expect(keys).toEqual([]);
});
