/**
 * `passbus demo`: a passbus of its own in a temporary directory, a subscriber that verifies what it gets, and the
 * built-in sample events. Everything goes over the public API and the wire; the files beside this are
 *
 *   demo-script     what is subscribed and published, and the client       demo-verify   checks a webhook's signatures
 *   demo-receiver   the subscriber's endpoints                             demo-table    what is seen meanwhile
 *   demo-ledger     joins published, received and logged                   demo-judge    whether all of it agrees
 *   demo-people     what its dashboard's users change meanwhile
 */

import { mkdtemp, rm } from "node:fs/promises";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { type Config, readConfig } from "../config/config.ts";
import { type Clock, sleep, systemClock } from "../kernel/clock.ts";
import { systemRandom } from "../kernel/random.ts";
import { VERSION } from "../kernel/version.ts";
import { type AddCommand, CommandFailed, type Terminal } from "./cli.ts";
import { judge, summaryLines } from "./demo-judge.ts";
import { flawOf, isHopeless, Ledger, lastNewsMs } from "./demo-ledger.ts";
import { isSomebodyElses } from "./demo-people.ts";
import { type Receipt, startReceiver } from "./demo-receiver.ts";
import { DemoClient, impostor, PLANS, type Sample, type Subscribed, samples, wants } from "./demo-script.ts";
import { demoTable, type Output, type Table } from "./demo-table.ts";
import type { Start } from "./serve.ts";

/** Between two events. */
const PUBLISH_EVERY_MS = 500;
/** Between two looks at the delivery log. */
const LOOK_EVERY_MS = 100;
/** Between two looks at what people do meanwhile. */
const ASK_EVERY_MS = 1_000;
/** Webhooks of somebody else's that are asked about at a time. */
const ASKED_AT_ONCE = 20;
/** The most that are asked about when it ends. */
const ASKED_AT_END = 500;
/** By then a webhook must have arrived, retries included. */
const DEADLINE_MS = 20_000;
/** Webhooks that are right are forgotten beyond these, so that a demo can run all day. */
const ROWS_KEPT = 500;

interface DemoOptions {
  readonly once?: true;
}

/** `screen` is where the table goes; the process's standard output, if left out. */
export function demoCommand(start: Start, screen: Output = process.stdout): AddCommand {
  return (program, terminal) => {
    program
      .command("demo")
      .description("sample events become signed webhooks before your eyes; nothing to set up, nothing left behind")
      .option("--once", "publish each sample once and end when every webhook arrived and verified")
      .action((options: DemoOptions) => demo(options, start, screen, terminal));
  };
}

async function demo(options: DemoOptions, start: Start, screen: Output, terminal: Terminal): Promise<void> {
  const clock = systemClock;
  const stopping = new AbortController();
  await using cleanUp = new AsyncDisposableStack();
  cleanUp.defer(onStop(terminal, stopping));
  const directory = await mkdtemp(join(tmpdir(), "passbus-demo-"));
  cleanUp.defer(() => rm(directory, { recursive: true, force: true }));
  const table = demoTable(screen, clock);
  cleanUp.defer(() => table.end());
  const stage = new Stage(table, clock);
  const receiver = await startReceiver({ clock, onReceipt: (receipt) => stage.received(receipt) });
  cleanUp.defer(() => receiver.stop());
  const key = Buffer.from(systemRandom.bytes(24)).toString("base64url");
  const passbus = await start(demoConfig(directory, key));
  // Before the receiver: what is on its way arrives.
  cleanUp.defer(() => passbus.stop());
  const client = new DemoClient(passbus.url, key);
  const subscribed: Subscribed[] = [];
  for (const plan of PLANS) {
    const subscription = await client.subscribe(plan, receiver.urlOf(plan.name));
    receiver.open(subscription);
    subscribed.push(subscription);
  }
  await client.openBin();
  table.print(opening(passbus.url, key, subscribed));
  const failed = passbus.failed.then((error) => {
    throw new CommandFailed(`a part of passbus died: ${error.message}`);
  });
  await Promise.race([stage.play(client, subscribed, options, stopping.signal), failed]);
  table.end();
  await Promise.race([stage.askAtEnd(client, subscribed), failed]);
  const dueBeforeMs = options.once === true && !stopping.signal.aborted ? Infinity : clock.monotonic() - DEADLINE_MS;
  const judgement = judge(stage.evidence, dueBeforeMs);
  terminal.out(`\n${summaryLines(stage.evidence, judgement).join("\n")}\n`);
  if (judgement.problems.length > 0) throw new CommandFailed("not every webhook arrived and verified");
}

