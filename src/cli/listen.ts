/**
 * `passbus listen`: webhooks to a developer's machine. A bin and a subscription that points to it live as long as the
 * command; what arrives in the bin is sent on to a local URL. A command that runs touches its subscription from time to
 * time; one that died does not, so that the next `listen` deletes what it left.
 */
import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { type Client, Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { InvalidArgumentError, Option } from "commander";
import { type BinRequest, InspectorService } from "../../gen/passbus/v1/inspector_service_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { Format, State, type Subscription } from "../../gen/passbus/v1/subscription_pb.js";
import { SubscriptionService } from "../../gen/passbus/v1/subscription_service_pb.js";
import { type Clock, sleep, systemClock } from "../kernel/clock.ts";
import { LIMITS } from "../kernel/limits.ts";
import { verdictWord } from "./bins.ts";
import { type AddCommand, CommandFailed, type Terminal } from "./cli.ts";
import { addOutputOptions, connected, type OutputOptions, type Pings } from "./connection.ts";
import { type Forwarded, forward } from "./forward.ts";
import { interruptionOf } from "./interruption.ts";
import { count, momentOf, numberOf, refused, shown, wordsOf } from "./table.ts";

interface ListenOptions extends OutputOptions {
  readonly forwardTo: URL;
  readonly type?: readonly string[];
  readonly entity?: string;
  readonly format?: string;
  readonly filter?: string;
  readonly limit?: number;
}

/** What marks the subscriptions that this command makes: the bin's id. */
const LABEL = "passbus-listen";
/** How often it has been touched. A command that did not do this yet, of an older passbus, may still run. */
const BEATS_LABEL = "passbus-listen-beats";
const BEAT_MS = 5 * 60_000;
/** By the server's clock. Longer than a connection takes to come back. */
const ABANDONED_MS = 4 * BEAT_MS;
/** Requests that are sent on at once. */
const AT_ONCE = 8;
const RECONNECT_MS = 500;
const RECONNECT_MAX_MS = 10_000;
/**
 * Before each request of any bin. Its bin is new, so that all of it is to be heard; what is made of the bin's creation
 * would pass over a request whose id comes from a process with a slower clock.
 */
const FIRST_ID = `brq_${"0".repeat(32)}`;
/** How long the end may take where the server does not answer. */
const LEAVE_MS = 4_000;

/**
 * `pings`: how a connection is tried that says nothing; `clock`: by which the subscription is touched, and a second
 * signal told from the first.
 */
export function listenCommand(pings?: Pings, clock: Clock = systemClock): AddCommand {
  return (program, terminal) => {
    const listen = program
      .command("listen")
      .description("send webhooks on to a server of this machine, for as long as this runs")
      .requiredOption("--forward-to <url>", "where to: http://localhost:3000/hook", localUrl)
      .addOption(new Option("--type <type...>", "only of these types").choices(wordsOf(PassEventType)))
      .option("--entity <id>", "only of this entity")
      .addOption(new Option("--format <format>", "how bodies look").choices(wordsOf(Format)))
      .option("--filter <cel>", "only what this expression is true of")
      .option("--limit <n>", "end after so many", count);
    addOutputOptions(listen).action((options: ListenOptions) =>
      connected(options, terminal, (transport) => new Listener(transport, options, terminal, clock).run(), pings),
    );
  };
}

function localUrl(text: string): URL {
  const url = URL.parse(text);
  if (url !== null && /^https?:$/.test(url.protocol)) return url;
  throw new InvalidArgumentError("It must be a URL that begins with http:// or https://.");
}

/** What the command has made at the server; empty until then. */
interface Made {
  binId: string;
  subscriptionId: string;
}

class Listener {
  readonly #inspector: Client<typeof InspectorService>;
  readonly #subscriptions: Client<typeof SubscriptionService>;
  readonly #options: ListenOptions;
  readonly #terminal: Terminal;
  readonly #clock: Clock;
  readonly #ending = new AbortController();
  readonly #underWay = new Set<Promise<void>>();
  #taken = 0;
  #lastId = FIRST_ID;

  constructor(transport: Transport, options: ListenOptions, terminal: Terminal, clock: Clock) {
    this.#inspector = createClient(InspectorService, transport);
    this.#subscriptions = createClient(SubscriptionService, transport);
    this.#options = options;
    this.#terminal = terminal;
    this.#clock = clock;
  }

  async run(): Promise<void> {
    const interruption = interruptionOf(this.#terminal, this.#clock);
    interruption.asked.addEventListener("abort", () => this.#ending.abort());
    const made = { binId: "", subscriptionId: "" };
    let failure: CommandFailed | undefined;
    try {
      await this.#setUp(made);
      const beating = this.#beat(made);
      await this.#hear(made.binId);
      await Promise.all([beating, ...this.#underWay]);
    } catch (reason) {
      const { aborted } = interruption.asked;
      if (aborted && made.subscriptionId === "") failure = interruption.failure("stopped before it had a subscription");
      else if (!this.#ending.signal.aborted) failure = refused(reason);
    }
    // What failed ends the beating too.
    this.#ending.abort();
    // A terminal that closes sends SIGHUP more than once, by its shell and by the system: both are the first signal.
    await this.#leave(made);
    interruption.forget();
    if (failure !== undefined) throw failure;
  }

  /** Fills `made` as it goes: where it fails or is stopped, what there is by then has to be deleted. */
  async #setUp(made: Made): Promise<void> {
    const { signal } = this.#ending;
    const { bin } = await this.#inspector.createBin({ description: "passbus listen" }, { signal });
    if (bin === undefined) throw new CommandFailed("the server made no bin");
    made.binId = bin.id;
    await this.#clearUp(msOf(bin.createdAt));
    const subscription = this.#wanted(bin.url, bin.id);
    const answer = await this.#subscriptions.createSubscription({ subscription }, { signal });
    made.subscriptionId = answer.subscription?.id ?? "";
    this.#terminal.err(`signing secret, while this runs: ${answer.secret}\n`);
  }

  #wanted(url: string, binId: string) {
    const { type = [], entity = "", format, filter = "" } = this.#options;
    return {
      url,
      entityId: entity,
      eventTypes: type.map((word) => numberOf<PassEventType>(PassEventType, word)),
      format: numberOf<Format>(Format, format),
      filter,
      description: "passbus listen: deleted when it ends",
      labels: { [LABEL]: binId, [BEATS_LABEL]: "0" },
    };
  }

  /** Subscriptions of commands that died, with their bins. `nowMs` by the server's clock, as is what it is held against. */
  async #clearUp(nowMs: number): Promise<void> {
    const { signal } = this.#ending;
    const left: Subscription[] = [];
    let pageToken = "";
    do {
      const page = await this.#subscriptions.listSubscriptions({ pageSize: LIMITS.pageSize, pageToken }, { signal });
      left.push(...page.subscriptions.filter((each) => isAbandoned(each, nowMs)));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    for (const { id, labels } of left) {
      await this.#subscriptions.deleteSubscription({ id }, { signal }).catch(() => {});
      await this.#inspector.deleteBin({ binId: labels[LABEL] ?? "" }, { signal }).catch(() => {});
    }
  }

  /** Any change is one of `updated_at`, by which others see that this one is alive. */
  async #beat({ subscriptionId: id, binId }: Made): Promise<void> {
    const { signal } = this.#ending;
    for (let beats = 1; ; beats += 1) {
      await sleep(this.#clock, BEAT_MS, signal);
      if (signal.aborted) return;
      const labels = { [LABEL]: binId, [BEATS_LABEL]: String(beats) };
      const asked = { subscription: { id, labels }, updateMask: { paths: ["labels"] } };
      // The connection that broke is told of by who hears over it; the next beat comes.
      await this.#subscriptions.updateSubscription(asked, { signal }).catch(() => {});
    }
  }

  /**
   * What cannot be deleted now, since the server is gone, expires. A call that was stopped may have made its subscription
   * after all: nobody touches it, and the next `listen` deletes it.
   */
  async #leave({ subscriptionId, binId }: Made): Promise<void> {
    const endMs = systemClock.monotonic() + LEAVE_MS;
    const patience = () => ({ timeoutMs: Math.max(1, Math.round(endMs - systemClock.monotonic())) });
    if (subscriptionId !== "") {
      await this.#subscriptions.deleteSubscription({ id: subscriptionId }, patience()).catch((reason) => {
        this.#terminal.err(`subscription ${subscriptionId} was not deleted: ${ConnectError.from(reason).message}\n`);
      });
    }
    if (binId !== "") await this.#inspector.deleteBin({ binId }, patience()).catch(() => {});
  }

  async #hear(binId: string): Promise<void> {
    const { signal } = this.#ending;
    let waitMs = RECONNECT_MS;
    while (!signal.aborted) {
      try {
        const asked = { binId, afterRequestId: this.#lastId };
        let isBegun = false;
        for await (const { request } of this.#inspector.watchBin(asked, { signal })) {
          if (!isBegun) this.#terminal.err(`sending on to ${this.#options.forwardTo.href}; Ctrl-C ends it\n`);
          isBegun = true;
          waitMs = RECONNECT_MS;
          if (request !== undefined) await this.#take(request);
          if (signal.aborted) return;
        }
      } catch (reason) {
        if (signal.aborted) return;
        if (!mayPass(ConnectError.from(reason).code)) throw reason;
        this.#terminal.err(`the connection broke; the next try comes in ${waitMs / 1_000} s\n`);
      }
      await sleep(systemClock, waitMs, signal);
      waitMs = Math.min(RECONNECT_MAX_MS, 2 * waitMs);
    }
  }

  async #take(request: BinRequest): Promise<void> {
    const { limit, forwardTo } = this.#options;
    this.#lastId = request.id;
    while (this.#underWay.size >= AT_ONCE) await Promise.race(this.#underWay);
    const sent = forward(forwardTo, request).then((forwarded) => this.#tell(request, forwarded));
    this.#underWay.add(sent);
    void sent.then(() => this.#underWay.delete(sent));
    this.#taken += 1;
    if (this.#taken !== limit) return;
    await Promise.all(this.#underWay);
    this.#ending.abort();
  }

  #tell({ id, method, headers, path, verdict, verdictReason, receivedAt }: BinRequest, forwarded: Forwarded): void {
    const signature = verdictWord(verdict);
    const webhookId = headers["webhook-id"] ?? "";
    if (this.#options.json === true) {
      const facts = { id, webhookId, method, path, signature, signatureReason: verdictReason, ...forwarded };
      this.#terminal.out(`${JSON.stringify(facts)}\n`);
      return;
    }
    const answer = "error" in forwarded ? forwarded.error : String(forwarded.statusCode);
    const what = `${momentOf(receivedAt)}  ${method} ${shown(webhookId === "" ? path : webhookId)}`;
    const judged = signature === "valid" ? "signature valid" : `signature ${signature}: ${verdictReason}`;
    this.#terminal.out(`${what}  ${shown(answer)} in ${forwarded.durationMs} ms  ${judged}\n`);
  }
}

function isAbandoned({ labels, state, updatedAt }: Subscription, nowMs: number): boolean {
  if (!(LABEL in labels)) return false;
  // Its bin is gone.
  if (state === State.DISABLED) return true;
  return BEATS_LABEL in labels && nowMs - msOf(updatedAt) > ABANDONED_MS;
}

function msOf(at: Timestamp | undefined): number {
  return at === undefined ? 0 : timestampMs(at);
}

/** A server that restarts, or a network that broke: another try may do. */
function mayPass(code: Code): boolean {
  return [Code.Unavailable, Code.Unknown, Code.Aborted, Code.Internal, Code.Canceled, Code.DeadlineExceeded].includes(
    code,
  );
}
