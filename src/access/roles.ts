/**
 * Who may call what: one row for each method that can be reached at all. A method without a row is closed to everyone,
 * whatever their role; one without `portal` to every portal session. test/walk.test.ts calls each of them as everybody.
 */
import { DEFAULT_ENVIRONMENT } from "../kernel/tenant.ts";
import type { Grant, Role } from "./access-store.ts";

/** Every role, the strongest first. */
export const ROLES = ["admin", "operator", "publisher", "subscriber", "viewer"] as const satisfies readonly Role[];

/** `anyone` needs no key. */
export type Access = "anyone" | readonly Role[];

/**
 * What a row says besides. `portal`: portal sessions may call it, each for its own entity (src/api/access-portal.ts has
 * a rule for every such method). `audited`: it changes something, or shows a secret, and so leaves an audit record.
 * `production`: it changes what all environments of an organisation have together, and so is for keys of the default
 * environment alone: a key of another must not become one of it.
 */
export type Column = "portal" | "audited" | "production";

type MethodRow = readonly [method: string, roles: Access, ...columns: Column[]];

const ADMIN = ["admin"] as const;
const OPERATE = ["admin", "operator"] as const;
const PUBLISH = ["admin", "operator", "publisher"] as const;
const SUBSCRIBE = ["admin", "operator", "subscriber"] as const;
const READ = ["admin", "operator", "subscriber", "viewer"] as const;
const READ_EVENT = ["admin", "operator", "publisher", "subscriber", "viewer"] as const;

