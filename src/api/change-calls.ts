/** The call of DeliveryService that says what has changed, by its kind. */
import type { ServiceImpl } from "@connectrpc/connect";
import { type DeliveryService, ChangeKind as WireKind } from "../../gen/passbus/v1/delivery_service_pb.js";
import type { Principal } from "../access/authenticate.ts";
import { mayCall } from "../access/roles.ts";
import { CHANGE_KINDS, type ChangeKind } from "../delivery/kind-feed.ts";
import { KINDS_OF_ENTITIES, type KindWatches } from "../delivery/watch-kinds.ts";
import { CodedError, invalidField } from "../kernel/errors.ts";
import { given, knownEnum } from "./fields.ts";
import { principalOf } from "./gate.ts";
import type { Streams } from "./streams.ts";

export interface ChangeCallsDeps {
  readonly kindWatches: Pick<KindWatches, "watch">;
  readonly liveStreams: Streams;
}

interface KindRow {
  readonly wire: WireKind;
  /** Whoever may call it may watch the kind. */
  readonly reading: string;
}

const KINDS: Readonly<Record<ChangeKind, KindRow>> = {
  subscriptions: { wire: WireKind.SUBSCRIPTIONS, reading: "passbus.v1.SubscriptionService/ListSubscriptions" },
  health: { wire: WireKind.HEALTH, reading: "passbus.v1.SubscriptionService/ListSubscriptions" },
  statistics: { wire: WireKind.STATISTICS, reading: "passbus.v1.DeliveryService/GetDeliveryStats" },
  replays: { wire: WireKind.REPLAYS, reading: "passbus.v1.DeliveryService/ListReplays" },
  deadLetters: { wire: WireKind.DEAD_LETTERS, reading: "passbus.v1.EventService/ListDeadLetters" },
  bins: { wire: WireKind.BINS, reading: "passbus.v1.InspectorService/ListBins" },
  keys: { wire: WireKind.KEYS, reading: "passbus.v1.AccessService/ListKeys" },
  portalSessions: { wire: WireKind.PORTAL_SESSIONS, reading: "passbus.v1.AccessService/ListPortalSessions" },
  auditRecords: { wire: WireKind.AUDIT_RECORDS, reading: "passbus.v1.AccessService/ListAuditRecords" },
  limits: { wire: WireKind.LIMITS, reading: "passbus.v1.AccessService/GetLimits" },
  switches: { wire: WireKind.DELIVERY_SWITCH, reading: "passbus.v1.AccessService/GetDeliverySwitch" },
};

export function changeCalls({
  kindWatches,
  liveStreams,
}: ChangeCallsDeps): Pick<ServiceImpl<typeof DeliveryService>, "watchChanges"> {
  return {
    async *watchChanges(request, context) {
      const principal = principalOf(context);
      const { tenant } = principal;
      const entityId = given(request.entityId);
      const kinds = kindsOf(request.kinds, entityId, principal);
      const asked = { tenant, kinds, ...(entityId !== undefined && { entityId }) };
      for await (const told of liveStreams.run(context, (signal) => kindWatches.watch({ ...asked, signal }))) {
        yield { kinds: [...told].map((kind) => KINDS[kind].wire) };
      }
    },
  };
}

/** @throws CodedError `request.invalid`, or `role.insufficient` where the caller may not list one of them. */
function kindsOf(asked: readonly WireKind[], entityId: string | undefined, { role }: Principal): readonly ChangeKind[] {
  const ofEntity = (kind: ChangeKind) => entityId === undefined || KINDS_OF_ENTITIES.includes(kind);
  const isAllowed = (kind: ChangeKind) => mayCall(role, KINDS[kind].reading);
  if (asked.length === 0) return CHANGE_KINDS.filter((kind) => ofEntity(kind) && isAllowed(kind));
  if (asked.length > CHANGE_KINDS.length) throw invalidField("kinds", "names a kind twice");
  return asked.map((wire, at) => {
    const field = `kinds[${at}]`;
    knownEnum(WireKind, wire, field);
    const kind = CHANGE_KINDS.find((each) => KINDS[each].wire === wire);
    if (kind === undefined) throw invalidField(field, "must name a kind");
    if (!isAllowed(kind)) {
      throw new CodedError(
        "role.insufficient",
        `${field}: watching it takes a role that may call ${KINDS[kind].reading}`,
      );
    }
    if (!ofEntity(kind))
      throw invalidField(field, "must be SUBSCRIPTIONS, HEALTH or STATISTICS where there is an entity_id");
    return kind;
  });
}
