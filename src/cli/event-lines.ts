/** The input of `passbus publish`: one PassEvent in JSON a line, of a file or the standard input. */
import { type FileHandle, open } from "node:fs/promises";
import { Readable } from "node:stream";
import { fromJsonString } from "@bufbuild/protobuf";
import { type PassEvent, PassEventSchema } from "../../gen/passbus/v1/pass_event_pb.js";
import { sleep, systemClock } from "../kernel/clock.ts";
import { idSource } from "../kernel/ids.ts";
import { LIMITS } from "../kernel/limits.ts";
import { systemRandom } from "../kernel/random.ts";
import { CommandFailed, type Terminal } from "./cli.ts";
import { untilAborted } from "./interruption.ts";

export interface Line {
  readonly number: number;
  readonly text: string;
}

export interface EventInput {
  /** Those that are not empty, until the signal. */
  readonly lines: AsyncIterable<Line>;
  /** How much of a file was read, 0 to 1; undefined where nobody knows how much will come. */
  share(): number | undefined;
  /** Or a standard input that is open would keep the process. */
  close(): void;
}

/** `file` undefined or `-`: the standard input. */
export async function openInput(
  file: string | undefined,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<EventInput> {
  const isFile = file !== undefined && file !== "-";
  // Opened here: what is wrong with a file is then said before anything is sent.
  const handle = isFile ? await open(file) : undefined;
  const totalBytes = handle === undefined ? undefined : await sizeOf(handle);
  const source: AsyncIterable<string | Uint8Array> = handle?.createReadStream() ?? terminal.input;
  let readBytes = 0;
  async function* counted() {
    for await (const chunk of source) {
      readBytes += chunk.length;
      yield chunk;
    }
  }
  return {
    lines: untilAborted(linesOf(counted()), signal),
    share: () => (totalBytes === undefined ? undefined : readBytes / totalBytes),
    close() {
      if (source instanceof Readable) source.destroy();
    },
  };
}

/** Undefined of what is no plain file: a pipe has no size. */
async function sizeOf(file: FileHandle): Promise<number | undefined> {
  const found = await file.stat();
  return found.isFile() && found.size > 0 ? found.size : undefined;
}

/** node:readline does not hand on an error of the file that it reads. */
async function* linesOf(input: AsyncIterable<string | Uint8Array>): AsyncIterable<Line> {
  const decoder = new TextDecoder();
  let rest = "";
  let number = 0;
  for await (const chunk of input) {
    rest += typeof chunk === "string" ? chunk : decoder.decode(chunk, { stream: true });
    const lines = rest.split("\n");
    rest = lines.pop() ?? "";
    for (const text of lines) {
      number += 1;
      if (text.trim() !== "") yield { number, text };
    }
  }
  rest += decoder.decode();
  if (rest.trim() !== "") yield { number: number + 1, text: rest };
}

/** Leaves room in a request for what JSON says shorter than protobuf does. */
const BATCH_BYTES = LIMITS.requestBytes / 2;
/** A pipe that is silent for so long has nothing more for now. */
const SILENT_MS = 200;

/** As many lines as go in a request, or as came before the input was silent for a moment. */
export async function* batches(input: AsyncIterable<Line>, size: number): AsyncIterable<Line[]> {
  const source = input[Symbol.asyncIterator]();
  let lines: Line[] = [];
  let bytes = 0;
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
    const length = Buffer.byteLength(next.value.text);
    if (lines.length === size || (lines.length > 0 && bytes + length > BATCH_BYTES)) {
      yield lines;
      lines = [];
      bytes = 0;
    }
    lines.push(next.value);
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

const ids = idSource(systemClock, systemRandom);

/** An event without an id gets one here, so that each line has a name in every answer. */
export function parseEvent({ number, text }: Line): PassEvent {
  try {
    const event = fromJsonString(PassEventSchema, text);
    if (event.id === "") event.id = ids.next("evt");
    return event;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new CommandFailed(`line ${number}: ${message}`, { cause: error });
  }
}

export function isFileError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && "syscall" in error && "path" in error;
}
