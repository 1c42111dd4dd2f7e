/** The four processes of a run, each started here and ended by `close`: sink, bare undici, publisher, passbus. */
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { Format } from "../gen/passbus/v1/subscription_pb.js";
import { SubscriptionService } from "../gen/passbus/v1/subscription_service_pb.js";
import type { BareCalls } from "./bare.ts";
import type { BenchOptions } from "./options.ts";
import type { PassbusCalls } from "./passbus-process.ts";
import { BenchProcess } from "./process-call.ts";
import type { PublisherCalls } from "./publisher.ts";
import type { SinkCalls } from "./sink.ts";

/** How many endpoints an event goes to. The entity's subscriptions are those that match. */
export interface Shape {
  readonly name: "one" | "ten";
  readonly title: string;
  readonly entityId: string;
  readonly endpoints: number;
  /** Of bare undici's rate: issue 3, "Must show" 5. */
  readonly goal: number;
}

export const ONE: Shape = { name: "one", title: "1 event → 1 endpoint", entityId: "to-one", endpoints: 1, goal: 0.4 };
export const TEN: Shape = {
  name: "ten",
  title: "1 event → 10 endpoints",
  entityId: "to-ten",
  endpoints: 10,
  goal: 0.8,
};

/** `floor`: no passbus, but the least that a pipeline can do (bench/floor/pipeline.ts). */
export type Deployment = "embedded" | "distributed" | "floor";

export class Stage {
  readonly sink = new BenchProcess<SinkCalls>("sink", new URL("./sink.ts", import.meta.url));
  readonly bare = new BenchProcess<BareCalls>("bare", new URL("./bare.ts", import.meta.url));
  readonly publisher = new BenchProcess<PublisherCalls>("publisher", new URL("./publisher.ts", import.meta.url));
  readonly passbus: BenchProcess<PassbusCalls>;
  /** Of the sink, once it is set up. */
  sinkOrigin = "";
  /** Of the one endpoint of `ONE`, once it is set up. */
  secret = "";
  readonly deployment: Deployment;
  readonly #options: BenchOptions;
  readonly #dataDir: string;
  readonly #settings: Readonly<Record<string, string>>;

  /** `settings`: beyond those that all have. */
  constructor(
    options: BenchOptions,
    dataDir: string,
    deployment: Deployment = "embedded",
    settings: Readonly<Record<string, string>> = {},
  ) {
    const { profileFolder } = options;
    const profile = profileFolder === undefined ? "" : `--cpu-prof "--cpu-prof-dir=${resolve(profileFolder)}"`;
    const floor = new URL("./floor/pipeline.ts", import.meta.url);
    const passbus = new URL("./passbus-process.ts", import.meta.url);
    this.passbus = new BenchProcess("passbus", deployment === "floor" ? floor : passbus, profile);
    this.#options = options;
    this.#dataDir = dataDir;
    this.deployment = deployment;
    this.#settings = settings;
  }

  /** Starts what runs in the processes, and subscribes the endpoints. */
  async setUp(): Promise<void> {
    const { lose, maxInFlight } = this.#options;
    const { port } = await this.sink.call("start", { lose });
    this.sinkOrigin = `http://127.0.0.1:${port}`;
    const { url, key } = await startIn(this.passbus, this.#dataDir, this.#settings);
    await this.publisher.call("connect", { url, key });
    const [secret] = await subscribe(url, key, this.sinkOrigin, ONE, maxInFlight);
    await subscribe(url, key, this.sinkOrigin, TEN, maxInFlight);
    if (secret === undefined) throw new Error("no subscription was made");
    this.secret = secret;
  }

  /** Ends all processes, passbus gracefully, and removes its data. */
  async close(): Promise<void> {
    // The producers first, so that passbus drains with its receiver still there.
    for (const one of [this.publisher, this.bare, this.passbus, this.sink]) await one.stop();
    await rm(this.#dataDir, { recursive: true, force: true });
  }
}

/** Where a passbus of the bench is called, and with what. */
export interface Target {
  readonly url: string;
  readonly key: string;
}

export async function startIn(
  passbus: BenchProcess<PassbusCalls>,
  dataDir: string,
  settings: Readonly<Record<string, string>> = {},
): Promise<Target> {
  const key = randomBytes(24).toString("base64url");
  const { url } = await passbus.call("start", {
    PASSBUS_LISTEN: "127.0.0.1:0",
    PASSBUS_DATA_DIR: dataDir,
    PASSBUS_BOOTSTRAP_KEY: key,
    PASSBUS_ALLOWED_NETWORKS: "127.0.0.0/8",
    PASSBUS_ALLOW_HTTP: "true",
    PASSBUS_LOG_LEVEL: "warn",
    ...settings,
  });
  return { url, key };
}

export async function startStage(
  options: BenchOptions,
  deployment?: Deployment,
  settings?: Readonly<Record<string, string>>,
): Promise<Stage> {
  return new Stage(options, await mkdtemp(join(tmpdir(), "passbus-bench-")), deployment, settings);
}

/** Answers the secrets. */
async function subscribe(url: string, key: string, sinkOrigin: string, shape: Shape, maxInFlight: number) {
  const transport = createGrpcTransport({ baseUrl: url });
  const client = createClient(SubscriptionService, transport);
  const secrets: string[] = [];
  for (let number = 0; number < shape.endpoints; number += 1) {
    const subscription = {
      entityId: shape.entityId,
      url: `${sinkOrigin}/${shape.name}/${number}`,
      format: Format.STANDARD,
      policy: { maxInFlight },
    };
    const headers = { authorization: `Bearer ${key}` };
    secrets.push((await client.createSubscription({ subscription }, { headers })).secret);
  }
  return secrets;
}
