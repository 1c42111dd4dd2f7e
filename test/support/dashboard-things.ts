/** One of everything that the dashboard has a page for, in a running passbus. */
import { createClient } from "@connectrpc/connect";
import { Role as WireRole } from "../../gen/passbus/v1/access_service_pb.js";
import { InspectorService } from "../../gen/passbus/v1/inspector_service_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { deliveryId } from "../../src/domain/delivery.ts";
import { PAGE_LIMIT_MS, Stage } from "./browser.ts";
import { grpcWithKey } from "./grpc.ts";
import { BOOTSTRAP_KEY } from "./passbus.ts";
import { Sink } from "./sink.ts";
import { eventually } from "./within.ts";

const TENANT = { organisation: "default", environment: "production" };

/** Whose the subscriptions and events are. */
export const ENTITY = "shop";

/** As long as those that issuers have: PassKit's passes have ids of 22 characters. */
export const EVENT_IDS = ["0192f3c1-7a4e-7c31-9d52-6b1f0e8a4c11", "0192f3c1-7a4e-7c31-9d52-6b1f0e8a4c12"] as const;
export const PASS_IDS = ["3wDRcYvfjYHdtVkWdVfrKx", "7hQmZpLsTn2VbXc9RgKd4w"] as const;

export interface Things {
  readonly subscription: string;
  /** One that waits, and so can be cancelled. */
  readonly delivery: string;
  /** One that runs as long as any test. */
  readonly replay: string;
  readonly bin: string;
}

/** A stage on which every page has something to show, and the receiver of its webhooks. */
export class FilledStage implements AsyncDisposable {
  readonly stage: Stage;
  readonly sink: Sink;
  readonly things: Things;

  private constructor(stage: Stage, sink: Sink, things: Things) {
    this.stage = stage;
    this.sink = sink;
    this.things = things;
  }

  static async open(): Promise<FilledStage> {
    const [stage, sink] = await Promise.all([Stage.open(), Sink.start()]);
    return new FilledStage(stage, sink, await makeThings(stage, sink));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.sink[Symbol.asyncDispose]();
    await this.stage[Symbol.asyncDispose]();
  }
}

/** Two subscriptions, two events, four deliveries, a dead letter, a replay, a bin, a key and a portal session. */
export async function makeThings(stage: Stage, sink: Sink): Promise<Things> {
  await sink.answer("/bad", { status: 503 });
  const { subscriptions, events, deliveries, access } = stage.passbus.api;
  const subscribe = async (path: string) => {
    const policy = { retrySchedule: [{ seconds: 3_600n }] };
    const { subscription } = await subscriptions.createSubscription({
      subscription: { url: sink.url(path), entityId: ENTITY, policy },
    });
    return subscription?.id ?? "";
  };
  const [bad] = [await subscribe("/bad"), await subscribe("/good")];
  const published = EVENT_IDS.map((id, at) => ({
    ...{ id, type: PassEventType.UPDATED, entityId: ENTITY },
    pass: { id: PASS_IDS[at] ?? "" },
  }));
  await events.publishEvents({ events: published });
  // The same id with other content: a dead letter.
  const [eventId] = EVENT_IDS;
  await events.publishEvents({ events: [{ id: eventId, type: PassEventType.DELETED, pass: { id: PASS_IDS[0] } }] });
  const delivery = deliveryId({ tenant: TENANT, id: eventId }, bad);
  await eventually(PAGE_LIMIT_MS, "two deliveries, two failures and a dead letter", async () => {
    const { deliveries: rows } = await deliveries.listDeliveries({});
    const { deadLetters } = await events.listDeadLetters({});
    const attempted = rows.filter(({ attempts }) => attempts.length > 0);
    return attempted.length === 4 && deadLetters.length === 1 ? true : undefined;
  });
  // So slow that it runs as long as the test.
  const { replay } = await deliveries.createReplay({ replay: { ratePerSecond: 0.01 } });
  const { bin } = await createClient(InspectorService, grpcWithKey(stage.passbus.url, BOOTSTRAP_KEY)).createBin({});
  await access.createPortalSession({ entityId: "another" });
  await access.createKey({ key: { role: WireRole.VIEWER } });
  return { subscription: bad, delivery, replay: replay?.id ?? "", bin: bin?.id ?? "" };
}

/** Values as long as a form takes them, in words that nothing breaks. */
export const LONG = {
  eventId: `evt-${"a1b2c3d4".repeat(15)}e5`,
  passId: `pass-${"x9".repeat(60)}`,
  entityId: `shop-${"Filiale".repeat(14)}`,
  description: `Endpoint${"Lieferung".repeat(10)}${"x".repeat(7)}`,
} as const;

/**
 * Subscriptions whose URL and description nothing breaks, with endpoints that fail; an event that has long ids, and a
 * dead letter of them. Answers the subscription's id that has a description, and a delivery's.
 */
export async function makeLongThings(stage: Stage, sink: Sink): Promise<Pick<Things, "subscription" | "delivery">> {
  const { subscriptions, events, deliveries } = stage.passbus.api;
  const subscribe = async (description: string, name: string) => {
    const path = `/${name.repeat(240)}`;
    await sink.answer(path, { status: 503 });
    const policy = { retrySchedule: [{ seconds: 3_600n }] };
    const made = await subscriptions.createSubscription({
      subscription: { url: sink.url(path), entityId: LONG.entityId, description, policy },
    });
    return made.subscription?.id ?? "";
  };
  const [subscription] = [await subscribe(LONG.description, "w"), await subscribe("", "m")];
  const { eventId: id, passId, entityId } = LONG;
  await events.publishEvents({ events: [{ id, type: PassEventType.UPDATED, entityId, pass: { id: passId } }] });
  await events.publishEvents({ events: [{ id, type: PassEventType.DELETED, entityId, pass: { id: passId } }] });
  await eventually(PAGE_LIMIT_MS, "two failures", async () => {
    const { deliveries: rows } = await deliveries.listDeliveries({ eventId: id });
    return rows.filter(({ attempts }) => attempts.length > 0).length === 2 ? true : undefined;
  });
  return { subscription, delivery: deliveryId({ tenant: TENANT, id }, subscription) };
}
