/**
 * Claiming what is due. Mostly little is: one look at the earliest work of all (`deliveries_due`) then says everything.
 * Where more is due than that look takes in, as when an endpoint is dead and thousands of its deliveries are past their
 * time, the claim asks which subscriptions have due work (`distinct`: one seek each, however many rows they have) and
 * reads each one's next rows (`deliveries_work`). Either way its cost follows the subscriptions, not their backlog.
 *
 * Rows are taken by one update that matches only what is still due, and so each by one worker alone, and are then read
 * back by the token that it left.
 */
import { ClaimTurns } from "../../delivery/claim-shares.ts";
import type { ClaimedDelivery, ClaimRequest, ClaimResult } from "../../delivery/delivery-store.ts";
import type { DeliveryWriter } from "./deliveries.ts";
import {
  ATTEMPTING,
  COLLECTIONS,
  type DeliveryDocument,
  deliveryOf,
  idOf,
  tenantOf,
  tenantOfLane,
} from "./documents.ts";
import type { EventTable } from "./events.ts";
import { type Queue, shareOut } from "./shares.ts";
import type { Wire } from "./wire.ts";

/** What is due within this time after now is seen by the same look that sees what is due. */
const NEAR_MS = 2_000;

/** The second look for the next due time, before one at everything. Both bound what a server may have to sort. */
const LATER_MS = 120_000;

const EVER_MS = Number.MAX_SAFE_INTEGER;

/** After so many claims of a crowded store the quick look is tried again, at the latest. */
const CROWDED_CLAIMS = 16;

/**
 * Subscriptions that one claim takes from. Each costs a look, and workers that begin at different ones don't get into
 * each other's way; the others' turn is next.
 */
const MOST_LANES = 32;

type Work = Pick<DeliveryDocument, "_id" | "lane" | "class" | "event"> & { readonly workAt: number };

const WORK_FIELDS = { lane: 1, class: 1, event: 1, workAt: 1 } as const;

/** What is due, as far as a claim needs to know. */
interface Due {
  readonly lanes: readonly string[];
  readonly rows: (lane: string, from: number, count: number) => Promise<readonly Work[]>;
  readonly nextMs: number | undefined;
}

export class Claims {
  readonly #wire: Wire;
  readonly #events: EventTable;
  readonly #writer: DeliveryWriter;
  readonly #lookRows: number;
  readonly #turns = new ClaimTurns(Math.random());
  /** Claims that go without the quick look, since it did not take in everything. */
  #crowded = 0;

  constructor(wire: Wire, events: EventTable, writer: DeliveryWriter, lookRows: number) {
    this.#wire = wire;
    this.#events = events;
    this.#writer = writer;
    this.#lookRows = lookRows;
  }

  async claim(request: ClaimRequest): Promise<ClaimResult> {
    const due = request.stopped.length === 0 ? await this.#due(request.nowMs) : await this.#dueOfOthers(request);
    const free = queues(due.lanes, request);
    const rows = await shareOut(free, request.limit, this.#turns, due.rows, MOST_LANES);
    const sawAll = free.length <= MOST_LANES;
    // All that was due was taken, as far as can be told: the crowd is gone.
    if (sawAll && free.length === due.lanes.length && rows.length < request.limit) this.#crowded = 0;
    const leaseUntilMs = request.nowMs + request.leaseMs;
    const [taken, nextMs] = await Promise.all([
      this.#take(rows, request),
      // What is claimed here is next when its lease ends, at the latest.
      due.nextMs ?? this.#nextBetween(request.nowMs + NEAR_MS, rows.length > 0 ? leaseUntilMs : EVER_MS),
    ]);
    const next = Math.min(
      nextMs,
      taken.claimed.length > 0 ? leaseUntilMs : Number.POSITIVE_INFINITY,
      // What was left out, or lost to another, took a place in this claim: there may be more that is due.
      taken.leftOut || !sawAll ? request.nowMs : Number.POSITIVE_INFINITY,
    );
    // Two workers that look at the same lanes in step would take from each other for ever.
    if (taken.leftOut) this.#turns.jump(Math.random());
    return Number.isFinite(next) ? { claimed: taken.claimed, nextDueAtMs: next } : { claimed: taken.claimed };
  }

  async #due(nowMs: number): Promise<Due> {
    if (this.#crowded > 0) {
      this.#crowded -= 1;
      return this.#crowdedDue(nowMs);
    }
    const found = await this.#work(0, nowMs + NEAR_MS, this.#lookRows);
    const due = found.filter(({ workAt }) => workAt <= nowMs);
    if (due.length === this.#lookRows) {
      this.#crowded = CROWDED_CLAIMS;
      return this.#crowdedDue(nowMs);
    }
    const byLane = Map.groupBy(due, ({ lane }) => lane);
    for (const rows of byLane.values()) rows.sort((left, right) => left.class - right.class);
    return {
      lanes: [...byLane.keys()],
      rows: async (lane, from, count) => byLane.get(lane)?.slice(from, from + count) ?? [],
      nextMs: found[due.length]?.workAt,
    };
  }

