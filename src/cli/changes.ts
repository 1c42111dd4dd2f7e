/** `passbus changes`: what kinds of things change, as they do. */
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import { Option } from "commander";
import { ChangeKind, DeliveryService } from "../../gen/passbus/v1/delivery_service_pb.js";
import { systemClock } from "../kernel/clock.ts";
import type { AddCommand, Terminal } from "./cli.ts";
import { addOutputOptions, connected, type OutputOptions } from "./connection.ts";
import { follow } from "./follow.ts";
import { count, momentOf, numberOf, wordOf, wordsOf } from "./table.ts";

interface ChangesOptions extends OutputOptions {
  readonly kind?: readonly string[];
  readonly entity?: string;
  readonly limit?: number;
}

export function changesCommand(): AddCommand {
  return (program, terminal) => {
    const changes = program
      .command("changes")
      .description("show the kinds of things that change, as they do: list them again then")
      .addOption(
        new Option("--kind <kind...>", "only these; left out: all that the key may list").choices(wordsOf(ChangeKind)),
      )
      .option("--entity <id>", "only of this entity's subscriptions: subscriptions, health, statistics")
      .option("--limit <n>", "end after so many", count);
    addOutputOptions(changes).action((options: ChangesOptions) => watchChanges(options, terminal));
  };
}

async function watchChanges(options: ChangesOptions, terminal: Terminal): Promise<void> {
  const kinds = (options.kind ?? []).map((word) => numberOf(ChangeKind, word));
  const request = { kinds, entityId: options.entity ?? "" };
  await connected(options, terminal, (transport) =>
    follow<string>(terminal, {
      limit: options.limit,
      what: "changes",
      async *open(signal) {
        for await (const { kinds } of createClient(DeliveryService, transport).watchChanges(request, { signal })) {
          if (kinds.length === 0) yield { item: undefined, skipped: 0 };
          for (const kind of kinds) if (!signal.aborted) yield { item: wordOf(ChangeKind, kind), skipped: 0 };
        }
      },
      print(kind) {
        const time = momentOf(timestampFromMs(systemClock.now()));
        terminal.out(options.json === true ? `${JSON.stringify({ time, kind })}\n` : `${time}  ${kind}\n`);
      },
    }),
  );
}
