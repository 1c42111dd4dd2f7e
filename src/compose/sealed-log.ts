/**
 * passbus's own log with its values under a key of the keyring: what stands in it until it is done with. Records of before
 * the setting was turned are read as they are. A sealed one says so in a header that never leaves this file.
 */
import { RECORD_HEADERS } from "../intake/content-type.ts";
import type { LogReader, LogRecord, LogWriter, NewRecord } from "../intake/event-log.ts";
import type { Keyring } from "../signing/keyring.ts";

const SEALED = "passbus-sealed";

type Headers = Readonly<Record<string, string>>;

export function sealingWriter<T extends LogWriter>(writer: T, keyring: Keyring): T {
  const seal = (record: NewRecord): NewRecord => {
    const headers = { ...record.headers, [SEALED]: "1" };
    return { ...record, headers, value: keyring.sealBytes(record.value, sealedFor(headers)) };
  };
  return { ...writer, append: (records: readonly NewRecord[]) => writer.append(records.map(seal)) };
}

/**
 * A record that can't be opened ends the process (`failed`): as a dead letter it would be lost to whoever brings the key
 * back.
 */
export function openingReader<T extends LogReader>(reader: T, keyring: Keyring): T {
  const unopened = Promise.withResolvers<Error>();
  return {
    ...reader,
    failed: Promise.race([reader.failed, unopened.promise]),
    start: (sink: Parameters<LogReader["start"]>[0]) =>
      reader.start({
        ...sink,
        assigned: (assignments) => sink.assigned(assignments),
        revoked: (assignments) => sink.revoked(assignments),
        records(assignment, records) {
          let opened: readonly LogRecord[];
          try {
            opened = records.map((record) => open(keyring, record));
          } catch (error) {
            unopened.resolve(error instanceof Error ? error : new Error(String(error)));
            return;
          }
          sink.records(assignment, opened);
        },
      }),
  };
}

function open(keyring: Keyring, record: LogRecord): LogRecord {
  const { [SEALED]: sealed, ...headers } = record.headers;
  if (sealed === undefined || record.value === null) return record;
  return { ...record, headers, value: keyring.openBytes(record.value, sealedFor(headers)) };
}

/** Bound to what its own headers say it is. */
function sealedFor(headers: Headers): string {
  const of = (name: string) => headers[name] ?? "";
  const { organisation, environment, event } = RECORD_HEADERS;
  return `log/${of(organisation)}/${of(environment)}/${of(event)}`;
}
