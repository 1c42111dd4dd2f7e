/**
 * The servers that suites need, real ones: a Kafka broker and a server of MongoDB's wire protocol for the whole
 * run, and, for suites that kill theirs, servers of their own. A suite says which it needs in the agreed form:
 *
 *     describe.skipIf(!kafka.present)(kafka.title("the event log on Kafka"), () => { … kafkaBrokers() … });
 *
 * The first import of this file in a run waits until both are up (5 s, or a minute where they have to be fetched).
 * Everybody shares them: use topic and database names of your own, with something random, and remove them.
 */
import { once } from "node:events";
import { get, type IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";
import { inject } from "vitest";
import { onPath, type Requirement, type RequirementName, requirement } from "../requirements.ts";
import type { Answer, Answers } from "./answer.ts";
import { startKafka, startMongodbServer } from "./find.ts";
import type { KafkaCluster, KafkaOptions, MongodbServer } from "./servers.ts";

/** Not `fetch`, which gives up after five minutes: a first run may have to fetch a broker. */
async function ask(): Promise<Answers> {
  const [response] = (await once(get(inject("servicesUrl")), "response")) as [IncomingMessage];
  const body = await text(response);
  if (response.statusCode !== 200) throw new Error(`the test services could not be set up: ${body}`);
  return JSON.parse(body) as Answers;
}

const answers = await ask();

function found(name: RequirementName, missing: string | undefined): Requirement {
  return requirement(name, () => (missing === undefined ? true : { missing }));
}

const missingIn = (answer: Answer): string | undefined => ("missing" in answer ? answer.missing : undefined);

/** A Kafka broker. Topics are not made by themselves, as in production. */
export const kafka: Requirement = found("kafka", missingIn(answers.kafka));

/** A server of MongoDB's wire protocol that is a replica set. */
export const mongodb: Requirement = found("mongodb", missingIn(answers.mongodb));

/**
 * That `startKafkaCluster` can start one. Where PASSBUS_TEST_KAFKA_BROKERS names a broker, `kafka` may be there
 * and this not.
 */
export const ownKafka: Requirement = found("kafka", answers.ownKafkaMissing);

/** That `startMongodb` can start one, as `ownKafka`. */
export const ownMongodb: Requirement = found("mongodb", answers.ownMongodbMissing);

/** The foreign producer and consumer. */
/** A server of MongoDB's wire that tells which index a question goes along. The Python build tells it otherwise. */
export const mongodbPlans: Requirement = requirement("plans", () => mongodb.present && !mongodbIsSlow());
export const kcat: Requirement = requirement("kcat", () => onPath("kcat"));

function addressIn(answer: Answer): string {
  if ("missing" in answer) throw new Error(`this suite must be skipped: ${answer.missing}`);
  return answer.address;
}

/** `host:port`, comma-separated. Only for suites that `kafka` lets run. */
export function kafkaBrokers(): string {
  return addressIn(answers.kafka);
}

/** The server's URI without a database. Only for suites that `mongodb` lets run. */
export function mongodbUri(): string {
  return addressIn(answers.mongodb);
}

/**
 * Is the server the Python build, 5 to 200 times slower than MongoDB? Then a heavy suite takes a smaller form, and
 * leaves its figures unsaid.
 */
export function mongodbIsSlow(): boolean {
  return "slow" in answers.mongodb && answers.mongodb.slow;
}

/** Brokers of the suite's own, to be killed; at most 10 s for one and 20 s for three. For `ownKafka`. */
export function startKafkaCluster(options: KafkaOptions): Promise<KafkaCluster> {
  return startKafka(options);
}

/** A MongoDB server of the suite's own, to be killed. For `ownMongodb`. */
export function startMongodb(): Promise<MongodbServer> {
  return startMongodbServer();
}
