/** KindFeed over the thread's calls. */
import type { KindFeed } from "../../delivery/kind-feed.ts";
import type { CallClient } from "../../kernel/thread-call.ts";
import type { StoreCalls } from "./calls.ts";
import { tenantRow } from "./rows.ts";

export function kindFeed(calls: CallClient<StoreCalls>): KindFeed {
  return {
    async watchKind(tenant, kind) {
      const reader = await calls.call("watchKind", { tenant: tenantRow(tenant), kind });
      return {
        async read() {
          const { ids, more } = await calls.call("changedIds", reader);
          return { ids: new Set(ids), more };
        },
        async close() {
          await calls.call("unwatchKind", reader);
        },
      };
    },
  };
}
