/**
 * The command line as a whole: each example that its help shows runs, and between them they call every RPC. Each runs
 * against a server that answers everything with nothing and remembers what it was asked.
 */
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { UNUSED_DEPS } from "../scripts/cli-page.ts";
import { programOf, runCli } from "../src/cli/cli.ts";
import { allCommands } from "../src/cli/commands.ts";
import { EXAMPLES } from "../src/cli/examples.ts";
import { commandsOf, isGroup } from "../src/cli/tree.ts";
import { type AnsweringServer, answeringServer } from "./support/answering-server.ts";
import { METHODS, nameOf } from "./support/everyone.ts";
import { testTerminal } from "./support/terminal.ts";

/** RPCs that no command calls, and why not. */
const NOT_CALLED: readonly (readonly [names: RegExp, why: string])[] = [
  [/^io\.Integrations\//, "PassKit's own API, for its clients: `subscriptions` reaches the same subscriptions"],
  [/^grpc\.health\.v1\.Health\//, "for load balancers; `doctor` asks /readyz, which says why too"],
  [/^grpc\.reflection\./, "for grpcurl and its like, which have commands of their own"],
];

/** They work on the machine and not on a server: their examples are only read. */
const LOCAL = ["serve", "demo", "init", "doctor", "config", "completion", "keys reencrypt"];

const commands = allCommands(UNUSED_DEPS);
const leaves = commandsOf(programOf(commands, testTerminal())).filter(({ command }) => !isGroup(command));
const examples = Object.entries(EXAMPLES).flatMap(([path, lines]) => lines.map((line) => [path, line] as const));

let server: AnsweringServer;
let directory: string;
const before = process.cwd();
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "passbus-examples-"));
  process.chdir(directory);
  writeFileSync("events.jsonl", '{"id":"a","type":"PASS_EVENT_TYPE_CREATED","pass":{"id":"p1"}}\n');
  writeFileSync("subscription.json", "{}");
  const clients = join(import.meta.dirname, "support", "tls", "clients");
  copyFileSync(join(clients, "good.pem"), "client.pem");
  copyFileSync(join(clients, "key.pem"), "client.key");
  server = await answeringServer();
});
afterAll(async () => {
  process.chdir(before);
  rmSync(directory, { recursive: true });
  await server.stop();
});

/** The words behind `passbus`, as a shell hands them over: up to a redirection, or the end of a substitution. */
function wordsOf(example: string): string[] {
  const [, text = ""] = /(?:^|[\s(])passbus (.*?)(?:\)| > .*)?$/.exec(example) ?? [];
  return Array.from(
    text.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g),
    ([, single, double, plain]) => single ?? double ?? plain ?? "",
  );
}

async function run(words: readonly string[], given = commands) {
  const input = ['{"id":"b","type":"PASS_EVENT_TYPE_CREATED","pass":{"id":"p1"}}\n'];
  const terminal = testTerminal({ PASSBUS_KEY: "a-key-that-is-long-enough" }, input);
  const code = await runCli(words, given, terminal);
  return { code, ...terminal.said };
}

/** The command does nothing but be understood. */
function understanding(path: string): readonly ((program: Command) => void)[] {
  const stub = (program: Command) => {
    commandsOf(program)
      .find((node) => node.path === path)
      ?.command.action(() => {});
  };
  return [...commands.map((add) => (program: Command) => add(program, testTerminal())), stub];
}

describe("the examples", () => {
  test("are there for each command, and for nothing else", () => {
    expect(Object.keys(EXAMPLES).sort()).toEqual(leaves.map(({ path }) => path).sort());
  });

  test.each(examples)("of %s: %s", async (path, example) => {
    const words = wordsOf(example);
    expect(words.join(" ").startsWith(path), `it is not one of "${path}"`).toBe(true);
    const isLocal = LOCAL.includes(path) || words.includes("--organisation");
    const { code, err } = isLocal ? await run(words, understanding(path)) : await run([...words, "--url", server.url]);
    expect(code, err).not.toBe(2);
    expect(err).not.toContain("a mistake of its own");
    if (isLocal) expect(code, err).toBe(0);
  });

  test("call every RPC between them", () => {
    const isExcused = (name: string) => NOT_CALLED.some(([names]) => names.test(name));
    const names = METHODS.map(nameOf);
    expect(names.filter((name) => !server.called.has(name) && !isExcused(name))).toEqual([]);
    // An excuse that nobody needs goes.
    expect([...server.called].filter(isExcused)).toEqual([]);
    for (const [excused] of NOT_CALLED) expect(names.some((name) => excused.test(name))).toBe(true);
  });
});

/** What they show is for people alone, or goes on until it is stopped. */
const WITHOUT_JSON = ["serve", "demo", "completion"];

describe("every command", () => {
  test("has --json", () => {
    const without = leaves.filter(({ command }) => command.options.every(({ long }) => long !== "--json"));
    expect(without.map(({ path }) => path)).toEqual(WITHOUT_JSON);
  });

  test("shows its examples in its help, and exits with 0", async () => {
    for (const { path } of leaves) {
      const { code, out } = await run([...path.split(" "), "--help"]);
      expect([path, code]).toEqual([path, 0]);
      for (const line of EXAMPLES[path] ?? []) expect(out).toContain(line);
    }
  });
});
