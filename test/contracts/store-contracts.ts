/** What every store keeps to, whatever it is made of. Each is to run in a scope of its own: its hooks are for its own tests. */

import { accessContract } from "./access.contract.ts";
import { accessStoreContract, deadLetterStoreContract } from "./access-and-dead-letters.contract.ts";
import { binStoreContract } from "./bin-store.contract.ts";
import { deliveryClaimContract } from "./delivery-claim.contract.ts";
import { deliveryFlushContract } from "./delivery-flush.contract.ts";
import { deliveryLogContract } from "./delivery-log.contract.ts";
import { deliveryModelContract } from "./delivery-model.contract.ts";
import { deliveryOrderContract } from "./delivery-order.contract.ts";
import { endpointStoreContract } from "./endpoint-store.contract.ts";
import { erasureContract } from "./erasure.contract.ts";
import { replayStoreContract } from "./replay-store.contract.ts";
import { retentionContract } from "./retention.contract.ts";
import { statsStoreContract } from "./stats-store.contract.ts";
import { subscriptionRacesContract } from "./subscription-races.contract.ts";
import { subscriptionStoreContract } from "./subscription-store.contract.ts";
import { switchContract } from "./switch.contract.ts";

export const STORE_CONTRACTS = [
  deliveryFlushContract,
  deliveryClaimContract,
  deliveryLogContract,
  endpointStoreContract,
  subscriptionStoreContract,
  subscriptionRacesContract,
  accessContract,
  accessStoreContract,
  deadLetterStoreContract,
  deliveryModelContract,
  deliveryOrderContract,
  replayStoreContract,
  retentionContract,
  erasureContract,
  switchContract,
  binStoreContract,
  statsStoreContract,
] as const;

/** Of those that hand events over or get them back, which must be none the wiser for what lies in the store. */
export const SEALED_CONTRACTS = [
  deliveryFlushContract,
  deliveryClaimContract,
  deliveryLogContract,
  deliveryOrderContract,
  replayStoreContract,
  erasureContract,
] as const;
