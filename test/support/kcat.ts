/** kcat (librdkafka) as the foreign producer. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { kafkaBrokers } from "./services/services.ts";

export interface KcatOptions {
  readonly topic: string;
  /** `key:value`, one a record. */
  readonly lines: readonly string[];
  /** kcat's own arguments, such as `-z snappy`. */
  readonly args?: readonly string[];
}

/** Rejects with what kcat says where it fails. */
export function kcatProduce({ topic, lines, args = [] }: KcatOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    const flags = ["-P", "-q", "-b", kafkaBrokers(), "-t", topic, "-K", ":", ...args];
    const process = execFile("kcat", flags, (error, _, said) => {
      if (error === null) resolve();
      else reject(new Error(`kcat: ${said.trim()}`, { cause: error }));
    });
    process.stdin?.end(`${lines.join("\n")}\n`);
  });
}

/** In the words of kcat's `-z`. */
export const CODECS = ["none", "gzip", "snappy", "lz4", "zstd"] as const;
export type CodecName = (typeof CODECS)[number];

export interface KcatRecord {
  readonly key: string;
  /** Any bytes. */
  readonly value: Uint8Array;
}

export interface KcatProducerOptions {
  readonly brokers: string;
  readonly topic: string;
  /** Of every record: kcat can't say them for each. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly codec?: CodecName;
  readonly args?: readonly string[];
}

/** What kcat splits its input at; no key or value of ours holds it. */
const KEY_END = Buffer.from("@@K@@");
const RECORD_END = Buffer.from("@@R@@");

/** A kcat that runs and is handed records. */
export class KcatProducer implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #closed: Promise<unknown>;
  #said = "";

  constructor({ brokers, topic, headers = {}, codec = "none", args = [] }: KcatProducerOptions) {
    const told = Object.entries(headers).flatMap(([name, value]) => ["-H", `${name}=${value}`]);
    const split = ["-K", KEY_END.toString(), "-D", RECORD_END.toString()];
    const flags = ["-P", "-b", brokers, "-t", topic, "-z", codec, ...split, ...told, ...args];
    this.#child = spawn("kcat", flags, { stdio: ["pipe", "ignore", "pipe"] });
    this.#child.stderr?.on("data", (chunk: Buffer) => {
      this.#said += chunk.toString();
    });
    // A kcat that ended early is told of by `end`, with what it said.
    this.#child.stdin?.on("error", () => {});
    this.#closed = once(this.#child, "close");
  }

  /** Resolves when kcat has room for more; the records may not be at the broker yet. */
  async send(records: readonly KcatRecord[]): Promise<void> {
    const { stdin } = this.#child;
    if (stdin === null) throw new Error("kcat has no input");
    const input = Buffer.concat(records.flatMap(partsOf));
    if (!stdin.write(input)) await Promise.race([once(stdin, "drain"), this.#closed]);
  }

  /** Resolves when the broker has every record; rejects with what kcat says where one was refused. */
  async end(): Promise<void> {
    this.#child.stdin?.end();
    await this.#closed;
    const said = this.#said.trim();
    if (this.#child.exitCode !== 0) throw new Error(`kcat ended with ${this.#child.exitCode}: ${said}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#closed;
  }
}

/** Hands records to a kcat of their own; as `end`. */
export async function kcatSend(options: KcatProducerOptions, records: readonly KcatRecord[]): Promise<void> {
  await using producer = new KcatProducer(options);
  await producer.send(records);
  await producer.end();
}

function partsOf({ key, value }: KcatRecord): readonly Uint8Array[] {
  const name = Buffer.from(key);
  const holdsEnd = [KEY_END, RECORD_END].some((end) => name.includes(end) || Buffer.from(value).includes(end));
  if (holdsEnd) throw new Error(`the record ${key} holds what kcat splits its input at`);
  return [name, KEY_END, value, RECORD_END];
}
