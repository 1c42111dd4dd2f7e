/** The event log's suite on the embedded log. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  embeddedLogReader,
  embeddedLogWriter,
  startEmbeddedLog,
} from "../../src/adapters/embedded-log/embedded-log.ts";
import { eventLogContract, type LogUnderTest } from "./event-log.contract.ts";

async function embedded(): Promise<LogUnderTest> {
  const directory = mkdtempSync(join(tmpdir(), "passbus-log-"));
  const topic = "pass.events";
  let thread = await startEmbeddedLog({ directory, topic });
  let connections: { close(): void }[] = [];
  const kept = <T extends { close(): void }>(connection: T): T => {
    connections.push(connection);
    return connection;
  };
  const stop = async () => {
    for (const connection of connections) connection.close();
    connections = [];
    await thread.stop();
  };
  return {
    topic,
    writer: async () => kept(embeddedLogWriter(thread.connect())),
    reader: async () => kept(embeddedLogReader(thread.connect())),
    async restart() {
      await stop();
      thread = await startEmbeddedLog({ directory, topic });
    },
    async close() {
      await stop();
      rmSync(directory, { recursive: true });
    },
  };
}

eventLogContract("embedded log", embedded);