/** http and loopback are allowed for this passbus alone. Made from nothing, so that no PASSBUS_… of the shell plays in. */
function demoConfig(directory: string, key: string): Config {
  return readConfig({
    PASSBUS_LISTEN: "127.0.0.1:0",
    PASSBUS_DATA_DIR: directory,
    PASSBUS_BOOTSTRAP_KEY: key,
    PASSBUS_ALLOW_HTTP: "true",
    PASSBUS_ALLOWED_NETWORKS: "127.0.0.1",
    // Warnings would go through the table: of the dead letter, say, that is there to be looked at.
    PASSBUS_LOG_LEVEL: "error",
    // Another passbus may have its port.
    PASSBUS_METRICS_LISTEN: "off",
  });
}

/** The first signal ends the demo in good order, the second at once. The returned function lets go of both. */
function onStop(terminal: Terminal, stopping: AbortController): () => void {
  return terminal.onSignal((signal) => {
    if (stopping.signal.aborted) terminal.exit(128 + constants.signals[signal]);
    stopping.abort();
  });
}

/** What happens between the first event and the last look at the log. */
class Stage {
  readonly #table: Table;
  readonly #clock: Clock;
  readonly #ledger: Ledger;
  #title = "";
  #shown = false;
  #allPublished = false;

  constructor(table: Table, clock: Clock) {
    this.#table = table;
    this.#clock = clock;
    this.#ledger = new Ledger({
      keep: ROWS_KEPT,
      onChange: (row) => this.#table.update(row, this.#ledger.evidence.rows, this.#title),
    });
  }

  get evidence() {
    return this.#ledger.evidence;
  }

  received(receipt: Receipt): void {
    if (!this.#shown && receipt.webhook.headers["x-passkit-signature"] !== undefined) {
      this.#shown = true;
      this.#table.print(inFull(receipt));
    }
    this.#ledger.received(receipt);
  }

  /** Resolves when all is settled (`once`), when its time is up, or when the signal aborts. */
  async play(
    client: DemoClient,
    subscribed: readonly Subscribed[],
    options: DemoOptions,
    signal: AbortSignal,
  ): Promise<void> {
    const scenes = samples();
    const publishing = this.#publish(client, subscribed, options.once === true ? scenes : forever(scenes), signal);
    const ended = new AbortController();
    const watching = Promise.all([publishing, this.#watchLog(client, subscribed, signal)]);
    const asking = this.#askMeanwhile(client, subscribed, AbortSignal.any([signal, ended.signal]));
    await Promise.all([watching.finally(() => ended.abort()), asking]);
  }

  /** What people did up to the end, and of the requests that belong to no row, which are theirs. */
  async askAtEnd(client: DemoClient, subscribed: readonly Subscribed[]): Promise<void> {
    this.#ledger.intervened(await client.interventions(subscribed));
    const strangers = this.#ledger.strangers(Number.POSITIVE_INFINITY).slice(0, ASKED_AT_END);
    for (let at = 0; at < strangers.length; at += ASKED_AT_ONCE) {
      await this.#disown(client, subscribed, strangers.slice(at, at + ASKED_AT_ONCE));
    }
  }

  async #askMeanwhile(client: DemoClient, subscribed: readonly Subscribed[], signal: AbortSignal): Promise<void> {
    for (;;) {
      await sleep(this.#clock, ASK_EVERY_MS, signal);
      if (signal.aborted) return;
      this.#ledger.intervened(await client.interventions(subscribed));
      // Of the younger ones the log may tell by itself whose they are.
      const strangers = this.#ledger.strangers(this.#clock.monotonic() - ASK_EVERY_MS);
      await this.#disown(client, subscribed, strangers.slice(-ASKED_AT_ONCE));
    }
  }

  async #disown(client: DemoClient, subscribed: readonly Subscribed[], ids: readonly string[]): Promise<void> {
    const published = new Set(this.evidence.rows.map(({ eventId }) => eventId));
    await Promise.all(
      ids.map(async (id) => {
        const origin = await client.originOf(id);
        if (origin === undefined) return;
        if (isSomebodyElses(origin, subscribed, (eventId) => published.has(eventId))) this.#ledger.disown(id);
      }),
    );
  }

  async #publish(
    client: DemoClient,
    subscribed: readonly Subscribed[],
    scenes: Iterable<Sample>,
    signal: AbortSignal,
  ): Promise<void> {
    let firstId = "";
    for (const { what, event } of scenes) {
      const publishedAtMs = this.#clock.monotonic();
      const eventId = await client.publish(event);
      const wanting = subscribed.filter((subscription) => wants(subscription, event));
      this.#ledger.published({ what, eventId, publishedAtMs }, wanting);
      // So that there is a dead letter to look at, once; half a second later the first event is stored.
      if (this.evidence.events === 1) firstId = eventId;
      if (this.evidence.events === 2) await client.publish(impostor(firstId, event));
      this.#retitle();
      await sleep(this.#clock, PUBLISH_EVERY_MS, signal);
      if (signal.aborted) return;
    }
    this.#allPublished = true;
  }

  async #watchLog(client: DemoClient, subscribed: readonly Subscribed[], signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const unsettled = this.#unsettled();
      if (this.#allPublished && unsettled.length === 0) return;
      await Promise.all(
        unsettled.map(async (eventId) => this.#ledger.logged(eventId, await client.deliveries(eventId, subscribed))),
      );
      this.#retitle();
      await sleep(this.#clock, LOOK_EVERY_MS, signal);
    }
  }

  /** Events whose webhooks may still come right. */
  #unsettled(): readonly string[] {
    const dueBeforeMs = this.#clock.monotonic() - DEADLINE_MS;
    const open = this.evidence.rows.filter(
      (row) => lastNewsMs(row) > dueBeforeMs && !isHopeless(row) && flawOf(row) !== undefined,
    );
    return [...new Set(open.map((row) => row.eventId))];
  }

  #retitle(): void {
    const { events, rows, forgotten } = this.evidence;
    const { right } = judge(this.evidence, Number.POSITIVE_INFINITY);
    const webhooks = `${right} of ${rows.length + forgotten} webhooks arrived and verified`;
    this.#title = `passbus demo · ${events} events · ${webhooks} · Ctrl-C ends it`;
  }
}

