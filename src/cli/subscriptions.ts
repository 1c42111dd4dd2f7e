/** `passbus subscriptions list|get|create|update|delete|rotate|test|preview`: who wants to hear what, where. */
import { toJsonString } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { type Client, createClient } from "@connectrpc/connect";
import { InvalidArgumentError, Option } from "commander";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import {
  EndpointCondition,
  Format,
  State,
  type Subscription,
  SubscriptionSchema,
} from "../../gen/passbus/v1/subscription_pb.js";
import {
  CreateSubscriptionResponseSchema,
  RotateSecretResponseSchema,
  Scope,
  SubscriptionService,
} from "../../gen/passbus/v1/subscription_service_pb.js";
import { type AddCommand, CommandFailed, EXIT, type Terminal } from "./cli.ts";
import { confirmed } from "./confirmation.ts";
import {
  addOutputOptions,
  type ConnectionOptions,
  connected,
  DONE_JSON,
  done,
  type OutputOptions,
} from "./connection.ts";
import { OPERATIONAL_WORDS, operationalOf } from "./event-kinds.ts";
import { detailsOf, scopeOf, stateOf, typesOf } from "./subscription-details.ts";
import { addSettingOptions, mapOf, pair, type SettingOptions } from "./subscription-options.ts";
import { EMPTIABLE, readSettings } from "./subscription-settings.ts";
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
import { addWebhookCommands } from "./webhooks.ts";

interface ListOptions extends OutputOptions {
  readonly entity?: string;
  readonly state?: string;
  readonly format?: string;
  readonly health?: string;
  readonly label?: readonly string[];
  readonly type?: string;
  readonly operationalEvent?: string;
  readonly scope?: string;
  readonly text?: string;
  readonly limit: number;
}

type CreateOptions = OutputOptions & SettingOptions & { readonly entity?: string; readonly verify?: true };
type UpdateOptions = OutputOptions & SettingOptions & { readonly unset?: readonly string[] };
type DeleteOptions = OutputOptions & { readonly confirm?: string };
type RotateOptions = OutputOptions & { readonly overlap?: number };

type Subscriptions = Client<typeof SubscriptionService>;

export function subscriptionsCommand(): AddCommand {
  return (program, terminal) => {
    const group = program.command("subscriptions").description("who wants to hear what, where");
    const list = group
      .command("list")
      .description("show them, newest first")
      .option("--entity <id>", "only this entity's")
      .addOption(new Option("--state <state>", "only in this state").choices(wordsOf(State)))
      .addOption(new Option("--format <format>", "only of this format").choices(wordsOf(Format)))
      .addOption(
        new Option("--health <condition>", "only those whose endpoint is so").choices(wordsOf(EndpointCondition)),
      )
      .option("--label <name=value...>", "only those that have each of these", pair)
      .addOption(new Option("--type <type>", "only those that get events of this type").choices(wordsOf(PassEventType)))
      .addOption(
        new Option("--operational-event <type>", "only those that name this event of passbus itself").choices(
          OPERATIONAL_WORDS,
        ),
      )
      .addOption(
        new Option("--scope <scope>", "only those of the organisation, or of entities").choices(wordsOf(Scope)),
      )
      .option("--text <text>", "only those with this in the id, entity, URL, description or labels");
    addOutputOptions(list)
      .option("--limit <n>", "no more than so many", count, 50)
      .action((options: ListOptions) => listSubscriptions(options, terminal));
    addOutputOptions(group.command("get").description("show one").argument("<id>")).action(
      (id: string, options: OutputOptions) => getSubscription(id, options, terminal),
    );
    const create = group
      .command("create")
      .description("register an endpoint, and show its signing secret, this once")
      .option("--entity <id>", "only this entity's events; left out: the whole organisation's")
      .option("--verify", "make it only if the endpoint answers a challenge");
    addOutputOptions(addSettingOptions(create)).action((options: CreateOptions) =>
      createSubscription(options, terminal),
    );
    const update = group
      .command("update")
      .description("change what the options say, and nothing else")
      .argument("<id>")
      .addOption(
        new Option("--unset <option...>", "make what these options set as if it never was").choices(EMPTIABLE),
      );
    addOutputOptions(addSettingOptions(update)).action((id: string, options: UpdateOptions) =>
      updateSubscription(id, options, terminal),
    );
    addOutputOptions(
      group.command("delete").description("end it; what waits is cancelled, the log of what was sent stays"),
      DONE_JSON,
    )
      .argument("<id>")
      .option("--confirm <id>", "the id again; left out, a person at a terminal is asked for it")
      .action((id: string, options: DeleteOptions) => deleteSubscription(id, options, terminal));
    const rotate = group
      .command("rotate")
      .description("make a new signing secret, and show it, this once")
      .argument("<id>")
      .option("--overlap <time>", "for which the old one signs too: 0, 90s, 30m, 24h, 7d (default: 24h)", time);
    addOutputOptions(rotate).action((id: string, options: RotateOptions) => rotateSecret(id, options, terminal));
    addWebhookCommands(group, terminal);
  };
}

const UNIT_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

function time(text: string): number {
  const [, number, unit] = /^(\d+)([smhd])$/.exec(text) ?? [];
  if (text === "0") return 0;
  if (number === undefined || unit === undefined)
    throw new InvalidArgumentError("It must be like 0, 90s, 30m, 24h or 7d.");
  return Number(number) * (UNIT_MS[unit] ?? 0);
}

