/** `passbus limits show|set`: what the key's organisation may have, and for how long its things are kept. */
import { type Duration, durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import { type Client, createClient } from "@connectrpc/connect";
import { type Command, InvalidArgumentError } from "commander";
import { AccessService, type OrganisationLimits } from "../../gen/passbus/v1/access_service_pb.js";
import { retentionMs } from "../config/shapes.ts";
import { type AddCommand, CommandFailed, EXIT, type Terminal } from "./cli.ts";
import { addConnectionOptions, type ConnectionOptions, connected } from "./connection.ts";
import { fieldsOf, refused } from "./table.ts";

interface SetOptions extends ConnectionOptions {
  readonly organisationSubscriptions?: number;
  readonly entitySubscriptions?: number;
  readonly eventRetention?: number;
  readonly deliveryRetention?: number;
  readonly payloadRetention?: number;
}

type Access = Client<typeof AccessService>;

export function limitsCommand(): AddCommand {
  return (program, terminal) => {
    const group = program.command("limits").description("what the organisation may have, and how long things are kept");
    addConnectionOptions(group.command("show").description("show them")).action((options: ConnectionOptions) =>
      withAccess(options, terminal, (access) => show(access, terminal)),
    );
    addConnectionOptions(setOptions(group.command("set").description("change those that are named"))).action(
      (options: SetOptions) => withAccess(options, terminal, (access) => change(access, options, terminal)),
    );
  };
}

function setOptions(command: Command): Command {
  return command
    .option("--organisation-subscriptions <n>", "of the organisation itself; 0: the default", number)
    .option("--entity-subscriptions <n>", "of each entity; 0: the default", number)
    .option("--event-retention <time>", "how long events are kept, as 30d or 12h; 0: the service's", retention)
    .option("--delivery-retention <time>", "how long finished deliveries are kept; 0: the service's", retention)
    .option("--payload-retention <time>", "how long events' payloads are kept; 0: the service's", retention);
}

function number(text: string): number {
  if (/^\d{1,5}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("It must be a whole number from 0 on.");
}

function retention(text: string): number {
  const ms = text === "0" ? 0 : retentionMs.read(text);
  if (ms !== undefined) return ms;
  throw new InvalidArgumentError(`It must be ${retentionMs.is}, or 0.`);
}

async function withAccess(
  options: ConnectionOptions,
  terminal: Terminal,
  use: (access: Access) => Promise<void>,
): Promise<void> {
  await connected(options, terminal, (transport) =>
    use(createClient(AccessService, transport)).catch((reason) => {
      throw reason instanceof CommandFailed ? reason : refused(reason);
    }),
  );
}

async function show(access: Access, terminal: Terminal): Promise<void> {
  const { limits } = await access.getLimits({});
  if (limits !== undefined) terminal.out(textOf(limits));
}

async function change(access: Access, options: SetOptions, terminal: Terminal): Promise<void> {
  const { organisationSubscriptions, entitySubscriptions } = options;
  const time = (ms: number | undefined) => (ms === undefined ? {} : durationFromMs(ms));
  const asked = [
    ["organisation_subscriptions", organisationSubscriptions],
    ["entity_subscriptions", entitySubscriptions],
    ["event_retention", options.eventRetention],
    ["delivery_retention", options.deliveryRetention],
    ["payload_retention", options.payloadRetention],
  ] as const;
  const paths = asked.flatMap(([path, value]) => (value === undefined ? [] : [path]));
  if (paths.length === 0)
    throw new CommandFailed("say what to change: passbus limits set --help", { exitCode: EXIT.usage });
  const { limits } = await access.setLimits({
    limits: {
      organisationSubscriptions: organisationSubscriptions ?? 0,
      entitySubscriptions: entitySubscriptions ?? 0,
      eventRetention: time(options.eventRetention),
      deliveryRetention: time(options.deliveryRetention),
      payloadRetention: time(options.payloadRetention),
    },
    updateMask: { paths },
  });
  if (limits !== undefined) terminal.out(textOf(limits));
}

function textOf(limits: OrganisationLimits): string {
  return fieldsOf([
    ["organisation subscriptions", String(limits.organisationSubscriptions)],
    ["entity subscriptions", String(limits.entitySubscriptions)],
    ["event retention", timeOf(limits.eventRetention)],
    ["delivery retention", timeOf(limits.deliveryRetention)],
    ["payload retention", limits.payloadRetention === undefined ? "as the event" : timeOf(limits.payloadRetention)],
  ]);
}

const HOUR_MS = 3_600_000;

function timeOf(duration: Duration | undefined): string {
  const hours = duration === undefined ? 0 : durationMs(duration) / HOUR_MS;
  if (hours % 24 === 0) return `${hours / 24} d`;
  return Number.isInteger(hours) ? `${hours} h` : `${hours * 3_600} s`;
}
