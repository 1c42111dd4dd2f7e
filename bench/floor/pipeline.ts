/**
 * The floor: the least that a pipeline can do and still be one, in place of passbus in a run of the bench. An event
 * comes in over Connect, is durable before the answer, goes to the endpoints of its entity with a signed webhook, 64 in
 * flight, by undici's `dispatch`; its outcome is durable before the log's position passes it. Nothing else: no keys, no
 * checks, no formats, no deadlines, no retries, no order, no fairness, no statistics, nothing read back after a crash.
 *
 * What passbus reaches of it is what all of that costs. What it reaches of bare undici nobody's pipeline exceeds on
 * that machine by much.
 */
import { createHmac } from "node:crypto";
import { Worker } from "node:worker_threads";
import { fromBinary, toJson } from "@bufbuild/protobuf";
import { type Dispatcher, Pool } from "undici";
import { PassEventSchema } from "../../gen/passbus/v1/pass_event_pb.js";
import { cutBytes } from "../../src/kernel/thread-call.ts";
import type { PassbusCalls } from "../passbus-process.ts";
import { serveBench } from "../process-call.ts";
import { processUse } from "../process-use.ts";
import { type DeliveryRow, type FloorData, type FromIntake, type Outcomes, type Position, packed } from "./calls.ts";
import { SIGNING_KEY } from "./secret.ts";

const IN_FLIGHT = 64;
const FLUSH_ROWS = 1_000;
const FLUSH_AFTER_MS = 50;

interface Endpoint {
  readonly path: string;
  readonly id: string;
}

/** An event on its way. */
interface Flowing {
  readonly value: Uint8Array;
  readonly offset: number;
  id: string;
  body: Buffer;
  /** Deliveries whose outcome isn't durable. */
  open: number;
}

type Delivery = readonly [event: Flowing, endpoint: Endpoint];

/** A list that is read from its front and filled at its end. */
class Line<T> {
  #items: T[] = [];
  #at = 0;

  get length(): number {
    return this.#items.length - this.#at;
  }

  get first(): T | undefined {
    return this.#items[this.#at];
  }

  push(item: T): void {
    this.#items.push(item);
  }

  shift(): T | undefined {
    if (this.length === 0) return undefined;
    const item = this.#items[this.#at++];
    if (this.#at >= 4_096 && this.#at * 2 >= this.#items.length) {
      this.#items = this.#items.slice(this.#at);
      this.#at = 0;
    }
    return item;
  }
}

