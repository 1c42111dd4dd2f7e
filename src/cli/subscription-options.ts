/** The options of `passbus subscriptions create` and `update` as a Subscription, and which of its fields they set. */
import { readFile } from "node:fs/promises";
import { create, fromJsonString } from "@bufbuild/protobuf";
import { type Command, InvalidArgumentError, Option } from "commander";
import type { OperationalEventType } from "../../gen/passbus/v1/operational_event_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import {
  DeliveryPolicySchema,
  Format,
  Ordering,
  State,
  type Subscription,
  SubscriptionSchema,
  WhileDisabled,
} from "../../gen/passbus/v1/subscription_pb.js";
import { CommandFailed, EXIT, type Terminal } from "./cli.ts";
import { OPERATIONAL_WORDS, operationalOf } from "./event-kinds.ts";
import { count, numberOf, wordsOf } from "./table.ts";

export interface SettingOptions {
  readonly file?: string;
  readonly endpoint?: string;
  readonly type?: readonly string[];
  readonly operationalEvent?: readonly string[];
  readonly format?: string;
  readonly filter?: string;
  readonly description?: string;
  readonly label?: readonly string[];
  readonly header?: readonly string[];
  readonly maxInFlight?: number;
  readonly rate?: number;
  readonly burst?: number;
  readonly whileDisabled?: string;
  readonly ordering?: string;
  readonly conflate?: string;
  readonly state?: string;
}

/** Every type that the format can say. */
const ALL = "all";
const NONE = "none";

export function addSettingOptions(command: Command): Command {
  return command
    .option("--file <file>", "a Subscription in JSON, as `get --json` shows it; -: the standard input")
    .option("--endpoint <url>", "where its webhooks go")
    .addOption(new Option("--type <type...>", "event types").choices([ALL, ...wordsOf(PassEventType)]))
    .addOption(
      new Option(
        "--operational-event <type...>",
        "events of passbus itself; without --type it gets nothing else",
      ).choices([NONE, ...OPERATIONAL_WORDS]),
    )
    .addOption(new Option("--format <format>", "how its bodies look").choices(wordsOf(Format)))
    .option("--filter <cel>", "an expression over the event; empty: everything")
    .option("--description <text>", "for people")
    .option("--label <name=value...>", "for finding it", pair)
    .option("--header <name=value...>", "sent with every webhook", pair)
    .option("--max-in-flight <n>", "requests at the same time", count)
    .option("--rate <n>", "requests a second, fractions too; 0: no limit", rate)
    .option("--burst <n>", "requests at once after a rest", count)
    .addOption(new Option("--while-disabled <what>", "becomes of its events").choices(wordsOf(WhileDisabled)))
    .addOption(new Option("--ordering <ordering>", "per_pass: events of a pass in order").choices(wordsOf(Ordering)))
    .addOption(
      new Option("--conflate <yes>", "while it is behind, a pass's newest update alone").choices(["yes", "no"]),
    )
    .addOption(new Option("--state <state>", "whether it receives").choices(wordsOf(State)));
}

/** Gathers an option that may stand more than once, or have several values. */
export function pair(text: string, before: readonly string[] = []): readonly string[] {
  if (text.indexOf("=") < 1) throw new InvalidArgumentError("It must be name=value.");
  return [...before, text];
}

function rate(text: string): number {
  const number = Number(text);
  if (text.trim() !== "" && Number.isFinite(number) && number >= 0) return number;
  throw new InvalidArgumentError("It must be a number from 0 on.");
}

export interface Settings {
  readonly subscription: Subscription;
  /** What the options set, for a field mask. */
  readonly paths: readonly string[];
}

/** One option, and what it sets. */
interface Setting {
  readonly path: string;
  readonly value: unknown;
  set(subscription: Subscription): void;
}

