/** A replay as its dialog holds it, and the way there from the log's filters. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { DeliveryStatus } from "../../../../gen/passbus/v1/delivery_pb.js";
import type { ReplaySchema } from "../../../../gen/passbus/v1/delivery_service_pb.js";
import { OperationalEventType } from "../../../../gen/passbus/v1/operational_event_pb.js";
import { PassEventType } from "../../../../gen/passbus/v1/pass_event_pb.js";
import { numberFlaws, refuseFlaws } from "../../flaws.ts";
import { typesOf } from "../../parts/event-types.ts";
import { type TimeFilter, timesOf } from "../../parts/time-range.tsx";
import { type DeliveryFilters, statusOf } from "../deliveries/filters.tsx";

export interface Draft extends TimeFilter {
  readonly subscription: string;
  readonly pass: string;
  readonly status: DeliveryStatus;
  readonly types: readonly PassEventType[];
  readonly target: string;
  /** A number's text; empty is 50. */
  readonly rate: string;
  readonly freshIds: boolean;
}

export const REPLAYABLE = [DeliveryStatus.DELIVERED, DeliveryStatus.FAILED, DeliveryStatus.CANCELLED] as const;

export function draftOf(filters: DeliveryFilters): Draft {
  const status = statusOf(filters.status);
  const { subscription, pass, since, from, to } = filters;
  const { type } = typesOf(filters.type);
  return {
    ...{ subscription, pass, since, from, to },
    status: REPLAYABLE.find((each) => each === status) ?? DeliveryStatus.UNSPECIFIED,
    types: type === PassEventType.UNSPECIFIED ? [] : [type],
    target: "",
    rate: "",
    freshIds: false,
  };
}

/** What the log is filtered by and a replay can't be: without these it takes in more than the log shows. */
export function leftOut({ event, status, type }: DeliveryFilters): readonly string[] {
  const known = statusOf(status);
  const isOpen = known !== DeliveryStatus.UNSPECIFIED && !REPLAYABLE.some((each) => each === known);
  const isOwn = typesOf(type).operationalEventType !== OperationalEventType.UNSPECIFIED;
  return [
    ...(isOwn ? [`the event type ${type}, which is passbus’s own`] : []),
    ...(event.trim() === "" ? [] : [`the event id ${event.trim()}`]),
    ...(isOpen ? [`the status ${status}: a replay sends only what has ended`] : []),
  ];
}

/** Throws a refusal where a text can't be read. */
export function replayOf(draft: Draft): MessageInitShape<typeof ReplaySchema> {
  refuseFlaws(numberFlaws([["replay.rate_per_second", draft.rate, "number"]]));
  const { subscription: subscriptionId, status, types } = draft;
  return {
    filter: { subscriptionId, passId: draft.pass.trim(), status, eventTypes: [...types], ...timesOf(draft) },
    targetSubscriptionId: draft.target,
    ratePerSecond: Number(draft.rate),
    freshIds: draft.freshIds,
  };
}
