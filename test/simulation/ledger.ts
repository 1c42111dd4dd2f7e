/** Every request that left, who sent it, and what it came to: the receivers' side of the truth. */

import type { Exchange } from "../../src/delivery/sender.ts";
import { deliveryId } from "../../src/domain/delivery.ts";
import type { EventKey } from "../../src/domain/event.ts";
import type { World } from "./world.ts";

export interface Sent {
  readonly attemptId: string;
  readonly deliveryId: string;
  readonly subscriptionId: string;
  /** The process that sent it; one that is started again is another. */
  readonly worker: string;
  readonly startedAtMs: number;
  /** Of the delivery, by the store, when it left. */
  readonly run: number;
  /** What its receiver answered, heard or not. */
  status?: number;
  /** What its sender made of it. Absent while it is in flight. */
  outcome?: "delivered" | "failed" | "cut";
}

/** Something that may make a worker's work another's: it died, was stopped, or lost its partitions. */
interface Disturbance {
  readonly worker: string;
  readonly kind: "killed" | "stopped" | "lost";
  readonly atMs: number;
}

/** What is stored of what was sent. */
export interface SentRows {
  /** 1 where nothing is. */
  runOf(deliveryId: string): number;
  has(deliveryId: string, attemptId: string): boolean;
}

export class Ledger {
  readonly sent = new Map<string, Sent[]>();
  readonly #world: World;
  readonly #disturbances: Disturbance[] = [];
  readonly #exempt: EventKey[] = [];
  readonly #rows: SentRows;
  /** Attempts, and spills of deliveries, that were in flight or not durable when something happened to their worker. */
  readonly #excused = new Set<string>();
  readonly #onBegin: (sent: Sent) => void;
  repeats = 0;

  constructor(world: World, rows: SentRows, onBegin: (sent: Sent) => void) {
    this.#world = world;
    this.#rows = rows;
    this.#onBegin = onBegin;
  }

  disturbed(worker: string, kind: Disturbance["kind"]): void {
    this.#disturbances.push({ worker, kind, atMs: this.#world.clock.now() });
    for (const all of this.sent.values()) {
      for (const sent of all) {
        if (sent.worker === worker && sent.outcome !== "cut" && !this.#rows.has(sent.deliveryId, sent.attemptId))
          this.#excused.add(sent.attemptId);
      }
    }
  }

  /** A delivery's row was made by one that had lost its partition meanwhile. */
  spiltLate(deliveryId: string): void {
    this.#excused.add(deliveryId);
  }

  /** An event that may be sent twice without a fault: it stands in two partitions (protocol, last section). */
  exempt(event: EventKey): void {
    this.#exempt.push(event);
  }

  began(one: Pick<Sent, "attemptId" | "deliveryId" | "subscriptionId" | "worker">): Sent {
    const sent: Sent = { ...one, startedAtMs: this.#world.clock.now(), run: this.#rows.runOf(one.deliveryId) };
    const all = [...(this.sent.get(sent.deliveryId) ?? []), sent];
    this.#world.count("request");
    this.#world.trace(() => `${sent.worker} sends ${sent.deliveryId}, run ${sent.run}, as ${sent.attemptId}`);
    this.sent.set(sent.deliveryId, all);
    this.#judgeCount(sent, all);
    this.#onBegin(sent);
    return sent;
  }

  answered(sent: Sent, status: number): void {
    sent.status = status;
    this.#world.trace(() => `the endpoint of ${sent.subscriptionId} answers ${status} to ${sent.attemptId}`);
  }

  ended(sent: Sent, exchange: Exchange): void {
    if (exchange.kind === "response") {
      sent.outcome = exchange.status >= 200 && exchange.status < 300 ? "delivered" : "failed";
    } else sent.outcome = exchange.reason === "attempt.cancelled" ? "cut" : "failed";
    this.#world.trace(() => `${sent.worker} hears of ${sent.attemptId}: ${sent.outcome}`);
  }

  /** Whether the worker was killed after this left. */
  isLost({ worker, startedAtMs }: Sent): boolean {
    return this.#disturbances.some((one) => one.worker === worker && one.kind === "killed" && one.atMs >= startedAtMs);
  }

  isDelivered(id: string): boolean {
    return (this.sent.get(id) ?? []).some(({ outcome }) => outcome === "delivered");
  }

  isAccepted(id: string): boolean {
    return (this.sent.get(id) ?? []).some(({ status = 0 }) => status >= 200 && status < 300);
  }

  /**
   * A delivery leaves once, once more for each failure, and once more for each request that was in flight, or answered
   * and not yet durable, when something happened to its sender; so with a spill that was on its way to the store then.
   */
  #judgeCount(sent: Sent, all: readonly Sent[]): void {
    const ofRun = all.filter(({ run }) => run === sent.run);
    const failures = ofRun.filter(({ outcome }) => outcome === "failed" || outcome === "cut").length;
    const spilt = this.#excused.has(sent.deliveryId) ? 1 : 0;
    const excused = spilt + ofRun.filter(({ attemptId }) => this.#excused.has(attemptId)).length;
    if (ofRun.length > 1 + failures) this.repeats++;
    if (ofRun.length <= 1 + failures + excused) return;
    if (this.#exempt.some((event) => deliveryId(event, sent.subscriptionId) === sent.deliveryId)) return;
    const others = ofRun.map(({ worker, outcome = "in flight", attemptId }) => `${worker} ${attemptId} ${outcome}`);
    this.#world.violated("repeat", `${sent.deliveryId}, run ${sent.run}, leaves again: ${others.join("; ")}`);
  }
}
