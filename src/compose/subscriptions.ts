/** The rules of subscriptions, as the API's thread and the engine's each have them. */
import { endpointCheck } from "../adapters/http/endpoint-check.ts";
import type { Config } from "../config/config.ts";
import { SubscriptionService } from "../subscriptions/subscription-service.ts";
import { outbound } from "./guard.ts";
import { clock, ids, random, type Stores } from "./parts.ts";
import type { SigningKeys } from "./signing-keys.ts";

export function subscriptionRules(config: Config, keys: SigningKeys, stores: Stores): SubscriptionService {
  const check = endpointCheck(outbound(config));
  return new SubscriptionService({
    store: stores.subscriptions,
    limits: stores.limits,
    health: stores.endpoints,
    keyring: keys.keyring,
    signsEd25519: keys.signsEd25519,
    checkEndpoint: check,
    clock,
    ids,
    random,
  });
}
