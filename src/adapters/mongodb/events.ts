/**
 * Events: written once, never changed but for an earlier log time, and a payload that goes early.
 *
 * An event must outlive the deliveries of it that are open. So its retention begins (`retainedFrom`, which the upkeep
 * reads) when it is recorded only if nothing that is open came with it; else it is pinned, which no expiry sees, and
 * its retention begins when the upkeep finds that no delivery of it is open any more. An event is pinned before a
 * delivery of it becomes open. So most events, delivered at once, cost no second write and no look.
 */
import type { Filter } from "mongodb";
import type { DeliveryLog, EventFilter, FlushBatch, KnownEvent } from "../../delivery/delivery-store.ts";
import { type EventKey, isOfKind, isSameContent, kindNumber, type StoredEvent } from "../../domain/event.ts";
import type { Clock } from "../../kernel/clock.ts";
import { CodedError } from "../../kernel/errors.ts";
import { tenantKey } from "../../kernel/tenant.ts";
import {
  COLLECTIONS,
  type DeliveryDocument,
  type EventDocument,
  eventDocument,
  eventIdOf,
  eventOf,
  FIRST_TERMINAL,
  idIn,
  idOf,
  tenantOf,
} from "./documents.ts";
import { page, span } from "./pages.ts";
import type { UpdateStatement, Wire } from "./wire.ts";

/** Between two looks whether deliveries of a pinned event are still open. */
const PINNED_MS = 6 * 3_600_000;

/** A pin that ends within this time is made longer, so that no look comes between it and the delivery it was made for. */
const PIN_LEFT_MS = PINNED_MS / 2;

/** Events that the upkeep looks at in one go. */
const UPKEEP_BATCH = 500;

/** Bytes of events in one claim; what is over it stays due. */
const CLAIM_BYTES = 16 * 1024 * 1024;

const valueBytes = (document: EventDocument): number => document.value.byteLength;

type Known = Pick<EventDocument, "_id" | "hash" | "loggedAt" | "payloadDroppedAt">;

export class EventTable {
  readonly #wire: Wire;
  readonly #clock: Clock;

  constructor(wire: Wire, clock: Clock) {
    this.#wire = wire;
    this.#clock = clock;
  }

  /** Stores a batch's events, and pins those that its deliveries will need; the events that met other content. */
  async record({ events, deliveries }: FlushBatch): Promise<readonly EventKey[]> {
    const open = new Set<string>();
    for (const write of deliveries) {
      if (write.kind !== "first" || !isOpen(write.delivery.status)) continue;
      open.add(idIn(write.delivery.tenant, write.delivery.eventId));
    }
    const nowMs = this.#clock.now();
    const documents = events.map((event) =>
      eventDocument(event, nowMs, open.has(eventIdOf(event)) ? nowMs + PINNED_MS : undefined),
    );
    const taken = documents.length === 0 ? [] : await this.#wire.insert(COLLECTIONS.events, documents, valueBytes);
    const met = new Set(taken);
    for (const [place, { _id }] of documents.entries()) if (!met.has(place)) open.delete(_id);
    const lost = met.size === 0 ? [] : await this.#lost(taken.flatMap((place) => documents[place] ?? []));
    for (const { _id } of lost) open.delete(_id);
    if (open.size > 0) await this.pin([...open]);
    return lost.map(({ _id, tenant }) => ({ tenant: tenantOf(tenant), id: idOf(_id, tenant) }));
  }

