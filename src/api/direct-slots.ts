import type { Principal } from "../access/authenticate.ts";
import { CodedError } from "../kernel/errors.ts";
import { LIMITS } from "../kernel/limits.ts";
import { tenantKey } from "../kernel/tenant.ts";

/**
 * How many may be in flight. Those of portal sessions count in the organisation's and the process's too, and have bounds
 * of their own below them: none of a customer's browsers is to take what the organisation's keys need.
 */
export interface DirectBounds {
  readonly perSession: number;
  readonly perEntity: number;
  readonly ofSessionsPerOrganisation: number;
  readonly ofSessions: number;
  readonly perOrganisation: number;
  readonly all: number;
}

const DIRECT_SENDS: DirectBounds = {
  perSession: LIMITS.directSendsPerSession,
  perEntity: LIMITS.directSendsPerEntity,
  ofSessionsPerOrganisation: LIMITS.sessionDirectSendsPerOrganisation,
  ofSessions: LIMITS.sessionDirectSends,
  perOrganisation: LIMITS.directSendsPerOrganisation,
  all: LIMITS.directSends,
};

/** Test sends and challenges skip the caps of the endpoints; so they have bounds of their own. */
export class DirectSlots {
  readonly #bounds: DirectBounds;
  readonly #takenBy = new Map<string, number>();

  constructor(bounds = DIRECT_SENDS) {
    this.#bounds = bounds;
  }

  /** @throws CodedError `limit.direct_sends` where all that there are, or that the caller may have, are taken */
  async run<T>(caller: Principal, send: () => Promise<T>): Promise<T> {
    const holders = holdersOf(caller, this.#bounds);
    for (const { name, of, most } of holders) {
      const taken = this.#takenBy.get(name) ?? 0;
      if (taken < most) continue;
      const message = `${taken} test sends and challenges${of} are in flight, which is as many as may be; try again`;
      throw new CodedError("limit.direct_sends", message);
    }
    for (const { name } of holders) this.#takenBy.set(name, (this.#takenBy.get(name) ?? 0) + 1);
    try {
      return await send();
    } finally {
      this.#release(holders);
    }
  }

  #release(holders: readonly Holder[]): void {
    for (const { name } of holders) {
      const left = (this.#takenBy.get(name) ?? 0) - 1;
      if (left > 0) this.#takenBy.set(name, left);
      else this.#takenBy.delete(name);
    }
  }
}

/** One whom a send counts for. */
interface Holder {
  readonly name: string;
  /** Whose they are, for the refusal. */
  readonly of: string;
  readonly most: number;
}

/** The narrowest first, so that the refusal names what the caller can do most about. */
function holdersOf({ keyId, tenant, entityId }: Principal, bounds: DirectBounds): readonly Holder[] {
  const { organisation } = tenant;
  const whole = { name: `organisation/${organisation}`, of: " of the organisation", most: bounds.perOrganisation };
  const all = { name: "all", of: "", most: bounds.all };
  if (entityId === undefined) return [whole, all];
  const ofPortal = " of the organisation's portal";
  return [
    { name: `key/${keyId}`, of: " of the portal session", most: bounds.perSession },
    { name: `entity/${tenantKey(tenant)}/${entityId}`, of: " of the entity", most: bounds.perEntity },
    { name: `sessions/${organisation}`, of: ofPortal, most: bounds.ofSessionsPerOrganisation },
    whole,
    { name: "sessions", of: " of portal sessions", most: bounds.ofSessions },
    all,
  ];
}
