import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ADMIN_KEY, TENANT, type TestApi, testApi } from "../../test/support/api.ts";
import { sampleLetter } from "../../test/support/samples.ts";
import { testTerminal } from "../../test/support/terminal.ts";
import { DEAD_REASONS, type DeadLetter } from "../intake/dead-letters.ts";
import { LIMITS } from "../kernel/limits.ts";
import { runCli } from "./cli.ts";
import { deadLettersCommand } from "./dead-letters.ts";

const KEY = { PASSBUS_KEY: ADMIN_KEY };
const T = Date.UTC(2026, 2, 1, 12, 0, 0);

let api: TestApi;
beforeAll(async () => {
  api = await testApi();
});
beforeEach(() => {
  api.stage.records.length = 0;
  api.stage.deadLetters.rows.clear();
});
afterAll(() => api.stop(0));

async function deadLetters(args: readonly string[], environment: Record<string, string> = KEY) {
  const terminal = testTerminal(environment);
  const code = await runCli(["dead-letters", ...args, "--url", api.url], [deadLettersCommand()], terminal);
  return { code, ...terminal.said };
}

const letter: typeof sampleLetter = (offset, record, over) =>
  sampleLetter(offset, { appendedAtMs: T + offset, headers: { "event-id": "evt_1" }, ...record }, over);

const dead = (...letters: readonly DeadLetter[]) => api.stage.deadLetters.add(...letters);

const resent = () => api.stage.records.map(({ value }) => Buffer.from(value).toString());

describe("passbus dead-letters list", () => {
  it("shows a line each, newest first, in columns", async () => {
    const [one = "", two = ""] = await dead(letter(1), letter(2, { key: null }, { reason: "event.invalid" }));
    await api.stage.deadLetters.noteRedriven(TENANT, [one], T + 60_000);
    const { code, out, err } = await deadLetters(["list"]);
    expect([code, err]).toEqual([0, ""]);
    const [heads = "", ...lines] = out.trimEnd().split("\n");
    expect(heads.split(/ {2,}/)).toEqual(["ID", "WHEN", "REASON", "FROM", "KEY", "SENT AGAIN", "MESSAGE"]);
    expect(lines.map((line) => line.split(/ {2,}/))).toEqual([
      [two, "2026-03-01T12:00:00.002Z", "event.invalid", "pass.events/0/2", "-", "-", "another was first"],
      [
        one,
        "2026-03-01T12:00:00.001Z",
        "event.conflict",
        "pass.events/0/1",
        "key 1",
        "2026-03-01T12:01:00.000Z",
        "another was first",
      ],
    ]);
    for (const line of lines) expect(line.indexOf("another")).toBe(heads.indexOf("MESSAGE"));
  });

  it("writes nothing to the terminal that moves the cursor, and cuts what is long", async () => {
    await dead(
      letter(1, { key: Buffer.from("\u001b[2J\u202e\r\n") }, { message: `${"m".repeat(200)}\u0007` }),
      letter(2, { value: new Uint8Array(LIMITS.deadLetterBytes + 1) }),
    );
    const { out } = await deadLetters(["list"]);
    expect(out).not.toMatch(/[^\P{C}\n]/u);
    expect(out).toContain("\\u{1b}[2J\\u{202e}\\u{d}\\u{a}");
    expect(out).toContain(`${"m".repeat(79)}…\n`);
    expect(out).toContain("can't: cut");
  });

  it("gives a line in JSON each, with the value", async () => {
    const [id = ""] = await dead(letter(1));
    const { out } = await deadLetters(["list", "--json"]);
    expect(JSON.parse(out)).toEqual({
      id,
      reason: "event.conflict",
      message: "another was first",
      topic: "pass.events",
      partition: 0,
      offset: "1",
      appendedAt: "2026-03-01T12:00:00.001Z",
      key: Buffer.from("key 1").toString("base64"),
      value: Buffer.from("value 1").toString("base64"),
      headers: { "event-id": "evt_1" },
      truncated: false,
      valueBytes: 7,
    });
  });

  it("reads as many pages as the limit needs, and no more lines", async () => {
    await dead(...Array.from({ length: LIMITS.pageSize + 20 }, (_, at) => letter(at)));
    const lines = async (limit: number) =>
      (await deadLetters(["list", "--json", "--limit", String(limit)])).out.trimEnd().split("\n").length;
    expect([await lines(3), await lines(LIMITS.pageSize + 10), await lines(10_000)]).toEqual([
      3,
      LIMITS.pageSize + 10,
      LIMITS.pageSize + 20,
    ]);
  });

  it("shows one reason's alone, and says where there are none", async () => {
    await dead(letter(1), letter(2, {}, { reason: "event.empty" }));
    expect((await deadLetters(["list", "--reason", "event.empty"])).out).not.toContain("event.conflict");
    expect(await deadLetters(["list", "--reason", "event.invalid"])).toEqual({
      code: 0,
      out: "",
      err: "no dead letters\n",
    });
    expect((await deadLetters(["list", "--reason", "event.invalid", "--json"])).out).toBe("");
  });
});

