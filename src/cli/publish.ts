/**
 * `passbus publish`: events from a file or the standard input, one in JSON a line, to a running passbus. In batches, each
 * of which is durable or refused as a whole; with `--stream` over one call, where each event is answered for itself.
 */
import { type Client, ConnectError, createClient } from "@connectrpc/connect";
import { InvalidArgumentError } from "commander";
import { BadRequestSchema } from "../../gen/google/rpc/error_details_pb.js";
import { EventService, PublishFailureSchema } from "../../gen/passbus/v1/event_service_pb.js";
import type { PassEvent } from "../../gen/passbus/v1/pass_event_pb.js";
import { LIMITS } from "../kernel/limits.ts";
import { type AddCommand, CommandFailed, type Terminal } from "./cli.ts";
import { addOutputOptions, connected, type OutputOptions } from "./connection.ts";
import { batches, type EventInput, isFileError, type Line, openInput, parseEvent } from "./event-lines.ts";
import { type Interruption, interruptionOf } from "./interruption.ts";
import { progressOn } from "./progress.ts";

interface PublishOptions extends OutputOptions {
  readonly batch: number;
  readonly stream?: true;
}

export function publishCommand(): AddCommand {
  return (program, terminal) => {
    const command = program
      .command("publish")
      .description("publish events, one PassEvent in JSON a line, from a file or the standard input")
      .argument("[file]", "- or nothing: the standard input");
    addOutputOptions(command, "what became of each event, one in JSON a line, for programs")
      .option("--batch <events>", `events a request, 1 to ${LIMITS.publishBatch}`, batchSize, 100)
      .option("--stream", "over one call: each event is taken or refused for itself, and those refused end nothing")
      .action((file: string | undefined, options: PublishOptions) => publish(file, options, terminal));
  };
}

function batchSize(text: string): number {
  const size = Number(text);
  if (Number.isInteger(size) && size >= 1 && size <= LIMITS.publishBatch) return size;
  throw new InvalidArgumentError(`It must be 1 to ${LIMITS.publishBatch}.`);
}

/** One run of the command. */
interface Run {
  readonly client: Client<typeof EventService>;
  readonly input: EventInput;
  readonly options: PublishOptions;
  readonly interruption: Interruption;
  readonly terminal: Terminal;
  /** How far it came, for the last words. */
  readonly count: { published: number; refused: number };
  /** What became of one event. */
  tell(line: number, eventId: string, error?: { readonly code: string; readonly message: string }): void;
}

async function publish(file: string | undefined, options: PublishOptions, terminal: Terminal): Promise<void> {
  const count = { published: 0, refused: 0 };
  const interruption = interruptionOf(terminal);
  const progress = progressOn(terminal);
  try {
    await connected(options, terminal, async (transport) => {
      const input = await openInput(file, terminal, interruption.asked);
      const client = createClient(EventService, transport);
      const tell: Run["tell"] = (line, eventId, error) => {
        if (error === undefined) count.published += 1;
        else count.refused += 1;
        if (options.json === true) terminal.out(`${JSON.stringify({ line, eventId, ...(error && { error }) })}\n`);
        progress.show(counted(count), input.share());
      };
      const run = { client, input, options, interruption, terminal, count, tell };
      await (options.stream === true ? publishStreamed(run) : publishBatches(run)).finally(() => {
        input.close();
        progress.end();
      });
    });
  } catch (error) {
    if (error instanceof CommandFailed && count.published > 0) terminal.err(`${published(count)} before this:\n`);
    throw isFileError(error) ? new CommandFailed(`can't read ${file}: ${error.message}`) : error;
  } finally {
    interruption.forget();
  }
  if (interruption.asked.aborted) throw interruption.failure(`stopped: ${published(count)}`);
  if (count.refused > 0) throw new CommandFailed(counted(count));
  terminal.err(`${published(count)}\n`);
}

function published({ published: events }: Run["count"]): string {
  return `published ${events} ${events === 1 ? "event" : "events"}`;
}

function counted(count: Run["count"]): string {
  return count.refused === 0 ? published(count) : `${published(count)}, refused ${count.refused}`;
}

// ---- in batches ----

async function publishBatches({ client, input, options, tell }: Run): Promise<void> {
  for await (const lines of batches(input.lines, options.batch)) {
    const events = lines.map(parseEvent);
    await client.publishEvents({ events }).catch((error) => {
      throw new CommandFailed(failureText(error, lines, events));
    });
    for (const [at, { number }] of lines.entries()) tell(number, events[at]?.id ?? "");
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

// ---- over one call ----

interface Sent {
  readonly number: number;
  readonly id: string;
}

/** A line that is no event is refused here; the others are answered in the order in which they were sent. */
async function publishStreamed({ client, input, options, terminal, tell }: Run): Promise<void> {
  const waiting: Sent[] = [];
  const refuse = ({ number, id }: Sent, code: string, message: string) => {
    if (options.json !== true) terminal.err(`line ${number}: ${code}: ${message}\n`);
    tell(number, id, { code, message });
  };
  async function* requests() {
    for await (const line of input.lines) {
      const event = eventIn(line);
      if (typeof event === "string") {
        refuse({ number: line.number, id: "" }, "request.invalid", event);
        continue;
      }
      waiting.push({ number: line.number, id: event.id });
      yield { event };
    }
  }
  try {
    for await (const { error } of client.publishEventStream(requests())) {
      const sent = waiting.shift();
      if (sent === undefined) continue;
      if (error === undefined) tell(sent.number, sent.id);
      else refuse(sent, error.code, error.message);
    }
  } catch (reason) {
    if (isFileError(reason)) throw reason;
    const [first] = waiting;
    const unanswered = `not answered: lines ${first?.number} to ${waiting.at(-1)?.number}; they may be published again`;
    const { message } = ConnectError.from(reason);
    throw new CommandFailed(first === undefined ? message : `${message}\n${unanswered}`, { cause: reason });
  }
}

/** The event, or why the line is none. */
function eventIn(line: Line): PassEvent | string {
  try {
    return parseEvent(line);
  } catch (error) {
    return error instanceof Error ? error.message.replace(/^line \d+: /, "") : String(error);
  }
}
