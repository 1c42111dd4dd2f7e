/**
 * What passbus has to say of itself: an endpoint that fails, a delivery that was given up (docs/operational-events.md).
 * Each is an event, stored with a delivery that is due now for every subscription that asks for it. They go through the
 * recorder, and not through the log; from there on they are deliveries like any other. Nothing is stored of what nobody
 * asks for.
 *
 * None is lost, and none is told twice. Whoever tells one waits until it is durable, and only then makes durable what it
 * is about: a crash between leaves that undone, so that it happens again and is told again. What is told again meets its
 * rows, since their ids are derived from the occasion: the event's as `operational-event.ts` makes it, a delivery's as
 * always. Rows that a crash kept from being written are written then.
 */
import { OperationalEventType } from "../../gen/passbus/v1/operational_event_pb.js";
import { type Attempt, type Delivery, deliveryId } from "../domain/delivery.ts";
import type { DecodedEvent } from "../domain/event.ts";
import type { Subscription } from "../domain/subscription.ts";
import { type Clock, sleep } from "../kernel/clock.ts";
import { CodedError, unreachable } from "../kernel/errors.ts";
import type { Log } from "../kernel/log.ts";
import type { Tenant } from "../kernel/tenant.ts";
import type { FilterFailure } from "../matching/filter.ts";
import type { Match, SubscriptionIndex } from "../matching/subscription-index.ts";
import type { EndpointChange } from "./endpoint-health.ts";
import { eventKeyText } from "./in-hand.ts";
import { type OperationalNews, operationalEvent } from "./operational-event.ts";
import type { Recorder } from "./recorder.ts";

export interface OperationalEventsDeps {
  readonly index: SubscriptionIndex;
  readonly recorder: Recorder;
  readonly clock: Clock;
  readonly log: Log;
  readonly stopping: AbortSignal;
  /** Deliveries of one are durable, and due. */
  readonly onDue: () => void;
}

/** A delivery that has just failed for good. */
export interface FailedDelivery {
  readonly id: string;
  readonly eventId: string;
  readonly run: number;
  readonly createdAtMs: number;
  /** Of this run, the last one counted. */
  readonly runAttempts: number;
  readonly attempt: Attempt;
}

const RETRY_MS = 1_000;
const HOUR_MS = 3_600_000;
/** Subscriptions whose filters' failures are remembered; beyond it all are forgotten, and the hour's id is what is left. */
const REMEMBERED = 10_000;

export class OperationalEvents {
  readonly #deps: OperationalEventsDeps;
  /** Those that are being made durable, by tenant and id. */
  readonly #telling = new Map<string, Promise<void>>();
  readonly #filtersToldAtMs = new Map<string, number>();

  constructor(deps: OperationalEventsDeps) {
    this.#deps = deps;
  }

