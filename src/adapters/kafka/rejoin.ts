import ConsumerGroup from "kafkajs/src/consumer/consumerGroup.js";
import { once } from "../../kernel/once.ts";

/** What a member's next join waits for, by its id. */
const held = new Map<string, Promise<void>>();

/**
 * kafkajs 2.2.4 joins again as soon as it has told that the group shares out anew, and lets nobody who listens finish
 * first, as Java's `onPartitionsRevoked` does. With this a join waits for what `holdJoin` was given.
 */
export const mendRejoin = once(() => {
  const join = ConsumerGroup.prototype.joinAndSync;
  ConsumerGroup.prototype.joinAndSync = async function (this: ConsumerGroup): Promise<void> {
    const id = this.memberId ?? "";
    const until = held.get(id);
    held.delete(id);
    await until;
    return join.call(this);
  };
});

/** Called while REBALANCING is told. `until` never rejects. */
export function holdJoin(memberId: string, until: Promise<void>): void {
  held.set(memberId, until);
}
