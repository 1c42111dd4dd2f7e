/** What an audit record says that a call was about: an id of ours, and nothing else of what was asked or answered. */
import { DeliverySwitchScope as Scope } from "../../gen/passbus/v1/access_service_pb.js";
import { erasureIdOf } from "../delivery/erasures.ts";
import { LIMITS } from "../kernel/limits.ts";
import { isTenantName, type Tenant } from "../kernel/tenant.ts";

export interface AuditedCall {
  /** `<service's full name>/<method>`. */
  readonly action: string;
  /** The caller's. */
  readonly tenant: Tenant;
  readonly request: unknown;
  /** Undefined where the call failed. */
  readonly response: unknown;
}

/** Empty where there is none: the id of what was made (the answer's), or of what the request names. */
export function targetOf(call: AuditedCall): string {
  const target = TARGETS.get(call.action)?.(call);
  if (target !== undefined) return target;
  for (const message of [call.response, call.request]) {
    const ids = [...HOLDERS.map((holder) => idIn(field(message, holder))), idIn(message)];
    const found = ids.find((id) => id !== undefined);
    if (found !== undefined) return found;
  }
  return "";
}

/** Of those whose messages hold no id. */
const TARGETS: ReadonlyMap<string, (call: AuditedCall) => string | undefined> = new Map([
  [
    "passbus.v1.AccessService/SetLimits",
    ({ request, tenant }: AuditedCall) => organisationTarget(textIn(request, "organisationId") || tenant.organisation),
  ],
  [
    "passbus.v1.AccessService/DeleteOrganisation",
    ({ request }: AuditedCall) => organisationTarget(textIn(request, "organisationId")),
  ],
  ["passbus.v1.AccessService/SetDeliverySwitch", switchTarget],
  // The answer has it too, where the call got so far.
  ["passbus.v1.EventService/ErasePass", passTarget],
]);

function organisationTarget(name: string): string | undefined {
  return isTenantName(name) ? `org_${name}` : undefined;
}

/** Whose deliveries, and which way it was turned. */
function switchTarget({ request, tenant }: AuditedCall): string | undefined {
  const turned = field(request, "stopped") === true ? "stopped" : "started";
  switch (field(request, "scope")) {
    case Scope.ORGANISATION:
      return `org_${tenant.organisation}/${turned}`;
    case Scope.SERVICE:
      return `service/${turned}`;
    default:
      return undefined;
  }
}

function passTarget({ request, tenant }: AuditedCall): string | undefined {
  const passId = textIn(request, "passId");
  return passId === "" || passId.length > LIMITS.idCharacters
    ? undefined
    : erasureIdOf({ kind: "pass", tenant, passId });
}

/** What ids of ours look like. Whatever else stands in a field of that name is somebody's text, and not kept. */
const ID = /^[A-Za-z]{2,8}_[A-Za-z0-9._-]{1,120}$/;

/** In which field of a message what the call was about stands, if it isn't the message itself. */
const HOLDERS = ["subscription", "delivery", "replay", "key", "session", "bin"] as const;
const ID_FIELDS = ["id", "subscriptionId", "deliveryId", "binId"] as const;

function idIn(message: unknown): string | undefined {
  const several = field(message, "ids");
  const first: unknown = Array.isArray(several) ? several[0] : undefined;
  const candidates = [...ID_FIELDS.map((name) => field(message, name)), first];
  return candidates.find(
    (id): id is string => typeof id === "string" && id.length <= LIMITS.idCharacters && ID.test(id),
  );
}

function textIn(message: unknown, name: string): string {
  const text = field(message, name);
  return typeof text === "string" ? text : "";
}

function field(message: unknown, name: string): unknown {
  return typeof message === "object" && message !== null ? Reflect.get(message, name) : undefined;
}
