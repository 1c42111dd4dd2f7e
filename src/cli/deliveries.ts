/** `passbus deliveries list|get|retry|cancel|watch` (and stop|start|switch: switch.ts): what was sent, what came back, and sending again. */
import { toJsonString } from "@bufbuild/protobuf";
import { durationMs, type Timestamp } from "@bufbuild/protobuf/wkt";
import { type Client, createClient } from "@connectrpc/connect";
import { Option } from "commander";
import { type Attempt, type Delivery, DeliverySchema, DeliveryStatus } from "../../gen/passbus/v1/delivery_pb.js";
import { DeliveryService } from "../../gen/passbus/v1/delivery_service_pb.js";
import { type AddCommand, CommandFailed, EXIT, type Terminal } from "./cli.ts";
import { addOutputOptions, type ConnectionOptions, connected, type OutputOptions } from "./connection.ts";
import { KIND_WORDS, kindOf, kindWord } from "./event-kinds.ts";
import { follow } from "./follow.ts";
import { moment } from "./moments.ts";
import { beginReplay } from "./replay.ts";
import { addSwitchCommands } from "./switch.ts";
import {
  count,
  cut,
  fieldsOf,
  listed,
  momentOf,
  numberOf,
  type Row,
  refused,
  shown,
  tableOf,
  WHOLE,
  wordOf,
  wordsOf,
} from "./table.ts";

interface ListOptions extends OutputOptions {
  readonly subscription?: string;
  readonly event?: string;
  readonly pass?: string;
  readonly status?: string;
  readonly type?: string;
  readonly since?: Timestamp;
  readonly until?: Timestamp;
  readonly limit: number;
}

interface WatchOptions extends OutputOptions {
  readonly subscription?: string;
  readonly status?: string;
  readonly type?: string;
  readonly limit?: number;
}

interface RetryOptions extends OutputOptions {
  readonly failedSince?: Timestamp;
  readonly subscription?: string;
  readonly watch?: true;
}

type Deliveries = Client<typeof DeliveryService>;

export function deliveriesCommand(): AddCommand {
  return (program, terminal) => {
    const group = program.command("deliveries").description("what was sent for events, and what came back");
    const list = group
      .command("list")
      .description("show them, newest first")
      .option("--subscription <id>", "only this subscription's")
      .option("--event <id>", "only this event's")
      .option("--pass <id>", "only this pass's")
      .addOption(statusOption())
      .addOption(typeOption())
      .option("--since <when>", "created since (1h, or 2026-01-31T12:00:00Z)", moment)
      .option("--until <when>", "created before", moment);
    addOutputOptions(list)
      .option("--limit <n>", "no more than so many", count, 50)
      .action((options: ListOptions) => listDeliveries(options, terminal));
    addOutputOptions(group.command("get").description("show one, with its attempts").argument("<id>")).action(
      (id: string, options: OutputOptions) => getDelivery(id, options, terminal),
    );
    const retry = group
      .command("retry")
      .description("make them due now; one that is done starts anew, with its history kept")
      .argument("[id...]", "the deliveries' ids")
      .option("--failed-since <when>", "all that failed of those created since (1h, or a time), as a replay", moment)
      .option("--subscription <id>", "of those only this subscription's")
      .option("--watch", "stay with the replay, and show how it gets on");
    addOutputOptions(retry).action((ids: readonly string[], options: RetryOptions) =>
      options.failedSince === undefined ? retryDeliveries(ids, options, terminal) : retryFailed(ids, options, terminal),
    );
    addOutputOptions(
      group
        .command("cancel")
        .description("end them, where they wait or are held: they are not sent")
        .argument("<id...>", "the deliveries' ids"),
    ).action((ids: readonly string[], options: OutputOptions) => cancelDeliveries(ids, options, terminal));
    const watch = group
      .command("watch")
      .description("show them as their state changes")
      .option("--subscription <id>", "only this subscription's")
      .addOption(statusOption())
      .addOption(typeOption())
      .option("--limit <n>", "end after so many", count);
    addOutputOptions(watch).action((options: WatchOptions) => watchDeliveries(options, terminal));
    addSwitchCommands(group, terminal);
  };
}

