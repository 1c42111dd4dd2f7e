/** DeliveryStore and DeliveryLog: the group commit, claims, sweeps, lists and retries over the tables. */
import type { Filter } from "mongodb";
import type { ChainStore } from "../../delivery/chains-store.ts";
import type {
  DeliveryFilter,
  DeliveryLog,
  DeliveryStore,
  DeliveryWrite,
  FlushBatch,
  FlushResult,
  MoveRequest,
  OpenSubscription,
} from "../../delivery/delivery-store.ts";
import type { Delivery } from "../../domain/delivery.ts";
import { isOfKind, kindNumber } from "../../domain/event.ts";
import { type Tenant, tenantKey } from "../../kernel/tenant.ts";
import { Chains } from "./chains.ts";
import { Claims } from "./claims.ts";
import { ClockSteps } from "./clock-steps.ts";
import { DeliveryWriter, sameState } from "./deliveries.ts";
import {
  ATTEMPTING,
  COLLECTIONS,
  type DeliveryDocument,
  deliveryOf,
  eventIdOf,
  FIRST_TERMINAL,
  HELD,
  idIn,
  idOf,
  STATUSES,
  tenantOf,
  tenantOfLane,
  WAITING,
  WORK_CLASSES,
} from "./documents.ts";
import type { EventTable } from "./events.ts";
import { page, span } from "./pages.ts";
import type { Tokens } from "./tokens.ts";
import type { Wire } from "./wire.ts";

/** Asked of the server: any number of a chain's rows may stand before those that are wanted. */
const IN_NO_CHAIN = { $or: [{ sequence: { $exists: false } }, { run: { $gt: 1 } }] };

export class MongoDeliveries implements DeliveryStore, DeliveryLog {
  readonly #wire: Wire;
  readonly #events: EventTable;
  readonly #writer: DeliveryWriter;
  readonly #claims: Claims;
  readonly knownEvents: DeliveryStore["knownEvents"];
  readonly claim: DeliveryStore["claim"];
  readonly turnBack: DeliveryStore["turnBack"];
  readonly shortenLeases: DeliveryStore["shortenLeases"];
  readonly openInChains: ChainStore["openInChains"];
  readonly promote: ChainStore["promote"];
  readonly promoteNext: ChainStore["promoteNext"];
  readonly fold: ChainStore["fold"];
  readonly getEvent: DeliveryLog["getEvent"];
  readonly listEvents: DeliveryLog["listEvents"];

  constructor(wire: Wire, events: EventTable, tokens: Tokens, lookRows: number) {
    this.#wire = wire;
    this.#events = events;
    this.#writer = new DeliveryWriter(wire, tokens);
    this.#claims = new Claims(wire, events, this.#writer, lookRows);
    this.knownEvents = (keys) => events.knownEvents(keys);
    this.claim = (request) => this.#claims.claim(request);
    const steps = new ClockSteps(wire);
    this.turnBack = steps.turnBack;
    this.shortenLeases = steps.shortenLeases;
    const chains = new Chains(wire, events, this.#writer);
    this.openInChains = chains.openInChains;
    this.promote = chains.promote;
    this.promoteNext = chains.promoteNext;
    this.fold = chains.fold;
    this.getEvent = events.getEvent;
    this.listEvents = events.listEvents;
  }

  /** Conflicts are known before any delivery is written: what was tried with an event that lost is left out (rule 5). */
  readonly flush = async (batch: FlushBatch): Promise<FlushResult> => {
    const conflicts = await this.#events.record(batch);
    if (conflicts.length === 0) return { conflicts, applied: await this.#writer.write(batch.deliveries) };
    const lost = new Set(conflicts.map(eventIdOf));
    const isVoid = batch.deliveries.map((write) => write.kind === "first" && lost.has(eventIdIn(write)));
    const kept = await this.#writer.write(batch.deliveries.filter((_, place) => !isVoid[place]));
    let next = 0;
    return { conflicts, applied: isVoid.map((left) => !left && kept[next++] === true) };
  };

  readonly knownDeliveries = async (tenant: Tenant, ids: readonly string[]): Promise<ReadonlySet<string>> => {
    const wanted = ids.map((id) => idIn(tenant, id));
    const found = await this.#wire.find<DeliveryDocument>(
      COLLECTIONS.deliveries,
      { _id: { $in: wanted } },
      { projection: { _id: 1 } },
    );
    const key = tenantKey(tenant);
    return new Set(found.map(({ _id }) => idOf(_id, key)));
  };

  readonly openSubscriptions = async (): Promise<readonly OpenSubscription[]> => {
    const lanesWith = (status: number) =>
      this.#wire.distinct(COLLECTIONS.deliveries, "lane", { status, lane: { $gt: "" } });
    const [waiting, held] = (await Promise.all([lanesWith(WAITING), lanesWith(HELD)])).map((lanes) => new Set(lanes));
    return [...new Set([...(waiting ?? []), ...(held ?? [])])].map((lane) => {
      const tenant = tenantOfLane(lane);
      return {
        tenant: tenantOf(tenant),
        subscriptionId: idOf(lane, tenant),
        hasWaiting: waiting?.has(lane) ?? false,
        hasHeld: held?.has(lane) ?? false,
      };
    });
  };

  readonly moveOpen = async (request: MoveRequest): Promise<number> => {
    const { tenant, subscriptionId, from, to, nowMs, limit, unsequenced } = request;
    const status = STATUSES.indexOf(from);
    const oldest = await this.#wire.find<DeliveryDocument>(
      COLLECTIONS.deliveries,
      { status, lane: idIn(tenant, subscriptionId), ...(unsequenced === true ? IN_NO_CHAIN : {}) },
      { sort: { createdAt: 1, _id: 1 }, limit, batchSize: limit, projection: { _id: 1 } },
    );
    if (oldest.length === 0) return 0;
    const $set = {
      status: STATUSES.indexOf(to),
      ...(to === "waiting" ? { workAt: nowMs } : {}),
      ...(to === "cancelled" ? { finishedAt: new Date(nowMs) } : {}),
    };
    const u = { $set, $inc: { fence: 1 }, ...(to === "waiting" ? {} : { $unset: { workAt: 1 } }) };
    const q = { _id: { $in: oldest.map(({ _id }) => _id) }, status };
    return this.#wire.update(COLLECTIONS.deliveries, [{ q, u, multi: true }]);
  };

