/** How a claim's limit is shared out among the subscriptions that have due work. No input or output: rows come in from outside. */

/** A subscription that has due work, and how many of its deliveries may start. */
export interface Queue {
  readonly lane: string;
  readonly slots: number;
}

/** The next `count` due rows of a lane, behind the first `from`: by class, then by due time. */
export type DueRows<Row> = (lane: string, from: number, count: number) => Promise<readonly Row[]>;

export interface Shares<Row> {
  readonly rows: readonly Row[];
  /** The last lane that got something: the next claim begins behind it, or the first lanes would get everything. */
  readonly lastServed: string | undefined;
}

interface Taking extends Queue {
  taken: number;
}

/** Shares `limit` evenly; what one does not use goes round again to those that can use more. */
export async function shareOut<Row>(
  queues: readonly Queue[],
  limit: number,
  lastServed: string,
  due: DueRows<Row>,
): Promise<Shares<Row>> {
  const rows: Row[] = [];
  let last: string | undefined;
  let open: Taking[] = inTurn(queues, lastServed).map((queue) => ({ ...queue, taken: 0 }));
  while (open.length > 0 && rows.length < limit) {
    const share = Math.ceil((limit - rows.length) / open.length);
    const asked = wants(open, share, limit - rows.length);
    const found = await inFew(asked, ({ queue, want }) => due(queue.lane, queue.taken, want));
    const still: Taking[] = [];
    for (const [place, { queue, want }] of asked.entries()) {
      const part = found[place] ?? [];
      rows.push(...part);
      queue.taken += part.length;
      if (part.length > 0) last = queue.lane;
      if (part.length === want && queue.taken < queue.slots) still.push(queue);
    }
    open = still;
  }
  return { rows, lastServed: last };
}

function wants(
  open: readonly Taking[],
  share: number,
  left: number,
): readonly { readonly queue: Taking; readonly want: number }[] {
  let rest = left;
  return open.flatMap((queue) => {
    const want = Math.min(share, queue.slots - queue.taken, rest);
    if (want <= 0) return [];
    rest -= want;
    return [{ queue, want }];
  });
}

function inTurn(queues: readonly Queue[], lastServed: string): readonly Queue[] {
  const sorted = queues.toSorted((left, right) => (left.lane < right.lane ? -1 : 1));
  const behind = sorted.findIndex(({ lane }) => lane > lastServed);
  return behind <= 0 ? sorted : [...sorted.slice(behind), ...sorted.slice(0, behind)];
}

/** Questions that are asked at once. */
const AT_ONCE = 16;

async function inFew<T, R>(items: readonly T[], ask: (item: T) => Promise<R>): Promise<readonly R[]> {
  const answers: R[] = [];
  for (let from = 0; from < items.length; from += AT_ONCE) {
    answers.push(...(await Promise.all(items.slice(from, from + AT_ONCE).map(ask))));
  }
  return answers;
}
