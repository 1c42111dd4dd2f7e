/** ChangeFeed over the thread's calls. */
import type { ChangeFeed } from "../../delivery/change-feed.ts";
import type { CallClient } from "../../kernel/thread-call.ts";
import type { StoreCalls } from "./calls.ts";
import { eventsOf } from "./client-deliveries.ts";
import { deliveryOf, tenantRow } from "./rows.ts";

export function changeFeed(calls: CallClient<StoreCalls>): ChangeFeed {
  const close = async (reader: number) => {
    await calls.call("unwatch", reader);
  };
  return {
    async watchEvents(tenant) {
      const reader = await calls.call("watch", { tenant: tenantRow(tenant), rows: "events" });
      return {
        async read(limit) {
          const { rows, values, more, skipped } = await calls.call("changedEvents", { reader, limit });
          const items = eventsOf(
            rows.map((row) => [tenant, row] as const),
            values,
          );
          return { items, more, skipped };
        },
        close: () => close(reader),
      };
    },
    async watchDeliveries(tenant) {
      const reader = await calls.call("watch", { tenant: tenantRow(tenant), rows: "deliveries" });
      return {
        async read(limit) {
          const { rows, more, skipped } = await calls.call("changedDeliveries", { reader, limit });
          return { items: rows.map((row) => deliveryOf(tenant, row)), more, skipped };
        },
        close: () => close(reader),
      };
    },
  };
}
