/**
 * Dead letters, sent again: each is appended to the topic that it came from, and goes through intake like any other
 * record of that topic, with the same checks. It becomes an event, or a new dead letter at its new place.
 */
import type { Clock } from "../kernel/clock.ts";
import { CodedError, type ErrorCode, invalidField } from "../kernel/errors.ts";
import { LIMITS } from "../kernel/limits.ts";
import type { Tenant } from "../kernel/tenant.ts";
import { CANONICAL_CONTENT_TYPE, RECORD_HEADERS } from "./content-type.ts";
import type { DeadLetterStore, KeptDeadLetter } from "./dead-letters.ts";
import type { AppendResult, LogRecord, LogWriter, NewRecord } from "./event-log.ts";

export interface RedriverDeps {
  readonly log: LogWriter;
  readonly deadLetters: Pick<DeadLetterStore, "find" | "noteRedriven">;
  readonly clock: Clock;
}

/** Whether one dead letter is in the log again. */
export interface RedriveOutcome {
  readonly id: string;
  readonly durable: boolean;
}

/**
 * `redriven`: all are durable, and noted. `partial`: something was left undone, for `reason`; what is not durable, or
 * not noted, may be sent again by repeating the call (at least once). Outcomes stand in the order asked, each id once.
 */
export interface RedriveResult {
  readonly kind: "redriven" | "partial";
  readonly outcomes: readonly RedriveOutcome[];
  /** Empty where nothing was left undone. For the log, not for the caller. */
  readonly reason: string;
}

export interface Redriver {
  /**
   * Appends the tenant's dead letters again in the order in which the log first took them, or none of them where any is
   * unknown (`resource.not_found`) or has no whole value (`dead_letter.incomplete`), naming each (`ids[3]`).
   */
  redrive(tenant: Tenant, ids: readonly string[]): Promise<RedriveResult>;
}

/** Letters in memory at a time: with their values they may have some 32 MiB. */
const AT_A_TIME = 32;

export function redriver(deps: RedriverDeps): Redriver {
  return {
    async redrive(tenant, asked) {
      if (asked.length === 0 || asked.length > LIMITS.redriveBatch) {
        throw invalidField("ids", `must hold 1 to ${LIMITS.redriveBatch} ids, not ${asked.length}`);
      }
      const inLogOrder = await checkAll(deps, tenant, asked);
      const durable = new Set<string>();
      const reason = await appendAll(deps, tenant, inLogOrder, durable);
      const outcomes = [...new Set(asked)].map((id) => ({ id, durable: durable.has(id) }));
      return { kind: reason === "" ? "redriven" : "partial", outcomes, reason };
    },
  };
}

/** Reads every letter before the first is appended, and keeps of each no more than its place. */
async function checkAll(
  { deadLetters }: RedriverDeps,
  tenant: Tenant,
  asked: readonly string[],
): Promise<readonly string[]> {
  const unknown: Fault[] = [];
  const incomplete: Fault[] = [];
  const places = new Map<string, LogPlace>();
  for (let from = 0; from < asked.length; from += AT_A_TIME) {
    const ids = asked.slice(from, from + AT_A_TIME);
    const letters = await deadLetters.find(tenant, ids);
    for (const [at, id] of ids.entries()) {
      const letter = letters[at];
      const fault = { field: `ids[${from + at}]`, id };
      if (letter === undefined) unknown.push(fault);
      else if (!isWhole(letter)) incomplete.push(fault);
      else places.set(id, placeOf(letter.record));
    }
  }
  refuse("resource.not_found", unknown, (id) => `there is no dead letter "${id}"`);
  refuse(
    "dead_letter.incomplete",
    incomplete,
    (id) => `"${id}" was cut, or never had a value, and can't be sent again`,
  );
  return [...places].sort(([, left], [, right]) => comparePlaces(left, right)).map(([id]) => id);
}

interface Fault {
  readonly field: string;
  readonly id: string;
}

function refuse(code: ErrorCode, faults: readonly Fault[], describe: (id: string) => string): void {
  if (faults.length === 0) return;
  const violations = faults.slice(0, LIMITS.namedViolations).map(({ field, id }) => {
    const shown = id.length <= LIMITS.idCharacters ? id : `${id.slice(0, LIMITS.idCharacters)}…`;
    return { field, description: describe(shown) };
  });
  const message = violations.map(({ field, description }) => `${field}: ${description}`).join("; ");
  throw new CodedError(code, message, { violations });
}

type WholeDeadLetter = KeptDeadLetter & { readonly record: { readonly value: Uint8Array } };

function isWhole(letter: KeptDeadLetter): letter is WholeDeadLetter {
  return !letter.truncated && letter.record.value !== null && letter.record.value.length > 0;
}

type LogPlace = Pick<LogRecord, "topic" | "partition" | "offset">;

const placeOf = ({ topic, partition, offset }: LogRecord): LogPlace => ({ topic, partition, offset });

/**
 * What one pass went through comes again in its order, however the ids were asked. By offset, since the time of a record
 * may be its producer's.
 */
function comparePlaces(left: LogPlace, right: LogPlace): number {
  if (left.topic !== right.topic) return left.topic < right.topic ? -1 : 1;
  return left.partition - right.partition || left.offset - right.offset;
}

/** Adds to `durable` what the log has; answers what was left undone, if anything was. */
async function appendAll(
  deps: RedriverDeps,
  tenant: Tenant,
  ids: readonly string[],
  durable: Set<string>,
): Promise<string> {
  for (let from = 0; from < ids.length; from += AT_A_TIME) {
    try {
      const reason = await appendSome(deps, tenant, ids.slice(from, from + AT_A_TIME), durable);
      if (reason !== "") return reason;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }
  return "";
}

/** It is noted after it is durable: a crash in between leaves a letter that looks unsent, and is sent once more. */
async function appendSome(
  { log, deadLetters, clock }: RedriverDeps,
  tenant: Tenant,
  ids: readonly string[],
  durable: Set<string>,
): Promise<string> {
  const letters = await deadLetters.find(tenant, ids);
  const whole = letters.filter((letter) => letter !== undefined).filter(isWhole);
  const results = await log.append(whole.map(recordAgain));
  const taken = whole.filter((_, at) => results[at]?.durable === true).map(({ id }) => id);
  for (const id of taken) durable.add(id);
  if (taken.length > 0) await deadLetters.noteRedriven(tenant, taken, clock.now());
  if (taken.length === ids.length) return "";
  return whole.length < ids.length ? "a dead letter expired meanwhile" : reasonOf(results);
}

function reasonOf(results: readonly AppendResult[]): string {
  const failed = results.find((result) => !result.durable);
  return failed?.durable === false ? failed.reason : "the log gave no result";
}

/**
 * The record as it came, but for our own mark that its value is checked and canonical: whoever reads the log checks it
 * again. So no record is believed because of where it lay in between.
 */
function recordAgain({ record }: WholeDeadLetter): NewRecord {
  const { topic, key, value, headers } = record;
  const isMarked = headers[RECORD_HEADERS.contentType] === CANONICAL_CONTENT_TYPE;
  return {
    topic,
    key,
    value,
    headers: isMarked ? { ...headers, [RECORD_HEADERS.contentType]: "application/x-protobuf" } : headers,
  };
}
