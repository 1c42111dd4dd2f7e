/**
 * `passbus listen`: webhooks to a developer's machine. A bin and a subscription that points to it live as long as the
 * command; what arrives in the bin is sent on to a local URL. A command that dies leaves a bin that expires: its next
 * delivery then disables the subscription, and the next `listen` deletes it.
 */
import { type Client, Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { InvalidArgumentError, Option } from "commander";
import { type BinRequest, InspectorService } from "../../gen/passbus/v1/inspector_service_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { Format, State } from "../../gen/passbus/v1/subscription_pb.js";
import { SubscriptionService } from "../../gen/passbus/v1/subscription_service_pb.js";
import { sleep, systemClock } from "../kernel/clock.ts";
import { LIMITS } from "../kernel/limits.ts";
import { verdictWord } from "./bins.ts";
import { type AddCommand, CommandFailed, type Terminal } from "./cli.ts";
import { addOutputOptions, connected, type OutputOptions } from "./connection.ts";
import { type Forwarded, forward } from "./forward.ts";
import { count, momentOf, numberOf, refused, shown, wordsOf } from "./table.ts";

interface ListenOptions extends OutputOptions {
  readonly forwardTo: URL;
  readonly type?: readonly string[];
  readonly entity?: string;
  readonly format?: string;
  readonly filter?: string;
  readonly limit?: number;
}

/** What marks the subscriptions that this command makes. */
const LABEL = "passbus-listen";
/** Requests that are sent on at once. */
const AT_ONCE = 8;
const RECONNECT_MS = 500;
const RECONNECT_MAX_MS = 10_000;

export function listenCommand(): AddCommand {
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
      connected(options, terminal, (transport) => new Listener(transport, options, terminal).run()),
    );
  };
}

function localUrl(text: string): URL {
  const url = URL.parse(text);
  if (url !== null && /^https?:$/.test(url.protocol)) return url;
  throw new InvalidArgumentError("It must be a URL that begins with http:// or https://.");
}

class Listener {
  readonly #inspector: Client<typeof InspectorService>;
  readonly #subscriptions: Client<typeof SubscriptionService>;
  readonly #options: ListenOptions;
  readonly #terminal: Terminal;
  readonly #ending = new AbortController();
  readonly #underWay = new Set<Promise<void>>();
  #taken = 0;
  #lastId = "";

  constructor(transport: Transport, options: ListenOptions, terminal: Terminal) {
    this.#inspector = createClient(InspectorService, transport);
    this.#subscriptions = createClient(SubscriptionService, transport);
    this.#options = options;
    this.#terminal = terminal;
  }

  async run(): Promise<void> {
    const forget = this.#terminal.onSignal(() => this.#ending.abort());
    let binId = "";
    let subscriptionId = "";
    try {
      await this.#clearUp();
      const { bin } = await this.#inspector.createBin({ description: "passbus listen" });
      if (bin === undefined) throw new CommandFailed("the server made no bin");
      binId = bin.id;
      // Before there is anything to hear: nothing that comes now is missed.
      const made = await this.#subscriptions.createSubscription({ subscription: this.#wanted(bin.url, binId) });
      subscriptionId = made.subscription?.id ?? "";
      this.#terminal.err(`signing secret, while this runs: ${made.secret}\n`);
      await this.#hear(binId);
      await Promise.all(this.#underWay);
    } catch (reason) {
      if (!this.#ending.signal.aborted) throw reason instanceof CommandFailed ? reason : refused(reason);
    } finally {
      forget();
      await this.#leave(subscriptionId, binId);
    }
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
      labels: { [LABEL]: binId },
    };
  }

  /** Subscriptions of commands that died, whose bins are gone. */
  async #clearUp(): Promise<void> {
    const { subscriptions } = await this.#subscriptions.listSubscriptions({ pageSize: LIMITS.pageSize });
    const left = subscriptions.filter(({ labels, state }) => LABEL in labels && state === State.DISABLED);
    for (const { id } of left) await this.#subscriptions.deleteSubscription({ id }).catch(() => {});
  }

  /** What cannot be deleted now, since the server is gone, expires. */
  async #leave(subscriptionId: string, binId: string): Promise<void> {
    if (subscriptionId !== "") {
      await this.#subscriptions.deleteSubscription({ id: subscriptionId }).catch((reason) => {
        this.#terminal.err(`subscription ${subscriptionId} was not deleted: ${ConnectError.from(reason).message}\n`);
      });
    }
    if (binId !== "") await this.#inspector.deleteBin({ binId }).catch(() => {});
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

/** A server that restarts, or a network that broke: another try may do. */
function mayPass(code: Code): boolean {
  return [Code.Unavailable, Code.Unknown, Code.Aborted, Code.Internal, Code.Canceled, Code.DeadlineExceeded].includes(
    code,
  );
}
