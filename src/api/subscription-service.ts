/** passbus.v1.SubscriptionService: who wants to hear what, where. The rules are in the room of the same name. */
import type { ServiceImpl } from "@connectrpc/connect";
import type { SubscriptionService } from "../../gen/passbus/v1/subscription_service_pb.js";
import type { DeliveryLog } from "../delivery/delivery-store.ts";
import type { TestSendDeps } from "../delivery/test-send.ts";
import type { Subscription } from "../domain/subscription.ts";
import type { Clock } from "../kernel/clock.ts";
import { tokenFromCursor } from "../kernel/page.ts";
import type { EndpointChallenge } from "../subscriptions/endpoint-challenge.ts";
import { subscriptionMessage } from "../subscriptions/message.ts";
import type { SubscriptionService as Subscriptions } from "../subscriptions/subscription-service.ts";
import { DirectSlots } from "./direct-slots.ts";
import { requiredId } from "./fields.ts";
import { principalOf } from "./gate.ts";
import { webhookCalls } from "./webhook-calls.ts";

/** What people do with subscriptions; `disable` is the engine's. */
export type SubscriptionCalls = "create" | "get" | "list" | "update" | "delete" | "rotateSecret" | "draft";

export interface SubscriptionServiceDeps {
  readonly subscriptions: Pick<Subscriptions, SubscriptionCalls>;
  readonly deliveryLog: Pick<DeliveryLog, "getEvent">;
  readonly webhooks: TestSendDeps;
  /** Asked of an endpoint before it has a subscription, where its owner wants that. */
  readonly challenge: EndpointChallenge;
  readonly clock: Clock;
}

type Served =
  | "createSubscription"
  | "getSubscription"
  | "listSubscriptions"
  | "updateSubscription"
  | "deleteSubscription"
  | "rotateSecret"
  | "testSubscription"
  | "previewPayload";

export function subscriptionService(
  deps: SubscriptionServiceDeps,
): Pick<ServiceImpl<typeof SubscriptionService>, Served> {
  const { subscriptions, challenge, clock } = deps;
  const slots = new DirectSlots();
  const prove = (subscription: Subscription) => slots.run(() => challenge(subscription));
  return {
    ...webhookCalls({ ...deps, slots }),

    async createSubscription({ subscription: draft, verifyEndpoint }, context) {
      const { tenant } = principalOf(context);
      const made = await subscriptions.create(tenant, draft, undefined, verifyEndpoint ? prove : undefined);
      const { subscription, secret } = made;
      return { subscription: subscriptionMessage(subscription, clock.now()), secret };
    },

    async getSubscription({ id }, context) {
      const subscription = await subscriptions.get(principalOf(context).tenant, requiredId(id));
      return { subscription: subscriptionMessage(subscription, clock.now()) };
    },

    async listSubscriptions(request, context) {
      const page = await subscriptions.list(principalOf(context).tenant, request);
      const nowMs = clock.now();
      return {
        subscriptions: page.items.map((subscription) => subscriptionMessage(subscription, nowMs)),
        nextPageToken: tokenFromCursor(page.next),
      };
    },

    async updateSubscription({ subscription: change, updateMask }, context) {
      const { tenant } = principalOf(context);
      const subscription = await subscriptions.update(tenant, change, updateMask?.paths);
      return { subscription: subscriptionMessage(subscription, clock.now()) };
    },

    async deleteSubscription({ id }, context) {
      await subscriptions.delete(principalOf(context).tenant, requiredId(id));
      return {};
    },

    async rotateSecret({ id, overlap }, context) {
      const { tenant } = principalOf(context);
      const { subscription, secret } = await subscriptions.rotateSecret(tenant, requiredId(id), overlap);
      return { subscription: subscriptionMessage(subscription, clock.now()), secret };
    },
  };
}
