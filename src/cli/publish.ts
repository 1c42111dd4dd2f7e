/** `passbus publish`: events from a file or the standard input, one in JSON a line, to a running passbus. */
import { createReadStream } from "node:fs";
import { fromJsonString } from "@bufbuild/protobuf";
import { ConnectError, createClient } from "@connectrpc/connect";
import { InvalidArgumentError } from "commander";
import { BadRequestSchema } from "../../gen/google/rpc/error_details_pb.js";
import { EventService, PublishFailureSchema } from "../../gen/passbus/v1/event_service_pb.js";
import { type PassEvent, PassEventSchema } from "../../gen/passbus/v1/pass_event_pb.js";
import { sleep, systemClock } from "../kernel/clock.ts";
import { idSource } from "../kernel/ids.ts";
import { LIMITS } from "../kernel/limits.ts";
import { systemRandom } from "../kernel/random.ts";
import { type AddCommand, CommandFailed, type Terminal } from "./cli.ts";
import { addConnectionOptions, type ConnectionOptions, connected } from "./connection.ts";

interface PublishOptions extends ConnectionOptions {
  readonly batch: number;
}

/** Leaves room in a request for what JSON says shorter than protobuf does. */
const BATCH_BYTES = LIMITS.requestBytes / 2;
/** A pipe that is silent for so long has nothing more for now. */
const SILENT_MS = 200;

export function publishCommand(): AddCommand {
  return (program, terminal) => {
    const command = program
      .command("publish")
      .description("publish events, one PassEvent in JSON a line, from a file or the standard input")
      .argument("[file]", "- or nothing: the standard input");
    addConnectionOptions(command)
      .option("--batch <events>", `events a request, 1 to ${LIMITS.publishBatch}`, batchSize, 100)
      .action((file: string | undefined, options: PublishOptions) => publish(file, options, terminal));
  };
}

function batchSize(text: string): number {
  const size = Number(text);
  if (Number.isInteger(size) && size >= 1 && size <= LIMITS.publishBatch) return size;
  throw new InvalidArgumentError(`It must be 1 to ${LIMITS.publishBatch}.`);
}

interface Line {
  readonly number: number;
  readonly text: string;
}

/** How far it came, for the last words. */
interface Progress {
  events: number;
}

async function publish(file: string | undefined, options: PublishOptions, terminal: Terminal): Promise<void> {
  const progress: Progress = { events: 0 };
  await connected(options, terminal, async (transport) => {
    const client = createClient(EventService, transport);
    const input = file === undefined || file === "-" ? terminal.input : createReadStream(file);
    try {
      for await (const lines of batches(input, options.batch)) {
        const events = lines.map(parseEvent);
        await client.publishEvents({ events }).catch((error) => {
          throw new CommandFailed(failureText(error, lines, events));
        });
        progress.events += events.length;
      }
    } catch (error) {
      if (error instanceof CommandFailed) terminal.err(`${published(progress)} before this:\n`);
      throw isFileError(error) ? new CommandFailed(`can't read ${file}: ${error.message}`) : error;
    }
  });
  terminal.err(`${published(progress)}\n`);
}

function published({ events }: Progress): string {
  return `published ${events} ${events === 1 ? "event" : "events"}`;
}

/** Lines that are not empty, as many as go in a request, or as came before the input was silent for a moment. */
async function* batches(input: AsyncIterable<string | Uint8Array>, size: number): AsyncIterable<Line[]> {
  const source = linesOf(input)[Symbol.asyncIterator]();
  let lines: Line[] = [];
  let bytes = 0;
  let number = 0;
  let coming = source.next();
  for (;;) {
    const next = lines.length === 0 ? await coming : await soon(coming);
    if (next === undefined || next.done === true) {
      if (lines.length > 0) yield lines;
      if (next !== undefined) return;
      lines = [];
      bytes = 0;
      continue;
    }
    coming = source.next();
    // It is awaited later: what fails meanwhile is not unheard.
    coming.catch(() => {});
    number += 1;
    const text = next.value;
    if (text.trim() === "") continue;
    const length = Buffer.byteLength(text);
    if (lines.length === size || (lines.length > 0 && bytes + length > BATCH_BYTES)) {
      yield lines;
      lines = [];
      bytes = 0;
    }
    lines.push({ number, text });
    bytes += length;
  }
}

/** What comes within a moment; undefined where nothing does: then what is there need not wait any longer. */
async function soon<T>(coming: Promise<T>): Promise<T | undefined> {
  const over = new AbortController();
  const silent = sleep(systemClock, SILENT_MS, over.signal).then(() => undefined);
  try {
    return await Promise.race([coming, silent]);
  } finally {
    over.abort();
  }
}

/** node:readline does not hand on an error of the file that it reads. */
async function* linesOf(input: AsyncIterable<string | Uint8Array>): AsyncIterable<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of input) {
    rest += typeof chunk === "string" ? chunk : decoder.decode(chunk, { stream: true });
    const lines = rest.split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
  yield rest + decoder.decode();
}

const ids = idSource(systemClock, systemRandom);

/** An event without an id gets one here, so that each line has a name in every answer. */
function parseEvent({ number, text }: Line): PassEvent {
  try {
    const event = fromJsonString(PassEventSchema, text);
    if (event.id === "") event.id = ids.next("evt");
    return event;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new CommandFailed(`line ${number}: ${message}`, { cause: error });
  }
}

/** What went wrong with a batch, by line. */
function failureText(reason: unknown, lines: readonly Line[], events: readonly PassEvent[]): string {
  const error = ConnectError.from(reason);
  const flaws = error
    .findDetails(BadRequestSchema)
    .flatMap(({ fieldViolations }) =>
      fieldViolations.map(({ field, description }) => `${byLine(field, lines)}: ${description}`),
    );
  const durable = new Set(
    error
      .findDetails(PublishFailureSchema)
      .flatMap(({ outcomes }) => outcomes.filter((outcome) => outcome.durable).map(({ eventId }) => eventId)),
  );
  const where = `lines ${lines[0]?.number} to ${lines.at(-1)?.number}`;
  if (flaws.length > 0) return `${where} were refused\n${flaws.join("\n")}`;
  if (durable.size === 0) return `${where}: ${error.message}`;
  const missing = lines.filter((_, at) => !durable.has(events[at]?.id ?? ""));
  return `${where}: ${error.message}\nnot published: lines ${missing.map(({ number }) => number).join(", ")}`;
}

/** `events[3].pass.id` is `line 7: pass.id` to whoever wrote the file. */
function byLine(field: string, lines: readonly Line[]): string {
  const [, at, rest = ""] = /^events\[(\d+)\]\.?(.*)$/.exec(field) ?? [];
  if (at === undefined) return field;
  return `line ${lines[Number(at)]?.number}${rest === "" ? "" : `: ${rest}`}`;
}

function isFileError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && "syscall" in error && "path" in error;
}
