import type { Subscription } from "../domain/subscription.ts";

/**
 * What the store keeps unique in a scope. PassKit's may share a URL: theirs differ by their id, behind the one character
 * that no endpoint's URL has (kernel/url.ts).
 */
export function urlKeyOf({ origin, id }: Pick<Subscription, "origin" | "id">, normalUrl: string): string {
  return origin === "passkit" ? `${normalUrl}#${id}` : normalUrl;
}
