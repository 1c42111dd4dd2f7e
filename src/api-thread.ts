/** The API's thread: it answers calls here while the main thread delivers. Everything it is made of is in compose/. */
import { type ApiThreadCalls, apiThreadService } from "./compose/api-thread.ts";
import { serveThread } from "./kernel/thread-call.ts";

serveThread<ApiThreadCalls>(apiThreadService);
