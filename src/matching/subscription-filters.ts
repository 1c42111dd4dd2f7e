/** The filters of subscriptions, each planned once for all versions that have its text. */
import type { DecodedEvent } from "../domain/event.ts";
import type { Subscription } from "../domain/subscription.ts";
import { type Filter, type FilteredEvent, type FilterFailure, Filters } from "./filter.ts";
import { FilterFlaw } from "./filter-check.ts";

/** By their texts. */
export type PlannedFilters = ReadonlyMap<string, Filter>;

/** Told of each filter that failed on an event, which goes on all the same. */
export type FilterFailed = (subscription: Subscription, event: DecodedEvent, failure: FilterFailure) => void;

export class SubscriptionFilters {
  readonly #filters = new Filters();
  readonly #failed: FilterFailed;

  constructor(failed: FilterFailed) {
    this.#failed = failed;
  }

  /** `held` are those from before. */
  plan(subscriptions: readonly Subscription[], held: PlannedFilters | undefined): PlannedFilters {
    const planned = new Map<string, Filter>();
    for (const { filter: text } of subscriptions) {
      if (text !== undefined) planned.set(text, held?.get(text) ?? this.#plan(text));
    }
    return planned;
  }

  /** For all filters that the event meets. */
  read({ event, stored }: DecodedEvent): FilteredEvent {
    return this.#filters.read(event, stored.value.byteLength);
  }

  /** Whether the subscription gets the event, of which `read` made `readable`. */
  lets(planned: PlannedFilters, subscription: Subscription, event: DecodedEvent, readable: FilteredEvent): boolean {
    const verdict = planned.get(subscription.filter ?? "")?.judge(readable);
    if (verdict?.kind === "failed") this.#failed(subscription, event, verdict.failure);
    return verdict?.kind !== "stopped";
  }

  /** A text that another version of passbus took, and this one doesn't, fails on every event. */
  #plan(text: string): Filter {
    try {
      return this.#filters.compile(text);
    } catch (error) {
      if (!(error instanceof FilterFlaw)) throw error;
      const failure: FilterFailure = { code: "filter.failed", message: error.message };
      return { judge: () => ({ kind: "failed", failure }) };
    }
  }
}
