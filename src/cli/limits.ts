/** `passbus limits show|set`: what the key's organisation may have, and for how long its things are kept. */
import { toJsonString } from "@bufbuild/protobuf";
import { type Duration, durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import { type Client, createClient } from "@connectrpc/connect";
import { type Command, InvalidArgumentError } from "commander";
import {
  AccessService,
  type OrganisationLimits,
  OrganisationLimitsSchema,
} from "../../gen/passbus/v1/access_service_pb.js";
import { retentionMs } from "../config/shapes.ts";
import { type AddCommand, CommandFailed, EXIT, type Terminal } from "./cli.ts";
import { addOutputOptions, type ConnectionOptions, connected, type OutputOptions } from "./connection.ts";
import { fieldsOf, refused, WHOLE } from "./table.ts";

interface SetOptions extends OutputOptions {
  readonly organisationSubscriptions?: number;
  readonly entitySubscriptions?: number;
  readonly eventRetention?: number;
  readonly deliveryRetention?: number;
  readonly payloadRetention?: number;
  readonly callsPerSecond?: number;
  readonly eventsPerSecond?: number;
  readonly organisation?: string;
}

const JSON_IS = "in JSON, for programs";

type Access = Client<typeof AccessService>;

export function limitsCommand(): AddCommand {
  return (program, terminal) => {
    const group = program.command("limits").description("what the organisation may have, and how long things are kept");
    addOutputOptions(group.command("show").description("show them"), JSON_IS).action((options: OutputOptions) =>
      withAccess(options, terminal, (access) => show(access, options, terminal)),
    );
    addOutputOptions(setOptions(group.command("set").description("change those that are named")), JSON_IS).action(
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
    .option("--payload-retention <time>", "how long events' payloads are kept; 0: the service's", retention)
    .option("--calls-per-second <n>", "of each key, set by who operates passbus; 0: the service's", number)
    .option("--events-per-second <n>", "that are published, set by who operates passbus; 0: the service's", number)
    .option("--organisation <name>", "another's than the key's own, for who operates passbus");
}

function number(text: string): number {
  if (/^\d{1,7}$/.test(text)) return Number(text);
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

async function show(access: Access, options: OutputOptions, terminal: Terminal): Promise<void> {
  const { limits } = await access.getLimits({});
  print(limits, options, terminal);
}

function print(limits: OrganisationLimits | undefined, { json }: OutputOptions, terminal: Terminal): void {
  if (limits === undefined) return;
  terminal.out(json === true ? `${toJsonString(OrganisationLimitsSchema, limits, WHOLE)}\n` : textOf(limits));
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
    ["calls_per_second", options.callsPerSecond],
    ["events_per_second", options.eventsPerSecond],
  ] as const;
  const paths = asked.flatMap(([path, value]) => (value === undefined ? [] : [path]));
  if (paths.length === 0)
    throw new CommandFailed("say what to change: passbus limits set --help", { exitCode: EXIT.usage });
  const { limits } = await access.setLimits({
    organisationId: options.organisation ?? "",
    limits: {
      organisationSubscriptions: organisationSubscriptions ?? 0,
      entitySubscriptions: entitySubscriptions ?? 0,
      eventRetention: time(options.eventRetention),
      deliveryRetention: time(options.deliveryRetention),
      payloadRetention: time(options.payloadRetention),
      callsPerSecond: options.callsPerSecond ?? 0,
      eventsPerSecond: options.eventsPerSecond ?? 0,
    },
    updateMask: { paths },
  });
  print(limits, options, terminal);
}

function textOf(limits: OrganisationLimits): string {
  return fieldsOf([
    ["organisation subscriptions", String(limits.organisationSubscriptions)],
    ["entity subscriptions", String(limits.entitySubscriptions)],
    ["event retention", timeOf(limits.eventRetention)],
    ["delivery retention", timeOf(limits.deliveryRetention)],
    ["payload retention", limits.payloadRetention === undefined ? "as the event" : timeOf(limits.payloadRetention)],
    ["calls a second", rateOf(limits.callsPerSecond)],
    ["events a second", rateOf(limits.eventsPerSecond)],
  ]);
}

function rateOf(perSecond: number): string {
  return perSecond === 0 ? "any number" : String(perSecond);
}

const HOUR_MS = 3_600_000;

function timeOf(duration: Duration | undefined): string {
  const hours = duration === undefined ? 0 : durationMs(duration) / HOUR_MS;
  if (hours % 24 === 0) return `${hours / 24} d`;
  return Number.isInteger(hours) ? `${hours} h` : `${hours * 3_600} s`;
}
