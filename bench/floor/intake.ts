/** The floor's way in, a thread: Connect, one row an event in its log, one durable transaction for all that wait. */
import http2 from "node:http2";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { parentPort, workerData } from "node:worker_threads";
import { toBinary } from "@bufbuild/protobuf";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { EventService } from "../../gen/passbus/v1/event_service_pb.js";
import { type PassEvent, PassEventSchema } from "../../gen/passbus/v1/pass_event_pb.js";
import { SubscriptionService } from "../../gen/passbus/v1/subscription_service_pb.js";
import { type FloorData, type FromIntake, type Position, packed } from "./calls.ts";
import { SECRET } from "./secret.ts";

const { directory } = workerData as FloorData;
const db = new DatabaseSync(join(directory, "floor-log.db"));
db.exec("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL");
db.exec(
  "CREATE TABLE records (at INTEGER PRIMARY KEY, value BLOB); CREATE TABLE position (one INTEGER PRIMARY KEY, at)",
);
const insert = db.prepare("INSERT INTO records VALUES (?, ?)");
const setPosition = db.prepare("INSERT OR REPLACE INTO position VALUES (1, ?)");
const remove = db.prepare("DELETE FROM records WHERE at < ?");

interface Waiting {
  readonly values: readonly Uint8Array[];
  readonly resolve: () => void;
}

let waiting: Waiting[] = [];
let next = 0;
let position = 0;
let written = 0;
let scheduled = false;

function say(message: FromIntake, buffers: readonly ArrayBuffer[] = []): void {
  parentPort?.postMessage(message, buffers);
}

function commit(): void {
  scheduled = false;
  const taken = waiting;
  waiting = [];
  const values = taken.flatMap((one) => one.values);
  const offset = next;
  db.exec("BEGIN IMMEDIATE");
  for (const value of values) insert.run(next++, value);
  if (position > written) {
    setPosition.run(position);
    remove.run(position);
    written = position;
  }
  db.exec("COMMIT");
  for (const { resolve } of taken) resolve();
  const events = packed(values);
  if (values.length > 0) say({ kind: "events", offset, events }, [events.bytes.buffer]);
}

function commitSoon(): void {
  if (scheduled) return;
  scheduled = true;
  setImmediate(commit);
}

function completed(event: PassEvent): Uint8Array {
  event.organisationId = "floor";
  event.environment = "production";
  if (event.entityId === "") event.entityId = event.pass?.classId ?? "";
  return toBinary(PassEventSchema, event);
}

const handler = connectNodeAdapter({
  routes(router) {
    router.rpc(EventService.method.publishEvents, async ({ events }) => {
      const results = events.map(({ id }) => ({ eventId: id }));
      const values = events.map(completed);
      await new Promise<void>((resolve) => {
        waiting.push({ values, resolve });
        commitSoon();
      });
      return { results };
    });
    router.rpc(SubscriptionService.method.createSubscription, ({ subscription }) => {
      say({ kind: "subscribed", entityId: subscription?.entityId ?? "", url: subscription?.url ?? "" });
      return { secret: SECRET };
    });
  },
});

parentPort?.on("message", ({ offset }: Position) => {
  position = offset;
  commitSoon();
});
const server = http2.createServer(handler);
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  if (typeof address === "object" && address !== null) say({ kind: "listens", port: address.port });
});