  /** Which of those that met an event of their id are another event. The others bring its log time forward. */
  async #lost(documents: readonly EventDocument[]): Promise<readonly EventDocument[]> {
    const known = await this.#known(documents.map(({ _id }) => _id));
    if (documents.some(({ _id }) => !known.has(_id))) {
      throw new CodedError("store.unavailable", "an event expired while its record came again");
    }
    const isSame = (there: Known | undefined, hash: string) => there !== undefined && isSameContent(there.hash, hash);
    const lost = documents.filter(({ _id, hash }) => !isSame(known.get(_id), hash));
    const earlier = documents
      .filter(({ _id, hash, loggedAt }) => {
        const there = known.get(_id);
        return there !== undefined && isSame(there, hash) && loggedAt < there.loggedAt;
      })
      .map(({ _id, loggedAt }): UpdateStatement => ({ q: { _id }, u: { $min: { loggedAt } } }));
    if (earlier.length > 0) await this.#wire.update(COLLECTIONS.events, earlier);
    const dropped = documents.filter(({ _id, hash }) => {
      const there = known.get(_id);
      return isSame(there, hash) && there?.payloadDroppedAt !== undefined;
    });
    if (dropped.length > 0) await this.#bringBack(dropped);
    return lost;
  }

  /** Deliveries of it are made now. Pinned first, or the payload could go before they are written. */
  async #bringBack(documents: readonly EventDocument[]): Promise<void> {
    await this.pin(documents.map(({ _id }) => _id));
    const statements = documents.map(
      ({ _id, value }): UpdateStatement => ({ q: { _id }, u: { $set: { value }, $unset: { payloadDroppedAt: 1 } } }),
    );
    await this.#wire.update(COLLECTIONS.events, statements, ({ u }) => u.$set.value.byteLength);
  }

  async #known(ids: readonly string[]): Promise<ReadonlyMap<string, Known>> {
    const found = await this.#wire.find<EventDocument>(
      COLLECTIONS.events,
      { _id: { $in: ids } },
      { projection: { hash: 1, loggedAt: 1, payloadDroppedAt: 1 } },
    );
    return new Map(found.map((each) => [each._id, each]));
  }

  /** Keeps events for deliveries that are about to become open. */
  async pin(ids: readonly string[]): Promise<void> {
    const nowMs = this.#clock.now();
    const q = { _id: { $in: ids }, pinned: { $not: { $gt: nowMs + PIN_LEFT_MS } } };
    const u = { $set: { pinned: nowMs + PINNED_MS }, $unset: { retainedFrom: 1 } };
    await this.#wire.update(COLLECTIONS.events, [{ q, u, multi: true }]);
  }

  /** Looks at the pinned events whose time has come: the retention of those begins that have no open delivery left. */
  async unpinFinished(): Promise<number> {
    let unpinned = 0;
    for (;;) {
      const nowMs = this.#clock.now();
      const due = await this.#wire.find<EventDocument>(
        COLLECTIONS.events,
        { pinned: { $gt: 0, $lte: nowMs } },
        { projection: { tenant: 1, pinned: 1 }, sort: { pinned: 1 }, limit: UPKEEP_BATCH },
      );
      if (due.length === 0) return unpinned;
      const open = await this.#openAmong(due);
      const finished = due.filter(({ _id }) => !open.has(_id));
      // The pin must be the one that was read: a newer one is for a delivery that is about to be written.
      const statements = due.map(({ _id, pinned }) => ({
        q: { _id, pinned },
        u: open.has(_id)
          ? { $set: { pinned: nowMs + PINNED_MS } }
          : { $set: { retainedFrom: new Date(nowMs) }, $unset: { pinned: 1 } },
      }));
      await this.#wire.update(COLLECTIONS.events, statements);
      unpinned += finished.length;
    }
  }

  async #openAmong(events: readonly EventDocument[]): Promise<ReadonlySet<string>> {
    const open = new Set<string>();
    for (const [tenant, those] of Map.groupBy(events, (event) => event.tenant)) {
      const ids = those.map(({ _id }) => idOf(_id, tenant));
      const found = await this.#wire.find<DeliveryDocument>(
        COLLECTIONS.deliveries,
        { tenant, event: { $in: ids }, status: { $lt: FIRST_TERMINAL } },
        { projection: { event: 1 } },
      );
      for (const { event } of found) open.add(`${tenant}/${event}`);
    }
    return open;
  }

  async knownEvents(keys: readonly EventKey[]): Promise<readonly (KnownEvent | undefined)[]> {
    if (keys.length === 0) return [];
    const ids = keys.map(eventIdOf);
    const known = await this.#known(ids);
    return ids.map((id) => {
      const found = known.get(id);
      if (found === undefined) return undefined;
      const dropped = found.payloadDroppedAt === undefined ? {} : { payloadDropped: true as const };
      return { contentHash: found.hash, loggedAtMs: found.loggedAt, ...dropped };
    });
  }

  /** Whether the event is there with its payload: without it, no delivery of it can be made again. */
  async hasPayload(id: string): Promise<boolean> {
    const known = (await this.#known([id])).get(id);
    return known !== undefined && known.payloadDroppedAt === undefined;
  }

  /**
   * The events of a claim, up to a limit of bytes. `whole`: those that are not among them are not stored, or not with
   * their payload.
   */
  async forClaim(
    ids: readonly string[],
  ): Promise<{ readonly events: ReadonlyMap<string, StoredEvent>; readonly whole: boolean }> {
    const events = new Map<string, StoredEvent>();
    let bytes = 0;
    const more = await this.#wire.read<EventDocument>(
      COLLECTIONS.events,
      { _id: { $in: ids }, payloadDroppedAt: { $exists: false } },
      { batchSize: ids.length + 1 },
      (document) => {
        events.set(document._id, eventOf(document));
        bytes += document.value.byteLength;
        return bytes < CLAIM_BYTES;
      },
    );
    return { events, whole: !more };
  }

  readonly getEvent: DeliveryLog["getEvent"] = async (key) => {
    const found = await this.#wire.findOne<EventDocument>(COLLECTIONS.events, { _id: eventIdOf(key) });
    return found === undefined ? undefined : eventOf(found);
  };

  readonly listEvents: DeliveryLog["listEvents"] = (tenant, filter, request) =>
    page<EventDocument, StoredEvent>(this.#wire, COLLECTIONS.events, {
      keyOf: (id) => idIn(tenant, id),
      filter: listFilter(tenantKey(tenant), filter),
      timeField: "loggedAt",
      request,
      read: eventOf,
      bytesOf: valueBytes,
      timeOf: (event) => event.loggedAtMs,
    });
}

function listFilter(tenant: string, { passId, entityId, fromMs, toMs, ...kind }: EventFilter): Filter<EventDocument> {
  return {
    tenant,
    ...(passId === undefined ? {} : { pass: passId }),
    ...(entityId === undefined ? {} : { entity: entityId }),
    ...(isOfKind(kind) ? { type: kindNumber(kind) } : {}),
    ...span("loggedAt", fromMs, toMs),
  };
}

const isOpen = (status: string): boolean => status === "waiting" || status === "attempting" || status === "held";
