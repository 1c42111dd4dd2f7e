import { expect, test } from "vitest";
import { COLLECTIONS } from "./documents.ts";
import { TENANT_COLLECTIONS } from "./erasures.ts";

/** Of the service itself, or erased in a way of their own. */
const OTHERS = ["tenants", "subscriptions", "endpoints", "rates", "organisations", "delivery_stops"];
const OF_NOBODY = ["upkeep", "worker_reports", "workers", "erasures"];

test("an organisation that is erased is erased from every collection that there is", () => {
  const known = [...TENANT_COLLECTIONS.map(({ collection }) => collection), ...OTHERS, ...OF_NOBODY];
  expect(Object.values(COLLECTIONS).toSorted()).toEqual(known.toSorted());
});
