/** What is to be done, group by group along a partial index: the cost follows the number of groups and not of their rows. */
import type { Statements } from "./statements.ts";

/**
 * Later than any time, to step over a group at once. SQLite begins a row value's range at its equal and then walks: from
 * `> (tenant, subscription, class)` it would walk through all rows of that very group.
 */
export const END = 9_000_000_000_000_000;

/** What waits or is attempted, of one class of one subscription, and its earliest time. */
export interface WorkGroup {
  readonly tenant: number;
  readonly subscriptionId: string;
  readonly workClass: number;
  readonly workAtMs: number;
}

/** The first one behind all rows of a group, which need not be there; undefined behind the last. One look-up. */
export function groupBehind(
  statements: Statements,
  { tenant, subscriptionId, workClass }: Omit<WorkGroup, "workAtMs">,
): WorkGroup | undefined {
  const row = statements
    .get(
      `SELECT tenant, subscription_id, work_class, work_at FROM deliveries INDEXED BY deliveries_work
       WHERE status < 2 AND (tenant, subscription_id, work_class, work_at) > (?, ?, ?, ${END})
       ORDER BY tenant, subscription_id, work_class, work_at LIMIT 1`,
    )
    .get(tenant, subscriptionId, workClass);
  if (row === undefined) return undefined;
  return {
    tenant: Number(row.tenant),
    subscriptionId: String(row.subscription_id),
    workClass: Number(row.work_class),
    workAtMs: Number(row.work_at),
  };
}

/** Stands before all groups of a tenant. */
export const beforeGroupsOf = (tenant: number) => ({ tenant, subscriptionId: "", workClass: -1 });
