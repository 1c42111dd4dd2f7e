import ConsumerGroup from "kafkajs/src/consumer/consumerGroup.js";
import { once } from "../../kernel/once.ts";

type Tell = (topic: string, partition: number) => void;

/** Who is told, by the member's id. */
const told = new Map<string, Tell>();

/**
 * Where a position is outside of what a partition has (it was emptied, or its topic was deleted and made anew), kafkajs
 * 2.2.4 goes on at the earliest record there is, in the same generation, and tells nobody. With this it tells the one
 * that `onOutOfRange` has for the member, before it does so.
 */
export const mendOutOfRange = once(() => {
  const recover = ConsumerGroup.prototype.recoverFromOffsetOutOfRange;
  ConsumerGroup.prototype.recoverFromOffsetOutOfRange = async function (this: ConsumerGroup, error): Promise<void> {
    told.get(this.memberId ?? "")?.(error.topic, error.partition);
    return recover.call(this, error);
  };
});

/** Answers how to end it. `tell` never throws. */
export function onOutOfRange(memberId: string, tell: Tell): () => void {
  told.set(memberId, tell);
  return () => {
    if (told.get(memberId) === tell) told.delete(memberId);
  };
}
