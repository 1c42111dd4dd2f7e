/** A passbus as it really runs: `passbus serve` in a process of its own, to be called, signalled and killed. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Client, createClient } from "@connectrpc/connect";
import { Http2SessionManager } from "@connectrpc/connect-node";
import { AccessService } from "../../gen/passbus/v1/access_service_pb.js";
import { DeliveryService } from "../../gen/passbus/v1/delivery_service_pb.js";
import { EventService } from "../../gen/passbus/v1/event_service_pb.js";
import { SubscriptionService } from "../../gen/passbus/v1/subscription_service_pb.js";
import { CHILD_ENV } from "./child-env.ts";
import { grpcWithKey } from "./grpc.ts";
import { eventually, within } from "./within.ts";

const ROOT = join(import.meta.dirname, "..", "..");
/** A start that fails says so at once; one on a machine that is busy with other things may take long. */
const START_LIMIT_MS = 60_000;
export const BOOTSTRAP_KEY = "the-bootstrap-key-of-the-tests";

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A directory for one passbus's data, gone at the end of the scope. */
export class DataDirectory implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "passbus-test-"));

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

// Vitest ends the process of a test that hangs with SIGTERM, which by itself is no "exit".
process.once("SIGTERM", () => process.exit(143));

/** A process that was asked to serve; it may come up or not. */
export class ServeProcess implements AsyncDisposable {
  readonly exited: Promise<Exit>;
  readonly #child: ChildProcess;
  #output = "";

  /**
   * `settings` are environment variables over those that tests need. `launcher` is a command that becomes passbus by
   * exec: its arguments are followed by passbus's own.
   */
  constructor(dataDir: string, settings: Readonly<Record<string, string>> = {}, launcher: readonly string[] = []) {
    const serve = ["--disable-warning=ExperimentalWarning", join(ROOT, "src", "main.ts"), "serve"];
    const [program = process.execPath, ...parts] = [...launcher, process.execPath, ...serve];
    this.#child = spawn(program, parts, {
      cwd: ROOT,
      stdio: ["ignore", "pipe", "pipe"],
      env: {
        ...CHILD_ENV,
        PASSBUS_DATA_DIR: dataDir,
        PASSBUS_LISTEN: "127.0.0.1:0",
        PASSBUS_METRICS_LISTEN: "off",
        PASSBUS_BOOTSTRAP_KEY: BOOTSTRAP_KEY,
        PASSBUS_ALLOW_HTTP: "true",
        PASSBUS_ALLOWED_NETWORKS: "127.0.0.0/8",
        ...settings,
      },
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on("data", (chunk: Buffer) => {
        this.#output += chunk.toString("utf8");
      });
    }
    // A test that ran out of time leaves its scope no more: no server is to outlive it.
    const kill = () => this.#child.kill("SIGKILL");
    process.once("exit", kill);
    // "close", not "exit": then all that it wrote has been read.
    this.exited = new Promise((resolve) => {
      this.#child.once("close", (code, signal) => {
        process.off("exit", kill);
        resolve({ code, signal });
      });
    });
  }

  /** All that it wrote on both outputs so far. */
  get output(): string {
    return this.#output;
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  get pid(): number {
    const { pid } = this.#child;
    if (pid === undefined) throw new Error("the process did not start");
    return pid;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Sends a signal; resolves when the process has ended. */
  async end(signal: NodeJS.Signals, limitMs: number): Promise<Exit> {
    this.#child.kill(signal);
    return within(limitMs, `the end of passbus after ${signal}`, this.exited);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.exited;
  }
}

/** The services of the API, called as an administrator over gRPC. */
export interface Clients {
  readonly access: Client<typeof AccessService>;
  readonly subscriptions: Client<typeof SubscriptionService>;
  readonly events: Client<typeof EventService>;
  readonly deliveries: Client<typeof DeliveryService>;
}

/** A passbus that said that it is ready. */
export class RunningPassbus implements AsyncDisposable {
  readonly api: Clients;
  readonly url: string;
  /** When `/readyz` first answered 200, by the wall clock. */
  readonly readyAtMs: number;
  /** From the start of the process until then. */
  readonly startMs: number;
  readonly #process: ServeProcess;
  readonly #session: Http2SessionManager;

  private constructor(serve: ServeProcess, url: string, readyAtMs: number, startMs: number) {
    this.#process = serve;
    this.url = url;
    this.readyAtMs = readyAtMs;
    this.startMs = startMs;
    this.#session = new Http2SessionManager(url);
    const transport = grpcWithKey(url, BOOTSTRAP_KEY, this.#session);
    this.api = {
      access: createClient(AccessService, transport),
      subscriptions: createClient(SubscriptionService, transport),
      events: createClient(EventService, transport),
      deliveries: createClient(DeliveryService, transport),
    };
  }

  /** Resolves when `/readyz` answers 200. */
  static async start(
    dataDir: string,
    settings: Readonly<Record<string, string>> = {},
    launcher: readonly string[] = [],
  ): Promise<RunningPassbus> {
    const startedMs = performance.now();
    const serve = new ServeProcess(dataDir, settings, launcher);
    const ended = serve.exited.then((exit) => {
      throw new Error(`passbus ended before it was ready: ${JSON.stringify(exit)}\n${serve.output}`);
    });
    try {
      const ready = RunningPassbus.#ready(serve);
      const url = await Promise.race([ready, ended]);
      return new RunningPassbus(serve, url, Date.now(), performance.now() - startedMs);
    } catch (error) {
      await serve[Symbol.asyncDispose]();
      throw error;
    }
  }

  static async #ready(serve: ServeProcess): Promise<string> {
    const url = await eventually(START_LIMIT_MS, "the line that says where passbus listens", () => urlIn(serve.output));
    await eventually(START_LIMIT_MS, "a 200 of /readyz", async () => {
      const response = await fetch(`${url}/readyz`).catch(() => undefined);
      return response?.status === 200 ? true : undefined;
    });
    return url;
  }

  get output(): string {
    return this.#process.output;
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** Its process is gone, whoever ended it. */
  get hasEnded(): boolean {
    return this.#process.hasEnded;
  }

  /** Lines of its log of this event. */
  logged(event: string): readonly Readonly<Record<string, unknown>>[] {
    return jsonLines(this.output).filter((line) => line.event === event);
  }

  /** Sends a signal that it goes on after: SIGSTOP, SIGCONT. */
  signal(signal: NodeJS.Signals): void {
    this.#process.signal(signal);
  }

  end(signal: NodeJS.Signals, limitMs = 20_000): Promise<Exit> {
    return this.#process.end(signal, limitMs).finally(() => this.#session.abort());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#session.abort();
    await this.#process[Symbol.asyncDispose]();
  }
}

/** The address in its log line `passbus.started`. */
function urlIn(output: string): string | undefined {
  const url = jsonLines(output).find((line) => line.event === "passbus.started")?.url;
  return typeof url === "string" ? url : undefined;
}

function jsonLines(output: string): readonly Readonly<Record<string, unknown>>[] {
  const whole = output.slice(0, output.lastIndexOf("\n") + 1);
  return whole
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}
