/** What the demo does, all of it over passbus's public API: subscribes, publishes the samples, reads the delivery log. */
import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { type Delivery, DeliveryStatus } from "../../gen/passbus/v1/delivery_pb.js";
import { DeliveryService } from "../../gen/passbus/v1/delivery_service_pb.js";
import { EventService } from "../../gen/passbus/v1/event_service_pb.js";
import { type PassEvent, PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { Format, SubscriptionSchema } from "../../gen/passbus/v1/subscription_pb.js";
import { SubscriptionService } from "../../gen/passbus/v1/subscription_service_pb.js";
import { EVENT_TYPES } from "../domain/event.ts";
import { formatOf } from "../formats/registry.ts";
import { sampleEvent } from "../formats/samples.ts";
import { CodedError } from "../kernel/errors.ts";
import { formatName } from "../subscriptions/message.ts";
import { withKey } from "./connection.ts";
import type { LoggedDelivery, LoggedStatus } from "./demo-ledger.ts";
import type { ReceivingEndpoint } from "./demo-receiver.ts";

/** One endpoint of the demo's subscriber, and what it asks for. */
export interface Plan {
  /** Also its path. */
  readonly name: string;
  readonly format: Format;
  /** Empty: all that the format can say. */
  readonly eventTypes: readonly PassEventType[];
  /** How many requests of each webhook it refuses with 503. */
  readonly refusals: number;
  /** Empty: the default. */
  readonly retryScheduleMs: readonly number[];
}

export const PLANS: readonly Plan[] = [
  { name: "crm", format: Format.PASSKIT, eventTypes: [], refusals: 0, retryScheduleMs: [] },
  { name: "dashboard", format: Format.STANDARD, eventTypes: [], refusals: 0, retryScheduleMs: [] },
  {
    name: "flaky",
    format: Format.STANDARD,
    eventTypes: [PassEventType.INSTALLED, PassEventType.UNINSTALLED],
    refusals: 2,
    // One more wait than it refuses: a retry too few would be a failed delivery, and is to be seen as such.
    retryScheduleMs: [500, 1_000, 2_000],
  },
];

/** A subscription as the API made it. */
export interface Subscribed extends ReceivingEndpoint {
  readonly subscriptionId: string;
  readonly format: string;
  readonly wants: readonly PassEventType[];
}

export interface Sample {
  /** For people: "installed". */
  readonly what: string;
  readonly event: PassEvent;
}

/** The built-in samples, in the order of a pass's life. */
export function samples(): readonly Sample[] {
  return EVENT_TYPES.flatMap((type) => {
    const event = sampleEvent(type);
    return event === undefined ? [] : [{ what: PassEventType[type].toLowerCase(), event }];
  });
}

/** passbus, as its callers reach it. */
export class DemoClient {
  readonly #subscriptions;
  readonly #events;
  readonly #deliveries;

  constructor(baseUrl: string, key: string) {
    const transport = createConnectTransport({ baseUrl, httpVersion: "1.1", interceptors: [withKey(key)] });
    this.#subscriptions = createClient(SubscriptionService, transport);
    this.#events = createClient(EventService, transport);
    this.#deliveries = createClient(DeliveryService, transport);
  }

  async subscribe(plan: Plan, url: string): Promise<Subscribed> {
    const { name, format, eventTypes, refusals, retryScheduleMs } = plan;
    const asked = create(SubscriptionSchema, {
      url,
      format,
      eventTypes: [...eventTypes],
      description: `demo: ${name}`,
      policy: { retrySchedule: retryScheduleMs.map(durationFromMs) },
    });
    const { subscription, secret } = await this.#subscriptions.createSubscription({ subscription: asked });
    const answered = formatName(subscription?.format ?? Format.UNSPECIFIED);
    if (subscription === undefined || answered === undefined) {
      throw new CodedError("internal", "CreateSubscription answered no subscription in a format that there is");
    }
    const { bodySignatureHeader, types } = formatOf(answered);
    return {
      name,
      secret,
      refusals,
      ...(bodySignatureHeader === undefined ? {} : { bodySignatureHeader }),
      subscriptionId: subscription.id,
      format: answered,
      wants: subscription.eventTypes.length > 0 ? subscription.eventTypes : types,
    };
  }

  /** Answers the id that passbus gave the event. */
  async publish(event: PassEvent): Promise<string> {
    const { results } = await this.#events.publishEvents({ events: [event] });
    return results[0]?.eventId ?? "";
  }

  /** The log's deliveries of an event to these subscriptions. */
  async deliveries(eventId: string, subscribed: readonly Subscribed[]): Promise<readonly LoggedDelivery[]> {
    const { deliveries } = await this.#deliveries.listDeliveries({ eventId });
    return deliveries.flatMap((delivery) => {
      const subscription = subscribed.find(({ subscriptionId }) => subscriptionId === delivery.subscriptionId);
      return subscription === undefined ? [] : [loggedDelivery(delivery, subscription.name)];
    });
  }
}

const STATUS_NAMES: Readonly<Record<DeliveryStatus, LoggedStatus>> = {
  [DeliveryStatus.UNSPECIFIED]: "unknown",
  [DeliveryStatus.WAITING]: "waiting",
  [DeliveryStatus.ATTEMPTING]: "attempting",
  [DeliveryStatus.HELD]: "held",
  [DeliveryStatus.DELIVERED]: "delivered",
  [DeliveryStatus.FAILED]: "failed",
  [DeliveryStatus.CANCELLED]: "cancelled",
};

function loggedDelivery({ id, status, attempts }: Delivery, endpoint: string): LoggedDelivery {
  const answers = attempts.map(({ statusCode, errorCode }) => (statusCode === 0 ? errorCode : String(statusCode)));
  return { id, endpoint, status: STATUS_NAMES[status], answers };
}
