/** `passbus dead-letters list|redrive`: records that could not become events, to be seen and to be sent again. */
import { toJsonString } from "@bufbuild/protobuf";
import { type Client, ConnectError, createClient } from "@connectrpc/connect";
import { Option } from "commander";
import {
  type DeadLetter,
  DeadLetterSchema,
  EventService,
  RedriveFailureSchema,
} from "../../gen/passbus/v1/event_service_pb.js";
import { DEAD_REASONS, type DeadReason } from "../intake/dead-letters.ts";
import { LIMITS } from "../kernel/limits.ts";
import { type AddCommand, CommandFailed, EXIT, type Terminal } from "./cli.ts";
import { addOutputOptions, connected, DONE_JSON, done, type OutputOptions } from "./connection.ts";
import { interruptionOf } from "./interruption.ts";
import { progressOn } from "./progress.ts";
import { count, cut, momentOf, type Row, shown, tableOf, WHOLE } from "./table.ts";

interface ListOptions extends OutputOptions {
  readonly reason?: DeadReason;
  readonly limit: number;
}

interface RedriveOptions extends OutputOptions {
  readonly reason?: DeadReason;
  readonly all?: true;
}

type Events = Client<typeof EventService>;

export function deadLettersCommand(): AddCommand {
  return (program, terminal) => {
    const group = program.command("dead-letters").description("records that could not become events");
    const list = group.command("list").description("show them, newest first").addOption(reasonOption());
    addOutputOptions(list, "one in JSON a line, with its value, for programs")
      .option("--limit <n>", "no more than so many", count, 50)
      .action((options: ListOptions) => listLetters(options, terminal));
    const redrive = group
      .command("redrive")
      .description("append them to the log again: each becomes an event, or a new dead letter")
      .argument("[id...]", "the dead letters' ids")
      .addOption(reasonOption().conflicts("all"))
      .option("--all", "all that were not sent again yet");
    addOutputOptions(redrive, DONE_JSON).action((ids: readonly string[], options: RedriveOptions) =>
      redriveLetters(ids, options, terminal),
    );
  };
}

function reasonOption(): Option {
  return new Option("--reason <reason>", "only those that died of it").choices(DEAD_REASONS);
}

// ---- list ----

async function listLetters(options: ListOptions, terminal: Terminal): Promise<void> {
  const rows: Row[] = [];
  await connected(options, terminal, async (transport) => {
    const asked = { reason: options.reason, omitValues: options.json !== true, limit: options.limit };
    for await (const letters of pages(createClient(EventService, transport), asked)) {
      if (options.json === true)
        for (const each of letters) terminal.out(`${toJsonString(DeadLetterSchema, each, WHOLE)}\n`);
      else rows.push(...letters.map(rowOf));
    }
  });
  if (options.json === true) return;
  if (rows.length === 0) terminal.err("no dead letters\n");
  else terminal.out(tableOf(HEADS, rows));
}

interface Asked {
  readonly reason: DeadReason | undefined;
  readonly omitValues: boolean;
  readonly limit: number;
}

async function* pages(events: Events, { reason, omitValues, limit }: Asked): AsyncIterable<DeadLetter[]> {
  let pageToken = "";
  let left = limit;
  do {
    const pageSize = Math.min(left, LIMITS.pageSize);
    const page = await events
      .listDeadLetters({ ...(reason !== undefined && { reason }), omitValues, pageSize, pageToken })
      .catch((error) => {
        throw new CommandFailed(ConnectError.from(error).message, { cause: error });
      });
    yield page.deadLetters;
    left -= page.deadLetters.length;
    pageToken = page.nextPageToken;
  } while (pageToken !== "" && left > 0);
}

const HEADS = ["ID", "WHEN", "REASON", "FROM", "KEY", "SENT AGAIN", "MESSAGE"] as const;

const KEY_CHARACTERS = 36;
const MESSAGE_CHARACTERS = 80;

function rowOf(letter: DeadLetter): Row {
  const again = letter.truncated ? "can't: cut" : momentOf(letter.redrivenAt);
  return [
    letter.id,
    momentOf(letter.appendedAt),
    letter.reason,
    shown(`${letter.topic}/${letter.partition}/${letter.offset}`),
    cut(shown(new TextDecoder().decode(letter.key)), KEY_CHARACTERS),
    again,
    cut(shown(letter.message), MESSAGE_CHARACTERS),
  ];
}

// ---- redrive ----

async function redriveLetters(ids: readonly string[], options: RedriveOptions, terminal: Terminal): Promise<void> {
  const isFiltered = options.reason !== undefined || options.all === true;
  if (ids.length > 0 === isFiltered) {
    throw new CommandFailed("say which: their ids, or --reason, or --all", { exitCode: EXIT.usage });
  }
  await connected(options, terminal, async (transport) => {
    const events = createClient(EventService, transport);
    const wanted = isFiltered ? await idsToRedrive(events, options.reason, terminal) : [...new Set(ids)];
    const redriven = await redriveAll(events, wanted, terminal);
    done(terminal, options, sentAgain(redriven), { redriven });
  });
}

async function redriveAll(events: Events, wanted: readonly string[], terminal: Terminal): Promise<number> {
  const interruption = interruptionOf(terminal);
  const progress = progressOn(terminal);
  let redriven = 0;
  try {
    for (let from = 0; from < wanted.length; from += LIMITS.redriveBatch) {
      if (interruption.asked.aborted) throw interruption.failure(`stopped: ${sentAgain(redriven)}`);
      const batch = wanted.slice(from, from + LIMITS.redriveBatch);
      const answer = await events.redriveDeadLetters({ ids: batch }).catch((error) => {
        progress.end();
        const { text, durable } = failureOf(error, batch);
        terminal.err(`${sentAgain(redriven + durable)} before this:\n`);
        throw new CommandFailed(text, { cause: error });
      });
      redriven += answer.redriven;
      progress.show(sentAgain(redriven), (from + batch.length) / wanted.length);
    }
    return redriven;
  } finally {
    progress.end();
    interruption.forget();
  }
}

function sentAgain(letters: number): string {
  return `sent ${letters} ${letters === 1 ? "dead letter" : "dead letters"} again`;
}

/**
 * Those that were not sent again yet, the oldest first: one pass's events then come in their order. All are listed
 * before the first is sent, or those that die again would be sent in a circle.
 */
async function idsToRedrive(events: Events, reason: DeadReason | undefined, terminal: Terminal): Promise<string[]> {
  const ids: string[] = [];
  let incomplete = 0;
  for await (const letters of pages(events, { reason, omitValues: true, limit: Number.POSITIVE_INFINITY })) {
    for (const { id, truncated, valueBytes, redrivenAt } of letters) {
      if (redrivenAt !== undefined) continue;
      if (truncated || valueBytes === 0) incomplete += 1;
      else ids.push(id);
    }
  }
  if (incomplete > 0) terminal.err(`left out ${incomplete}: cut, or without a value\n`);
  return ids.reverse();
}

function failureOf(reason: unknown, batch: readonly string[]): { readonly text: string; readonly durable: number } {
  const error = ConnectError.from(reason);
  const [failure] = error.findDetails(RedriveFailureSchema);
  if (failure === undefined) return { text: error.message, durable: 0 };
  const durable = new Set(failure.outcomes.filter((outcome) => outcome.durable).map(({ id }) => id));
  const missing = batch.filter((id) => !durable.has(id));
  return {
    text: missing.length === 0 ? error.message : `${error.message}\nnot sent again:\n${missing.join("\n")}`,
    durable: durable.size,
  };
}
