/** The embedded store in this very thread, on a database in memory: the real one, for tests that hold the clock. */
import { DatabaseSync } from "node:sqlite";
import type { StoreCalls } from "../../src/adapters/sqlite/calls.ts";
import { accessStore } from "../../src/adapters/sqlite/client-access.ts";
import { binStore } from "../../src/adapters/sqlite/client-bins.ts";
import { chainStore } from "../../src/adapters/sqlite/client-chains.ts";
import { deadLetterStore } from "../../src/adapters/sqlite/client-dead-letters.ts";
import { deliveryLog, deliveryStore } from "../../src/adapters/sqlite/client-deliveries.ts";
import { endpointStore } from "../../src/adapters/sqlite/client-endpoints.ts";
import { erasureStore } from "../../src/adapters/sqlite/client-erasures.ts";
import { kindFeed } from "../../src/adapters/sqlite/client-kinds.ts";
import { replayStore } from "../../src/adapters/sqlite/client-replays.ts";
import { statsStore } from "../../src/adapters/sqlite/client-stats.ts";
import { subscriptionFeed, subscriptionStore } from "../../src/adapters/sqlite/client-subscriptions.ts";
import { migrate } from "../../src/adapters/sqlite/schema.ts";
import { storeService } from "../../src/adapters/sqlite/service.ts";
import { type CallClient, Transferring } from "../../src/kernel/thread-call.ts";

export function embeddedStore() {
  const database = new DatabaseSync(":memory:");
  migrate(database);
  const { handlers } = storeService(database);
  const calls: CallClient<StoreCalls> = {
    async call(method, argument) {
      // As the thread would see it: a copy.
      const handle = handlers[method] as (given: unknown) => unknown;
      const answer = await handle(structuredClone(argument));
      return (answer instanceof Transferring ? answer.value : answer) as never;
    },
    close() {},
  };
  return {
    deliveries: { ...deliveryStore(calls), ...chainStore(calls), ...deliveryLog(calls) },
    replays: replayStore(calls),
    subscriptions: subscriptionStore(calls),
    feed: subscriptionFeed(calls),
    access: accessStore(calls),
    deadLetters: deadLetterStore(calls),
    erasures: erasureStore(calls),
    bins: binStore(calls),
    stats: statsStore(calls),
    endpoints: endpointStore(calls),
    kinds: kindFeed(calls),
  };
}
