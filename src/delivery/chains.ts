/**
 * Order per pass in memory. A chain is one pass at one subscription; here are its deliveries from the log, by sequence,
 * until each is delivered or has a row. What has a row waits in the store, where `ChainStore` keeps the order for all
 * workers.
 *
 *   behind ──▶ turn ──▶ (delivered)            the first, and nothing older is open in the store: into its lane
 *     │         ├─────▶ ending                 FAILED or CANCELLED: the next goes when that is durable (protocol, rule 7)
 *     └─────────┴─────▶ leaving                its row is being written: waiting, held, or leased
 *
 * As soon as one is open in the store, those behind it follow it there as held. Rows are written in the order of the
 * chain, so that none has a row before an earlier one (protocol, rule 6).
 */
import { type DeliveryStatus, isTerminal } from "../domain/delivery.ts";
import { tenantKey } from "../kernel/tenant.ts";
import type { WriteResult } from "./recorder.ts";
import { sameAssignment, type Work, type WorkAssignment } from "./work.ts";

export interface ChainsDeps {
  /** Its turn has come. */
  readonly go: (work: Work) => void;
  /** It is behind one in the store: it is to be written as held, unless it is another worker's by now. */
  readonly hold: (work: Work) => void;
  /** Those behind one that was dropped: they are another worker's too. */
  readonly giveUp: (work: Work) => void;
  /** It was taken, and those behind it are in the store. */
  readonly follow: (work: Work) => void;
  /** The head of its chain in the store may be another one now. */
  readonly promote: (work: Work) => void;
}

type Place = "behind" | "turn" | "ending" | "leaving";

interface Entry {
  work: Work;
  readonly sequence: number;
  /** By the monotonic clock. */
  readonly sinceMs: number;
  place: Place;
}

interface Chain {
  readonly key: string;
  /** By sequence. */
  readonly entries: Entry[];
  /** The lowest sequence that is open in the store, as far as is known: whatever is behind it goes there too. */
  openFrom: number;
  /** Those who may move are being moved. */
  isAdvancing: boolean;
}

/** What a work joins its chain with. */
export interface Joining {
  readonly nowMs: number;
  /** The chain's lowest open sequence in the store. */
  readonly openFrom: number;
}

/** Nothing of the chain is open in the store, or memory knows more of it. */
export const NONE_OPEN = Number.POSITIVE_INFINITY;
/** It is not known, or all of the chain is to go to the store. */
export const ANY_OPEN = -1;

export class Chains {
  readonly #deps: ChainsDeps;
  readonly #chains = new Map<string, Chain>();
  #behind = 0;

  constructor(deps: ChainsDeps) {
    this.#deps = deps;
  }

  /** Deliveries that wait in memory for their turn. */
  get waiting(): number {
    return this.#behind;
  }

  /**
   * Whether memory knows what is in front of a newcomer, so that the store needs not be asked. Not where something is left
   * of an earlier time with its partition: another worker may have gone on with the chain in between.
   */
  knows(key: string, assignment: WorkAssignment): boolean {
    return this.#chains.get(key)?.entries.every(({ work }) => isOf(work, assignment)) ?? false;
  }

  /** Whether memory has anything of the chain, of whatever time. */
  holds(key: string): boolean {
    return this.#chains.has(key);
  }

  add(work: Work, { nowMs, openFrom }: Joining): void {
    const key = chainOf(work);
    const chain = this.#chains.get(key) ?? { key, entries: [], openFrom, isAdvancing: false };
    chain.openFrom = Math.min(chain.openFrom, openFrom);
    this.#chains.set(key, chain);
    const sequence = work.sequence ?? 0;
    const at = chain.entries.findLastIndex((entry) => entry.sequence <= sequence) + 1;
    chain.entries.splice(at, 0, { work, sequence, sinceMs: nowMs, place: "behind" });
    this.#behind++;
    this.#advance(chain);
  }

  /** A state was decided, and is on its way to the store. */
  writing(work: Work, status: DeliveryStatus): void {
    if (status === "delivered" && work.ordered === true && hasRow(work)) this.#deps.follow(work);
    const found = this.#find(work);
    if (found === undefined) return;
    const { chain, entry } = found;
    if (status === "delivered") {
      this.#remove(chain, entry);
    } else if (isTerminal(status)) {
      this.#move(entry, "ending");
    } else {
      chain.openFrom = Math.min(chain.openFrom, entry.sequence);
      this.#move(entry, "leaving");
    }
    this.#advance(chain);
  }

  /** What was on its way is durable; or void, because its event was not what it seemed. */
  written(work: Work, status: DeliveryStatus, result: WriteResult): void {
    if (work.ordered !== true) return;
    const mayBeMoved = hasRow(work) || result === "refused";
    if (status === "held" || (isTerminal(status) && mayBeMoved)) this.#deps.promote(work);
    const found = this.#find(work);
    if (found === undefined) return;
    const { chain, entry } = found;
    // A row was there, of which nothing is known but that it is there.
    if (result === "refused") chain.openFrom = Math.min(chain.openFrom, entry.sequence);
    this.#remove(chain, entry);
    this.#advance(chain);
  }

