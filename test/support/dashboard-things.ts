/** One of everything that the dashboard has a page for, in a running passbus. */
import { createClient } from "@connectrpc/connect";
import { Role as WireRole } from "../../gen/passbus/v1/access_service_pb.js";
import { InspectorService } from "../../gen/passbus/v1/inspector_service_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { deliveryId } from "../../src/domain/delivery.ts";
import { PAGE_LIMIT_MS, type Stage } from "./browser.ts";
import { grpcWithKey } from "./grpc.ts";
import { BOOTSTRAP_KEY } from "./passbus.ts";
import type { Sink } from "./sink.ts";
import { eventually } from "./within.ts";

const TENANT = { organisation: "default", environment: "production" };

/** Whose the subscriptions and events are. */
export const ENTITY = "shop";

export interface Things {
  readonly subscription: string;
  /** One that waits, and so can be cancelled. */
  readonly delivery: string;
  /** One that runs as long as any test. */
  readonly replay: string;
  readonly bin: string;
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
  const published = [1, 2].map((at) => ({
    ...{ id: `evt-${at}`, type: PassEventType.UPDATED, entityId: ENTITY },
    pass: { id: `pass-${at}` },
  }));
  await events.publishEvents({ events: published });
  // The same id with other content: a dead letter.
  await events.publishEvents({ events: [{ id: "evt-1", type: PassEventType.DELETED, pass: { id: "pass-1" } }] });
  const delivery = deliveryId({ tenant: TENANT, id: "evt-1" }, bad);
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
