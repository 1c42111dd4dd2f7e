/** Which deliveries: the filters of the log's address. */
import { DeliveryStatus } from "../../../../gen/passbus/v1/delivery_pb.js";
import type { Filters } from "../../parts/address.ts";
import { TYPE_OPTIONS, typesOf } from "../../parts/event-types.ts";
import { SelectField, TextField } from "../../parts/field.tsx";
import { useSubscriptionNames } from "../../parts/subscriptions.ts";
import { rangeOf, TimeRange } from "../../parts/time-range.tsx";
import { useSession } from "../../session.tsx";
import { STATUS } from "../../words.ts";
import type { DeliveryRow } from "./row.ts";

export const FILTERS = ["subscription", "status", "type", "pass", "event", "since", "from", "to"] as const;
export type DeliveryFilters = Filters<(typeof FILTERS)[number]>;

export const STATUSES: readonly DeliveryStatus[] = [
  DeliveryStatus.WAITING,
  DeliveryStatus.ATTEMPTING,
  DeliveryStatus.HELD,
  DeliveryStatus.DELIVERED,
  DeliveryStatus.FAILED,
  DeliveryStatus.CANCELLED,
];

/** UNSPECIFIED: any. */
export function statusOf(name: string): DeliveryStatus {
  return STATUSES.find((status) => STATUS[status][0] === name) ?? DeliveryStatus.UNSPECIFIED;
}

/** UNSPECIFIED both: any. */
export function eventTypesOf(name: string) {
  const { type: eventType, operationalEventType } = typesOf(name);
  return { eventType, operationalEventType };
}

/** Whether one that came live belongs to the log. Its type does: a delivery keeps it, and no other is told of. */
export function accepts(filters: DeliveryFilters): (row: DeliveryRow) => boolean {
  const status = statusOf(filters.status);
  const { startMs, endMs } = rangeOf(filters);
  const pass = filters.pass.trim();
  const event = filters.event.trim();
  return (row) =>
    (filters.subscription === "" || row.subscriptionId === filters.subscription) &&
    (status === DeliveryStatus.UNSPECIFIED || row.status === status) &&
    (pass === "" || row.passId === pass) &&
    (event === "" || row.eventId === event) &&
    row.atMs >= startMs &&
    row.atMs < endMs;
}

interface FilterFieldsProps {
  readonly filters: DeliveryFilters;
  readonly onChange: (change: Partial<DeliveryFilters>) => void;
}

export function FilterFields({ filters, onChange }: FilterFieldsProps) {
  const names = useSubscriptionNames();
  const { isPortal } = useSession();
  return (
    <search className="filters">
      <SelectField
        label="Subscription"
        value={filters.subscription}
        onChange={(subscription) => onChange({ subscription })}
        options={names.options(isPortal ? undefined : "All", filters.subscription)}
      />
      <SelectField
        label="Status"
        value={filters.status}
        onChange={(status) => onChange({ status })}
        options={[["", "Any"], ...STATUSES.map((status) => [STATUS[status][0], STATUS[status][0]] as const)]}
      />
      <SelectField
        label="Event type"
        value={filters.type}
        onChange={(type) => onChange({ type })}
        options={TYPE_OPTIONS}
      />
      <TextField label="Pass id" type="search" value={filters.pass} onChange={(pass) => onChange({ pass })} />
      <TextField label="Event id" type="search" value={filters.event} onChange={(event) => onChange({ event })} />
      <TimeRange label="Created" value={filters} onChange={onChange} />
    </search>
  );
}
