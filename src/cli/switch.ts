/** `passbus deliveries stop|start|switch`: the kill switch. */
import { toJsonString } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import type { Command } from "commander";
import {
  AccessService,
  type DeliverySwitch,
  DeliverySwitchSchema,
  DeliverySwitchScope as Scope,
} from "../../gen/passbus/v1/access_service_pb.js";
import type { Terminal } from "./cli.ts";
import { addOutputOptions, connected, DONE_JSON, done, type OutputOptions } from "./connection.ts";
import { momentOf, refused, shown, tableOf, WHOLE, wordOf } from "./table.ts";

interface TurnOptions extends OutputOptions {
  readonly service?: true;
  readonly reason?: string;
}

/** Adds the commands to those of `passbus deliveries`. */
export function addSwitchCommands(group: Command, terminal: Terminal): void {
  const stop = group
    .command("stop")
    .description("let nothing leave: events are taken as always, and every webhook waits")
    .option("--reason <text>", "why, for people")
    .option("--service", "of every organisation, not of the key's own alone");
  addOutputOptions(stop, DONE_JSON).action((options: TurnOptions) => turn(true, options, terminal));
  const start = group
    .command("start")
    .description("go on with what waits, the older first")
    .option("--service", "what was stopped with --service");
  addOutputOptions(start, DONE_JSON).action((options: TurnOptions) => turn(false, options, terminal));
  const show = group.command("switch").description("show whether deliveries are stopped");
  addOutputOptions(show).action((options: OutputOptions) => showSwitches(options, terminal));
}

async function turn(stopped: boolean, options: TurnOptions, terminal: Terminal): Promise<void> {
  const scope = options.service === true ? Scope.SERVICE : Scope.ORGANISATION;
  await connected(options, terminal, async (transport) => {
    const access = createClient(AccessService, transport);
    await access.setDeliverySwitch({ scope, stopped, reason: options.reason ?? "" }).catch((reason) => {
      throw refused(reason);
    });
  });
  const whose = scope === Scope.SERVICE ? "of the service" : "of the organisation";
  const facts = { scope: wordOf(Scope, scope), stopped };
  done(terminal, options, `deliveries ${whose}: ${stopped ? "stopped" : "started"}`, facts);
}

async function showSwitches(options: OutputOptions, terminal: Terminal): Promise<void> {
  const { switches } = await connected(options, terminal, (transport) =>
    createClient(AccessService, transport)
      .getDeliverySwitch({})
      .catch((reason) => {
        throw refused(reason);
      }),
  );
  if (options.json === true) {
    for (const each of switches) terminal.out(`${toJsonString(DeliverySwitchSchema, each, WHOLE)}\n`);
  } else {
    terminal.out(tableOf(["SCOPE", "DELIVERIES", "SINCE", "BY", "REASON"], switches.map(rowOf)));
  }
}

function rowOf({ scope, stopped, stoppedAt, stoppedBy, reason }: DeliverySwitch): readonly string[] {
  return [wordOf(Scope, scope), stopped ? "stopped" : "go out", momentOf(stoppedAt), shown(stoppedBy), shown(reason)];
}