  readonly getDelivery = async (tenant: Tenant, id: string): Promise<Delivery | undefined> => {
    const found = await this.#find(tenant, id);
    return found === undefined ? undefined : deliveryOf(found);
  };

  #find(tenant: Tenant, id: string): Promise<DeliveryDocument | undefined> {
    return this.#wire.findOne<DeliveryDocument>(COLLECTIONS.deliveries, { _id: idIn(tenant, id) });
  }

  readonly listDeliveries: DeliveryLog["listDeliveries"] = (tenant, filter, request) =>
    page<DeliveryDocument, Delivery>(this.#wire, COLLECTIONS.deliveries, {
      keyOf: (id) => idIn(tenant, id),
      filter: listFilter(tenant, filter),
      timeField: "createdAt",
      request,
      read: deliveryOf,
      bytesOf: ({ attempts }) => attempts.reduce((bytes, { json }) => bytes + json.length, 0),
      timeOf: (delivery) => delivery.createdAtMs,
    });

  readonly cancel: DeliveryLog["cancel"] = async (tenant, id, nowMs) => {
    for (;;) {
      const row = await this.#find(tenant, id);
      if (row === undefined) return undefined;
      if (row.status !== WAITING && row.status !== HELD) return { cancelled: false, delivery: deliveryOf(row) };
      const { workAt: _work, ...kept } = row;
      const status = STATUSES.indexOf("cancelled");
      const next = { ...kept, status, fence: row.fence + 1, finishedAt: new Date(nowMs) };
      const written = await this.#wire.update(COLLECTIONS.deliveries, [{ q: sameState(row), u: next }]);
      if (written === 1) return { cancelled: true, delivery: deliveryOf(next) };
    }
  };

  readonly retry: DeliveryLog["retry"] = async (tenant, id, nowMs) => {
    for (;;) {
      const row = await this.#find(tenant, id);
      if (row === undefined) return undefined;
      if (row.status === ATTEMPTING) return "attempting";
      if (row.status === HELD) return deliveryOf(row);
      const next = dueAgain(row, nowMs);
      await this.#events.pin([idIn(tenant, row.event)]);
      // Pinned, the event stays as it is.
      if (row.status >= FIRST_TERMINAL && !(await this.#events.hasPayload(idIn(tenant, row.event)))) {
        return "payloadDropped";
      }
      const written = await this.#wire.update(COLLECTIONS.deliveries, [{ q: sameState(row), u: next }]);
      if (written === 1) return deliveryOf(next);
    }
  };
}

function eventIdIn({ delivery }: DeliveryWrite & { readonly kind: "first" }): string {
  return idIn(delivery.tenant, delivery.eventId);
}

/** Due now, as live work; what was terminal starts its next run. */
function dueAgain(row: DeliveryDocument, nowMs: number): DeliveryDocument {
  const { finishedAt: _finished, replay: _replay, foldedInto: _folded, ...kept } = row;
  const due = { ...kept, status: WAITING, class: WORK_CLASSES.indexOf("live"), workAt: nowMs };
  return row.status < FIRST_TERMINAL ? due : { ...due, run: row.run + 1, fence: row.fence + 1, runAttempts: 0 };
}

function listFilter(tenant: Tenant, filter: DeliveryFilter): Filter<DeliveryDocument> {
  const { subscriptionId, eventId, passId, status, fromMs, toMs, ...kind } = filter;
  return {
    tenant: tenantKey(tenant),
    ...(subscriptionId === undefined ? {} : { lane: idIn(tenant, subscriptionId) }),
    ...(eventId === undefined ? {} : { event: eventId }),
    ...(passId === undefined ? {} : { pass: passId }),
    ...(status === undefined ? {} : { status: STATUSES.indexOf(status) }),
    ...(isOfKind(kind) ? { type: kindNumber(kind) } : {}),
    ...span("createdAt", fromMs, toMs),
  };
}
