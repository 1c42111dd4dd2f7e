/** The log's thread: node:sqlite is synchronous, and a commit at synchronous=FULL takes milliseconds. */
import { serveThread } from "../../kernel/thread-call.ts";
import type { LogCalls } from "./calls.ts";
import type { LogThreadData } from "./embedded-log.ts";
import { LogFile } from "./log-file.ts";
import { LogService } from "./log-service.ts";

serveThread<LogCalls>((given) => {
  const data = given as LogThreadData;
  const { topic, maxBacklog } = data;
  return new LogService(new LogFile(data.directory, data.maxBytes), { topic, maxBacklog, now: Date.now });
});
