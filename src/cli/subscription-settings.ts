/** The options of `passbus subscriptions create` and `update` as a Subscription, and which of its fields they set. */
import { readFile } from "node:fs/promises";
import { create, fromJsonString } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { ActionMethod, CouponEventId, FieldMappingSchema, MembershipEventId } from "../../gen/io/integrations_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import {
  CloudEventsMode,
  type DeliveryPolicy,
  DeliveryPolicySchema,
  type EndpointTls,
  EndpointTlsSchema,
  Format,
  type FormatOptions,
  FormatOptionsSchema,
  Ordering,
  PassKitUninstalledEventName,
  State,
  type Subscription,
  SubscriptionSchema,
  WhileDisabled,
} from "../../gen/passbus/v1/subscription_pb.js";
import { CommandFailed, EXIT, type Terminal } from "./cli.ts";
import { operationalOf } from "./event-kinds.ts";
import { ALL, COUPON, MEMBERSHIP, METHOD, mapOf, NONE, type SettingOptions } from "./subscription-options.ts";
import { numberOf } from "./table.ts";

export interface Settings {
  readonly subscription: Subscription;
  /** What the options set, for a field mask. */
  readonly paths: readonly string[];
}

/** One option, and what it sets. */
interface Setting {
  readonly option: keyof SettingOptions;
  /** As a field mask names it. */
  readonly path: string;
  set(to: Subscription, options: SettingOptions): void;
}

function setting<Name extends keyof SettingOptions>(
  option: Name,
  path: string,
  set: (to: Subscription, value: NonNullable<SettingOptions[Name]>) => void,
): Setting {
  return {
    option,
    path,
    set(to, options) {
      const value = options[option];
      if (value !== undefined && value !== null) set(to, value);
    },
  };
}

function policyOf(to: Subscription): DeliveryPolicy {
  to.policy ??= create(DeliveryPolicySchema);
  return to.policy;
}

function formatOptionsOf(to: Subscription): FormatOptions {
  to.formatOptions ??= create(FormatOptionsSchema);
  return to.formatOptions;
}

function tlsOf(to: Subscription): EndpointTls {
  to.tls ??= create(EndpointTlsSchema);
  return to.tls;
}