describe("passbus dead-letters redrive", () => {
  it("sends those that are named", async () => {
    const [one = "", , three = ""] = await dead(letter(1), letter(2), letter(3));
    expect(await deadLetters(["redrive", three, one, three])).toEqual({
      code: 0,
      out: "",
      err: "sent 2 dead letters again\n",
    });
    expect(resent()).toEqual(["value 1", "value 3"]);
  });

  it("sends all that were not sent yet and can be, oldest first, over many calls", async () => {
    const letters = Array.from({ length: LIMITS.redriveBatch + 30 }, (_, at) => letter(at));
    const [, , , sent = ""] = await dead(...letters, letter(900, { value: null }));
    await api.stage.deadLetters.noteRedriven(TENANT, [sent], T);
    const { code, err } = await deadLetters(["redrive", "--all"]);
    expect([code, err]).toEqual([
      0,
      `left out 1: cut, or without a value\nsent ${letters.length - 1} dead letters again\n`,
    ]);
    expect(resent()).toEqual(letters.filter((_, at) => at !== 3).map((_, at) => `value ${at < 3 ? at : at + 1}`));
    expect((await deadLetters(["redrive", "--all"])).err).toContain("sent 0 dead letters again");
  });

  it("sends one reason's alone", async () => {
    await dead(letter(1), letter(2, {}, { reason: "tenant.forbidden" }));
    expect((await deadLetters(["redrive", "--reason", "tenant.forbidden"])).err).toBe("sent 1 dead letter again\n");
    expect(resent()).toEqual(["value 2"]);
  });

  it("says which were not sent, and how many were", async () => {
    const letters = Array.from({ length: LIMITS.redriveBatch + 2 }, (_, at) => letter(at));
    await using half = await testApi();
    const last = (await half.stage.deadLetters.add(...letters)).at(-1);
    half.stage.append = async (records) =>
      records.map((_, at) =>
        records.length === 2 && at === 1 ? { durable: false, reason: "full" } : { durable: true },
      );
    const terminal = testTerminal(KEY);
    const args = ["dead-letters", "redrive", "--all", "--url", half.url];
    expect(await runCli(args, [deadLettersCommand()], terminal)).toBe(1);
    expect(terminal.said.err).toContain(`sent ${letters.length - 1} dead letters again before this:\n`);
    expect(terminal.said.err).toContain(`not sent again:\n${last}\n`);
  });

  it("shows how far it is where somebody sees that, and ends well at a signal", async () => {
    await dead(...Array.from({ length: LIMITS.redriveBatch + 2 }, (_, at) => letter(at)));
    const terminal = { ...testTerminal(KEY), showsProgress: true };
    const { append } = api.stage;
    api.stage.append = async (records) => {
      terminal.signal("SIGINT");
      return append(records);
    };
    const args = ["dead-letters", "redrive", "--all", "--url", api.url];
    expect(await runCli(args, [deadLettersCommand()], terminal)).toBe(130);
    expect(terminal.said.err).toMatch(/\[#+-\] sent \d+ dead letters again/);
    expect(terminal.said.err).toContain(`stopped: sent ${LIMITS.redriveBatch} dead letters again\n`);
    expect(resent()).toHaveLength(LIMITS.redriveBatch);
  });

  it("says what the server refused", async () => {
    const { code, err } = await deadLetters(["redrive", "dead_none"]);
    expect([code, err]).toEqual([1, expect.stringContaining('ids[0]: there is no dead letter "dead_none"')]);
    expect(err).toContain("sent 0 dead letters again before this");
  });
});

describe("passbus dead-letters", () => {
  it.each([
    [["redrive"], KEY, "--all"],
    [["redrive", "dead_1", "--all"], KEY, "say which"],
    [["redrive", "dead_1", "--reason", "event.empty"], KEY, "say which"],
    [["redrive", "--all", "--reason", "event.empty"], KEY, "cannot be used with"],
    [["redrive", "--reason", "event.bored"], KEY, DEAD_REASONS.join(", ")],
    [["list", "--limit", "0"], KEY, "from 1 on"],
    [["list", "--limit", "1.5"], KEY, "from 1 on"],
    [["list"], {}, "PASSBUS_KEY"],
    [["redrive", "--all"], {}, "PASSBUS_KEY"],
  ])("exits with 2 for %j under %j", async (args, environment, says) => {
    await dead(letter(1));
    const { code, err } = await deadLetters(args, environment);
    expect([code, err]).toEqual([2, expect.stringContaining(says)]);
    expect(resent()).toEqual([]);
  });

  it.each([["list"], ["redrive --all"]])("%s exits with 1 where the key is nobody's", async (args) => {
    const { code, err } = await deadLetters([...args.split(" "), "--key", "nobodys-key-at-all"]);
    expect([code, err]).toEqual([1, expect.stringContaining("unauthenticated")]);
  });
});
