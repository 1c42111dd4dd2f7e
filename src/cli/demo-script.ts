/** What the demo does, all of it over passbus's public API: subscribes, publishes the samples, reads the delivery log. */
import { clone, create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { AccessService } from "../../gen/passbus/v1/access_service_pb.js";
import { type Delivery, DeliveryStatus } from "../../gen/passbus/v1/delivery_pb.js";
import { DeliveryService } from "../../gen/passbus/v1/delivery_service_pb.js";
import { EventService } from "../../gen/passbus/v1/event_service_pb.js";
import { InspectorService } from "../../gen/passbus/v1/inspector_service_pb.js";
import { type PassEvent, PassEventSchema, PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { Format, SubscriptionSchema } from "../../gen/passbus/v1/subscription_pb.js";
import { SubscriptionService } from "../../gen/passbus/v1/subscription_service_pb.js";
import { EVENT_TYPES } from "../domain/event.ts";
import { formatOf } from "../formats/registry.ts";
import { sampleEvent } from "../formats/samples.ts";
import { CodedError } from "../kernel/errors.ts";
import { formatName } from "../subscriptions/message.ts";
import { withKey } from "./connection.ts";
import type { LoggedDelivery, LoggedStatus } from "./demo-ledger.ts";
import { type DeliveryOrigin, type Interventions, interventionsOf } from "./demo-people.ts";
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
  /** Absent: no filter. */
  readonly filter?: Filter;
}

/** A subscription's filter, and the same said by other means, to judge by. */
interface Filter {
  readonly cel: string;
  readonly lets: (event: PassEvent) => boolean;
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
  {
    name: "members",
    format: Format.STANDARD,
    eventTypes: [],
    refusals: 0,
    retryScheduleMs: [],
    filter: {
      cel: '"members.tier.id" in event.pass.recordData && event.pass.recordData["members.tier.id"] == "bronze"',
      lets: ({ pass }) => pass?.recordData["members.tier.id"] === "bronze",
    },
  },
];

/** A subscription as the API made it. */
export interface Subscribed extends ReceivingEndpoint {
  readonly subscriptionId: string;
  readonly format: string;
  readonly types: readonly PassEventType[];
  readonly filter?: Filter;
}

export function wants({ types, filter }: Subscribed, event: PassEvent): boolean {
  return types.includes(event.type) && (filter?.lets(event) ?? true);
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

/** An event that passbus can only bury: `eventId` is one that it has, with other content. */
export function impostor(eventId: string, event: PassEvent): PassEvent {
  const other = clone(PassEventSchema, event);
  other.id = eventId;
  if (other.pass !== undefined) other.pass.externalId = "another pass than the first";
  return other;
}

/** Beyond these pages the oldest changes are left out. */
const AUDIT_PAGES = 10;
const AUDIT_PAGE = 500;

/** passbus, as its callers reach it. */
export class DemoClient {
  readonly #subscriptions;
  readonly #events;
  readonly #deliveries;
  readonly #inspector;
  readonly #access;

  constructor(baseUrl: string, key: string) {
    const transport = createConnectTransport({ baseUrl, httpVersion: "1.1", interceptors: [withKey(key)] });
    this.#subscriptions = createClient(SubscriptionService, transport);
    this.#events = createClient(EventService, transport);
    this.#deliveries = createClient(DeliveryService, transport);
    this.#inspector = createClient(InspectorService, transport);
    this.#access = createClient(AccessService, transport);
  }

  async subscribe(plan: Plan, url: string): Promise<Subscribed> {
    const { name, format, eventTypes, refusals, retryScheduleMs, filter } = plan;
    const asked = create(SubscriptionSchema, {
      url,
      format,
      eventTypes: [...eventTypes],
      description: `demo: ${name}`,
      filter: filter?.cel ?? "",
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
      types: subscription.eventTypes.length > 0 ? subscription.eventTypes : types,
      ...(filter === undefined ? {} : { filter }),
    };
  }

  /** A request bin with a subscription to it: to be looked at, and not judged. */
  async openBin(): Promise<void> {
    const { bin } = await this.#inspector.createBin({ description: "demo: what the CloudEvents look like" });
    const asked = create(SubscriptionSchema, {
      url: bin?.url ?? "",
      format: Format.CLOUDEVENTS,
      description: "demo: bin",
    });
    await this.#subscriptions.createSubscription({ subscription: asked });
  }

  /** Answers the id that passbus gave the event. */
  async publish(event: PassEvent): Promise<string> {
    const { results } = await this.#events.publishEvents({ events: [event] });
    return results[0]?.eventId ?? "";
  }

  /** The log's deliveries of an event to these subscriptions. */
  async deliveries(eventId: string, subscribed: readonly Subscribed[]): Promise<readonly LoggedDelivery[]> {
    const { deliveries } = await this.#deliveries.listDeliveries({ eventId });
    return subscribed.flatMap(({ subscriptionId, name }) => {
      // The oldest: a replay may have made others beside it.
      const first = deliveries.findLast((delivery) => delivery.subscriptionId === subscriptionId);
      return first === undefined ? [] : [loggedDelivery(first, name)];
    });
  }

  /** Whose a webhook is; undefined where there is no delivery with its id. */
  async originOf(webhookId: string): Promise<DeliveryOrigin | undefined> {
    try {
      const { delivery } = await this.#deliveries.getDelivery({ id: webhookId });
      return delivery;
    } catch (error) {
      const code = ConnectError.from(error).code;
      // A request may bring any id.
      if (code === Code.NotFound || code === Code.InvalidArgument) return undefined;
      throw error;
    }
  }

  /** What people have changed up to now. */
  async interventions(subscribed: readonly Subscribed[]): Promise<Interventions> {
    const calls = [];
    let pageToken = "";
    for (let page = 0; page < AUDIT_PAGES; page++) {
      const answer = await this.#access.listAuditRecords({ refused: false, pageSize: AUDIT_PAGE, pageToken });
      calls.push(...answer.records);
      pageToken = answer.nextPageToken;
      if (pageToken === "") break;
    }
    return interventionsOf(calls, subscribed);
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

function loggedDelivery({ id, status, attempts, run }: Delivery, endpoint: string): LoggedDelivery {
  const answers = attempts.map(({ statusCode, errorCode }) => (statusCode === 0 ? errorCode : String(statusCode)));
  return { id, endpoint, status: STATUS_NAMES[status], answers, run };
}
