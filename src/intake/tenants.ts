/** Whom a topic may speak for: the rule that PASSBUS_KAFKA_TENANTS sets (design, section 8). */
import { DEFAULT_ENVIRONMENT, type Tenant } from "../kernel/tenant.ts";
import type { TenantBinding } from "../kernel/tenant-binding.ts";

/** Whom a topic may speak for, and whose its records are where they don't say. */
export interface TenantRule {
  fallback(topic: string): Tenant;
  allows(topic: string, tenant: Tenant): boolean;
}

/** A record without headers belongs to its topic's first binding; where that says "any", to `bootstrap`'s organisation. */
export function tenantRule(bindings: readonly TenantBinding[], bootstrapOrganisation: string): TenantRule {
  const general = bindings.filter(({ topic }) => topic === undefined);
  // What is said of a topic by name is all that it may: a `*` beside it doesn't widen it.
  const of = (topic: string) => {
    const own = bindings.filter((each) => each.topic === topic);
    return own.length > 0 ? own : general;
  };
  return {
    fallback(topic) {
      const [first] = of(topic);
      return {
        organisation: first?.organisation ?? bootstrapOrganisation,
        environment: first?.environment ?? DEFAULT_ENVIRONMENT,
      };
    },
    allows: (topic, tenant) =>
      of(topic).some(
        ({ organisation, environment }) =>
          (organisation === undefined || organisation === tenant.organisation) &&
          (environment === undefined || environment === tenant.environment),
      ),
  };
}