const SETTINGS: readonly Setting[] = [
  setting("endpoint", "url", (to, url) => Object.assign(to, { url })),
  setting("filter", "filter", (to, filter) => Object.assign(to, { filter })),
  setting("description", "description", (to, description) => Object.assign(to, { description })),
  setting("type", "event_types", (to, words) => {
    to.eventTypes = words.includes(ALL) ? [] : words.map((word) => numberOf<PassEventType>(PassEventType, word));
  }),
  setting("operationalEvent", "operational_events", (to, words) => {
    to.operationalEvents = words.filter((word) => word !== NONE).map(operationalOf);
  }),
  setting("membershipEvent", "membership_events", (to, words) => {
    to.membershipEvents = named(words, (word) => numberOf<MembershipEventId>(MembershipEventId, MEMBERSHIP + word));
  }),
  setting("couponEvent", "coupon_events", (to, words) => {
    to.couponEvents = named(words, (word) => numberOf<CouponEventId>(CouponEventId, COUPON + word));
  }),
  setting("protocol", "protocol", (to, protocol) => Object.assign(to, { protocol })),
  setting("format", "format", (to, word) => Object.assign(to, { format: numberOf(Format, word) })),
  setting("cloudeventsMode", "format_options.cloudevents_mode", (to, word) => {
    formatOptionsOf(to).cloudeventsMode = numberOf<CloudEventsMode>(CloudEventsMode, word);
  }),
  setting("passkitMethod", "format_options.passkit_method", (to, word) => {
    formatOptionsOf(to).passkitMethod = numberOf<ActionMethod>(ActionMethod, METHOD + word);
  }),
  setting("passkitUninstalled", "format_options.passkit_uninstalled_event_name", (to, word) => {
    const name = numberOf<PassKitUninstalledEventName>(PassKitUninstalledEventName, word);
    formatOptionsOf(to).passkitUninstalledEventName = name;
  }),
  setting("passkitField", "format_options.passkit_field_mapping", (to, { source, destination }) => {
    const names = { sourceFieldUniqueName: source, destinationFieldKey: destination };
    formatOptionsOf(to).passkitFieldMapping = create(FieldMappingSchema, names);
  }),
  setting("ethpassAuthorization", "format_options.ethpass_authorization", (to, text) => {
    formatOptionsOf(to).ethpassAuthorization = text;
  }),
  setting("label", "labels", (to, pairs) => Object.assign(to, { labels: mapOf(pairs) })),
  setting("header", "headers", (to, pairs) => Object.assign(to, { headers: mapOf(pairs) })),
  setting("ed25519", "ed25519_signature", (to, word) => Object.assign(to, { ed25519Signature: word === "yes" })),
  setting("tlsCa", "tls.ca_certificates", (to, text) => Object.assign(tlsOf(to), { caCertificates: text })),
  setting("tlsCertificate", "tls.client_certificate", (to, text) => {
    tlsOf(to).clientCertificate = text;
  }),
  setting("tlsKey", "tls.client_key", (to, text) => Object.assign(tlsOf(to), { clientKey: text })),
  setting("maxInFlight", "policy.max_in_flight", (to, n) => Object.assign(policyOf(to), { maxInFlight: n })),
  setting("rate", "policy.rate_per_second", (to, n) => Object.assign(policyOf(to), { ratePerSecond: n })),
  setting("burst", "policy.burst", (to, n) => Object.assign(policyOf(to), { burst: n })),
  setting("retrySchedule", "policy.retry_schedule", (to, waits) => {
    policyOf(to).retrySchedule = waits.map(durationFromMs);
  }),
  setting("attemptTimeout", "policy.attempt_timeout", (to, ms) => {
    policyOf(to).attemptTimeout = durationFromMs(ms);
  }),
  setting("whileDisabled", "policy.while_disabled", (to, word) => {
    policyOf(to).whileDisabled = numberOf<WhileDisabled>(WhileDisabled, word);
  }),
  setting("ordering", "policy.ordering", (to, word) => {
    policyOf(to).ordering = numberOf<Ordering>(Ordering, word);
  }),
  setting("conflate", "policy.conflate", (to, word) => Object.assign(policyOf(to), { conflate: word === "yes" })),
  setting("state", "state", (to, word) => Object.assign(to, { state: numberOf(State, word) })),
];

function named<T>(words: readonly string[], read: (word: string) => T): T[] {
  return words.filter((word) => word !== NONE).map(read);
}

/** What a subscription can't be without. */
const NEEDED: readonly (keyof SettingOptions)[] = ["endpoint", "format", "state"];

/** The options whose fields can be emptied, as the command line writes them. */
export const EMPTIABLE: readonly string[] = SETTINGS.filter(({ option }) => !NEEDED.includes(option)).map(kebab);

/** `retrySchedule` is `retry-schedule` on the command line. */
function kebab({ option }: Setting): string {
  return option.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** The file, with the options laid over it; of those in `unset` there is the path alone. */
export async function readSettings(
  options: SettingOptions,
  terminal: Terminal,
  unset: readonly string[] = [],
): Promise<Settings> {
  const subscription =
    options.file === undefined ? create(SubscriptionSchema) : await readSubscription(options.file, terminal);
  const given = SETTINGS.filter(({ option }) => options[option] !== undefined);
  const both = given.map(kebab).find((name) => unset.includes(name));
  if (both !== undefined) throw new CommandFailed(`--${both} is both given and unset`, { exitCode: EXIT.usage });
  for (const each of given) each.set(subscription, options);
  const emptied = SETTINGS.filter((each) => unset.includes(kebab(each)));
  return { subscription, paths: [...given, ...emptied].map(({ path }) => path) };
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
