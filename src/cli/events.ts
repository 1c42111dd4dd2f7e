/** `passbus events list|get`: the log of what came in. (`passbus tail` shows it as it comes, `explain` what became of it.) */
import { toJsonString } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { type Client, createClient } from "@connectrpc/connect";
import { Option } from "commander";
import { EventService, type StoredEvent, StoredEventSchema } from "../../gen/passbus/v1/event_service_pb.js";
import { type PassEvent, PassEventSchema } from "../../gen/passbus/v1/pass_event_pb.js";
import type { AddCommand, Terminal } from "./cli.ts";
import { addOutputOptions, type ConnectionOptions, connected, type OutputOptions } from "./connection.ts";
import { KIND_WORDS, kindOf, kindWord } from "./event-kinds.ts";
import { moment } from "./moments.ts";
import { count, cut, fieldsOf, listed, momentOf, type Row, refused, shown, tableOf, WHOLE } from "./table.ts";

interface ListOptions extends OutputOptions {
  readonly pass?: string;
  readonly type?: string;
  readonly since?: Timestamp;
  readonly until?: Timestamp;
  readonly limit: number;
}

export function eventsCommand(): AddCommand {
  return (program, terminal) => {
    const group = program.command("events").description("the events that came in");
    const list = group
      .command("list")
      .description("show them, newest first")
      .option("--pass <id>", "only this pass's")
      .addOption(new Option("--type <type>", "only of this type").choices(KIND_WORDS))
      .option("--since <when>", "accepted since (1h, or 2026-01-31T12:00:00Z)", moment)
      .option("--until <when>", "accepted before", moment);
    addOutputOptions(list)
      .option("--limit <n>", "no more than so many", count, 50)
      .action((options: ListOptions) => listEvents(options, terminal));
    addOutputOptions(
      group.command("get").description("show one as it is stored, with its payload").argument("<id>"),
    ).action((id: string, options: OutputOptions) => getEvent(id, options, terminal));
  };
}

function withClient<T>(
  options: ConnectionOptions,
  terminal: Terminal,
  use: (events: Client<typeof EventService>) => Promise<T>,
): Promise<T> {
  return connected(options, terminal, (transport) => use(createClient(EventService, transport)));
}

async function listEvents(options: ListOptions, terminal: Terminal): Promise<void> {
  const filter = {
    passId: options.pass ?? "",
    ...kindOf(options.type),
    ...(options.since !== undefined && { startTime: options.since }),
    ...(options.until !== undefined && { endTime: options.until }),
  };
  const found = await withClient(options, terminal, (events) =>
    listed(options.limit, async (page) => {
      const { events: items, nextPageToken } = await events.listEvents({ ...filter, ...page });
      return { items, nextPageToken };
    }),
  );
  if (options.json === true)
    for (const each of found) terminal.out(`${toJsonString(StoredEventSchema, each, WHOLE)}\n`);
  else if (found.length === 0) terminal.err("no events\n");
  else terminal.out(tableOf(["ID", "ACCEPTED", "TYPE", "ABOUT", "ENTITY"], found.map(rowOf)));
}

const ID_CHARACTERS = 40;

function rowOf({ event, acceptedAt }: StoredEvent): Row {
  return [
    // Whole, or nobody could ask for it.
    shown(event?.id ?? ""),
    momentOf(acceptedAt),
    typeOf(event),
    cut(shown(subjectOf(event)), ID_CHARACTERS),
    cut(shown(event?.entityId ?? ""), ID_CHARACTERS),
  ];
}

function typeOf(event: PassEvent | undefined): string {
  return kindWord(event?.type ?? 0, event?.operationalEvent?.type ?? 0);
}

/** The pass, or of an event of passbus itself the subscription. */
function subjectOf(event: PassEvent | undefined): string {
  return event?.operationalEvent?.subscriptionId ?? event?.pass?.id ?? "";
}

async function getEvent(id: string, options: OutputOptions, terminal: Terminal): Promise<void> {
  const { event: stored } = await withClient(options, terminal, (events) =>
    events.getEvent({ id }).catch((reason) => {
      throw refused(reason);
    }),
  );
  if (stored === undefined) return;
  if (options.json === true) return terminal.out(`${toJsonString(StoredEventSchema, stored, WHOLE)}\n`);
  const { event, acceptedAt, payloadDroppedAt } = stored;
  terminal.out(
    fieldsOf([
      ["id", shown(event?.id ?? "")],
      ["type", typeOf(event)],
      ["about", shown(subjectOf(event))],
      ["entity", shown(event?.entityId ?? "")],
      ["occurred", momentOf(event?.occurredAt)],
      ["accepted", momentOf(acceptedAt)],
      ["payload dropped", momentOf(payloadDroppedAt)],
    ]),
  );
  if (event === undefined) return;
  const lines = toJsonString(PassEventSchema, event, { prettySpaces: 2 }).split("\n").map(shown);
  terminal.out(`\n${lines.join("\n")}\n`);
}
