/** What organisations were given. */
import type { UpdateFilter } from "mongodb";
import type { LimitField, LimitStore, SubscriptionLimits } from "../../subscriptions/limit-store.ts";
import { COLLECTIONS } from "./documents.ts";
import { type Stored, translated, type Wire, WRITE_CONCERN } from "./wire.ts";

/** `_id` is the organisation. */
export interface OrganisationDocument extends Stored {
  readonly limits?: SubscriptionLimits;
}

export function limitStore(wire: Wire): LimitStore {
  return {
    async limits(organisation) {
      const found = await wire.findOne<OrganisationDocument>(COLLECTIONS.organisations, { _id: organisation });
      return found?.limits ?? {};
    },
    setLimits: (organisation, limits, fields = []) =>
      translated(async () => {
        const update = fields.length === 0 ? { $set: { limits } } : fieldsUpdate(limits, fields);
        await wire
          .collection<OrganisationDocument>(COLLECTIONS.organisations)
          .updateOne({ _id: organisation }, update, { upsert: true, writeConcern: WRITE_CONCERN });
      }),
  };
}

/** By their paths, so that the server leaves the others alone. Servers before MongoDB 5.0 refuse an empty `$set`. */
function fieldsUpdate(limits: SubscriptionLimits, fields: readonly LimitField[]): UpdateFilter<OrganisationDocument> {
  const [set, unset]: [Record<string, number>, Record<string, "">] = [{}, {}];
  for (const field of fields) {
    const value = limits[field];
    if (value === undefined) unset[`limits.${field}`] = "";
    else set[`limits.${field}`] = value;
  }
  return {
    ...(Object.keys(set).length > 0 && { $set: set }),
    ...(Object.keys(unset).length > 0 && { $unset: unset }),
  };
}
