/** What was done, as the audit log's table shows it and as ListAuditRecords asks for it. */
import { Integrations } from "../../../../gen/io/integrations_pb.js";
import { AccessService } from "../../../../gen/passbus/v1/access_service_pb.js";
import { DeliveryService } from "../../../../gen/passbus/v1/delivery_service_pb.js";
import { EventService } from "../../../../gen/passbus/v1/event_service_pb.js";
import { InspectorService } from "../../../../gen/passbus/v1/inspector_service_pb.js";
import { SubscriptionService } from "../../../../gen/passbus/v1/subscription_service_pb.js";

const SERVICES = [AccessService, SubscriptionService, EventService, DeliveryService, InspectorService, Integrations];

const ACTIONS = SERVICES.flatMap(({ typeName, methods }) => methods.map(({ name }) => `${typeName}/${name}`));

/** "SubscriptionService/CreateSubscription": ours go without their package. */
export function shortAction(action: string): string {
  return action.replace(/^passbus\.v1\./, "");
}

/** What may be typed. */
export const SHORT_ACTIONS: readonly string[] = ACTIONS.map(shortAction).sort();

/** The call that a text names: in full, as the table has it, or the method alone, in any case. What it doesn't know stays. */
export function actionOf(typed: string): string {
  const text = typed.trim().toLowerCase();
  const names = (action: string) => [action, shortAction(action), action.slice(action.indexOf("/") + 1)];
  return ACTIONS.find((action) => names(action).some((name) => name.toLowerCase() === text)) ?? typed.trim();
}
