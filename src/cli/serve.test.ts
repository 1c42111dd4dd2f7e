import { describe, expect, it } from "vitest";
import { testTerminal } from "../../test/support/terminal.ts";
import { runCli } from "./cli.ts";
import { type Served, type Start, serveCommand } from "./serve.ts";

/** A passbus that a test stops and breaks by hand. */
function fakePassbus(given: Partial<Served> = {}) {
  const stopping = Promise.withResolvers<void>();
  const letStop = Promise.withResolvers<void>();
  const death = Promise.withResolvers<Error>();
  const served: Served = {
    url: "http://127.0.0.1:1",
    failed: death.promise,
    stop: () => {
      stopping.resolve();
      return letStop.promise;
    },
    ...given,
  };
  return { served, stopping: stopping.promise, letStop: letStop.resolve, die: death.resolve };
}

describe("passbus serve", () => {
  it("says where it listens, and stops gracefully at a signal", async () => {
    const terminal = testTerminal();
    const { served, stopping, letStop } = fakePassbus();
    const exit = runCli(["serve"], [serveCommand(async () => served)], terminal);
    await expect.poll(() => terminal.said.out).toContain("listens");
    terminal.signal("SIGTERM");
    await stopping;
    expect(terminal.exits).toEqual([]);
    letStop();
    expect(await exit).toBe(0);
    expect(terminal.said.out).toContain("listens at http://127.0.0.1:1\n");
  });

  it("ends at once at the second signal", async () => {
    const terminal = testTerminal();
    const { served, stopping, letStop } = fakePassbus();
    const exit = runCli(["serve"], [serveCommand(async () => served)], terminal);
    terminal.signal("SIGTERM");
    await stopping;
    terminal.signal("SIGINT");
    expect(terminal.exits).toEqual([130]);
    letStop();
    await exit;
  });

  it("stops after its start where the signal came before", async () => {
    const terminal = testTerminal();
    const { served, stopping, letStop } = fakePassbus();
    const start = Promise.withResolvers<Served>();
    const exit = runCli(["serve"], [serveCommand(() => start.promise)], terminal);
    terminal.signal("SIGINT");
    start.resolve(served);
    await stopping;
    letStop();
    expect(await exit).toBe(0);
  });

  it("shows a key that the first start makes, once, and before anything else can fail", async () => {
    const terminal = testTerminal({ PASSBUS_BOOTSTRAP_ORGANISATION: "acme" });
    const start: Start = async (_config, showKey) => {
      showKey?.("pb_production_1_2");
      throw new Error("the key was not stored");
    };
    expect(await runCli(["serve"], [serveCommand(start)], terminal)).toBe(1);
    expect(terminal.said.out.split("pb_production_1_2")).toHaveLength(2);
    expect(terminal.said.out).toContain("acme");
    expect(terminal.said.out).not.toContain("listens");
  });

  it("stops and exits with 1 where a part dies", async () => {
    const terminal = testTerminal();
    const { served, stopping, letStop, die } = fakePassbus();
    const exit = runCli(["serve"], [serveCommand(async () => served)], terminal);
    die(new Error("the store's thread ended"));
    await stopping;
    letStop();
    expect(await exit).toBe(1);
    expect(terminal.said.err).toContain("the store's thread ended");
  });

  it("says which part died where the stop of the rest fails for it", async () => {
    const terminal = testTerminal();
    const { served, die } = fakePassbus({ stop: () => Promise.reject(new Error("the API is gone")) });
    const exit = runCli(["serve"], [serveCommand(async () => served)], terminal);
    die(new Error("the api thread ended"));
    expect(await exit).toBe(1);
    expect(terminal.said.err).toMatch(/(?:^|\n)passbus: a part of it died: the api thread ended\n$/);
  });

  it("exits with 1 where a stop fails", async () => {
    const terminal = testTerminal();
    const { served } = fakePassbus({ stop: () => Promise.reject(new Error("the lock is stuck")) });
    const exit = runCli(["serve"], [serveCommand(async () => served)], terminal);
    terminal.signal("SIGTERM");
    expect(await exit).toBe(1);
    expect(terminal.said.err).toContain("the lock is stuck");
  });

  it("does not start with a setting that is wrong", async () => {
    const terminal = testTerminal({ PASSBUS_LISTEN: "everywhere" });
    const start = () => Promise.reject(new Error("started"));
    expect(await runCli(["serve"], [serveCommand(start)], terminal)).toBe(2);
    expect(terminal.said.err).toContain("PASSBUS_LISTEN");
  });
});
