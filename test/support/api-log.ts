/** What passbus itself says of events and deliveries, asked through the API, all pages. */
import type { Delivery, DeliveryStatus } from "../../gen/passbus/v1/delivery_pb.js";
import type { Clients } from "./passbus.ts";

const PAGE = { pageSize: 500 };

/** Ids of all events in the log view. */
export async function eventIds({ events }: Pick<Clients, "events">): Promise<readonly string[]> {
  const ids: string[] = [];
  let pageToken = "";
  do {
    const page = await events.listEvents({ ...PAGE, pageToken });
    for (const { event } of page.events) ids.push(event?.id ?? "");
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return ids;
}

export async function deliveriesOf(
  { deliveries }: Pick<Clients, "deliveries">,
  subscriptionId: string,
  status?: DeliveryStatus,
): Promise<readonly Delivery[]> {
  const all: Delivery[] = [];
  let pageToken = "";
  do {
    const page = await deliveries.listDeliveries({ ...PAGE, subscriptionId, pageToken, ...(status && { status }) });
    all.push(...page.deliveries);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return all;
}
