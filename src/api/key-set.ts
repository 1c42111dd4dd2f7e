/** `/.well-known/jwks.json`: the public keys of v1a signatures, for receivers, who have no key of ours. */
import { isTenantName, type Tenant } from "../kernel/tenant.ts";
import { type Ed25519Keys, type JsonWebKeySet, jsonWebKeySet } from "../signing/ed25519.ts";

export const KEY_SET_PATH = "/.well-known/jwks.json";

export interface PublicKeys {
  readonly of: Ed25519Keys;
  /** Whose keys are meant where the query names nobody. */
  readonly tenant: Tenant;
}

/**
 * `?organisation=…&environment=…`; what is left out is the bootstrap tenant's. Undefined where a name is none. Keys are
 * derived for whoever is named, so the answer doesn't tell who is a customer.
 */
export function keySetFor(keys: PublicKeys, query: URLSearchParams): JsonWebKeySet | undefined {
  const organisation = query.get("organisation") ?? keys.tenant.organisation;
  const environment = query.get("environment") ?? keys.tenant.environment;
  if (!isTenantName(organisation) || !isTenantName(environment)) return undefined;
  return jsonWebKeySet(keys.of({ organisation, environment }));
}
