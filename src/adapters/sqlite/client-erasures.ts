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
    async removeErasure(id) {
      await calls.call("removeErasure", id);
    },
    erase: (request) => calls.call("erase", request),
    async settleErased() {
      await calls.call("settleErased", null);
    },
  };
}
