/** What organisations were given. */
import type { LimitStore, SubscriptionLimits } from "../../subscriptions/limit-store.ts";
import { COLLECTIONS } from "./documents.ts";
import { type Stored, translated, type Wire, WRITE_CONCERN } from "./wire.ts";

/** `_id` is the organisation. */
export interface OrganisationDocument extends Stored {
  readonly limits: SubscriptionLimits;
}

export function limitStore(wire: Wire): LimitStore {
  return {
    async limits(organisation) {
      const found = await wire.findOne<OrganisationDocument>(COLLECTIONS.organisations, { _id: organisation });
      return found?.limits ?? {};
    },
    setLimits: (organisation, limits) =>
      translated(async () => {
        await wire
          .collection<OrganisationDocument>(COLLECTIONS.organisations)
          .updateOne({ _id: organisation }, { $set: { limits } }, { upsert: true, writeConcern: WRITE_CONCERN });
      }),
  };
}