const ROWS: readonly MethodRow[] = [
  ["grpc.health.v1.Health/Check", "anyone"],
  ["grpc.health.v1.Health/List", "anyone"],
  ["grpc.health.v1.Health/Watch", "anyone"],
  ["grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "anyone"],

  ["passbus.v1.SubscriptionService/CreateSubscription", SUBSCRIBE, "portal", "audited"],
  ["passbus.v1.SubscriptionService/GetSubscription", READ, "portal"],
  ["passbus.v1.SubscriptionService/ListSubscriptions", READ, "portal"],
  ["passbus.v1.SubscriptionService/UpdateSubscription", SUBSCRIBE, "portal", "audited"],
  ["passbus.v1.SubscriptionService/DeleteSubscription", SUBSCRIBE, "portal", "audited"],
  ["passbus.v1.SubscriptionService/RotateSecret", SUBSCRIBE, "portal", "audited"],
  ["passbus.v1.SubscriptionService/TestSubscription", SUBSCRIBE, "portal", "audited"],
  // It shows a signed request, so it is more than reading.
  ["passbus.v1.SubscriptionService/PreviewPayload", SUBSCRIBE, "portal"],

  ["passbus.v1.EventService/PublishEvents", PUBLISH],
  ["passbus.v1.EventService/PublishEventStream", PUBLISH],
  ["passbus.v1.EventService/GetEvent", READ_EVENT, "portal"],
  ["passbus.v1.EventService/ListEvents", READ, "portal"],
  ["passbus.v1.EventService/TailEvents", READ, "portal"],
  ["passbus.v1.EventService/ExplainEvent", READ, "portal"],
  ["passbus.v1.EventService/ListDeadLetters", OPERATE],
  ["passbus.v1.EventService/RedriveDeadLetters", OPERATE, "audited"],
  ["passbus.v1.EventService/ErasePass", OPERATE, "audited"],

  ["passbus.v1.DeliveryService/GetDelivery", READ, "portal"],
  ["passbus.v1.DeliveryService/ListDeliveries", READ, "portal"],
  ["passbus.v1.DeliveryService/RetryDelivery", SUBSCRIBE, "portal", "audited"],
  ["passbus.v1.DeliveryService/CancelDelivery", SUBSCRIBE, "portal", "audited"],
  ["passbus.v1.DeliveryService/CreateReplay", SUBSCRIBE, "audited"],
  ["passbus.v1.DeliveryService/GetReplay", READ],
  ["passbus.v1.DeliveryService/ListReplays", READ],
  ["passbus.v1.DeliveryService/PauseReplay", SUBSCRIBE, "audited"],
  ["passbus.v1.DeliveryService/ResumeReplay", SUBSCRIBE, "audited"],
  ["passbus.v1.DeliveryService/CancelReplay", SUBSCRIBE, "audited"],
  ["passbus.v1.DeliveryService/WatchReplay", READ],
  ["passbus.v1.DeliveryService/WatchDeliveries", READ, "portal"],
  ["passbus.v1.DeliveryService/GetDeliveryStats", READ, "portal"],
  ["passbus.v1.DeliveryService/GetOverview", READ],
  ["passbus.v1.DeliveryService/WatchOverview", READ],
  // Of each kind to those who may list it (src/api/change-calls.ts).
  ["passbus.v1.DeliveryService/WatchChanges", READ, "portal"],

  ["passbus.v1.InspectorService/CreateBin", SUBSCRIBE, "audited"],
  ["passbus.v1.InspectorService/GetBin", READ],
  ["passbus.v1.InspectorService/ListBins", READ],
  ["passbus.v1.InspectorService/DeleteBin", SUBSCRIBE, "audited"],
  ["passbus.v1.InspectorService/ListBinRequests", READ],
  ["passbus.v1.InspectorService/WatchBin", READ],

  ["io.Integrations/createSinkSubscription", SUBSCRIBE, "audited"],
  // Without the signing secret for those who may not update; with it, it is audited.
  ["io.Integrations/getSinkSubscription", READ, "audited"],
  ["io.Integrations/listSinkSubscriptions", READ],
  ["io.Integrations/listSinkSubscriptionsDeprecated", READ],
  ["io.Integrations/updateSinkSubscription", SUBSCRIBE, "audited"],
  ["io.Integrations/deleteSinkSubscription", SUBSCRIBE, "audited"],
  ["io.Integrations/getSampleSubscriptionEvent", READ],
  // Answered with what to use instead.
  ["io.Integrations/createIntegrations", SUBSCRIBE, "audited"],
  ["io.Integrations/getIntegrations", READ],
  ["io.Integrations/updateIntegrations", SUBSCRIBE, "audited"],
  ["io.Integrations/deleteIntegrations", SUBSCRIBE, "audited"],
  ["io.Integrations/callDynamicApi", SUBSCRIBE, "audited"],

  // Of oneself, and so for everybody who has a key.
  ["passbus.v1.AccessService/GetCaller", ROLES, "portal"],
  ["passbus.v1.AccessService/CreateKey", ADMIN, "audited"],
  ["passbus.v1.AccessService/ListKeys", ADMIN],
  ["passbus.v1.AccessService/RevokeKey", ADMIN, "audited"],
  ["passbus.v1.AccessService/BindKeyCertificate", ADMIN, "audited"],
  ["passbus.v1.AccessService/UnbindKeyCertificate", ADMIN, "audited"],
  ["passbus.v1.AccessService/CreatePortalSession", OPERATE, "audited"],
  ["passbus.v1.AccessService/ListPortalSessions", OPERATE],
  ["passbus.v1.AccessService/RevokePortalSession", OPERATE, "audited"],
  ["passbus.v1.AccessService/SetLimits", OPERATE, "audited", "production"],
  ["passbus.v1.AccessService/GetLimits", READ],
  // Of the service: an admin of its own organisation alone (src/api/switch-calls.ts).
  ["passbus.v1.AccessService/SetDeliverySwitch", OPERATE, "audited", "production"],
  ["passbus.v1.AccessService/GetDeliverySwitch", READ],
  // Of one's own organisation, or as the service's own (src/api/erasure-calls.ts).
  ["passbus.v1.AccessService/DeleteOrganisation", ADMIN, "audited", "production"],
  ["passbus.v1.AccessService/ListAuditRecords", ADMIN],
];

interface MethodAccess {
  readonly roles: Access;
  readonly columns: ReadonlySet<Column>;
}

export const METHOD_ACCESS: ReadonlyMap<string, MethodAccess> = new Map(
  ROWS.map(([method, roles, ...columns]) => [method, { roles, columns: new Set(columns) }]),
);

/** Whether the method, named as `<service's full name>/<method>`, can be called without a key. */
export function isOpenToAnyone(method: string): boolean {
  return METHOD_ACCESS.get(method)?.roles === "anyone";
}

/** Whether who was granted this may call the method, named as `<service's full name>/<method>`. */
export function mayCall(grant: Grant, method: string): boolean {
  const row = METHOD_ACCESS.get(method);
  if (row === undefined) return false;
  if (row.roles === "anyone") return true;
  return grant === "portal" ? row.columns.has("portal") : row.roles.includes(grant);
}

/** Whether the method is for keys of the default environment alone, whatever their role. */
export function isForProduction(method: string): boolean {
  return METHOD_ACCESS.get(method)?.columns.has("production") ?? false;
}

/** Undefined where the caller may; else why not, in words that begin with who they are. */
export function refusalFor(grant: Grant, environment: string, method: string): string | undefined {
  if (!mayCall(grant, method)) {
    const who = grant === "portal" ? "a portal session" : `a key of the role ${grant}`;
    return `${who} may not call ${method}`;
  }
  if (!isForProduction(method) || environment === DEFAULT_ENVIRONMENT) return undefined;
  const who = `a key of the environment ${environment}`;
  return `${who} may not call ${method}, which is for all environments: take one of ${DEFAULT_ENVIRONMENT}`;
}

/** Every method that a caller is let into, in the table's order. */
export function methodsFor(grant: Grant, environment: string): readonly string[] {
  return [...METHOD_ACCESS.keys()].filter((method) => refusalFor(grant, environment, method) === undefined);
}

/** Whether a call of the method leaves an audit record when it has done what it was asked. */
export function isAudited(method: string): boolean {
  return METHOD_ACCESS.get(method)?.columns.has("audited") ?? false;
}

export function isRole(name: string): name is Role {
  return (ROLES as readonly string[]).includes(name);
}
