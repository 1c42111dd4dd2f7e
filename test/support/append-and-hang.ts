/** A process for the embedded log's test: appends what it is told, says so when it is durable, and waits to be killed. */
import { embeddedLogWriter, startEmbeddedLog } from "../../src/adapters/embedded-log/embedded-log.ts";

const [directory = "", count = "0"] = process.argv.slice(2);
const thread = await startEmbeddedLog({ directory, topic: "pass.events" });
const writer = embeddedLogWriter(thread.connect());
for (let index = 0; index < Number(count); index += 1) {
  const [result] = await writer.append([{ key: "k", value: Buffer.from(`record ${index}`), headers: {} }]);
  process.stdout.write(`${JSON.stringify(result)}\n`);
}
