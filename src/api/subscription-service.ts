/** passbus.v1.SubscriptionService: who wants to hear what, where. The rules are in the room of the same name. */
import type { ServiceImpl } from "@connectrpc/connect";
import type { SubscriptionService } from "../../gen/passbus/v1/subscription_service_pb.js";
import type { Principal } from "../access/authenticate.ts";
import type { DeliveryLog } from "../delivery/delivery-store.ts";
import type { SwitchStore } from "../delivery/kill-switch.ts";
import type { TestSendDeps } from "../delivery/test-send.ts";
import type { Subscription } from "../domain/subscription.ts";
import type { Clock } from "../kernel/clock.ts";
import { tokenFromCursor } from "../kernel/page.ts";
import type { EndpointChallenge } from "../subscriptions/endpoint-challenge.ts";
import { healthMessage } from "../subscriptions/health.ts";
import { subscriptionMessage } from "../subscriptions/message.ts";
import type { SubscriptionService as Subscriptions } from "../subscriptions/subscription-service.ts";
import { DirectSlots } from "./direct-slots.ts";
import { requiredId } from "./fields.ts";
import { principalOf } from "./gate.ts";
import { refuseWhileStopped } from "./switch-calls.ts";
import { webhookCalls } from "./webhook-calls.ts";

/** What people do with subscriptions; `disable` is the engine's. */
export type SubscriptionCalls = "create" | "get" | "list" | "update" | "delete" | "rotateSecret" | "draft" | "healthOf";

export interface SubscriptionServiceDeps {
  readonly subscriptions: Pick<Subscriptions, SubscriptionCalls>;
  readonly deliveryLog: Pick<DeliveryLog, "getEvent">;
  readonly webhooks: TestSendDeps;
  /** Asked of an endpoint before it has a subscription, where its owner wants that. */
  readonly challenge: EndpointChallenge;
  readonly switches: Pick<SwitchStore, "stops">;
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
  const { subscriptions, challenge, switches, clock } = deps;
  const slots = new DirectSlots();
  const provenFor = (caller: Principal) => async (subscription: Subscription) => {
    await refuseWhileStopped(switches, caller.tenant.organisation);
    await slots.run(caller, () => challenge(subscription));
  };
  const shown = async (subscription: Subscription) => {
    const [health] = await subscriptions.healthOf([subscription]);
    return subscriptionMessage(subscription, clock.now(), health);
  };
  return {
    ...webhookCalls({ ...deps, slots }),

    async createSubscription({ subscription: draft, verifyEndpoint }, context) {
      const caller = principalOf(context);
      const prove = verifyEndpoint ? provenFor(caller) : undefined;
      const made = await subscriptions.create(caller.tenant, draft, undefined, prove);
      const { subscription, secret } = made;
      return { subscription: subscriptionMessage(subscription, clock.now(), healthMessage(undefined)), secret };
    },

    async getSubscription({ id }, context) {
      return { subscription: await shown(await subscriptions.get(principalOf(context).tenant, requiredId(id))) };
    },

    async listSubscriptions(request, context) {
      const page = await subscriptions.list(principalOf(context).tenant, request);
      const health = await subscriptions.healthOf(page.items);
      const nowMs = clock.now();
      return {
        subscriptions: page.items.map((subscription, at) => subscriptionMessage(subscription, nowMs, health[at])),
        nextPageToken: tokenFromCursor(page.next),
      };
    },

    async updateSubscription({ subscription: change, updateMask }, context) {
      const { tenant } = principalOf(context);
      return { subscription: await shown(await subscriptions.update(tenant, change, updateMask?.paths)) };
    },

    async deleteSubscription({ id }, context) {
      await subscriptions.delete(principalOf(context).tenant, requiredId(id));
      return {};
    },

    async rotateSecret({ id, overlap }, context) {
      const { tenant } = principalOf(context);
      const { subscription, secret } = await subscriptions.rotateSecret(tenant, requiredId(id), overlap);
      return { subscription: await shown(subscription), secret };
    },
  };
}
