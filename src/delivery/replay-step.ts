/** What one step of a replay does with what it finds. Pure; the runner asks the store before and after. */
import { decodeStored } from "../domain/decoded-event.ts";
import { isTerminal } from "../domain/delivery.ts";
import type { StoredEvent } from "../domain/event.ts";
import type { Subscription } from "../domain/subscription.ts";
import { formatOf } from "../formats/registry.ts";
import { matchExplainer } from "../matching/explain.ts";
import { newDelivery, type Replay, type ReplayItem } from "./replay.ts";
import type { PassOfSubscription, ReplayCandidate, ReplayCandidates, ReplayStep } from "./replay-store.ts";

/** What is deferred at most: while it is as many, the replay goes no further. */
export const MOST_DEFERRED = 500;

export interface StepInput {
  readonly replay: Replay;
  /** Absent where it goes no further for now. */
  readonly found?: ReplayCandidates;
  readonly subscription: (id: string) => Subscription | undefined;
  /** Ids of the candidates' events that the target wants; without a target it is not asked. */
  readonly wanted: ReadonlySet<string>;
  readonly busy: readonly PassOfSubscription[];
  /** How many may become due now. */
  readonly room: number;
  readonly nowMs: number;
}

export type StepWork = Pick<ReplayStep, "due" | "fresh" | "skipped" | "alreadySent" | "isAtEnd" | "deferred"> &
  Pick<Replay, "cursor">;

/** What a candidate is to the replay, before it is looked at who is busy. */
type Verdict =
  | { readonly kind: "send"; readonly item: ReplayItem }
  | { readonly kind: "skip" }
  | { readonly kind: "sent" };

/** Goes through what was deferred, then through what was found, in their order, until there is no more room. */
export function stepWork(input: StepInput): StepWork {
  const { replay, found } = input;
  const sorter = new Sorter(input);
  for (const item of replay.deferred) sorter.offer(item);
  let { cursor, isAtEnd } = replay;
  let skipped = 0;
  let alreadySent = 0;
  const work = () => ({
    ...sorter.sorted(),
    skipped,
    alreadySent,
    isAtEnd,
    ...(cursor === undefined ? {} : { cursor }),
  });
  if (found === undefined) return work();
  for (const candidate of found.items) {
    const verdict = verdictOn(candidate, input);
    if (verdict.kind === "skip") skipped += 1;
    else if (verdict.kind === "sent") alreadySent += 1;
    // What comes after one that is not taken in may not overtake it.
    else if (!sorter.hasRoom || !sorter.offer(verdict.item)) return work();
    cursor = candidate.place;
  }
  cursor = found.next ?? cursor;
  isAtEnd = found.next === undefined;
  return work();
}

/** The pairs whose state decides what may go now: those of ordered subscriptions. */
export function orderedPairs({
  replay,
  found,
  subscription,
}: Pick<StepInput, "replay" | "found" | "subscription">): readonly PassOfSubscription[] {
  const pairs = new Map<string, PassOfSubscription>();
  const items = [...replay.deferred, ...(found?.items ?? []).map((candidate) => itemOf(candidate, replay))];
  for (const item of items) {
    if (isOrdered(subscription(item.subscriptionId))) pairs.set(pairOf(item), item);
  }
  return [...pairs.values()].map(({ subscriptionId, passId }) => ({ subscriptionId, passId }));
}

class Sorter {
  readonly #input: StepInput;
  readonly #busy: Set<string>;
  readonly #chosen: ReplayItem[] = [];
  readonly #deferred: ReplayItem[] = [];

  constructor(input: StepInput) {
    this.#input = input;
    this.#busy = new Set(input.busy.map(pairOf));
  }

  get hasRoom(): boolean {
    return this.#chosen.length < this.#input.room;
  }

  /** False where it can be neither sent now nor deferred. */
  offer(item: ReplayItem): boolean {
    const ordered = isOrdered(this.#input.subscription(item.subscriptionId));
    const pair = pairOf(item);
    if (this.hasRoom && !(ordered && this.#busy.has(pair))) {
      this.#chosen.push(item);
    } else {
      if (this.#deferred.length >= MOST_DEFERRED) return false;
      this.#deferred.push(item);
    }
    if (ordered) this.#busy.add(pair);
    return true;
  }

  sorted(): Pick<StepWork, "due" | "fresh" | "deferred"> {
    const { replay, nowMs } = this.#input;
    const due = this.#chosen.flatMap(({ deliveryId }) => deliveryId ?? []);
    const fresh = this.#chosen.flatMap((item) =>
      item.deliveryId === undefined ? [newDelivery(replay, item, nowMs)] : [],
    );
    return { due, fresh, deferred: this.#deferred };
  }
}

function verdictOn(candidate: ReplayCandidate, input: StepInput): Verdict {
  const { replay } = input;
  const { delivery } = candidate;
  const item = itemOf(candidate, replay);
  if (delivery?.replayId === replay.id) return { kind: "sent" };
  const subscription = input.subscription(item.subscriptionId);
  if (subscription?.state !== "enabled") return { kind: "skip" };
  if (delivery !== undefined && !isTerminal(delivery.status)) return { kind: "skip" };
  // Nobody ever sent it, and somebody, or something, had a reason: it is only sent where it is asked for.
  if (delivery?.status === "cancelled" && replay.filter.status !== "cancelled") return { kind: "skip" };
  if (replay.targetSubscriptionId !== undefined && !input.wanted.has(candidate.eventId)) return { kind: "skip" };
  return { kind: "send", item };
}

function itemOf({ eventId, kind, passId, delivery }: ReplayCandidate, replay: Replay): ReplayItem {
  const subscriptionId = replay.targetSubscriptionId ?? delivery?.subscriptionId ?? "";
  const isNew = delivery === undefined || replay.targetSubscriptionId !== undefined || replay.freshIds;
  return { ...(isNew ? {} : { deliveryId: delivery.id }), eventId, kind, passId, subscriptionId };
}

const explain = matchExplainer({ typesOf: (format) => formatOf(format).types });

/** What the subscription wants as it is now, whenever it was made: that is what a replay to it is for. */
export function wants(subscription: Subscription, event: StoredEvent): boolean {
  const always = { ...subscription, createdAtMs: Number.NEGATIVE_INFINITY, disabledSpans: [] };
  return explain(always, decodeStored(event)) === undefined;
}

function isOrdered(subscription: Subscription | undefined): boolean {
  return subscription?.policy.ordering === "perPass";
}

const pairOf = ({ subscriptionId, passId }: PassOfSubscription): string => `${subscriptionId} ${passId}`;
