/** How a claim comes by its share of each subscription's due rows. No input or output: rows come in from outside. */
import { type ClaimTurns, type DueQueue, sharesOf } from "../../delivery/claim-shares.ts";

/** A subscription that has due work, and how many of its deliveries may start. */
export interface Queue extends DueQueue {
  readonly slots: number;
}

/** The next `count` due rows of a lane, behind the first `from`: by class, then by due time. */
export type DueRows<Row> = (lane: string, from: number, count: number) => Promise<readonly Row[]>;

/** Up to `limit` rows, in shares, of `mostQueues` at most; what one does not use goes round again to those that can use more. */
export async function shareOut<Row>(
  queues: readonly Queue[],
  limit: number,
  turns: ClaimTurns,
  due: DueRows<Row>,
  mostQueues?: number,
): Promise<readonly Row[]> {
  const rows: Row[] = [];
  let open = turns.inTurn(queues, mostQueues).map((queue) => ({ ...queue, taken: 0, free: queue.slots }));
  while (open.length > 0 && rows.length < limit) {
    const shares = sharesOf(open, limit - rows.length);
    const asked = open.flatMap((queue, at) => ((shares[at] ?? 0) > 0 ? [{ queue, want: shares[at] ?? 0 }] : []));
    if (asked.length === 0) break;
    const found = await inFew(asked, ({ queue, want }) => due(queue.lane, queue.taken, want));
    const usedUp = new Set<Queue>();
    for (const [place, { queue, want }] of asked.entries()) {
      const part = found[place] ?? [];
      rows.push(...part);
      queue.taken += part.length;
      queue.free -= part.length;
      if (part.length > 0) turns.served(queue);
      if (part.length < want || queue.free <= 0) usedUp.add(queue);
    }
    open = open.filter((queue) => !usedUp.has(queue));
  }
  return rows;
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
