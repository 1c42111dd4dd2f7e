/**
 * Vitest's global setup: starts the servers that suites need, once for a run and only if one asks (services.ts
 * does when a suite imports it), and ends them after it. A run of units alone starts nothing.
 */
import { once } from "node:events";
import { cp, mkdtemp } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import type { Answer, Answers } from "./answer.ts";
import { type Form, kafkaForm, mongodbForm, reason, type Shared, sharedKafka, sharedMongodb } from "./find.ts";

interface Started {
  readonly name: string;
  readonly shared: Shared | undefined;
  readonly answer: Answer;
}

async function start(name: string, open: () => Promise<Shared>): Promise<Started> {
  try {
    const shared = await open();
    const { address, server, slow } = shared;
    return { name, shared, answer: { address, server, slow } };
  } catch (error) {
    return { name, shared: undefined, answer: { missing: reason(error) } };
  }
}

async function whyNot(ask: () => Promise<Form>): Promise<string | undefined> {
  try {
    await ask();
    return undefined;
  } catch (error) {
    return reason(error);
  }
}

/** Logs of a run in which a test failed are kept, with a line that says where. */
async function keepLogs(started: readonly Started[]): Promise<void> {
  const folders = started.flatMap(({ shared }) => (shared?.logFolder === undefined ? [] : [shared.logFolder]));
  if (folders.length === 0) return;
  const kept = await mkdtemp(join(tmpdir(), "passbus-test-logs-"));
  for (const folder of folders) await cp(folder, kept, { recursive: true });
  console.log(`The logs of this run's servers: ${kept}`);
}

class Services {
  readonly #project: TestProject;
  #started: Promise<readonly [kafka: Started, mongodb: Started]> | undefined;
  #answers: Promise<Answers> | undefined;

  constructor(project: TestProject) {
    this.#project = project;
  }

  #start(): Promise<readonly [kafka: Started, mongodb: Started]> {
    this.#started ??= Promise.all([start("kafka", sharedKafka), start("mongodb", sharedMongodb)]);
    return this.#started;
  }

  async #ask(): Promise<Answers> {
    const [started, ownKafkaMissing, ownMongodbMissing] = await Promise.all([
      this.#start(),
      whyNot(kafkaForm),
      whyNot(mongodbForm),
    ]);
    const [kafka, mongodb] = started;
    this.#project.provide(
      "servicesUsed",
      started.flatMap(({ name, answer }) => ("server" in answer ? [`${name}: ${answer.server}`] : [])),
    );
    return { kafka: kafka.answer, mongodb: mongodb.answer, ownKafkaMissing, ownMongodbMissing };
  }

  answers(): Promise<Answers> {
    this.#answers ??= this.#ask();
    return this.#answers;
  }

  async stop(): Promise<void> {
    const started = (await this.#started) ?? [];
    if (this.#project.vitest.state.getCountOfFailedTests() > 0) await keepLogs(started);
    await Promise.all(started.map(({ shared }) => shared?.stop()));
  }
}

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const services = new Services(project);
  const server = createServer((_request, response) => {
    services.answers().then(
      (answers) => response.end(JSON.stringify(answers)),
      (error: unknown) => response.writeHead(500).end(reason(error)),
    );
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  project.provide("servicesUrl", `http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  project.provide("servicesUsed", []);
  return async () => {
    server.close();
    server.closeAllConnections();
    await services.stop();
  };
}