/** The file, with the options laid over it. */
export async function readSettings(options: SettingOptions, terminal: Terminal): Promise<Settings> {
  const subscription =
    options.file === undefined ? create(SubscriptionSchema) : await readSubscription(options.file, terminal);
  const given = settingsOf(options).filter(({ value }) => value !== undefined);
  for (const each of given) each.set(subscription);
  return { subscription, paths: given.map(({ path }) => path) };
}

function settingsOf(options: SettingOptions): readonly Setting[] {
  const policy = (to: Subscription) => {
    to.policy ??= create(DeliveryPolicySchema);
    return to.policy;
  };
  const plain = (path: "url" | "filter" | "description", value: string | undefined): Setting => ({
    path,
    value,
    set: (to) => Object.assign(to, { [path]: value }),
  });
  return [
    plain("url", options.endpoint),
    plain("filter", options.filter),
    plain("description", options.description),
    {
      path: "event_types",
      value: options.type,
      set: (to) => Object.assign(to, { eventTypes: typesOf(options.type) }),
    },
    {
      path: "operational_events",
      value: options.operationalEvent,
      set: (to) => Object.assign(to, { operationalEvents: operationalOfAll(options.operationalEvent) }),
    },
    {
      path: "format",
      value: options.format,
      set: (to) => Object.assign(to, { format: numberOf(Format, options.format) }),
    },
    { path: "labels", value: options.label, set: (to) => Object.assign(to, { labels: mapOf(options.label) }) },
    { path: "headers", value: options.header, set: (to) => Object.assign(to, { headers: mapOf(options.header) }) },
    {
      path: "policy.max_in_flight",
      value: options.maxInFlight,
      set: (to) => Object.assign(policy(to), { maxInFlight: options.maxInFlight }),
    },
    {
      path: "policy.rate_per_second",
      value: options.rate,
      set: (to) => Object.assign(policy(to), { ratePerSecond: options.rate }),
    },
    {
      path: "policy.burst",
      value: options.burst,
      set: (to) => Object.assign(policy(to), { burst: options.burst }),
    },
    {
      path: "policy.while_disabled",
      value: options.whileDisabled,
      set: (to) => Object.assign(policy(to), { whileDisabled: numberOf(WhileDisabled, options.whileDisabled) }),
    },
    {
      path: "policy.ordering",
      value: options.ordering,
      set: (to) => Object.assign(policy(to), { ordering: numberOf(Ordering, options.ordering) }),
    },
    {
      path: "policy.conflate",
      value: options.conflate,
      set: (to) => Object.assign(policy(to), { conflate: options.conflate === "yes" }),
    },
    { path: "state", value: options.state, set: (to) => Object.assign(to, { state: numberOf(State, options.state) }) },
  ];
}

function typesOf(words: readonly string[] = []): readonly PassEventType[] {
  return words.includes(ALL) ? [] : words.map((word) => numberOf(PassEventType, word));
}

function operationalOfAll(words: readonly string[] = []): readonly OperationalEventType[] {
  return words.filter((word) => word !== NONE).map(operationalOf);
}

export function mapOf(pairs: readonly string[] = []): Record<string, string> {
  return Object.fromEntries(pairs.map((text) => [text.slice(0, text.indexOf("=")), text.slice(text.indexOf("=") + 1)]));
}

async function readSubscription(file: string, terminal: Terminal): Promise<Subscription> {
  const text = await readText(file, terminal);
  try {
    return fromJsonString(SubscriptionSchema, text);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new CommandFailed(`${file} holds no Subscription: ${message}`, { exitCode: EXIT.usage, cause: error });
  }
}

async function readText(file: string, terminal: Terminal): Promise<string> {
  if (file !== "-") {
    return readFile(file, "utf8").catch((error: Error) => {
      throw new CommandFailed(`can't read ${file}: ${error.message}`, { exitCode: EXIT.usage, cause: error });
    });
  }
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of terminal.input) {
    text += typeof chunk === "string" ? chunk : decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}
