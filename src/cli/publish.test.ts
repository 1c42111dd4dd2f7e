import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ADMIN_KEY, type TestApi, testApi } from "../../test/support/api.ts";
import { testTerminal } from "../../test/support/terminal.ts";
import { eventually } from "../../test/support/within.ts";
import { runCli } from "./cli.ts";
import { publishCommand } from "./publish.ts";

const KEY = { PASSBUS_KEY: ADMIN_KEY };

let api: TestApi;
beforeAll(async () => {
  api = await testApi();
});
beforeEach(() => {
  api.stage.records.length = 0;
});
afterAll(() => api.stop(0));

const line = (id: string) => `${JSON.stringify({ id, type: "PASS_EVENT_TYPE_CREATED", pass: { id: "p1" } })}\n`;

async function publish(
  input: readonly string[],
  args: readonly string[] = [],
  environment: Record<string, string> = KEY,
) {
  const terminal = testTerminal(environment, input);
  const code = await runCli(["publish", "--url", api.url, ...args], [publishCommand()], terminal);
  return { code, err: terminal.said.err };
}

const eventIds = () => api.stage.records.map((record) => record.headers["event-id"]);

/** A line, and another when it is told. */
async function* slowly(more: Promise<void>): AsyncIterable<string> {
  yield line("a");
  await more;
  yield line("b");
}

describe("passbus publish", () => {
  it("publishes a line an event, in order, however the input is cut", async () => {
    const text = `${line("a")}\r\n\n${line("b")}${line("c").trimEnd()}`;
    const { code, err } = await publish(Array.from(text), ["--batch", "2"]);
    expect(err).toBe("published 3 events\n");
    expect(code).toBe(0);
    expect(eventIds()).toEqual(["a", "b", "c"]);
  });

  it("reads a file", async () => {
    const directory = await mkdtemp(join(tmpdir(), "passbus-publish-"));
    const file = join(directory, "events.jsonl");
    await writeFile(file, line("a"));
    expect((await publish([], [file])).code).toBe(0);
    expect(eventIds()).toEqual(["a"]);
    await rm(directory, { recursive: true });
    const { code, err } = await publish([], [file]);
    expect([code, err]).toEqual([1, expect.stringContaining(`can't read ${file}`)]);
  });

  it("publishes what came from a pipe that is silent then", async () => {
    const more = Promise.withResolvers<void>();
    const terminal = { ...testTerminal(KEY), input: slowly(more.promise) };
    const ended = runCli(["publish", "--url", api.url], [publishCommand()], terminal);
    await eventually(5_000, "the first line", () => (eventIds().length > 0 ? true : undefined));
    expect(eventIds()).toEqual(["a"]);
    more.resolve();
    expect(await ended).toBe(0);
    expect(eventIds()).toEqual(["a", "b"]);
  });

  it("gives an id to an event that has none", async () => {
    await publish(['{"type":"PASS_EVENT_TYPE_CREATED","pass":{"id":"p1"}}']);
    expect(eventIds()).toEqual([expect.stringMatching(/^evt_/)]);
  });

  it.each([
    ['{"id":"c","type":"NONE","pass":{"id":"p1"}}\n', "line 4"],
    ["{\n", "line 4"],
    ['{"id":"c","type":"PASS_EVENT_TYPE_CREATED","pass":{}}\n', "line 4: pass.id: is required"],
  ])("names the line of %j, and publishes nothing of its batch", async (bad, says) => {
    const { code, err } = await publish([line("a"), line("b"), "\n", bad, line("d")], ["--batch", "2"]);
    expect(code).toBe(1);
    expect(err).toContain(says);
    expect(err).toContain("published 2 events before this");
    expect(eventIds()).toEqual(["a", "b"]);
  });

  it("names the lines that are not durable", async () => {
    const half = await testApi();
    half.stage.append = async () => [{ durable: true }, { durable: false, reason: "" }];
    const { code, err } = await publish([line("a"), "\n", line("b")], ["--url", half.url]);
    await half.stop(0);
    expect(code).toBe(1);
    expect(err).toContain("not published: lines 3\n");
  });

  it.each([
    [[], {}, "PASSBUS_KEY"],
    [["--batch", "0"], KEY, "1 to 1000"],
    [["--url", "ftp://a"], KEY, "--url"],
  ])("exits with 2 for %j under %j", async (args, environment, says) => {
    const { code, err } = await publish([line("a")], args, environment);
    expect([code, err]).toEqual([2, expect.stringContaining(says)]);
    expect(eventIds()).toEqual([]);
  });

  it("takes or refuses each event for itself over one call", async () => {
    const bad = '{"id":"c","type":"PASS_EVENT_TYPE_CREATED","pass":{}}\n';
    const { code, err } = await publish([line("a"), "{\n", "\n", bad, line("b")], ["--stream"]);
    expect(eventIds()).toEqual(["a", "b"]);
    expect(err).toMatch(/^line 2: request.invalid: /m);
    expect(err).toMatch(/^line 4: request.invalid: .*pass.id/m);
    expect([code, err]).toEqual([1, expect.stringContaining("published 2 events, refused 2\n")]);
  });

  it.each([[[]], [["--stream"]]])("tells programs what became of each event (%j)", async (args) => {
    const terminal = testTerminal(KEY, [line("a"), line("b")]);
    expect(await runCli(["publish", "--json", "--url", api.url, ...args], [publishCommand()], terminal)).toBe(0);
    const told = terminal.said.out
      .trimEnd()
      .split("\n")
      .map((text) => JSON.parse(text));
    expect(told).toEqual([
      { line: 1, eventId: "a" },
      { line: 2, eventId: "b" },
    ]);
  });

  it.each([[[]], [["--stream"]]])("ends well at a signal: what was sent is answered (%j)", async (args) => {
    const terminal = { ...testTerminal(KEY), input: slowly(new Promise(() => {})) };
    const ended = runCli(["publish", "--url", api.url, ...args], [publishCommand()], terminal);
    await eventually(30_000, "the first line", () => (eventIds().length > 0 ? true : undefined));
    terminal.signal("SIGINT");
    expect(await ended).toBe(130);
    expect(terminal.said.err).toContain("stopped: published 1 event\n");
    expect(eventIds()).toEqual(["a"]);
  });

  it("lets go of an input that is still open, which would keep the process", async () => {
    const input = new PassThrough();
    const terminal = { ...testTerminal(KEY), input };
    const ended = runCli(["publish", "--url", api.url], [publishCommand()], terminal);
    input.write(line("a"));
    await eventually(30_000, "the first line", () => (eventIds().length > 0 ? true : undefined));
    terminal.signal("SIGTERM");
    expect([await ended, input.destroyed]).toEqual([143, true]);
  });

  it("shows how far it is where somebody sees that", async () => {
    const directory = await mkdtemp(join(tmpdir(), "passbus-publish-"));
    const file = join(directory, "events.jsonl");
    await writeFile(file, line("a") + line("b"));
    const terminal = { ...testTerminal(KEY), showsProgress: true };
    const code = await runCli(["publish", "--batch", "1", "--url", api.url, file], [publishCommand()], terminal);
    expect([code, terminal.said.out]).toEqual([0, ""]);
    expect(terminal.said.err).toContain("\r\u001b[K[########################] published 1 event\r\u001b[K");
    await rm(directory, { recursive: true });
  });

  it("says what the server answered", async () => {
    const { code, err } = await publish([line("a")], ["--key", "nobodys-key-at-all"]);
    expect([code, err]).toEqual([1, expect.stringContaining("unauthenticated")]);
  });
});