  /**
   * It was neither sent nor recorded: those behind it that came with it are given up too.
   * @param isInherited its place stays until `replaced` or `foundStored`.
   */
  dropped(work: Work, isInherited: boolean): void {
    const found = this.#find(work);
    if (found === undefined) return;
    const { chain, entry } = found;
    if (isInherited) this.#move(entry, "turn");
    else this.#remove(chain, entry);
    const { assignment } = work;
    if (!work.event.conflicted && assignment !== undefined) {
      const gone = this.#takeBehind(chain, (other) => other !== entry && isOf(other.work, assignment));
      for (const other of gone) this.#deps.giveUp(other);
    }
    this.#advance(chain);
  }

  /** Another has taken the place of one that was dropped. False where that had none. */
  replaced(work: Work, next: Work): boolean {
    const found = this.#find(work);
    if (found === undefined) return false;
    found.entry.work = next;
    this.#move(found.entry, "behind");
    this.#advance(found.chain);
    return true;
  }

  /** One that was dropped is in the store already, or in memory once more. */
  foundStored(work: Work): void {
    const found = this.#find(work);
    if (found === undefined) return;
    const { chain, entry } = found;
    chain.openFrom = Math.min(chain.openFrom, entry.sequence);
    this.#remove(chain, entry);
    this.#advance(chain);
  }

  /** Takes out what waits for its turn, and was not given a place in the store. */
  take(which: (work: Work) => boolean): readonly Work[] {
    const taken: Work[] = [];
    for (const chain of [...this.#chains.values()]) {
      taken.push(...this.#takeBehind(chain, ({ work }) => which(work)));
      this.#advance(chain);
    }
    return taken;
  }

  /** Those in front of one that has waited since `beforeMs`: they must leave for the store before it can. */
  overdue(beforeMs: number): readonly Work[] {
    if (this.#behind === 0) return [];
    const heads: Work[] = [];
    for (const { entries } of this.#chains.values()) {
      const head = entries.find(({ place }) => place !== "leaving");
      const isOverdue = entries.some(({ place, sinceMs }) => place === "behind" && sinceMs < beforeMs);
      if (isOverdue && head?.place === "turn") heads.push(head.work);
    }
    return heads;
  }

  #takeBehind(chain: Chain, which: (entry: Entry) => boolean): readonly Work[] {
    const taken = chain.entries.filter((entry) => entry.place === "behind" && which(entry));
    for (const entry of taken) this.#remove(chain, entry);
    return taken.map(({ work }) => work);
  }

  /**
   * Whoever may move, in turn; each is asked anew, since moving one may change the others. Holding one leads back here,
   * and would go one call deeper with each: the first call goes on with them all.
   */
  #advance(chain: Chain): void {
    if (chain.isAdvancing) return;
    chain.isAdvancing = true;
    try {
      for (let next = nextOf(chain); next !== undefined; next = nextOf(chain)) {
        if (next.sequence > chain.openFrom) {
          this.#move(next, "leaving");
          this.#deps.hold(next.work);
        } else {
          this.#move(next, "turn");
          this.#deps.go(next.work);
        }
      }
    } finally {
      chain.isAdvancing = false;
    }
    if (chain.entries.length === 0 && this.#chains.get(chain.key) === chain) this.#chains.delete(chain.key);
  }

  #move(entry: Entry, place: Place): void {
    if (entry.place === "behind") this.#behind--;
    entry.place = place;
    if (place === "behind") this.#behind++;
  }

  #remove(chain: Chain, entry: Entry): void {
    const at = chain.entries.indexOf(entry);
    if (at === -1) return;
    chain.entries.splice(at, 1);
    if (entry.place === "behind") this.#behind--;
  }

  #find(work: Work): { readonly chain: Chain; readonly entry: Entry } | undefined {
    if (work.ordered !== true) return undefined;
    const chain = this.#chains.get(chainOf(work));
    const entry = chain?.entries.find((one) => one.work === work);
    return chain === undefined || entry === undefined ? undefined : { chain, entry };
  }
}

/** Then those behind it are in the store, and not here. */
function hasRow({ claim, row }: Work): boolean {
  return claim !== undefined || row !== "none";
}

/** The first behind those that leave; undefined where one has its turn, or its end is not durable. */
function nextOf({ entries }: Chain): Entry | undefined {
  const next = entries.find(({ place }) => place !== "leaving");
  return next?.place === "behind" ? next : undefined;
}

function isOf(work: Work, assignment: WorkAssignment): boolean {
  return work.assignment !== undefined && sameAssignment(work.assignment, assignment);
}

export function chainOf({ subscriptionId, event }: Pick<Work, "subscriptionId" | "event">): string {
  return `${tenantKey(event.stored.tenant)}/${subscriptionId}/${event.stored.passId}`;
}