/** What the server refuses is said to the person at the terminal. */
function withClient<T>(
  options: ConnectionOptions,
  terminal: Terminal,
  use: (subscriptions: Subscriptions) => Promise<T>,
): Promise<T> {
  return connected(options, terminal, (transport) =>
    use(createClient(SubscriptionService, transport)).catch((reason) => {
      throw reason instanceof CommandFailed ? reason : refused(reason);
    }),
  );
}

async function listSubscriptions(options: ListOptions, terminal: Terminal): Promise<void> {
  const filter = {
    entityId: options.entity ?? "",
    state: numberOf(State, options.state),
    format: numberOf(Format, options.format),
    health: numberOf(EndpointCondition, options.health),
    labels: mapOf(options.label),
    eventType: numberOf(PassEventType, options.type),
    operationalEvent: operationalOf(options.operationalEvent),
    scope: numberOf(Scope, options.scope),
    text: options.text ?? "",
  };
  const found = await withClient(options, terminal, (subscriptions) =>
    listed(options.limit, async (page) => {
      const answer = await subscriptions.listSubscriptions({ ...filter, ...page });
      return { items: answer.subscriptions, nextPageToken: answer.nextPageToken };
    }),
  );
  if (options.json === true)
    for (const each of found) terminal.out(`${toJsonString(SubscriptionSchema, each, WHOLE)}\n`);
  else if (found.length === 0) terminal.err("no subscriptions\n");
  else terminal.out(tableOf(HEADS, found.map(rowOf)));
}

const HEADS: Row = ["ID", "CREATED", "STATE", "FORMAT", "SCOPE", "TYPES", "ENDPOINT", "DESCRIPTION"];

const ENDPOINT_CHARACTERS = 80;
const DESCRIPTION_CHARACTERS = 40;

function rowOf(subscription: Subscription): Row {
  return [
    subscription.id,
    momentOf(subscription.createdAt),
    stateOf(subscription),
    wordOf(Format, subscription.format),
    scopeOf(subscription),
    typesOf(subscription),
    cut(shown(subscription.url), ENDPOINT_CHARACTERS),
    cut(shown(subscription.description), DESCRIPTION_CHARACTERS),
  ];
}

async function getSubscription(id: string, options: OutputOptions, terminal: Terminal): Promise<void> {
  const { subscription } = await withClient(options, terminal, (subscriptions) =>
    subscriptions.getSubscription({ id }),
  );
  show(subscription, options, terminal);
}

function show(subscription: Subscription | undefined, { json }: OutputOptions, terminal: Terminal): void {
  if (subscription === undefined) return;
  if (json === true) terminal.out(`${toJsonString(SubscriptionSchema, subscription, WHOLE)}\n`);
  else terminal.out(fieldsOf(detailsOf(subscription)));
}

async function createSubscription(options: CreateOptions, terminal: Terminal): Promise<void> {
  const { subscription } = await readSettings(options, terminal);
  // Of another one that was written to a file.
  subscription.id = "";
  if (options.entity !== undefined) subscription.entityId = options.entity;
  if (subscription.url === "") throw new CommandFailed("say --endpoint, or --file", { exitCode: EXIT.usage });
  const answer = await withClient(options, terminal, (client) =>
    client.createSubscription({ subscription, verifyEndpoint: options.verify === true }),
  );
  if (options.json === true) terminal.out(`${toJsonString(CreateSubscriptionResponseSchema, answer, WHOLE)}\n`);
  else showSecret(answer, options, terminal);
}

interface WithSecret {
  readonly subscription?: Subscription | undefined;
  readonly secret: string;
}

function showSecret({ subscription, secret }: WithSecret, options: OutputOptions, terminal: Terminal): void {
  show(subscription, options, terminal);
  terminal.out(`\n${fieldsOf([["signing secret", secret]])}`);
  terminal.err("the signing secret is shown this once\n");
}

async function updateSubscription(id: string, options: UpdateOptions, terminal: Terminal): Promise<void> {
  const { subscription, paths } = await readSettings(options, terminal, options.unset);
  const isFile = options.file !== undefined;
  if (isFile === paths.length > 0) {
    throw new CommandFailed("say what to change, or --file", { exitCode: EXIT.usage });
  }
  subscription.id = id;
  // Of a file, what is set in it counts: that is what no mask means.
  const request = isFile ? { subscription } : { subscription, updateMask: { paths: [...paths] } };
  const answer = await withClient(options, terminal, (client) => client.updateSubscription(request));
  show(answer.subscription, options, terminal);
}

async function deleteSubscription(id: string, options: DeleteOptions, terminal: Terminal): Promise<void> {
  await confirmed(id, options.confirm, terminal);
  await withClient(options, terminal, (client) => client.deleteSubscription({ id }));
  done(terminal, options, `deleted ${id}`, { deleted: id });
}

async function rotateSecret(id: string, options: RotateOptions, terminal: Terminal): Promise<void> {
  const overlap = options.overlap === undefined ? {} : { overlap: durationFromMs(options.overlap) };
  const answer = await withClient(options, terminal, (client) => client.rotateSecret({ id, ...overlap }));
  if (options.json === true) terminal.out(`${toJsonString(RotateSecretResponseSchema, answer, WHOLE)}\n`);
  else showSecret(answer, options, terminal);
}
