/** The floor's store, a thread: an event and a row of each delivery, as they come, a durable transaction a message. */
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { parentPort, workerData } from "node:worker_threads";
import { cutBytes } from "../../src/kernel/thread-call.ts";
import type { FloorData, Outcomes } from "./calls.ts";

const { directory } = workerData as FloorData;
const db = new DatabaseSync(join(directory, "floor-store.db"));
db.exec("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL");
db.exec("CREATE TABLE events (id TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID");
db.exec(
  "CREATE TABLE deliveries (id TEXT PRIMARY KEY, event TEXT, subscription TEXT, status INTEGER, at INTEGER, attempts TEXT) WITHOUT ROWID",
);
db.exec("CREATE INDEX deliveries_by_subscription ON deliveries (subscription, at)");
const insertEvent = db.prepare("INSERT INTO events VALUES (?, ?)");
const insertDelivery = db.prepare("INSERT INTO deliveries VALUES (?, ?, ?, ?, ?, ?)");

parentPort?.on("message", ({ eventIds, events, rows }: Outcomes) => {
  db.exec("BEGIN IMMEDIATE");
  for (const [at, value] of cutBytes(events.bytes, events.lengths).entries())
    insertEvent.run(eventIds[at] ?? "", value);
  for (const row of rows) insertDelivery.run(...row);
  db.exec("COMMIT");
  parentPort?.postMessage(rows.length);
});
