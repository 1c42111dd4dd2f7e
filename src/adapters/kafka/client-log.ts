import { type LogEntry, logLevel } from "kafkajs";
import type { Clock } from "../../kernel/clock.ts";
import type { Log, LogFields } from "../../kernel/log.ts";

/** The fields of kafkajs that are worth a line: none of them holds a payload or a secret. */
const TOLD_FIELDS = ["broker", "groupId", "topic", "partition", "error", "retryCount", "retryTime", "offset"] as const;

/** The same sentence is said once in this time: without a broker, kafkajs says it many times a second. */
const SAY_AGAIN_MS = 10_000;
const SENTENCES = 100;

/**
 * What kafkajs calls an error is a try that failed and that someone makes again, hence a warning; what must be known
 * as an error is logged where it is decided. Its information is for debugging.
 */
export function clientLog(log: Log, clock: Clock): (entry: LogEntry) => void {
  const said = new Map<string, number>();
  return ({ namespace, level, log: entry }) => {
    const nowMs = clock.monotonic();
    const { message } = entry;
    if (nowMs - (said.get(message) ?? Number.NEGATIVE_INFINITY) < SAY_AGAIN_MS) return;
    if (said.size >= SENTENCES) said.clear();
    said.set(message, nowMs);
    const fields = { part: namespace, message, ...toldFields(entry) };
    if (level === logLevel.ERROR) log.warn("kafka.client", fields);
    else if (level === logLevel.WARN) log.info("kafka.client", fields);
    else log.debug("kafka.client", fields);
  };
}

function toldFields(entry: Readonly<Record<string, unknown>>): LogFields {
  const told: [string, string | number][] = [];
  for (const name of TOLD_FIELDS) {
    const value = entry[name];
    if (typeof value === "string" || typeof value === "number") told.push([name, value]);
  }
  return Object.fromEntries(told);
}
