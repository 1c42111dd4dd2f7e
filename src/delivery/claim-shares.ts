/**
 * How a claim's limit is shared out: among the organisations that have due work, and each part among its subscriptions,
 * so that neither many events nor many endpoints of one organisation keep another's waiting.
 */

/** A subscription that has due work. */
export interface DueQueue {
  readonly organisation: string;
  /** What tells it from every other one, and sorts. */
  readonly lane: string;
}

/** Organisations whose last turn is remembered. */
const REMEMBERED = 10_000;

/** Whose turn it is: each claim begins behind what the one before ended with, or the first would get everything. */
export class ClaimTurns {
  #lastOrganisation: string | undefined;
  readonly #lastLanes = new Map<string, string>();
  #beginning: number;

  /** @param beginning where the first turn begins, as a share of all from 0 to 1. */
  constructor(beginning = 0) {
    this.#beginning = beginning;
  }

  /** Organisations in turn, and each one's lanes in turn; the first lanes of each where there are more than `most`. */
  inTurn<Queue extends DueQueue>(queues: readonly Queue[], most: number = Number.POSITIVE_INFINITY): readonly Queue[] {
    const byOrganisation = Map.groupBy(queues, ({ organisation }) => organisation);
    const organisations = this.#behind([...byOrganisation.keys()], (name) => name, this.#lastOrganisation);
    const lanes = organisations.map((organisation) =>
      this.#behind(byOrganisation.get(organisation) ?? [], ({ lane }) => lane, this.#lastLanes.get(organisation)),
    );
    const parts = queues.length <= most ? lanes : firstOfEach(lanes, most);
    return parts.flat();
  }

  /** Begins anew, elsewhere: another worker has the same turns. */
  jump(beginning: number): void {
    this.#beginning = beginning;
    this.#lastOrganisation = undefined;
    this.#lastLanes.clear();
  }

  /** This one got something. */
  served({ organisation, lane }: DueQueue): void {
    this.#lastOrganisation = organisation;
    if (this.#lastLanes.size >= REMEMBERED && !this.#lastLanes.has(organisation)) this.#lastLanes.clear();
    this.#lastLanes.set(organisation, lane);
  }

  /** Sorted, and turned so that what comes behind `last` is first. */
  #behind<T>(items: readonly T[], nameOf: (item: T) => string, last: string | undefined): readonly T[] {
    const sorted = items.toSorted((left, right) => (nameOf(left) < nameOf(right) ? -1 : 1));
    const first =
      last === undefined
        ? Math.floor(this.#beginning * sorted.length)
        : sorted.findIndex((item) => nameOf(item) > last);
    return first <= 0 ? sorted : [...sorted.slice(first), ...sorted.slice(0, first)];
  }
}

/** The first of each list, then the second of each, and so on, `most` in all; still list by list. */
function firstOfEach<T>(lists: readonly (readonly T[])[], most: number): readonly (readonly T[])[] {
  const counts = lists.map(() => 0);
  let left = most;
  for (let each = 1; left > 0; each++) {
    for (const [at, list] of lists.entries()) {
      if (left === 0 || list.length < each) continue;
      counts[at] = each;
      left -= 1;
    }
  }
  return lists.map((list, at) => list.slice(0, counts[at]));
}

/** A queue in the middle of a claim: what it got so far, and how many of its deliveries may still start. */
export interface TakingQueue extends DueQueue {
  readonly taken: number;
  readonly free: number;
}

/**
 * How many each is asked for in this round, in the order given, so that all have got as much as the others in the end,
 * first the organisations and then the queues of each. What one does not have goes round again to those that have more.
 */
export function sharesOf(open: readonly TakingQueue[], limit: number): readonly number[] {
  const parties = Map.groupBy(open, ({ organisation }) => organisation);
  const level = levelOf([...parties.values()].map(takenBy), limit);
  const wants = new Map<TakingQueue, number>();
  let rest = limit;
  for (const queues of parties.values()) {
    let part = Math.max(0, Math.min(level - takenBy(queues), rest));
    const each = levelOf(
      queues.map(({ taken }) => taken),
      part,
    );
    for (const queue of queues) {
      const want = Math.max(0, Math.min(queue.free, each - queue.taken, part));
      wants.set(queue, want);
      part -= want;
      rest -= want;
    }
  }
  return open.map((queue) => wants.get(queue) ?? 0);
}

function takenBy(queues: readonly TakingQueue[]): number {
  return queues.reduce((sum, { taken }) => sum + taken, 0);
}

/** What each has when `more` was shared out so that all have the same. */
function levelOf(taken: readonly number[], more: number): number {
  const sum = taken.reduce((all, each) => all + each, more);
  return Math.ceil(sum / Math.max(1, taken.length));
}
