/** `passbus passes erase` and `passbus organisation delete`: what forgets for good, over the API. docs/erasure.md. */
import { createClient, type Transport } from "@connectrpc/connect";
import { AccessService } from "../../gen/passbus/v1/access_service_pb.js";
import { EventService } from "../../gen/passbus/v1/event_service_pb.js";
import type { AddCommand, Terminal } from "./cli.ts";
import { confirmed } from "./confirmation.ts";
import { addOutputOptions, connected, DONE_JSON, type OutputOptions, done as told } from "./connection.ts";
import { amount, refused } from "./table.ts";

interface Options extends OutputOptions {
  readonly confirm: string;
}

export function passesCommand(): AddCommand {
  return (program, terminal) => {
    const group = program.command("passes").description("all that is kept of one pass");
    const erase = group
      .command("erase")
      .description("delete its events, their deliveries, and dead letters that hold it")
      .argument("<pass-id>")
      .requiredOption("--confirm <pass-id>", "the pass's id again");
    addOutputOptions(erase, DONE_JSON).action((passId: string, options: Options) =>
      erasePass(passId, options, terminal),
    );
  };
}

export function organisationCommand(): AddCommand {
  return (program, terminal) => {
    const group = program.command("organisation").description("a whole organisation");
    const remove = group
      .command("delete")
      .description("delete it with everything that is kept under its name, in every environment")
      .argument("<name>")
      .requiredOption("--confirm <name>", "the organisation's name again");
    addOutputOptions(remove, DONE_JSON).action((name: string, options: Options) =>
      deleteOrganisation(name, options, terminal),
    );
  };
}

async function erasePass(passId: string, options: Options, terminal: Terminal): Promise<void> {
  await confirmed(passId, options.confirm, terminal);
  const { id, events, deliveries, deadLetters, done } = await calling(options, terminal, (transport) =>
    createClient(EventService, transport).erasePass({ passId }),
  );
  const parts = [
    amount(events, "event"),
    amount(deliveries, "delivery", "deliveries"),
    amount(deadLetters, "dead letter"),
  ];
  told(terminal, options, `${id}: deleted ${parts.join(", ")}`, { id, events, deliveries, deadLetters, done });
  if (!done) terminal.err(GOES_ON);
}

async function deleteOrganisation(name: string, options: Options, terminal: Terminal): Promise<void> {
  await confirmed(name, options.confirm, terminal);
  const request = { organisationId: name, confirmation: options.confirm };
  const { id, deleted, done } = await calling(options, terminal, (transport) =>
    createClient(AccessService, transport).deleteOrganisation(request),
  );
  told(terminal, options, `${id}: deleted, ${amount(deleted, "row")}`, { id, deleted, done });
  if (!done) terminal.err(GOES_ON);
}

const GOES_ON = "there was more than one call deletes; the workers go on\n";

/** What the server refuses is said in its words. */
function calling<T>(options: Options, terminal: Terminal, call: (transport: Transport) => Promise<T>): Promise<T> {
  return connected(options, terminal, (transport) =>
    call(transport).catch((reason: unknown) => {
      throw refused(reason);
    }),
  );
}
