/** passbus.v1.SubscriptionService: who wants to hear what, where. The rules are in the room of the same name. */
import type { ServiceImpl } from "@connectrpc/connect";
import type { SubscriptionService } from "../../gen/passbus/v1/subscription_service_pb.js";
import type { Clock } from "../kernel/clock.ts";
import { tokenFromCursor } from "../kernel/page.ts";
import { subscriptionMessage } from "../subscriptions/message.ts";
import type { SubscriptionService as Subscriptions } from "../subscriptions/subscription-service.ts";
import { requiredId } from "./fields.ts";
import { principalOf } from "./gate.ts";

/** What people do with subscriptions; `disable` is the engine's. */
export type SubscriptionCalls = "create" | "get" | "list" | "update" | "delete" | "rotateSecret";

export interface SubscriptionServiceDeps {
  readonly subscriptions: Pick<Subscriptions, SubscriptionCalls>;
  readonly clock: Clock;
}

type Served =
  | "createSubscription"
  | "getSubscription"
  | "listSubscriptions"
  | "updateSubscription"
  | "deleteSubscription"
  | "rotateSecret";

export function subscriptionService(
  deps: SubscriptionServiceDeps,
): Pick<ServiceImpl<typeof SubscriptionService>, Served> {
  const { subscriptions, clock } = deps;
  return {
    async createSubscription(request, context) {
      const { tenant } = principalOf(context);
      const { subscription, secret } = await subscriptions.create(tenant, request.subscription);
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
