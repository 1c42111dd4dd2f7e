/** A delivery's status, in the API's words and in the domain's. */
import { DeliveryStatus as WireStatus } from "../../gen/passbus/v1/delivery_pb.js";
import type { DeliveryStatus } from "../domain/delivery.ts";
import { knownEnum } from "./fields.ts";

export const WIRE_STATUS: Readonly<Record<DeliveryStatus, WireStatus>> = {
  waiting: WireStatus.WAITING,
  attempting: WireStatus.ATTEMPTING,
  held: WireStatus.HELD,
  delivered: WireStatus.DELIVERED,
  failed: WireStatus.FAILED,
  cancelled: WireStatus.CANCELLED,
};

/** The same table, read the other way; nothing stands for UNSPECIFIED. */
const STATUS_NAMES: Readonly<Partial<Record<WireStatus, DeliveryStatus>>> = Object.fromEntries(
  Object.entries(WIRE_STATUS).map(([name, wire]) => [wire, name]),
);

/** undefined where it is UNSPECIFIED. @throws CodedError `request.invalid` for a number that no status has. */
export function statusOf(status: WireStatus, field: string): DeliveryStatus | undefined {
  return STATUS_NAMES[knownEnum(WireStatus, status, field)];
}
