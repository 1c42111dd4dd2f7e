import { describe, expect, test } from "vitest";
import { CodedError } from "../kernel/errors.ts";
import type { Log, LogLevel } from "../kernel/log.ts";
import { jsonLog } from "./log.ts";

function recorder(level: LogLevel = "info"): { readonly log: Log; readonly lines: Record<string, unknown>[] } {
  const lines: Record<string, unknown>[] = [];
  const destination = { write: (line: string) => void lines.push(JSON.parse(line)) };
  return { log: jsonLog({ level, fields: { thread: "main" }, destination }), lines };
}

describe("jsonLog", () => {
  test("writes an event's name with its fields, its level and its time", () => {
    const { log, lines } = recorder();
    log.warn("delivery.attempted", { subscription: "sub_1", attempt: 2 });
    expect(lines).toEqual([
      {
        level: "warn",
        time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
        thread: "main",
        event: "delivery.attempted",
        subscription: "sub_1",
        attempt: 2,
      },
    ]);
  });

  test("writes nothing below its level", () => {
    const { log, lines } = recorder("warn");
    log.debug("a");
    log.info("b");
    log.warn("c");
    log.error("d");
    expect(lines.map((line) => line.event)).toEqual(["c", "d"]);
  });

  test.each([
    { authorization: "hush" },
    { headers: { authorization: "hush" } },
    { request: { headers: { "webhook-signature": "hush" } } },
    { headers: { "set-cookie": "hush" } },
    { config: { bootstrapKey: "hush", encryptionKeys: "hush" } },
    { secret: "hush", token: "hush", payload: { holder: "hush" }, body: "hush" },
  ])("leaves out what is secret or a payload: %j", (fields) => {
    const { log, lines } = recorder();
    log.info("something.happened", fields);
    expect(JSON.stringify(lines)).toContain("[left out]");
    expect(JSON.stringify(lines)).not.toContain("hush");
  });

  test("of an error writes its words, its code and its cause's words, and nothing that hangs on it", () => {
    const { log, lines } = recorder();
    const cause = Object.assign(new Error("disk full"), { request: "hush" });
    log.error("store.failed", { err: new CodedError("store.unavailable", "no answer", { cause }) });
    log.error("socket.failed", { err: Object.assign(new Error("refused"), { code: "ECONNREFUSED", peer: "hush" }) });
    log.error("odd.failed", { err: "a text" });
    expect(lines.map((line) => line.err)).toEqual([
      {
        name: "CodedError",
        code: "store.unavailable",
        message: "no answer",
        cause: "disk full",
        stack: expect.stringContaining("log.test.ts"),
      },
      { name: "Error", code: "ECONNREFUSED", message: "refused", stack: expect.any(String) },
      { message: "a text" },
    ]);
  });
});
