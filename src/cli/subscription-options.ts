/** The options of `passbus subscriptions create` and `update`; subscription-settings.ts says what each sets. */
import { existsSync, readFileSync } from "node:fs";
import { type Command, InvalidArgumentError, Option } from "commander";
import { CouponEventId, MembershipEventId } from "../../gen/io/integrations_pb.js";
import { PassProtocol } from "../../gen/io/pass_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import {
  CloudEventsMode,
  Format,
  Ordering,
  PassKitUninstalledEventName,
  State,
  WhileDisabled,
} from "../../gen/passbus/v1/subscription_pb.js";
import { isPassProtocol } from "../domain/pass-protocol.ts";
import { OPERATIONAL_WORDS } from "./event-kinds.ts";
import { count, numberOf, wordsOf } from "./table.ts";

export interface SettingOptions {
  readonly file?: string;
  readonly endpoint?: string;
  readonly type?: readonly string[];
  readonly operationalEvent?: readonly string[];
  readonly membershipEvent?: readonly string[];
  readonly couponEvent?: readonly string[];
  readonly protocol?: PassProtocol;
  readonly format?: string;
  readonly cloudeventsMode?: string;
  readonly passkitMethod?: string;
  readonly passkitUninstalled?: string;
  readonly passkitField?: FieldNames;
  readonly ethpassAuthorization?: string;
  readonly filter?: string;
  readonly description?: string;
  readonly label?: readonly string[];
  readonly header?: readonly string[];
  readonly ed25519?: string;
  readonly tlsCa?: string;
  readonly tlsCertificate?: string;
  readonly tlsKey?: string;
  readonly maxInFlight?: number;
  readonly rate?: number;
  readonly burst?: number;
  readonly retrySchedule?: readonly number[];
  readonly attemptTimeout?: number;
  readonly whileDisabled?: string;
  readonly ordering?: string;
  readonly conflate?: string;
  readonly state?: string;
}

/** How a field of the pass is called there, and at the receiver. */
export interface FieldNames {
  readonly source: string;
  readonly destination: string;
}

/** Every type that the format can say. */
export const ALL = "all";
export const NONE = "none";
/** The event's own. */
export const OWN = "own";

/** How PassKit's names of these begin. */
export const MEMBERSHIP = "member_event_";
export const COUPON = "coupon_event_";
export const METHOD = "method_";

const METHODS = ["post", "put", "delete"];

export function addSettingOptions(command: Command): Command {
  addPolicyOptions(addFormatOptions(addPlainOptions(command)));
  return command.addOption(new Option("--state <state>", "whether it receives").choices(wordsOf(State)));
}

function addPlainOptions(command: Command): Command {
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
    .addOption(
      new Option("--membership-event <event...>", "events of memberships, where the format is passkit").choices([
        NONE,
        ...wordsOf(MembershipEventId).map((word) => word.slice(MEMBERSHIP.length)),
      ]),
    )
    .addOption(
      new Option("--coupon-event <event...>", "events of coupons, where the format is passkit").choices([
        NONE,
        ...wordsOf(CouponEventId).map((word) => word.slice(COUPON.length)),
      ]),
    )
    .option("--protocol <protocol>", `only passes of it: ${protocolWords().join(", ")}, or a number`, protocol)
    .option("--filter <cel>", "an expression over the event; empty: everything")
    .option("--description <text>", "for people")
    .option("--label <name=value...>", "for finding it", pair)
    .option("--header <name=value...>", "sent with every webhook", pair);
}

