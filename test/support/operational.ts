/** What tests of passbus's own events have in common. */
import { OperationalEventType as Type } from "../../gen/passbus/v1/operational_event_pb.js";
import { decodeStored } from "../../src/domain/decoded-event.ts";
import type { Delivery } from "../../src/domain/delivery.ts";
import { DEFAULT_POLICY, type Subscription } from "../../src/domain/subscription.ts";
import { answer, engineSetup } from "./engine.ts";
import { sampleSubscription } from "./samples.ts";

export const ALL = [
  Type.SUBSCRIPTION_DISABLED,
  Type.ENDPOINT_FAILING,
  Type.ENDPOINT_RECOVERED,
  Type.DELIVERY_FAILED,
  Type.DELIVERY_EXPIRED,
  Type.FILTER_FAILED,
];

/** One attempt and no more. */
export const ONCE = { ...DEFAULT_POLICY, retryScheduleMs: [] };

export type Setup = ReturnType<typeof engineSetup>;

/** An endpoint that gets passes' events, and one that gets what passbus says of it. */
export function stage(over: Partial<Subscription> = {}, shared?: Parameters<typeof engineSetup>[0]) {
  const setup = engineSetup(shared);
  const broken = sampleSubscription({ id: "sub_broken", policy: ONCE, ...over });
  setup.store.put(broken);
  setup.store.put(sampleSubscription({ id: "sub_ops", operationalEvents: ALL }));
  setup.sender.reply = ({ url }) => answer(url.endsWith("/sub_broken") ? 500 : 200);
  setup.engine.start();
  return { ...setup, broken };
}

export const told = ({ store }: Setup) =>
  [...store.events.values()]
    .filter(({ operationalType }) => operationalType !== undefined)
    .map((stored) => ({ stored, ...decodeStored(stored).event.operationalEvent }));

export const types = (setup: Setup) => told(setup).map(({ type }) => type);

export const sentTo = ({ sender }: Setup, id: string) =>
  sender.requests
    .filter(({ url }) => url.endsWith(`/${id}`))
    .map(({ body }) => JSON.parse(Buffer.from(body).toString()));

/** The first delivery of the subscription. */
export function rowOf({ store }: Setup, subscriptionId: string): Delivery {
  const row = [...store.deliveries.values()].find((one) => one.subscriptionId === subscriptionId);
  if (row === undefined) throw new Error(`${subscriptionId} has no delivery`);
  return row;
}
