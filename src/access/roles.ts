/**
 * Who may call what: one row for each method that can be reached at all. A method without a row is closed to everyone,
 * whatever their role.
 */
import type { Role } from "./access-store.ts";

/** Every role, the strongest first. */
export const ROLES = ["admin", "operator", "publisher", "subscriber", "viewer"] as const satisfies readonly Role[];

/** `anyone` needs no key. */
export type Access = "anyone" | readonly Role[];

const KEYS = ["admin"] as const;
const OPERATE = ["admin", "operator"] as const;
const PUBLISH = ["admin", "operator", "publisher"] as const;
const SUBSCRIBE = ["admin", "operator", "subscriber"] as const;
const READ = ["admin", "operator", "subscriber", "viewer"] as const;
const READ_EVENT = ["admin", "operator", "publisher", "subscriber", "viewer"] as const;

export const METHOD_ACCESS: ReadonlyMap<string, Access> = new Map<string, Access>([
  ["grpc.health.v1.Health/Check", "anyone"],
  ["grpc.health.v1.Health/List", "anyone"],
  ["grpc.health.v1.Health/Watch", "anyone"],
  ["grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "anyone"],

  ["passbus.v1.SubscriptionService/CreateSubscription", SUBSCRIBE],
  ["passbus.v1.SubscriptionService/GetSubscription", READ],
  ["passbus.v1.SubscriptionService/ListSubscriptions", READ],
  ["passbus.v1.SubscriptionService/UpdateSubscription", SUBSCRIBE],
  ["passbus.v1.SubscriptionService/DeleteSubscription", SUBSCRIBE],
  ["passbus.v1.SubscriptionService/RotateSecret", SUBSCRIBE],
  ["passbus.v1.SubscriptionService/TestSubscription", SUBSCRIBE],
  // It shows a signed request, so it is more than reading.
  ["passbus.v1.SubscriptionService/PreviewPayload", SUBSCRIBE],

  ["passbus.v1.EventService/PublishEvents", PUBLISH],
  ["passbus.v1.EventService/PublishEventStream", PUBLISH],
  ["passbus.v1.EventService/GetEvent", READ_EVENT],
  ["passbus.v1.EventService/ListEvents", READ],
  ["passbus.v1.EventService/TailEvents", READ],
  ["passbus.v1.EventService/ExplainEvent", READ],
  ["passbus.v1.EventService/ListDeadLetters", OPERATE],
  ["passbus.v1.EventService/RedriveDeadLetters", OPERATE],

  ["passbus.v1.DeliveryService/GetDelivery", READ],
  ["passbus.v1.DeliveryService/ListDeliveries", READ],
  ["passbus.v1.DeliveryService/RetryDelivery", SUBSCRIBE],
  ["passbus.v1.DeliveryService/CancelDelivery", SUBSCRIBE],
  ["passbus.v1.DeliveryService/CreateReplay", SUBSCRIBE],
  ["passbus.v1.DeliveryService/GetReplay", READ],
  ["passbus.v1.DeliveryService/ListReplays", READ],
  ["passbus.v1.DeliveryService/PauseReplay", SUBSCRIBE],
  ["passbus.v1.DeliveryService/ResumeReplay", SUBSCRIBE],
  ["passbus.v1.DeliveryService/CancelReplay", SUBSCRIBE],
  ["passbus.v1.DeliveryService/WatchReplay", READ],
  ["passbus.v1.DeliveryService/WatchDeliveries", READ],
  ["passbus.v1.DeliveryService/GetDeliveryStats", READ],

  ["passbus.v1.InspectorService/CreateBin", SUBSCRIBE],
  ["passbus.v1.InspectorService/ListBinRequests", READ],
  ["passbus.v1.InspectorService/WatchBin", READ],

  ["io.Integrations/createSinkSubscription", SUBSCRIBE],
  // Without the signing secret for those who may not update.
  ["io.Integrations/getSinkSubscription", READ],
  ["io.Integrations/listSinkSubscriptions", READ],
  ["io.Integrations/listSinkSubscriptionsDeprecated", READ],
  ["io.Integrations/updateSinkSubscription", SUBSCRIBE],
  ["io.Integrations/deleteSinkSubscription", SUBSCRIBE],
  ["io.Integrations/getSampleSubscriptionEvent", READ],
  // Answered with what to use instead.
  ["io.Integrations/createIntegrations", SUBSCRIBE],
  ["io.Integrations/getIntegrations", READ],
  ["io.Integrations/updateIntegrations", SUBSCRIBE],
  ["io.Integrations/deleteIntegrations", SUBSCRIBE],
  ["io.Integrations/callDynamicApi", SUBSCRIBE],

  ["passbus.v1.AccessService/CreateKey", KEYS],
  ["passbus.v1.AccessService/ListKeys", KEYS],
  ["passbus.v1.AccessService/RevokeKey", KEYS],
  ["passbus.v1.AccessService/CreatePortalSession", OPERATE],
  ["passbus.v1.AccessService/ListPortalSessions", OPERATE],
  ["passbus.v1.AccessService/RevokePortalSession", OPERATE],
  ["passbus.v1.AccessService/SetLimits", OPERATE],
  ["passbus.v1.AccessService/GetLimits", READ],
  // Of the service: an admin of its own organisation alone (src/api/switch-calls.ts).
  ["passbus.v1.AccessService/SetDeliverySwitch", OPERATE],
  ["passbus.v1.AccessService/GetDeliverySwitch", READ],
  ["passbus.v1.AccessService/ListAuditRecords", OPERATE],
]);

/** Whether the method, named as `<service's full name>/<method>`, can be called without a key. */
export function isOpenToAnyone(method: string): boolean {
  return METHOD_ACCESS.get(method) === "anyone";
}

/** Whether the role may call the method, named as `<service's full name>/<method>`. */
export function mayCall(role: Role, method: string): boolean {
  const access = METHOD_ACCESS.get(method);
  if (access === undefined) return false;
  return access === "anyone" || access.includes(role);
}

export function isRole(name: string): name is Role {
  return (ROLES as readonly string[]).includes(name);
}