  /** Resolves when it is durable; make the failure durable after that. Rejects as `endpointChanged`. */
  async deliveryFailed(subscription: Subscription, failed: FailedDelivery): Promise<void> {
    const { id, eventId, run, createdAtMs, runAttempts, attempt } = failed;
    const { errorCode = "http.status", statusCode } = attempt;
    const attempts = runAttempts === 1 ? "1 attempt" : `${runAttempts} attempts`;
    const last = statusCode === undefined ? `came to ${errorCode}` : `was answered ${statusCode}`;
    await this.#tell({
      type: OperationalEventType.DELIVERY_FAILED,
      about: subscription,
      occasion: [id, String(run)],
      says: {
        deliveryId: id,
        eventId,
        reason: errorCode,
        message: `the delivery was given up after ${attempts}, the last of which ${last}`,
        sinceMs: createdAtMs,
        statusCode: statusCode ?? 0,
        attemptCount: runAttempts,
      },
    });
  }

  /** The endpoint answered 410. Resolves when it is durable; disable it after that. Rejects as `endpointChanged`. */
  async disabledAsGone(subscription: Subscription): Promise<void> {
    await this.#tell({
      type: OperationalEventType.SUBSCRIPTION_DISABLED,
      about: subscription,
      occasion: ["gone", String(subscription.version)],
      says: { reason: "gone", message: "the endpoint answered 410: its events are held until it is enabled again" },
    });
  }

  /**
   * Resolves when it is durable; make the change itself durable after that, and a crash between loses nothing. Rejects
   * with `server.stopping` where the engine stops before the store has said who asks for it: the change must not be made
   * durable then.
   */
  async endpointChanged(change: EndpointChange): Promise<void> {
    const about = await this.#subscription(change.tenant, change.subscriptionId);
    if (about === undefined) return;
    const { sinceMs, kind } = change;
    await this.#tell({ ...endpointNews(change), about, occasion: [kind, String(sinceMs)] });
  }

  /**
   * Held deliveries are about to be dropped, since they were held for too long. Resolves when all is durable; drop them
   * after that. Rejects as `endpointChanged`. Hand over a thousand at most: each is an event where somebody asks.
   */
  async expired(deliveries: readonly Delivery[]): Promise<void> {
    await Promise.all(
      deliveries.map(async (delivery) => {
        if (delivery.operationalType !== undefined) return;
        const about = await this.#subscription(delivery.tenant, delivery.subscriptionId);
        if (about === undefined) return;
        await this.#tell({
          type: OperationalEventType.DELIVERY_EXPIRED,
          about,
          occasion: [delivery.id, String(delivery.run)],
          says: {
            deliveryId: delivery.id,
            eventId: delivery.eventId,
            message: "the delivery was held for longer than held ones are kept",
            sinceMs: delivery.createdAtMs,
          },
        });
      }),
    );
  }

  /**
   * A filter failed on an event, which goes on all the same: told once an hour of the clock, over all workers. It is in
   * the recorder before the delivery of the event is, so the event's record is not done with before this is durable.
   */
  filterFailed(subscription: Subscription, { stored }: DecodedEvent, { code, place }: FilterFailure): void {
    // What passbus says of itself gives rise to nothing more.
    if (stored.operationalType !== undefined) return;
    const hour = Math.floor(this.#deps.clock.now() / HOUR_MS);
    if (this.#filtersToldAtMs.get(subscription.id) === hour) return;
    if (this.#filtersToldAtMs.size >= REMEMBERED) this.#filtersToldAtMs.clear();
    this.#filtersToldAtMs.set(subscription.id, hour);
    const where = place === undefined ? "" : ` at line ${place.line}, column ${place.column}`;
    const what = code === "filter.cost" ? "costs more than a filter may" : `fails${where}`;
    const message = `the filter ${what}; the event was delivered all the same`;
    const says = { eventId: stored.id, reason: code, message };
    const type = OperationalEventType.FILTER_FAILED;
    this.#tell({ type, about: subscription, occasion: [String(hour)], says }).catch((err: unknown) =>
      this.#deps.log.error("operational.untold", { err, subscriptionId: subscription.id }),
    );
  }

  /** Up to the recorder without a pause where the tenant's subscriptions are at hand. */
  #tell(news: OperationalNews): Promise<void> {
    const event = operationalEvent(news, this.#deps.clock.now());
    const key = eventKeyText(event.stored);
    const known = this.#telling.get(key);
    if (known !== undefined) return known;
    const matches = this.#deps.index.matchHeld(event);
    const told = matches === undefined ? this.#matchAndRecord(event) : this.#record(event, matches);
    const telling = told.finally(() => this.#telling.delete(key));
    this.#telling.set(key, telling);
    return telling;
  }

  async #matchAndRecord(event: DecodedEvent): Promise<void> {
    const view = await this.#answered(() => this.#deps.index.refresh([event.stored.tenant]));
    await this.#record(event, view.match(event));
  }

  async #record(event: DecodedEvent, matches: readonly Match[]): Promise<void> {
    if (matches.length === 0) return;
    const { recorder, clock, log, onDue } = this.#deps;
    const { stored } = event;
    const nowMs = clock.now();
    const rows: Promise<void>[] = [];
    const row = () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      rows.push(promise);
      return resolve;
    };
    const settleEvent = row();
    recorder.addEvent(stored, (result) => {
      // Somebody published an event under an id that only we derive.
      if (result === "conflict") log.error("operational.conflict", { ...stored.tenant, eventId: stored.id });
      settleEvent();
    });
    for (const match of matches) {
      const settle = row();
      recorder.addDelivery({ kind: "first", delivery: dueNow(event, match, nowMs) }, stored.id, () => settle());
    }
    await Promise.all(rows);
    onDue();
  }

  async #subscription(tenant: Tenant, id: string): Promise<Subscription | undefined> {
    const { index } = this.#deps;
    if (index.holds(tenant)) return index.find(tenant, id);
    return (await this.#answered(() => index.refresh([tenant]))).find(tenant, id);
  }

  /** What the store answers, however long it needs. */
  async #answered<T>(ask: () => Promise<T>): Promise<T> {
    const { clock, log, stopping } = this.#deps;
    while (!stopping.aborted) {
      try {
        return await ask();
      } catch (err) {
        log.error("operational.index_failed", { err });
        await sleep(clock, RETRY_MS, stopping);
      }
    }
    throw new CodedError("server.stopping", "passbus stopped before it knew who asks for an operational event");
  }
}

function endpointNews({ kind, reason, sinceMs }: EndpointChange): Pick<OperationalNews, "type" | "says"> {
  switch (kind) {
    case "failing":
      return {
        type: OperationalEventType.ENDPOINT_FAILING,
        says: { reason, message: "the endpoint has begun to fail", sinceMs },
      };
    case "recovered":
      return {
        type: OperationalEventType.ENDPOINT_RECOVERED,
        says: { reason, message: "the endpoint answers again", sinceMs },
      };
    case "disabled": {
      const last = reason === "" ? "" : ` (the last: ${reason})`;
      const message = `the endpoint has had nothing but failures for too long${last}: its events are held until it is enabled again`;
      return { type: OperationalEventType.SUBSCRIPTION_DISABLED, says: { reason: "failing", message, sinceMs } };
    }
    default:
      return unreachable(kind);
  }
}

function dueNow({ stored }: DecodedEvent, { subscription, disposition }: Match, nowMs: number): Delivery {
  const { tenant, id: eventId, type: eventType, operationalType, passId } = stored;
  return {
    id: deliveryId(stored, subscription.id),
    tenant,
    eventId,
    eventType,
    ...(operationalType === undefined ? {} : { operationalType }),
    passId,
    subscriptionId: subscription.id,
    ...(disposition === "hold" ? { status: "held" } : { status: "waiting", dueAtMs: nowMs }),
    workClass: "live",
    run: 1,
    fence: 0,
    runAttempts: 0,
    attemptCount: 0,
    attempts: [],
    createdAtMs: nowMs,
  };
}
