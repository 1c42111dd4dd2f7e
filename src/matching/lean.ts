import type { Subscription } from "../domain/subscription.ts";

/** What subscriptions of one tenant mostly have alike. */
const ALIKE = [
  "tenant",
  "format",
  "state",
  "description",
  "eventTypes",
  "formatOptions",
  "disabledSpans",
  "labels",
  "headers",
  "policy",
] as const satisfies readonly (keyof Subscription)[];

/**
 * The same subscriptions with equal parts being one object: half of the memory where a tenant has a hundred
 * (100,000 of 1,000 tenants: 61 MiB against 125).
 */
export function sharingParts(subscriptions: readonly Subscription[]): readonly Subscription[] {
  const parts = new Map<string, unknown>();
  const shared = (part: unknown): unknown => {
    const text = JSON.stringify(part);
    if (!parts.has(text)) parts.set(text, part);
    return parts.get(text);
  };
  return subscriptions.map((subscription) => {
    const alike = Object.fromEntries(ALIKE.map((name) => [name, shared(subscription[name])]));
    const urlKey = subscription.urlKey === subscription.url ? subscription.url : subscription.urlKey;
    return { ...subscription, ...alike, urlKey };
  });
}
