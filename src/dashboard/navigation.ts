/** Which pages there are, and which calls each is made of: a page is for those who may make one of its calls. */
import type { DescMethod } from "@bufbuild/protobuf";
import { AccessService } from "../../gen/passbus/v1/access_service_pb.js";
import { DeliveryService } from "../../gen/passbus/v1/delivery_service_pb.js";
import { EventService } from "../../gen/passbus/v1/event_service_pb.js";
import { InspectorService } from "../../gen/passbus/v1/inspector_service_pb.js";
import { SubscriptionService } from "../../gen/passbus/v1/subscription_service_pb.js";

const access = AccessService.method;

/** By what an address begins with, whole steps of it; the longest counts. */
const NEEDS: Readonly<Record<string, readonly DescMethod[]>> = {
  "/": [DeliveryService.method.getOverview],
  "/deliveries": [DeliveryService.method.listDeliveries],
  "/replays": [DeliveryService.method.listReplays],
  "/subscriptions": [SubscriptionService.method.listSubscriptions],
  "/subscriptions/new": [SubscriptionService.method.createSubscription],
  "/events": [EventService.method.listEvents],
  "/passes": [EventService.method.listEvents],
  "/dead-letters": [EventService.method.listDeadLetters],
  "/inspector": [InspectorService.method.listBins],
  "/access": [access.listKeys, access.listPortalSessions, access.getLimits, access.listAuditRecords],
  "/access/keys": [access.listKeys],
  "/access/sessions": [access.listPortalSessions],
  "/access/limits": [access.getLimits],
  "/access/audit": [access.listAuditRecords],
};

type May = (method: DescMethod) => boolean;

/** Whether the page at the address is of any use to who is signed in. */
export function mayOpen(path: string, may: May): boolean {
  const steps = path.split("/").slice(1);
  if (steps[0] === "subscriptions" && steps[2] === "edit") return may(SubscriptionService.method.updateSubscription);
  for (let length = steps.length; length > 0; length -= 1) {
    const needs = NEEDS[`/${steps.slice(0, length).join("/")}`];
    if (needs !== undefined) return needs.some(may);
  }
  return true;
}

/** The navigation's entries, in order. */
interface Entry {
  readonly href: string;
  readonly label: string;
  /** Where else the reader is in this part. */
  readonly also?: readonly string[];
}

const NAVIGATION: readonly Entry[] = [
  { href: "/", label: "Overview" },
  { href: "/deliveries", label: "Deliveries", also: ["/replays"] },
  { href: "/subscriptions", label: "Subscriptions" },
  { href: "/events", label: "Events", also: ["/passes", "/dead-letters"] },
  { href: "/inspector", label: "Inspector" },
  { href: "/access", label: "Access" },
];

export function navigationFor(may: May): readonly Entry[] {
  return NAVIGATION.filter(({ href }) => mayOpen(href, may));
}
