import { randomUUID } from "node:crypto";
import { afterEach, describe, expect, test } from "vitest";
import { type OwnTopicOptions, ownTopic, removeTopic, testConnection } from "../../../test/support/kafka-topic.ts";
import { kafka } from "../../../test/support/services/services.ts";
import { silentLog } from "../../kernel/log.ts";
import { deadTopicPlan, eventTopicPlan, kafkaPreparation, type TopicPlan } from "./preparation.ts";
import { topicConfigs } from "./topic-configs.ts";

describe.skipIf(!kafka.present)(kafka.title("the preparation of topics"), () => {
  const made: string[] = [];
  afterEach(async () => {
    for (const name of made.splice(0)) await removeTopic(name);
  });

  const survey = (...topics: readonly TopicPlan[]) =>
    kafkaPreparation({ connection: testConnection(), topics }).survey();
  const newName = () => `passbus-test-${randomUUID().slice(0, 8)}`;

  async function existing(options: OwnTopicOptions): Promise<string> {
    const { name } = await ownTopic(options);
    made.push(name);
    return name;
  }

  test("says what is missing and makes it as planned, beside another that does the same", async () => {
    const [events, dead] = [newName(), newName()];
    made.push(events, dead);
    const plans = [eventTopicPlan(events), deadTopicPlan(dead)];
    const steps = await survey(...plans);
    expect(steps.map(({ what, state }) => [what, state])).toEqual([
      [`topic ${events}, 12 partitions, 1 replica`, "missing"],
      [`topic ${dead}, 3 partitions, 1 replica`, "missing"],
    ]);
    const others = await survey(...plans);
    await Promise.all([...steps, ...others].map((step) => step.make?.()));
    const after = await survey(...plans);
    expect(after.map(({ state, detail }) => [state, detail])).toEqual([
      ["present", undefined],
      ["present", undefined],
    ]);
    const configs = await topicConfigs(testConnection(), [events, dead], ["message.timestamp.type", "retention.ms"]);
    expect(configs.get(events)?.get("message.timestamp.type")).toBe("LogAppendTime");
    expect(configs.get(dead)?.get("retention.ms")).toBe(String(30 * 24 * 3_600_000));
  });

  test("lives with another number of partitions and the producers' time, and says so", async () => {
    const [step] = await survey(eventTopicPlan(await existing({ partitions: 2 })));
    expect(step).toMatchObject({ state: "present" });
    expect(step?.detail).toMatch(/would be made with 12 partitions.*CreateTime/);
    expect(step?.make).toBeUndefined();
  });

  test.each([
    [
      "asks for more replicas in sync than there are",
      { "min.insync.replicas": "2" },
      /min\.insync\.replicas is 2 of 1/,
    ],
    ["keeps only the last event of a pass", { "cleanup.policy": "compact" }, /cleanup\.policy is compact/],
    [
      "takes no event of the size that passbus takes",
      { "max.message.bytes": "100000" },
      /max\.message\.bytes is 100000/,
    ],
  ])("a topic is wrong that %s", async (_, configEntries, said) => {
    const [step] = await survey(eventTopicPlan(await existing({ partitions: 12, configEntries })));
    expect(step).toMatchObject({ state: "wrong", detail: expect.stringMatching(said) });
    expect(step?.make).toBeUndefined();
  });

  test("a topic that Kafka refuses to make says why", async () => {
    const configEntries = { "retention.ms": "not a number" };
    const [step] = await survey({ name: newName(), partitions: 1, configEntries });
    await expect(step?.make?.()).rejects.toMatchObject({ message: expect.stringContaining("INVALID_CONFIG") });
  });

  test("more replicas than brokers are refused before anything is made", async () => {
    const [step] = await survey(eventTopicPlan(newName(), { replication: 3 }));
    expect(step).toMatchObject({ state: "wrong", detail: expect.stringContaining("1 brokers for 3 replicas") });
  });
});

test("where no broker answers nothing can be said", async () => {
  const connection = testConnection(silentLog, "127.0.0.1:1");
  const survey = kafkaPreparation({ connection, topics: [eventTopicPlan("t")] }).survey();
  await expect(survey).rejects.toMatchObject({ code: "log.unavailable" });
});
