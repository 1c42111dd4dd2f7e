/** `/.well-known/jwks.json`: the public keys of v1a signatures, for receivers, who have no key of ours. */
import { isTenantName, type Tenant } from "../kernel/tenant.ts";
import { type Ed25519Keys, type JsonWebKeySet, jsonWebKeySet } from "../signing/ed25519.ts";

export const KEY_SET_PATH = "/.well-known/jwks.json";

export interface PublicKeys {
  readonly of: Ed25519Keys;
  /** Whose keys are meant where the query names nobody. */
  readonly tenant: Tenant;
}

/** Tenants whose keys are kept derived: anybody may ask, as often as he likes, and each costs a key pair a seed. */
const KEPT = 1_000;

/**
 * Answers by the query: `?organisation=…&environment=…`; what is left out is the bootstrap tenant's. Undefined where a name is none. Keys are
 * derived for whoever is named, so the answer doesn't tell who is a customer.
 */
export function keySets({ of, tenant }: PublicKeys): (query: URLSearchParams) => JsonWebKeySet | undefined {
  const kept = new Map<string, JsonWebKeySet>();
  return (query) => {
    const organisation = query.get("organisation") ?? tenant.organisation;
    const environment = query.get("environment") ?? tenant.environment;
    if (!isTenantName(organisation) || !isTenantName(environment)) return undefined;
    // Neither name holds a slash.
    const name = `${organisation}/${environment}`;
    const found = kept.get(name) ?? jsonWebKeySet(of({ organisation, environment }));
    // A Map keeps the order of insertion: moved to its end, the first is the one asked for longest ago.
    kept.delete(name);
    kept.set(name, found);
    if (kept.size > KEPT) {
      for (const oldest of kept.keys()) {
        kept.delete(oldest);
        break;
      }
    }
    return found;
  };
}
