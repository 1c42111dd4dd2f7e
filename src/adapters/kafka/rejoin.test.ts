import ConsumerGroup from "kafkajs/src/consumer/consumerGroup.js";
import { afterAll, expect, test } from "vitest";
import { settled } from "../../../test/support/settled.ts";
import { holdJoin, mendRejoin } from "./rejoin.ts";

const original = ConsumerGroup.prototype.joinAndSync;
afterAll(() => {
  ConsumerGroup.prototype.joinAndSync = original;
});

test("a member joins again when what it was given has ended, and the next time at once", async () => {
  const joins: (string | null)[] = [];
  ConsumerGroup.prototype.joinAndSync = async function (this: ConsumerGroup) {
    joins.push(this.memberId);
  };
  mendRejoin();
  mendRejoin();
  const joinAs = (memberId: string | null) => ConsumerGroup.prototype.joinAndSync.call({ memberId } as ConsumerGroup);
  const ended = Promise.withResolvers<void>();
  holdJoin("one", ended.promise);
  const first = joinAs("one");
  await joinAs("another");
  await joinAs(null);
  await settled();
  expect(joins).toEqual(["another", null]);
  ended.resolve();
  await first;
  expect(joins).toEqual(["another", null, "one"]);
  await joinAs("one");
  expect(joins).toHaveLength(4);
});
