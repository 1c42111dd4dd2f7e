/** The rules of subscriptions, as the API's thread and the engine's each have them. */
import { endpointCheck } from "../adapters/http/endpoint-check.ts";
import type { Config } from "../config/config.ts";
import type { Erasures } from "../delivery/erasures.ts";
import { readUrl } from "../kernel/url.ts";
import { SubscriptionService } from "../subscriptions/subscription-service.ts";
import { outbound } from "./guard.ts";
import { clock, ids, random, type Stores } from "./parts.ts";
import type { SigningKeys } from "./signing-keys.ts";

/**
 * `isBin` says which URLs are our own bins': they are delivered to in-process, and not through the guard. What their text
 * may be and its normal form are as any endpoint's.
 */
export function subscriptionRules(
  config: Config,
  keys: SigningKeys,
  stores: Stores,
  erasures: Pick<Erasures, "eraseDeleted">,
  isBin: (url: string) => boolean = () => false,
): SubscriptionService {
  const check = endpointCheck(outbound(config));
  return new SubscriptionService({
    store: stores.subscriptions,
    limits: stores.limits,
    health: stores.endpoints,
    keyring: keys.keyring,
    signsEd25519: keys.signsEd25519,
    checkEndpoint: async (text, isDraft) => {
      if (!isBin(text)) return check(text, isDraft);
      const read = readUrl(text);
      if (!read.ok) throw read.error;
      // `/bins/bin_…/../..` is one by its text alone.
      return isBin(read.url.href) ? read.url : check(text, isDraft);
    },
    eraseDeleted: (tenant, subscriptionId) => erasures.eraseDeleted({ kind: "subscription", tenant, subscriptionId }),
    clock,
    ids,
    random,
  });
}