function statusOption(): Option {
  return new Option("--status <status>", "only in this state").choices(wordsOf(DeliveryStatus));
}

function typeOption(): Option {
  return new Option("--type <type>", "only of events of this type").choices(KIND_WORDS);
}

/** As requests ask for deliveries of a kind of event. */
function eventKindOf(word: string | undefined) {
  const { type: eventType, operationalEventType } = kindOf(word);
  return { eventType, operationalEventType };
}

function withClient<T>(
  options: ConnectionOptions,
  terminal: Terminal,
  use: (deliveries: Deliveries) => Promise<T>,
): Promise<T> {
  return connected(options, terminal, (transport) => use(createClient(DeliveryService, transport)));
}

function printJson(terminal: Terminal, delivery: Delivery): void {
  terminal.out(`${toJsonString(DeliverySchema, delivery, WHOLE)}\n`);
}

async function listDeliveries(options: ListOptions, terminal: Terminal): Promise<void> {
  const filter = {
    subscriptionId: options.subscription ?? "",
    eventId: options.event ?? "",
    passId: options.pass ?? "",
    status: numberOf(DeliveryStatus, options.status),
    ...eventKindOf(options.type),
    ...(options.since !== undefined && { startTime: options.since }),
    ...(options.until !== undefined && { endTime: options.until }),
  };
  const found = await withClient(options, terminal, (deliveries) =>
    listed(options.limit, async (page) => {
      const { deliveries: items, nextPageToken } = await deliveries.listDeliveries({ ...filter, ...page });
      return { items, nextPageToken };
    }),
  );
  if (options.json === true) for (const each of found) printJson(terminal, each);
  else if (found.length === 0) terminal.err("no deliveries\n");
  else terminal.out(tableOf(HEADS, found.map(rowOf)));
}

const HEADS: Row = ["ID", "CREATED", "STATUS", "ATTEMPTS", "LAST", "NEXT", "EVENT", "TYPE", "SUBSCRIPTION"];

const EVENT_CHARACTERS = 40;

function rowOf(delivery: Delivery): Row {
  return [
    delivery.id,
    momentOf(delivery.createdAt),
    wordOf(DeliveryStatus, delivery.status),
    String(delivery.attemptCount),
    resultOf(delivery.attempts.at(-1)),
    momentOf(delivery.nextAttemptAt),
    cut(shown(delivery.eventId), EVENT_CHARACTERS),
    kindWord(delivery.eventType, delivery.operationalEventType),
    delivery.subscriptionId,
  ];
}

function resultOf(attempt: Attempt | undefined): string {
  if (attempt === undefined) return "";
  return attempt.statusCode === 0 ? attempt.errorCode : String(attempt.statusCode);
}

async function getDelivery(id: string, options: OutputOptions, terminal: Terminal): Promise<void> {
  const { delivery } = await withClient(options, terminal, (deliveries) =>
    deliveries.getDelivery({ id }).catch((reason) => {
      throw refused(reason);
    }),
  );
  if (delivery === undefined) return;
  if (options.json === true) return printJson(terminal, delivery);
  terminal.out(
    fieldsOf([
      ["id", delivery.id],
      ["status", wordOf(DeliveryStatus, delivery.status)],
      ["event", shown(delivery.eventId)],
      ["type", kindWord(delivery.eventType, delivery.operationalEventType)],
      ["pass", shown(delivery.passId)],
      ["subscription", delivery.subscriptionId],
      ["created", momentOf(delivery.createdAt)],
      ["next attempt", momentOf(delivery.nextAttemptAt)],
      ["finished", momentOf(delivery.finishedAt)],
      ["run", String(delivery.run)],
      ["attempts", String(delivery.attemptCount)],
    ]),
  );
  if (delivery.attempts.length === 0) return;
  terminal.out(`\n${tableOf(["STARTED", "TOOK", "STATUS", "ERROR", "RESPONSE"], delivery.attempts.map(attemptRow))}`);
}

