/** `passbus replay create|get|list|pause|resume|cancel|watch`: sending again, as a job. */
import { toJsonString } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { type Client, ConnectError, createClient } from "@connectrpc/connect";
import { type Command, InvalidArgumentError, Option } from "commander";
import { DeliveryStatus } from "../../gen/passbus/v1/delivery_pb.js";
import { DeliveryService, type Replay, ReplaySchema, ReplayState } from "../../gen/passbus/v1/delivery_service_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import type { AddCommand, Terminal } from "./cli.ts";
import { addOutputOptions, type ConnectionOptions, connected, type OutputOptions } from "./connection.ts";
import { moment } from "./moments.ts";
import { barOf } from "./progress.ts";
import {
  count,
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

interface CreateOptions extends OutputOptions {
  readonly subscription?: string;
  readonly type?: readonly string[];
  readonly pass?: string;
  readonly status?: string;
  readonly since?: Timestamp;
  readonly until?: Timestamp;
  readonly to?: string;
  readonly rate?: number;
  readonly freshIds?: true;
  readonly dryRun?: true;
  readonly watch?: true;
}

interface ListOptions extends OutputOptions {
  readonly limit: number;
}

type Deliveries = Client<typeof DeliveryService>;
type Change = "pauseReplay" | "resumeReplay" | "cancelReplay";

export function replayCommand(): AddCommand {
  return (program, terminal) => {
    const group = program.command("replay").description("send again what was sent before, as a job");
    const create = group
      .command("create")
      .description("begin one: what fits all of these, the oldest first")
      .option("--subscription <id>", "only what this subscription got")
      .addOption(new Option("--type <type...>", "only events of these types").choices(wordsOf(PassEventType)))
      .option("--pass <id>", "only of this pass")
      .addOption(new Option("--status <status>", "only what ended so").choices(["delivered", "failed", "cancelled"]))
      .option("--since <when>", "created since (1h, or 2026-01-31T12:00:00Z)", moment)
      .option("--until <when>", "created before", moment)
      .option("--to <id>", "to this subscription, instead of the one that it was for")
      .option("--rate <n>", "so many a second at most; 50, if left out", rate)
      .option("--fresh-ids", "under new webhook ids, so that receivers that skip known ones take them")
      .option("--dry-run", "count only")
      .option("--watch", "stay, and show how it gets on");
    addOutputOptions(create).action((options: CreateOptions) => createReplay(options, terminal));
    addOutputOptions(group.command("get").description("show one").argument("<id>")).action(
      (id: string, options: OutputOptions) => one(options, terminal, (deliveries) => deliveries.getReplay({ id })),
    );
    addOutputOptions(group.command("list").description("show them, newest first"))
      .option("--limit <n>", "no more than so many", count, 50)
      .action((options: ListOptions) => listReplays(options, terminal));
    addChange(group, terminal, "pause", "pauseReplay", "make nothing more due for now; what is due already is sent");
    addChange(group, terminal, "resume", "resumeReplay", "go on with a paused one");
    addChange(group, terminal, "cancel", "cancelReplay", "end one; what is due already is sent");
    addOutputOptions(
      group.command("watch").description("show how one gets on, until it is over").argument("<id>"),
    ).action((id: string, options: OutputOptions) =>
      withClient(options, terminal, (deliveries) => watchReplay(deliveries, id, options, terminal)),
    );
  };
}

function addChange(group: Command, terminal: Terminal, name: string, call: Change, description: string): void {
  addOutputOptions(group.command(name).description(description).argument("<id>")).action(
    (id: string, options: OutputOptions) => one(options, terminal, (deliveries) => deliveries[call]({ id })),
  );
}

function rate(text: string): number {
  const number = Number(text);
  if (number > 0 && Number.isFinite(number)) return number;
  throw new InvalidArgumentError("It must be a number above 0.");
}

function withClient<T>(
  options: ConnectionOptions,
  terminal: Terminal,
  use: (deliveries: Deliveries) => Promise<T>,
): Promise<T> {
  return connected(options, terminal, (transport) => use(createClient(DeliveryService, transport)));
}

async function createReplay(options: CreateOptions, terminal: Terminal): Promise<void> {
  const replay = {
    filter: {
      subscriptionId: options.subscription ?? "",
      eventTypes: (options.type ?? []).map((word) => numberOf(PassEventType, word)),
      passId: options.pass ?? "",
      status: numberOf(DeliveryStatus, options.status),
      ...(options.since !== undefined && { startTime: options.since }),
      ...(options.until !== undefined && { endTime: options.until }),
    },
    targetSubscriptionId: options.to ?? "",
    ratePerSecond: options.rate ?? 0,
    freshIds: options.freshIds ?? false,
  };
  await withClient(options, terminal, (deliveries) => beginReplay(deliveries, replay, options, terminal));
}

type Draft = Parameters<Deliveries["createReplay"]>[0]["replay"];

/** Makes it, or counts what it would take in, and stays with it where that is asked for. */
export async function beginReplay(
  deliveries: Deliveries,
  draft: Draft,
  options: OutputOptions & { readonly dryRun?: true; readonly watch?: true },
  terminal: Terminal,
): Promise<void> {
  const { replay } = await deliveries
    .createReplay({ replay: draft, dryRun: options.dryRun ?? false })
    .catch((reason) => {
      throw refused(reason);
    });
  if (replay === undefined) return;
  const { id } = replay;
  if (options.json === true) printJson(terminal, replay);
  else if (options.dryRun === true) terminal.out(`${matched(replay)} would be looked at\n`);
  else terminal.out(`${id}\n`);
  if (options.dryRun === true) return;
  if (options.json !== true) terminal.err(`${matched(replay)} fit; passbus replay watch ${id} shows how it gets on\n`);
  if (options.watch === true) await watchReplay(deliveries, id, options, terminal);
}

async function one(
  options: OutputOptions,
  terminal: Terminal,
  call: (deliveries: Deliveries) => Promise<{ readonly replay?: Replay | undefined }>,
): Promise<void> {
  const { replay } = await withClient(options, terminal, (deliveries) =>
    call(deliveries).catch((reason) => {
      throw refused(reason);
    }),
  );
  if (replay === undefined) return;
  if (options.json === true) printJson(terminal, replay);
  else terminal.out(fieldsOf(fieldsOfReplay(replay)));
}

async function listReplays(options: ListOptions, terminal: Terminal): Promise<void> {
  const found = await withClient(options, terminal, (deliveries) =>
    listed(options.limit, async (page) => {
      const { replays: items, nextPageToken } = await deliveries.listReplays(page);
      return { items, nextPageToken };
    }),
  );
  if (options.json === true) for (const each of found) printJson(terminal, each);
  else if (found.length === 0) terminal.err("no replays\n");
  else terminal.out(tableOf(["ID", "CREATED", "STATE", "MATCHED", "SENT", "SKIPPED", "OF", "TO"], found.map(rowOf)));
}

/** Until it is over, or the first SIGINT or SIGTERM, which ends the watching and not the replay. */
async function watchReplay(
  deliveries: Deliveries,
  id: string,
  { json }: OutputOptions,
  terminal: Terminal,
): Promise<void> {
  const ending = new AbortController();
  const forget = terminal.onSignal(() => ending.abort());
  const hasBar = json !== true && terminal.showsProgress === true;
  let last: Replay | undefined;
  try {
    for await (const { replay } of deliveries.watchReplay({ id }, { signal: ending.signal })) {
      last = replay ?? last;
      if (replay === undefined) continue;
      if (json === true) printJson(terminal, replay);
      else if (hasBar) terminal.err(`\r${barOf(shareOf(replay))} ${progressOf(replay)}\u001b[K`);
      else terminal.out(`${progressOf(replay)}\n`);
    }
  } catch (reason) {
    if (!ending.signal.aborted || !(reason instanceof ConnectError)) throw refused(reason);
  } finally {
    forget();
    if (hasBar) terminal.err("\n");
  }
  if (hasBar && last !== undefined) terminal.out(`${progressOf(last)}\n`);
}

function printJson(terminal: Terminal, replay: Replay): void {
  terminal.out(`${toJsonString(ReplaySchema, replay, WHOLE)}\n`);
}

function matched({ matched: number, matchedAtLeast }: Replay): string {
  return matchedAtLeast ? `${number} or more` : String(number);
}

/** Of what fits, how much was sent or skipped. */
function shareOf(replay: Replay): number {
  return replay.matched === 0n ? 1 : Number(replay.sent + replay.skipped) / Number(replay.matched);
}

function progressOf(replay: Replay): string {
  const { state, sent, skipped, delivered, failed, pending } = replay;
  const made = `${wordOf(ReplayState, state)}: ${sent} of ${matched(replay)} sent, ${skipped} skipped`;
  return `${made}; ${delivered} delivered, ${failed} failed, ${pending} pending`;
}

function rowOf(replay: Replay): Row {
  return [
    replay.id,
    momentOf(replay.createdAt),
    wordOf(ReplayState, replay.state),
    matched(replay),
    String(replay.sent),
    String(replay.skipped),
    replay.filter?.subscriptionId ?? "",
    replay.targetSubscriptionId,
  ];
}

function fieldsOfReplay(replay: Replay): readonly (readonly [string, string])[] {
  const { filter } = replay;
  return [
    ["id", replay.id],
    ["state", wordOf(ReplayState, replay.state)],
    ["subscription", filter?.subscriptionId ?? ""],
    ["types", (filter?.eventTypes ?? []).map((type) => wordOf(PassEventType, type)).join(", ")],
    ["pass", shown(filter?.passId ?? "")],
    ["status", filter === undefined || filter.status === 0 ? "" : wordOf(DeliveryStatus, filter.status)],
    ["since", momentOf(filter?.startTime)],
    ["until", momentOf(filter?.endTime)],
    ["to", replay.targetSubscriptionId],
    ["rate", `${replay.ratePerSecond} a second`],
    ["fresh ids", replay.freshIds ? "yes" : ""],
    ["matched", matched(replay)],
    ["sent", String(replay.sent)],
    ["skipped", String(replay.skipped)],
    ["delivered", String(replay.delivered)],
    ["failed", String(replay.failed)],
    ["pending", String(replay.pending)],
    ["created", momentOf(replay.createdAt)],
    ["finished", momentOf(replay.finishedAt)],
  ];
}
