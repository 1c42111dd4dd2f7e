import { describe, expect, it } from "vitest";
import { testTerminal } from "../../test/support/terminal.ts";
import { CodedError } from "../kernel/errors.ts";
import { VERSION } from "../kernel/version.ts";
import { type AddCommand, CommandFailed, runCli } from "./cli.ts";

const failing =
  (error: Error): AddCommand =>
  (program) => {
    program
      .command("go")
      .option("--far <metres>")
      .action(() => Promise.reject(error));
  };
const going: AddCommand = (program, terminal) => {
  program.command("go").action(() => terminal.out("gone\n"));
};

describe("the command line", () => {
  it("runs a command and exits with 0", async () => {
    const terminal = testTerminal();
    expect(await runCli(["go"], [going], terminal)).toBe(0);
    expect(terminal.said).toEqual({ out: "gone\n", err: "" });
  });

  it("shows its help and its version, and exits with 0", async () => {
    const terminal = testTerminal();
    expect(await runCli(["--help"], [going], terminal)).toBe(0);
    expect(terminal.said.out).toContain("go");
    expect(await runCli(["--version"], [going], terminal)).toBe(0);
    expect(terminal.said.out).toContain(VERSION);
  });

  it.each([[["swim"]], [["go", "--fast"]], [["go", "--far"]], [[]]])("exits with 2 for %j", async (args) => {
    const terminal = testTerminal();
    expect(await runCli(args, [failing(new Error("unreached"))], terminal)).toBe(2);
    expect(terminal.said.err).not.toBe("");
  });

  it.each([
    [new CommandFailed("there is no road"), 1, "there is no road"],
    [new CommandFailed("which way?", { exitCode: 2 }), 2, "which way?"],
    [new CodedError("config.invalid", "PASSBUS_LISTEN: must be a port"), 2, "PASSBUS_LISTEN: must be a port"],
    [new CodedError("data_dir.locked", "./data is in use"), 1, "./data is in use"],
    [new TypeError("x is undefined"), 1, "TypeError: x is undefined"],
  ])("says why a command failed: %s", async (error, code, says) => {
    const terminal = testTerminal();
    expect(await runCli(["go"], [failing(error)], terminal)).toBe(code);
    expect(terminal.said.err).toContain(says);
  });
});
