/** Answers that pass by themselves, as a starved broker gives them right after topics were made. No broker gives them on demand. */
import kafkajs, { type Admin, type Kafka } from "kafkajs";
import { beforeEach, describe, expect, test } from "vitest";
import { settled } from "../../../test/support/settled.ts";
import { silentLog } from "../../kernel/log.ts";
import { ManualClock } from "../../kernel/manual-clock.ts";
import { eventTopicPlan, kafkaPreparation } from "./preparation.ts";

const answered = (type: string) => Object.assign(new kafkajs.KafkaJSProtocolError(type), { type, code: 3 });

describe("answers of brokers that don't know a new topic yet", () => {
  let clock: ManualClock;
  let trouble: { type: string; times: number };
  let there: string[];
  beforeEach(() => {
    clock = new ManualClock();
    trouble = { type: "UNKNOWN_TOPIC_OR_PARTITION", times: 0 };
    there = ["t"];
  });

  const answer = () => {
    if (trouble.times-- > 0) throw answered(trouble.type);
  };
  const admin = {
    connect: async () => {},
    disconnect: async () => {},
    listTopics: async () => there,
    describeCluster: async () => ({ brokers: [{ nodeId: 1 }] }),
    async describeConfigs() {
      answer();
      return { resources: [] };
    },
    fetchTopicMetadata: async () => ({ topics: [{ name: "t", partitions: [{ replicas: [1] }] }] }),
    async createTopics() {
      there = ["t"];
      answer();
      return true;
    },
  } as unknown as Admin;
  const survey = () => {
    const client = () => ({ admin: () => admin }) as unknown as Kafka;
    return kafkaPreparation({ connection: { clock, log: silentLog, client }, topics: [eventTopicPlan("t")] }).survey();
  };

  /** Lets time pass until it is through, or a minute has gone by. */
  async function through<T>(work: Promise<T>): Promise<T> {
    let isThrough = false;
    const done = () => {
      isThrough = true;
    };
    work.then(done, done);
    for (let passedMs = 0; !isThrough && passedMs < 60_000; passedMs += 500) {
      await settled();
      clock.advance(500);
    }
    return work;
  }

  test.each(["UNKNOWN_TOPIC_OR_PARTITION", "LEADER_NOT_AVAILABLE"])("%s is asked again", async (type) => {
    trouble = { type, times: 5 };
    expect(await through(survey())).toMatchObject([{ state: "present" }]);
  });

  test("a topic that was made and isn't known yet is made", async () => {
    there = [];
    const [step] = await survey();
    trouble.times = 5;
    await through(step?.make?.() ?? Promise.reject(new Error("nothing is missing")));
    expect(trouble.times).toBeLessThan(0);
  });

  test("what does not pass within a quarter of a minute is told", async () => {
    trouble.times = 1_000;
    await expect(through(survey())).rejects.toMatchObject({ code: "log.unavailable" });
    expect(trouble.times).toBeGreaterThan(900);
  });

  test("any other answer is told at once", async () => {
    trouble = { type: "TOPIC_AUTHORIZATION_FAILED", times: 1 };
    await expect(through(survey())).rejects.toMatchObject({ code: "log.unavailable" });
  });
});
