/** The completions as the shells themselves run them. */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { UNUSED_DEPS } from "../../scripts/cli-page.ts";
import { onPath, requirement } from "../../test/support/requirements.ts";
import { testTerminal } from "../../test/support/terminal.ts";
import { runCli } from "./cli.ts";
import { allCommands } from "./commands.ts";

let directory: string;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "passbus-completion-"));
  writeFileSync(join(directory, "events.jsonl"), "");
  for (const shell of ["bash", "zsh", "fish"]) {
    const terminal = testTerminal();
    expect(await runCli(["completion", shell], allCommands(UNUSED_DEPS), terminal)).toBe(0);
    writeFileSync(join(directory, shell), terminal.said.out);
  }
});
afterAll(() => rmSync(directory, { recursive: true }));

/** What a shell offers for the last of the words, without what it is about, in the alphabet's order. */
type Complete = (...words: readonly string[]) => readonly string[];

function linesOf(shell: string, args: readonly string[]): readonly string[] {
  const options = { cwd: directory, encoding: "utf8", timeout: 30_000 } as const;
  const output = execFileSync(shell, args, options);
  return output
    .split("\n")
    .filter((line) => line !== "")
    .sort();
}

const BASH = `
source ./bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _passbus 2>/dev/null; printf "%s\\n" "\${COMPREPLY[@]}"`;
const inBash: Complete = (...words) => linesOf("bash", ["--norc", "-c", BASH, "bash", ...words]);

/** What passbus is called with when `typed` is typed to a bash that edits lines, as it does without a terminal too. */
async function typedInBash(typed: string): Promise<readonly string[]> {
  const there = mkdtempSync(join(directory, "typed-"));
  for (const name of ["my events.jsonl", "st*r.jsonl", "star.jsonl"]) writeFileSync(join(there, name), "");
  mkdirSync(join(there, "a day"));
  writeFileSync(join(there, "a day", "only.jsonl"), "");
  const env = { ...process.env, INPUTRC: "/dev/null", HISTFILE: "/dev/null" };
  // Detached: it would make the terminal of whoever runs the tests its own.
  const options = { cwd: there, env, detached: true, timeout: 30_000 } as const;
  const bash = spawn("bash", ["--norc", "-i"], { ...options, stdio: ["pipe", "ignore", "ignore"] });
  bash.stdin.end(`source ../bash; passbus() { printf '%s\\n' "$@" > called; }\n${typed}\n`);
  await once(bash, "close");
  return readFileSync(join(there, "called"), "utf8").trimEnd().split("\n");
}

/** Outside of the line editor what its functions are given is shown instead. */
const ZSH = `
compdef() {}
compset() { : }
compadd() { shift; print -rl -- "$@" }
_files() { print -rl -- * }
_describe() { print -rl -- "\${found[@]%%:*}" }
source ./zsh; words=("$@"); CURRENT=$#; _passbus`;
const inZsh: Complete = (...words) => {
  const last = words.at(-1)?.replace(/^--[^=]*=/, "") ?? "";
  return linesOf("zsh", ["-f", "-c", ZSH, "zsh", ...words]).filter((word) => word.startsWith(last));
};

const inFish: Complete = (...words) =>
  linesOf("fish", ["--no-config", "-c", "source ./fish; complete -C $argv[1]", words.join(" ")]).map((line) =>
    line.replace(/\t.*/, "").replace(/^--[^=]*=/, ""),
  );

function completes(complete: Complete): void {
  it("commands, and those below them", () => {
    expect(complete("passbus", "deliv")).toEqual(["deliveries"]);
    expect(complete("passbus", "limits", "")).toEqual(["set", "show"]);
    expect(complete("passbus", "replay", "re")).toEqual(["resume"]);
  });

  it("the options of a command", () => {
    expect(complete("passbus", "subscriptions", "rotate", "sub_1", "--")).toEqual([
      "--help",
      "--json",
      "--key",
      "--overlap",
      "--url",
    ]);
  });

  it("the values of an option, as many as it takes", () => {
    expect(complete("passbus", "deliveries", "list", "--status", "")).toEqual([
      "attempting",
      "cancelled",
      "delivered",
      "failed",
      "held",
      "waiting",
    ]);
    expect(complete("passbus", "subscriptions", "create", "--type", "created", "upd")).toEqual(["updated"]);
    expect(complete("passbus", "subscriptions", "list", "--type", "created", "upd")).toEqual([]);
    expect(complete("passbus", "events", "list", "--limit", "")).toEqual([]);
  });

  it("what stands behind a value that reads like a command", () => {
    expect(complete("passbus", "subscriptions", "list", "--text", "create", "--sc")).toEqual(["--scope"]);
  });

  it("arguments that are one of few, and files", () => {
    expect(complete("passbus", "completion", "")).toEqual(["bash", "fish", "zsh"]);
    expect(complete("passbus", "publish", "ev")).toEqual(["events.jsonl"]);
    expect(complete("passbus", "subscriptions", "create", "--file", "ev")).toEqual(["events.jsonl"]);
  });
}

describe("bash completes", () => {
  completes(inBash);

  it("a value behind =, which it splits off", () => {
    expect(inBash("passbus", "deliveries", "list", "--status", "=", "fa")).toEqual(["failed"]);
  });

  it.each([
    ["publish my\t", ["publish", "my events.jsonl"]],
    ["publish my\\ ev\t", ["publish", "my events.jsonl"]],
    ['publish "my ev\t', ["publish", "my events.jsonl"]],
    ["publish st\\*\t", ["publish", "st*r.jsonl"]],
    ["publish a\to\t", ["publish", "a day/only.jsonl"]],
    ["subscriptions create --file my\t", ["subscriptions", "create", "--file", "my events.jsonl"]],
    ["subscriptions create --file=a\to\t", ["subscriptions", "create", "--file=a day/only.jsonl"]],
    ["limits show my\t", ["limits", "show", "my"]],
  ])("names of files as they are to be typed, where there are files: %j", async (typed, words) => {
    expect(await typedInBash(`passbus ${typed}`)).toEqual(words);
  });

  it("names of files, quoted, in a bash that can't be asked to complete them itself", () => {
    writeFileSync(join(directory, "two words.jsonl"), "");
    expect(inBash("passbus", "publish", "two")).toEqual(["two\\ words.jsonl"]);
  });
});

const zsh = requirement("zsh", () => onPath("zsh"));
describe.skipIf(!zsh.present)(zsh.title("zsh completes"), () => {
  completes(inZsh);

  it("a value behind =", () => {
    expect(inZsh("passbus", "deliveries", "list", "--status=fa")).toEqual(["failed"]);
  });
});

const fish = requirement("fish", () => onPath("fish"));
describe.skipIf(!fish.present)(fish.title("fish completes"), () => {
  completes(inFish);

  it("a value behind =", () => {
    expect(inFish("passbus", "deliveries", "list", "--status=fa")).toEqual(["failed"]);
  });
});