const EXCERPT_CHARACTERS = 60;

function attemptRow(attempt: Attempt): Row {
  return [
    momentOf(attempt.startedAt),
    attempt.duration === undefined ? "" : `${Math.round(durationMs(attempt.duration))} ms`,
    attempt.statusCode === 0 ? "" : String(attempt.statusCode),
    [attempt.errorCode, shown(attempt.errorMessage)].filter((part) => part !== "").join(": "),
    cut(shown(attempt.responseExcerpt), EXCERPT_CHARACTERS),
  ];
}

async function retryDeliveries(ids: readonly string[], options: RetryOptions, terminal: Terminal): Promise<void> {
  if (ids.length === 0) throw new CommandFailed("say which: ids, or --failed-since", { exitCode: EXIT.usage });
  if (options.subscription !== undefined || options.watch === true) {
    throw new CommandFailed("--subscription and --watch go with --failed-since", { exitCode: EXIT.usage });
  }
  await oneByOne(ids, options, terminal, (deliveries, id) => deliveries.retryDelivery({ id }));
}

async function retryFailed(ids: readonly string[], options: RetryOptions, terminal: Terminal): Promise<void> {
  if (ids.length > 0) throw new CommandFailed("say ids, or --failed-since, not both", { exitCode: EXIT.usage });
  const filter = {
    subscriptionId: options.subscription ?? "",
    status: DeliveryStatus.FAILED,
    ...(options.failedSince !== undefined && { startTime: options.failedSince }),
  };
  await withClient(options, terminal, (deliveries) => beginReplay(deliveries, { filter }, options, terminal));
}

function cancelDeliveries(ids: readonly string[], options: OutputOptions, terminal: Terminal): Promise<void> {
  return oneByOne(ids, options, terminal, (deliveries, id) => deliveries.cancelDelivery({ id }));
}

/** One after the other; the first that is refused ends it. */
async function oneByOne(
  ids: readonly string[],
  options: OutputOptions,
  terminal: Terminal,
  call: (deliveries: Deliveries, id: string) => Promise<{ readonly delivery?: Delivery | undefined }>,
): Promise<void> {
  await withClient(options, terminal, async (deliveries) => {
    for (const id of ids) {
      const { delivery } = await call(deliveries, id).catch((reason) => {
        throw refused(reason);
      });
      if (delivery === undefined) continue;
      if (options.json === true) printJson(terminal, delivery);
      else terminal.err(`${delivery.id} is ${wordOf(DeliveryStatus, delivery.status)}, in run ${delivery.run}\n`);
    }
  });
}

async function watchDeliveries(options: WatchOptions, terminal: Terminal): Promise<void> {
  const request = {
    subscriptionId: options.subscription ?? "",
    status: numberOf(DeliveryStatus, options.status),
    ...eventKindOf(options.type),
  };
  await withClient(options, terminal, (deliveries) =>
    follow<Delivery>(terminal, {
      limit: options.limit,
      what: "changes",
      async *open(signal) {
        for await (const { delivery, skipped } of deliveries.watchDeliveries(request, { signal })) {
          yield { item: delivery, skipped: Number(skipped) };
        }
      },
      print(delivery) {
        if (options.json === true) printJson(terminal, delivery);
        else terminal.out(`${changeLine(delivery)}\n`);
      },
    }),
  );
}

/** The longest word is "attempting". */
const STATUS_WIDTH = 10;

function changeLine(delivery: Delivery): string {
  const { status, attempts, attemptCount, eventId, subscriptionId } = delivery;
  const result = resultOf(attempts.at(-1)) || "-";
  const tried = `${attemptCount} ${attemptCount === 1 ? "attempt " : "attempts"}`;
  const word = wordOf(DeliveryStatus, status).padEnd(STATUS_WIDTH);
  return [delivery.id, word, tried, result, shown(eventId), subscriptionId].join("  ");
}
