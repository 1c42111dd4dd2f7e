import { isUtf8 } from "node:buffer";
import type { IHeaders, KafkaMessage } from "kafkajs";
import type { LogRecord } from "../../intake/event-log.ts";
import { keptBytes } from "../../kernel/kept-bytes.ts";

/** A message of kafkajs as the port has it. Its bytes look into what the broker answered, and keep little more than themselves of it. */
export function logRecord(topic: string, partition: number, message: KafkaMessage): LogRecord {
  return {
    topic,
    partition,
    offset: Number(message.offset),
    ...timeOf(message.timestamp),
    key: message.key && keptBytes(message.key),
    value: message.value && keptBytes(message.value),
    ...readHeaders(message.headers),
  };
}

/**
 * On a topic of CreateTime a timestamp is what its producer said: none (-1), one in microseconds, or one that is yet to
 * come. What is erased is what was logged until then, so an event is never logged later than it was read. Read again when
 * its time has come, the record says the same of itself, and so keeps its ids.
 */
function timeOf(timestamp: string): Pick<LogRecord, "appendedAtMs" | "claimedTime"> {
  const timestampMs = Number(timestamp);
  const nowMs = Date.now();
  const isPast = timestampMs >= 0 && timestampMs <= nowMs;
  return isPast ? { appendedAtMs: timestampMs } : { appendedAtMs: nowMs, claimedTime: timestamp };
}

const NO_HEADERS: Pick<LogRecord, "headers"> = { headers: Object.freeze({}) };
const NO_BYTES = Buffer.alloc(0);

/**
 * Of a name that stands twice the first counts. Between different names kafkajs keeps no order, and a header without a
 * value reads as one with an empty one.
 */
export function readHeaders(headers: IHeaders | undefined): Pick<LogRecord, "headers" | "rawHeaders"> {
  if (headers === undefined) return NO_HEADERS;
  const texts: [string, string][] = [];
  const raw: [string, Uint8Array][] = [];
  let sayable = true;
  for (const name of Object.keys(headers)) {
    const values = bytesOf(headers[name]);
    for (const value of values) raw.push([name, keptBytes(value)]);
    const [first] = values;
    if (first === undefined) continue;
    sayable &&= values.length === 1 && isUtf8(first);
    texts.push([name, first.toString()]);
  }
  if (raw.length === 0) return NO_HEADERS;
  // Not by assignment: a header may be called __proto__.
  const found = { headers: Object.fromEntries(texts) };
  return sayable ? found : { ...found, rawHeaders: raw };
}

/** kafkajs mistakes what every object has for an earlier value where a header is called `constructor`: that is no bytes. */
function bytesOf(value: IHeaders[string] | null): readonly Buffer[] {
  const values: readonly unknown[] = Array.isArray(value) ? value : [value];
  return values.flatMap((each) => (Buffer.isBuffer(each) ? [each] : each === null ? [NO_BYTES] : []));
}
