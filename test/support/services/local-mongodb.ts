/**
 * A server of MongoDB's wire protocol as a process of this machine: SecantusDB, which says it is a replica set of
 * one. The prebuilt program that PASSBUS_TEST_MONGODB_BINARY names, or the build for Python from PyPI.
 */
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { onPath } from "../requirements.ts";
import { cached, install, Missing, saidBy } from "./install.ts";
import { type OwnedProcess, ownFolder, removeFolder, runOwned, startOwned, untilReady } from "./owned.ts";
import { freePorts } from "./ports.ts";
import { isPrimary } from "./ready.ts";
import type { MongodbServer } from "./servers.ts";

const PYTHON_PACKAGE = "SecantusDB==0.7.0b3";
const BINARY_VARIABLE = "PASSBUS_TEST_MONGODB_BINARY";
const HOST = "127.0.0.1";

interface Program {
  readonly server: string;
  readonly slow: boolean;
  readonly command: string;
  readonly args: readonly string[];
}

/** The program that the environment names, if it does. */
async function namedProgram(): Promise<Program | undefined> {
  const command = process.env[BINARY_VARIABLE];
  if (command === undefined || command === "") return undefined;
  if (!existsSync(command)) throw new Missing(`${BINARY_VARIABLE} names ${command}, which is not there`);
  let said: string;
  try {
    said = await saidBy(command, ["--version"]);
  } catch (error) {
    throw new Missing(`${BINARY_VARIABLE} names ${command}, which does not run`, { cause: error });
  }
  const version = /\d+\.\d+\.\d+\S*/u.exec(said)?.[0] ?? "of unknown version";
  return {
    server: `SecantusDB Rust build ${version}`,
    slow: false,
    command,
    // Without --sync-on-commit it loses acknowledged journaled writes on kill -9.
    args: ["--sync-on-commit", "--log-file-max", "32MB"],
  };
}

const environmentFolder = () => cached("mongodb", PYTHON_PACKAGE);

/** Throws `Missing` where this machine can't run the server. */
export async function checkLocalMongodb(): Promise<void> {
  if ((await namedProgram()) !== undefined) return;
  if (!onPath("python3")) throw new Missing(`${BINARY_VARIABLE} is not set, and python3 is not on PATH`);
  if (existsSync(environmentFolder())) return;
  try {
    await saidBy("python3", ["-c", "import venv, ensurepip"]);
  } catch (error) {
    throw new Missing(`${BINARY_VARIABLE} is not set, and python3 has no venv with pip`, { cause: error });
  }
}

async function program(): Promise<Program> {
  await checkLocalMongodb();
  const named = await namedProgram();
  if (named !== undefined) return named;
  const environment = await install(environmentFolder(), async (folder, logFile) => {
    await runOwned("python3", ["-m", "venv", folder], logFile);
    const pip = ["-m", "pip", "install", "-q", "--disable-pip-version-check", PYTHON_PACKAGE];
    await runOwned(join(folder, "bin", "python"), pip, logFile);
  });
  return {
    server: `${PYTHON_PACKAGE.replace("==", " Python build ")} (slow)`,
    slow: true,
    // Not by the script's first line, which names the folder that it was installed in before it was moved here.
    command: join(environment, "bin", "python"),
    args: [join(environment, "bin", "secantusd-py")],
  };
}

class LocalMongodb implements MongodbServer {
  readonly server: string;
  readonly slow: boolean;
  readonly uri: string;
  readonly #program: Program;
  readonly #folder: string;
  readonly #port: number;
  #running: OwnedProcess | undefined;

  constructor(folder: string, from: Program, port: number) {
    this.#folder = folder;
    this.#program = from;
    this.#port = port;
    this.server = from.server;
    this.slow = from.slow;
    this.uri = `mongodb://${HOST}:${port}/`;
  }

  get logFolder(): string {
    return join(this.#folder, "logs");
  }

  async start(): Promise<void> {
    await mkdir(this.logFolder, { recursive: true });
    // Named, so that it reads no settings file of the machine or the current folder.
    const settings = join(this.#folder, "empty.toml");
    await writeFile(settings, "");
    const where = ["--host", HOST, "--port", String(this.#port), "--storage-path", join(this.#folder, "data")];
    const server = await startOwned(
      this.#program.command,
      [...this.#program.args, "--config", settings, ...where, "--cache-size", "256M", "--log-level", "ERROR"],
      join(this.logFolder, "mongodb.log"),
    );
    this.#running = server;
    await untilReady("the MongoDB server", server, () => isPrimary(`${HOST}:${this.#port}`));
  }

  async kill(): Promise<void> {
    if (this.#running === undefined) throw new Error("the MongoDB server is not running");
    const server = this.#running;
    this.#running = undefined;
    await server.kill();
  }

  async restart(): Promise<void> {
    if (this.#running !== undefined) await this.kill();
    await this.start();
  }

  async stop(): Promise<void> {
    if (this.#running !== undefined) await this.kill();
    await removeFolder(this.#folder);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** A server of its own for whoever asks, ready to be used. */
export async function startLocalMongodb(): Promise<MongodbServer> {
  const from = await program();
  const [port = 0] = await freePorts(1);
  const server = new LocalMongodb(await ownFolder("passbus-mongodb-"), from, port);
  try {
    await server.start();
    return server;
  } catch (error) {
    await server.stop();
    throw error;
  }
}
