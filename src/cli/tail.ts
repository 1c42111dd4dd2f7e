/** `passbus tail`: events as they are stored; `passbus explain`: what became of one. */
import { toJsonString } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { Option } from "commander";
import {
  EventService,
  ExplanationSchema,
  type StoredEvent,
  StoredEventSchema,
} from "../../gen/passbus/v1/event_service_pb.js";
import type { AddCommand, Terminal } from "./cli.ts";
import { addOutputOptions, connected, type OutputOptions } from "./connection.ts";
import { KIND_WORDS, kindOf, kindWord } from "./event-kinds.ts";
import { follow } from "./follow.ts";
import { count, momentOf, refused, shown, tableOf, WHOLE } from "./table.ts";

interface TailOptions extends OutputOptions {
  readonly pass?: string;
  readonly type?: string;
  readonly limit?: number;
}

interface ExplainOptions extends OutputOptions {
  readonly subscription?: string;
}

export function tailCommand(): AddCommand {
  return (program, terminal) => {
    const tail = program
      .command("tail")
      .description("show events as they are stored")
      .option("--pass <id>", "only this pass's")
      .addOption(new Option("--type <type>", "only of this type").choices(KIND_WORDS))
      .option("--limit <n>", "end after so many", count);
    addOutputOptions(tail).action((options: TailOptions) => tailEvents(options, terminal));
  };
}

async function tailEvents(options: TailOptions, terminal: Terminal): Promise<void> {
  const request = { passId: options.pass ?? "", ...kindOf(options.type) };
  await connected(options, terminal, (transport) =>
    follow<StoredEvent>(terminal, {
      limit: options.limit,
      what: "events",
      async *open(signal) {
        for await (const { event, skipped } of createClient(EventService, transport).tailEvents(request, { signal })) {
          yield { item: event, skipped: Number(skipped) };
        }
      },
      print: (stored) =>
        terminal.out(
          options.json === true ? `${toJsonString(StoredEventSchema, stored, WHOLE)}\n` : `${eventLine(stored)}\n`,
        ),
    }),
  );
}

/** The longest word of a pass's event is "invalidated"; passbus's own are few, and stand out. */
const TYPE_WIDTH = 11;

function eventLine({ event, acceptedAt }: StoredEvent): string {
  const told = event?.operationalEvent;
  const type = kindWord(event?.type ?? 0, told?.type ?? 0).padEnd(TYPE_WIDTH);
  const subject = told?.subscriptionId ?? event?.pass?.id ?? "";
  return [momentOf(acceptedAt), type, shown(event?.id ?? ""), shown(subject)].join("  ");
}

export function explainCommand(): AddCommand {
  return (program, terminal) => {
    const command = program
      .command("explain")
      .description("why there is a webhook for an event, or why there is none")
      .argument("<event>", "the event's id")
      .option("--subscription <id>", "for this subscription alone");
    addOutputOptions(command).action((eventId: string, options: ExplainOptions) => explain(eventId, options, terminal));
  };
}

async function explain(eventId: string, options: ExplainOptions, terminal: Terminal): Promise<void> {
  const { explanations, truncated } = await connected(options, terminal, (transport) =>
    createClient(EventService, transport)
      .explainEvent({ eventId, subscriptionId: options.subscription ?? "" })
      .catch((reason) => {
        throw refused(reason);
      }),
  );
  if (options.json === true) {
    for (const each of explanations) terminal.out(`${toJsonString(ExplanationSchema, each, WHOLE)}\n`);
  } else if (explanations.length === 0) {
    terminal.err("the event is stored, and there is no subscription that it could be for\n");
  } else {
    const rows = explanations.map((each) => [each.subscriptionId, each.deliveryId, each.reason, shown(each.message)]);
    terminal.out(tableOf(["SUBSCRIPTION", "DELIVERY", "REASON", "MESSAGE"], rows));
  }
  if (truncated) terminal.err("there are more; --subscription asks for one\n");
}