function* forever<T>(items: readonly T[]): Iterable<T> {
  for (;;) yield* items;
}

function opening(url: string, key: string, subscribed: readonly Subscribed[]): readonly string[] {
  return [
    `passbus ${VERSION} listens at ${url}`,
    `  its dashboard: open ${url}/ and sign in with the key ${key}`,
    `  its commands: passbus deliveries watch --url ${url} --key ${key}`,
    ...subscribed.map(({ name, format, types, refusals, filter }) => {
      const nature = refusals === 0 ? "" : `; refuses each webhook ${refusals} times before it takes it`;
      const filtered = filter === undefined ? "" : ", with a filter";
      return `  ${name} subscribed in ${format} to ${types.length} event types${filtered}${nature}`;
    }),
    "",
  ];
}

function inFull({ webhook, verdict, answered }: Receipt): readonly string[] {
  const { method, path, headers, body } = webhook;
  return [
    "The first webhook with a vendor's signature, as it arrived:",
    "",
    `${method} ${path} HTTP/1.1`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    "",
    body.toString("utf8"),
    "",
    verdict.ok
      ? `Answered ${answered}: ${verdict.checked.join(" and ")} fit.`
      : `Answered ${answered}: it does not verify: ${verdict.reason}`,
    "",
  ];
}