function addFormatOptions(command: Command): Command {
  return command
    .addOption(new Option("--format <format>", "how its bodies look").choices(wordsOf(Format)))
    .addOption(
      new Option("--cloudevents-mode <mode>", "how a CloudEvent is laid over HTTP").choices(wordsOf(CloudEventsMode)),
    )
    .addOption(
      new Option("--passkit-method <method>", "the same HTTP method for every event; own: the event's").choices([
        OWN,
        ...METHODS,
      ]),
    )
    .addOption(
      new Option(
        "--passkit-uninstalled <name>",
        "how passkit bodies name it: as PassKit's sample, or its enum",
      ).choices(wordsOf(PassKitUninstalledEventName)),
    )
    .option("--passkit-field <source=destination>", "a field of the pass, sent under another name", fieldNames)
    .option("--ethpass-authorization <text>", "the Authorization header that ethpass sends; better in --file")
    .addOption(new Option("--ed25519 <yes>", "v1a signatures behind those of the secret").choices(["yes", "no"]))
    .option("--tls-ca <file>", "authorities to trust instead of the public ones, in PEM", textOfFile)
    .option("--tls-certificate <file>", "the certificate that its connections show, in PEM", textOfFile)
    .option("--tls-key <file>", "that certificate's private key, in PEM", textOfFile);
}

function textOfFile(path: string): string {
  if (!existsSync(path)) throw new InvalidArgumentError("There is no such file.");
  return readFileSync(path, "utf8");
}

function addPolicyOptions(command: Command): Command {
  return command
    .option("--max-in-flight <n>", "requests at the same time", count)
    .option("--rate <n>", "requests a second, fractions too; 0: no limit", rate)
    .option("--burst <n>", "requests at once after a rest", count)
    .option("--retry-schedule <waits>", "between attempts: 5s,1m,30m,2h,1d; default: passbus's own", schedule)
    .option("--attempt-timeout <time>", "1s to 30s, from connecting to the response's last byte", lasting)
    .addOption(new Option("--while-disabled <what>", "becomes of its events").choices(wordsOf(WhileDisabled)))
    .addOption(new Option("--ordering <ordering>", "per_pass: events of a pass in order").choices(wordsOf(Ordering)))
    .addOption(
      new Option("--conflate <yes>", "while it is behind, a pass's newest update alone").choices(["yes", "no"]),
    );
}

/** Gathers an option that may stand more than once, or have several values. */
export function pair(text: string, before: readonly string[] = []): readonly string[] {
  if (text.indexOf("=") < 1) throw new InvalidArgumentError("It must be name=value.");
  return [...before, text];
}

export function mapOf(pairs: readonly string[] = []): Record<string, string> {
  return Object.fromEntries(pairs.map((text) => [text.slice(0, text.indexOf("=")), text.slice(text.indexOf("=") + 1)]));
}

function fieldNames(text: string): FieldNames {
  const at = text.indexOf("=");
  const [source, destination] = [text.slice(0, Math.max(0, at)), text.slice(at + 1)];
  if (source === "" || destination === "") throw new InvalidArgumentError("It must be source=destination.");
  return { source, destination };
}

function rate(text: string): number {
  const number = Number(text);
  if (text.trim() !== "" && Number.isFinite(number) && number >= 0) return number;
  throw new InvalidArgumentError("It must be a number from 0 on.");
}

function protocolWords(): readonly string[] {
  return wordsOf(PassProtocol);
}

function protocol(text: string): PassProtocol {
  const named = numberOf<PassProtocol>(PassProtocol, text);
  const number: PassProtocol = /^\d{1,9}$/.test(text) ? Number(text) : named;
  if (number !== 0 && isPassProtocol(number)) return number;
  throw new InvalidArgumentError(`It must be ${protocolWords().join(", ")}, or a number from 1000 on.`);
}

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

function lasting(text: string): number {
  const [, number, unit = ""] = /^(\d{1,6}(?:\.\d{1,3})?)(ms|s|m|h|d)$/.exec(text) ?? [];
  if (number === undefined) throw new InvalidArgumentError("It must be like 500ms, 5s, 2m, 1h or 1d.");
  return Math.round(Number(number) * (UNIT_MS[unit] ?? 0));
}

/** In ms each; none: the default. */
function schedule(text: string): readonly number[] {
  return text === "default" ? [] : text.split(",").map((wait) => lasting(wait.trim()));
}