  /**
   * Less what is stopped, of which any number may be due: the quick look could see nothing else. Work that becomes due
   * soon is seen with it, which costs a look too many, and no more.
   */
  async #dueOfOthers({ nowMs, stopped }: ClaimRequest): Promise<Due> {
    const due = await this.#crowdedDue(nowMs);
    const left = new Set(stopped);
    return { ...due, lanes: due.lanes.filter((lane) => !left.has(tenantOf(tenantOfLane(lane)).organisation)) };
  }

  async #crowdedDue(nowMs: number): Promise<Due> {
    const isDue = { $gt: 0, $lte: nowMs };
    const [lanes, [near]] = await Promise.all([
      this.#wire.distinct(COLLECTIONS.deliveries, "lane", { lane: { $gt: "" }, workAt: isDue }),
      this.#work(nowMs, nowMs + NEAR_MS, 1),
    ]);
    return {
      lanes,
      rows: (lane, skip, limit) =>
        this.#wire.find<Work>(
          COLLECTIONS.deliveries,
          { lane, workAt: isDue },
          { sort: { class: 1, workAt: 1 }, skip, limit, batchSize: limit, projection: WORK_FIELDS },
        ),
      nextMs: near?.workAt,
    };
  }

  /** The earliest work with a time behind `afterMs`, up to `untilMs`. */
  #work(afterMs: number, untilMs: number, limit: number): Promise<readonly Work[]> {
    return this.#wire.find<Work>(
      COLLECTIONS.deliveries,
      { workAt: { $gt: afterMs, $lte: untilMs } },
      { sort: { workAt: 1 }, limit, batchSize: limit, projection: WORK_FIELDS },
    );
  }

  async #nextBetween(afterMs: number, untilMs: number): Promise<number> {
    const laterMs = Math.min(afterMs + LATER_MS, untilMs);
    const [first] = await this.#work(afterMs, laterMs, 1);
    const [next] = first === undefined && laterMs < untilMs ? await this.#work(laterMs, untilMs, 1) : [first];
    return next?.workAt ?? Number.POSITIVE_INFINITY;
  }

  async #take(
    chosen: readonly Work[],
    request: ClaimRequest,
  ): Promise<{ readonly claimed: readonly ClaimedDelivery[]; readonly leftOut: boolean }> {
    if (chosen.length === 0) return { claimed: [], leftOut: false };
    const eventIds = new Map(chosen.map(({ _id, lane, event }) => [_id, `${tenantOfLane(lane)}/${event}`]));
    const { events, whole } = await this.#events.forClaim([...new Set(eventIds.values())]);
    const withEvent = chosen.filter(({ _id }) => whole || events.has(eventIds.get(_id) ?? ""));
    const leased = await this.#lease(withEvent, request);
    const byId = new Map(leased.map((document) => [document._id, document]));
    const claimed: ClaimedDelivery[] = [];
    const eventless: DeliveryDocument[] = [];
    for (const { _id } of withEvent) {
      const document = byId.get(_id);
      if (document === undefined) continue;
      const event = events.get(eventIds.get(_id) ?? "");
      if (event === undefined) eventless.push(document);
      else claimed.push({ delivery: deliveryOf({ ...document, attempts: [] }), event });
    }
    await this.#failWithoutEvent(eventless, request.nowMs);
    return { claimed, leftOut: claimed.length < chosen.length };
  }

  /** Those of the chosen rows that are now ours. */
  async #lease(chosen: readonly Work[], { nowMs, leaseMs }: ClaimRequest): Promise<readonly DeliveryDocument[]> {
    const ids = chosen.map(({ _id }) => _id);
    const token = this.#writer.nextToken();
    const q = { _id: { $in: ids }, workAt: { $gt: 0, $lte: nowMs } };
    const u = { $set: { status: ATTEMPTING, workAt: nowMs + leaseMs, token }, $inc: { fence: 1 } };
    const taken = await this.#wire.update(COLLECTIONS.deliveries, [{ q, u, multi: true }]);
    if (taken === 0) return [];
    return this.#wire.find<DeliveryDocument>(
      COLLECTIONS.deliveries,
      { _id: { $in: ids }, token },
      { projection: { attempts: 0 }, batchSize: ids.length + 1 },
    );
  }

  /** Their event is gone, so they can never be sent: they end here, with the reason in their history. */
  async #failWithoutEvent(documents: readonly DeliveryDocument[], nowMs: number): Promise<void> {
    if (documents.length === 0) return;
    await this.#writer.write(
      documents.map(({ _id, tenant, fence, run }) => ({
        kind: "outcome",
        tenant: tenantOf(tenant),
        id: idOf(_id, tenant),
        fence,
        run,
        attempt: {
          id: `att_no_event_${fence}`,
          startedAtMs: nowMs,
          durationMs: 0,
          errorCode: "event.payload_dropped",
          errorMessage: "the event of this delivery, or its payload, is kept no longer",
        },
        next: { status: "failed", finishedAtMs: nowMs },
      })),
    );
  }
}

/** Subscriptions that may start something. */
function queues(lanes: readonly string[], { slots, defaultSlots }: ClaimRequest): readonly Queue[] {
  const found: Queue[] = [];
  for (const lane of lanes) {
    const tenant = tenantOfLane(lane);
    const free = slots.get(idOf(lane, tenant)) ?? defaultSlots;
    if (free > 0) found.push({ organisation: tenantOf(tenant).organisation, lane, slots: free });
  }
  return found;
}
