import { type LogEntry, logLevel } from "kafkajs";
import { beforeEach, expect, test } from "vitest";
import type { Log, LogFields } from "../../kernel/log.ts";
import { ManualClock } from "../../kernel/manual-clock.ts";
import { clientLog } from "./client-log.ts";

let lines: (readonly [string, string, LogFields | undefined])[];
let clock: ManualClock;
let tell: (entry: LogEntry) => void;
beforeEach(() => {
  lines = [];
  clock = new ManualClock();
  const at = (level: string) => (event: string, fields?: LogFields) => lines.push([level, event, fields]);
  const log: Log = { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
  tell = clientLog(log, clock);
});

function entry(level: logLevel, message: string, fields: object = {}): LogEntry {
  return { namespace: "Connection", level, label: "", log: { timestamp: "", message, ...fields } };
}

test("a try of kafkajs that failed is a warning, with the fields that say where, and no others", () => {
  tell(
    entry(logLevel.ERROR, "Connection error", {
      broker: "b:1",
      clientId: "c",
      stack: "at …",
      payload: { secret: "s" },
    }),
  );
  expect(lines).toEqual([["warn", "kafka.client", { part: "Connection", message: "Connection error", broker: "b:1" }]]);
});

test("its warnings are information, its information is for debugging", () => {
  tell(entry(logLevel.WARN, "w"));
  tell(entry(logLevel.INFO, "i"));
  expect(lines.map(([level]) => level)).toEqual(["info", "debug"]);
});

test("what it says over and over is said once in ten seconds", () => {
  for (let said = 0; said < 50; said += 1) tell(entry(logLevel.ERROR, "again"));
  tell(entry(logLevel.ERROR, "other"));
  expect(lines).toHaveLength(2);
  clock.advance(10_000);
  tell(entry(logLevel.ERROR, "again"));
  expect(lines).toHaveLength(3);
});
