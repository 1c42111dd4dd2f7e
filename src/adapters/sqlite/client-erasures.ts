/** ErasureStore over the thread's calls. */
import type { ErasureStore } from "../../delivery/erasure.ts";
import type { CallClient } from "../../kernel/thread-call.ts";
import type { StoreCalls } from "./calls.ts";

export function erasureStore(calls: CallClient<StoreCalls>): ErasureStore {
  return {
    async putErasure(row) {
      await calls.call("putErasure", row);
    },
    dueErasures: (nowMs, limit) => calls.call("dueErasures", { nowMs, limit }),
    async postponeErasure({ id, askedAtMs }, nextAtMs) {
      await calls.call("postponeErasure", { read: { id, askedAtMs }, nextAtMs });
    },
    async resealErasure(id, sealed) {
      await calls.call("resealErasure", { id, sealed });
    },
    async removeErasure({ id, askedAtMs }) {
      await calls.call("removeErasure", { id, askedAtMs });
    },
    erase: (request) => calls.call("erase", request),
    async settleErased() {
      await calls.call("settleErased", null);
    },
  };
}
