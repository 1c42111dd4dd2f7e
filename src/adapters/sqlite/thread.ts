/** The store's thread: node:sqlite is synchronous, and a commit at synchronous=FULL takes milliseconds. */
import { serveThread } from "../../kernel/thread-call.ts";
import type { StoreCalls } from "./calls.ts";
import { openStore } from "./schema.ts";
import { storeService } from "./service.ts";
import type { StoreThreadData } from "./sqlite-store.ts";

serveThread<StoreCalls>((given) => {
  const data = given as StoreThreadData;
  const service = storeService(openStore(data.directory));
  if (data.exclusive) service.releaseLeases(data.nowMs);
  return service;
});
