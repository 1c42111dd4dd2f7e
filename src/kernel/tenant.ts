/** Whom data belongs to. Comes from the principal (on Kafka: from what the topic may speak for), never from a request. */
export interface Tenant {
  readonly organisation: string;
  readonly environment: string;
}

export const DEFAULT_ENVIRONMENT = "production";

/** One string for maps and indexes. Neither part may hold a slash (`isTenantName`), so no two tenants share one. */
export function tenantKey(tenant: Tenant): string {
  return `${tenant.organisation}/${tenant.environment}`;
}

export function sameTenant(left: Tenant, right: Tenant): boolean {
  return left.organisation === right.organisation && left.environment === right.environment;
}

/** Which tenant speaks for an organisation as a whole: what all of its environments share is for this one to change. */
export function wholeOf(organisation: string): Tenant {
  return { organisation, environment: DEFAULT_ENVIRONMENT };
}

/** Organisation and environment names: 1 to 64 letters, digits, `.`, `_` and `-`, beginning with a letter or digit. */
export function isTenantName(name: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name);
}