class Floor {
  readonly #intake: Worker;
  readonly #store: Worker;
  readonly #endpoints = new Map<string, Endpoint[]>();
  readonly #arrived = new Line<Flowing>();
  readonly #ready = new Line<Delivery>();
  /** In the order of the log, up to the position. */
  readonly #open = new Line<Flowing>();
  #pool: Pool | undefined;
  #sent = 0;
  #inFlight = 0;
  #unflushed = 0;
  #events: Flowing[] = [];
  #rows: DeliveryRow[] = [];
  #covered: Flowing[] = [];
  #flushing: readonly Flowing[] | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(directory: string, onListening: (url: string) => void) {
    const workerData: FloorData = { directory };
    this.#store = new Worker(new URL("./store.ts", import.meta.url), { workerData });
    this.#store.on("message", () => this.#flushed());
    this.#intake = new Worker(new URL("./intake.ts", import.meta.url), { workerData });
    this.#intake.on("message", (message: FromIntake) => {
      if (message.kind === "listens") onListening(`http://127.0.0.1:${message.port}`);
      else if (message.kind === "subscribed") this.#subscribe(message.entityId, new URL(message.url));
      else this.#take(message);
    });
  }

  get state() {
    return {
      openRecords: this.#open.length + this.#arrived.length,
      inFlight: this.#inFlight,
      pending: this.#ready.length,
      unflushed: this.#unflushed,
      stalled: false,
    };
  }

  async stop(): Promise<void> {
    await Promise.all([this.#intake.terminate(), this.#store.terminate(), this.#pool?.destroy()]);
  }

  #subscribe(entityId: string, { origin, pathname }: URL): void {
    this.#pool ??= new Pool(origin, { connections: IN_FLIGHT });
    const others = this.#endpoints.get(entityId) ?? [];
    this.#endpoints.set(entityId, [...others, { path: pathname, id: `sub_${entityId}_${others.length}` }]);
  }

  #take({ offset, events }: Extract<FromIntake, { kind: "events" }>): void {
    for (const [at, value] of cutBytes(events.bytes, events.lengths).entries()) {
      this.#arrived.push({ value, offset: offset + at, id: "", body: Buffer.alloc(0), open: 0 });
    }
    this.#pump();
  }

  #pump(): void {
    const pool = this.#pool;
    while (pool !== undefined && this.#inFlight < IN_FLIGHT) {
      const next = this.#ready.shift();
      if (next !== undefined) this.#send(pool, next);
      else if (!this.#plan()) return;
    }
  }

  /** Rendered once for all endpoints. False where nothing has arrived. */
  #plan(): boolean {
    const flowing = this.#arrived.shift();
    if (flowing === undefined) return false;
    const event = fromBinary(PassEventSchema, flowing.value);
    const endpoints = this.#endpoints.get(event.entityId) ?? [];
    const timestamp = "2026-01-01T00:00:00.123Z";
    const data = toJson(PassEventSchema, event);
    flowing.id = event.id;
    flowing.body = Buffer.from(JSON.stringify({ type: "pass.installed", timestamp, data }));
    flowing.open = endpoints.length;
    this.#open.push(flowing);
    this.#events.push(flowing);
    for (const endpoint of endpoints) this.#ready.push([flowing, endpoint]);
    return true;
  }

  #send(pool: Pool, [event, endpoint]: Delivery): void {
    this.#inFlight++;
    this.#unflushed++;
    const id = `dlv_${this.#sent++}`;
    const startedMs = Date.now();
    const seconds = String(Math.floor(startedMs / 1_000));
    const signature = createHmac("sha256", SIGNING_KEY).update(`${id}.${seconds}.`).update(event.body).digest("base64");
    const headers = {
      "content-type": "application/json",
      "user-agent": "passbus-floor",
      "webhook-id": id,
      "webhook-timestamp": seconds,
      "webhook-signature": `v1,${signature}`,
    };
    const onEnd = (status: number, excerpt: string) => {
      const attempt = { startedMs, durationMs: Date.now() - startedMs, status, excerpt };
      this.#ended(event, [id, event.id, endpoint.id, 1, startedMs, JSON.stringify([attempt])]);
    };
    pool.dispatch({ method: "POST", path: endpoint.path, headers, body: event.body }, new Request(onEnd));
  }

  #ended(event: Flowing, row: DeliveryRow): void {
    this.#inFlight--;
    this.#rows.push(row);
    this.#covered.push(event);
    this.#flushSoon();
    // undici rests a connection for one turn of the event loop.
    setImmediate(() => this.#pump());
  }

  #flushSoon(): void {
    if (this.#rows.length >= FLUSH_ROWS) this.#flush();
    else if (this.#rows.length > 0) this.#timer ??= setTimeout(() => this.#flush(), FLUSH_AFTER_MS);
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#flushing !== undefined || this.#rows.length === 0) return;
    const events = packed(this.#events.map(({ value }) => value));
    const outcomes: Outcomes = { eventIds: this.#events.map(({ id }) => id), events, rows: this.#rows };
    this.#store.postMessage(outcomes, [events.bytes.buffer]);
    this.#flushing = this.#covered;
    this.#events = [];
    this.#rows = [];
    this.#covered = [];
  }

  #flushed(): void {
    const covered = this.#flushing ?? [];
    this.#flushing = undefined;
    this.#unflushed -= covered.length;
    for (const event of covered) event.open--;
    let position: Position | undefined;
    while (this.#open.first?.open === 0) position = { offset: (this.#open.shift()?.offset ?? 0) + 1 };
    if (position !== undefined) this.#intake.postMessage(position);
    this.#flushSoon();
  }
}

class Request implements Dispatcher.DispatchHandler {
  readonly #onEnd: (status: number, excerpt: string) => void;
  #status = 0;
  #excerpt = "";

  constructor(onEnd: (status: number, excerpt: string) => void) {
    this.#onEnd = onEnd;
  }

  onRequestStart(): void {}

  onResponseStart(_controller: Dispatcher.DispatchController, status: number): void {
    this.#status = status;
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#excerpt += chunk.toString();
  }

  onResponseEnd(): void {
    this.#onEnd(this.#status, this.#excerpt);
  }

  /** It has no second try: the run ends. */
  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    console.error(error);
    process.exit(1);
  }
}

let floor: Floor | undefined;

serveBench<PassbusCalls>(
  {
    start(environment) {
      const { promise, resolve } = Promise.withResolvers<{ readonly url: string }>();
      floor = new Floor(environment.PASSBUS_DATA_DIR ?? "", (url) => resolve({ url }));
      return promise;
    },
    use() {
      if (floor === undefined) throw new Error("start comes first");
      return { ...processUse(), state: floor.state };
    },
  },
  () => floor?.stop(),
);
