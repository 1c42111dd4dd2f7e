/** What goes on with chains in the store while some of their deliveries are in memory. */
import type { SubscriptionIndex } from "../matching/subscription-index.ts";
import type { ChainsDeps } from "./chains.ts";
import { ChainClaimer, type ChainClaimerDeps } from "./chains-claimer.ts";
import { Promoter, type PromoterDeps } from "./chains-promoter.ts";

export interface StoredChains extends Pick<ChainsDeps, "follow" | "promote"> {
  /** Resolves when no claim is under way; when the engine stops, no other begins. */
  claimed(): Promise<void>;
  /** Resolves when all that was noted is promoted. */
  promoted(): Promise<void>;
}

export interface StoredChainsDeps extends PromoterDeps, Omit<ChainClaimerDeps, "store"> {
  readonly store: PromoterDeps["store"] & ChainClaimerDeps["store"];
  readonly index: SubscriptionIndex;
}

export function storedChains(deps: StoredChainsDeps): StoredChains {
  const promoter = new Promoter(deps);
  const claimer = new ChainClaimer(deps);
  return {
    follow: (work) => claimer.note(work),
    promote: (work) => promoter.note(work),
    claimed: () => claimer.settled(),
    promoted: () => promoter.settled(),
  };
}
