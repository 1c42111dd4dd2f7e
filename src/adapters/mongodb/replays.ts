/**
 * Replays. A job is its JSON, beside what is searched, and every write of it names the fence and the state that it read.
 * A step makes deliveries due first and moves the job on then: where that last part is lost the step is made again, by
 * whoever has the job, and leaves alone those that carry its id already.
 */
import type { Filter } from "mongodb";
import { LEASE_SKEW_MS } from "../../delivery/lease.ts";
import { isOver, REPLAY_CHANGES, type Replay } from "../../delivery/replay.ts";
import type { ReplayJobs, ReplayStep, ReplayStore } from "../../delivery/replay-store.ts";
import { type Tenant, tenantKey } from "../../kernel/tenant.ts";
import {
  ATTEMPTING,
  COLLECTIONS,
  DELIVERED,
  type DeliveryDocument,
  type EventDocument,
  eventOf,
  FIRST_TERMINAL,
  idIn,
  idOf,
  STATUSES,
  WAITING,
  WORK_CLASSES,
} from "./documents.ts";
import type { EventTable } from "./events.ts";
import { prepare } from "./merge.ts";
import { page } from "./pages.ts";
import { candidateList } from "./replay-candidates.ts";
import { type Stored, translated, type UpdateStatement, type Wire, WRITE_CONCERN } from "./wire.ts";

interface ReplayDocument extends Stored {
  readonly tenant: string;
  readonly state: string;
  readonly fence: number;
  readonly leaseUntil: number;
  readonly createdAt: number;
  /** The expiry reads it. */
  readonly finishedAt?: Date;
  readonly json: string;
}

/**
 * One of a tenant's places for open replays: its `_id` is the tenant and a number, so that two can't have one. It is
 * taken before the replay is there and given back when that is over; one that a crash left behind is found when there
 * is no other.
 */
interface SlotDocument extends Stored {
  readonly tenant: string;
  readonly replay: string;
  readonly takenAt: number;
}

/** A slot without its replay is somebody's who is about to write it, or was. */
const SLOT_WITHOUT_REPLAY_MS = 60_000;

const replayOf = ({ json }: ReplayDocument): Replay => JSON.parse(json);

const FAILED = STATUSES.indexOf("failed");

export function replayStore(wire: Wire, events: EventTable, nextToken: () => string): ReplayStore & ReplayJobs {
  const steps = new Steps(wire, events, nextToken);
  return { ...peoplesSide(wire), ...workersSide(wire), step: (step) => steps.step(step) };
}

function peoplesSide(wire: Wire): ReplayStore {
  return {
    insert: (replay, openLimit) => insert(wire, replay, openLimit),
    countOpen: (tenant) =>
      translated(() =>
        wire
          .collection<ReplayDocument>(COLLECTIONS.replays)
          .countDocuments({ tenant: tenantKey(tenant), state: { $in: ["running", "paused"] } }),
      ),
    async get(tenant, id) {
      const found = await read(wire, tenant, id);
      return found === undefined ? undefined : replayOf(found);
    },
    list: (tenant, request) =>
      page<ReplayDocument, Replay>(wire, COLLECTIONS.replays, {
        filter: { tenant: tenantKey(tenant) },
        keyOf: (id) => idIn(tenant, id),
        timeField: "createdAt",
        request,
        read: replayOf,
        bytesOf: ({ json }) => json.length,
        timeOf: ({ createdAtMs }) => createdAtMs,
      }),
    async change(tenant, id, change, nowMs) {
      const { from, to } = REPLAY_CHANGES[change];
      for (;;) {
        const found = await read(wire, tenant, id);
        if (found === undefined) return undefined;
        const replay = replayOf(found);
        if (!from.includes(replay.state)) return replay;
        const { leaseUntilMs: _lease, ...rest } = replay;
        const finished = to === "cancelled" ? { finishedAtMs: nowMs } : {};
        const next: Replay = { ...rest, state: to, fence: replay.fence + 1, ...finished };
        if (await write(wire, replay, next)) return next;
      }
    },
    async progress(tenant, id) {
      const [pending, delivered, failed] = await Promise.all([
        count(wire, tenant, id, { status: { $lt: FIRST_TERMINAL } }),
        count(wire, tenant, id, { status: DELIVERED }),
        count(wire, tenant, id, { status: FAILED }),
      ]);
      return { pending, delivered, failed };
    },
    candidates: candidateList(wire),
  };
}

function workersSide(wire: Wire): Omit<ReplayJobs, "step"> {
  return {
    async take({ nowMs, leaseMs, limit }) {
      const free = await wire.find<ReplayDocument>(
        COLLECTIONS.replays,
        {
          state: "running",
          $or: [{ leaseUntil: { $lte: nowMs } }, { leaseUntil: { $gt: nowMs + leaseMs + LEASE_SKEW_MS } }],
        },
        { sort: { createdAt: 1, _id: 1 }, limit },
      );
      const taken = free.map(replayOf).map((replay) => ({
        before: replay,
        after: { ...replay, fence: replay.fence + 1, leaseUntilMs: nowMs + leaseMs },
      }));
      const mine = await Promise.all(taken.map(({ before, after }) => write(wire, before, after)));
      return taken.filter((_, place) => mine[place]).map(({ after }) => after);
    },
    unattempted: (tenant, id, limit) =>
      count(wire, tenant, id, { status: { $in: [WAITING, ATTEMPTING] }, runAttempts: 0 }, limit),
    async busyPasses(tenant, pairs) {
      const busy = await Promise.all(
        [...Map.groupBy(pairs, ({ subscriptionId }) => subscriptionId)].map(async ([subscriptionId, those]) => {
          const passes = await openPasses(
            wire,
            idIn(tenant, subscriptionId),
            those.map(({ passId }) => passId),
          );
          return those.filter(({ passId }) => passes.has(passId));
        }),
      );
      return busy.flat();
    },
    async events(tenant, ids) {
      const wanted = ids.map((id) => idIn(tenant, id));
      const found = await wire.find<EventDocument>(COLLECTIONS.events, { _id: { $in: wanted } });
      return new Map(found.map((document) => [idOf(document._id, document.tenant), eventOf(document)]));
    },
  };
}

/** Those of the passes that have something open at the endpoint: in their chain, or made due by a replay, whichever. */
async function openPasses(wire: Wire, lane: string, passes: readonly string[]): Promise<ReadonlySet<string>> {
  const open = { lane, pass: { $in: passes }, status: { $lt: FIRST_TERMINAL } };
  const [chained, replayed] = await Promise.all([
    wire.distinct(COLLECTIONS.deliveries, "pass", { ...open, sequence: { $gte: 0 } }),
    wire.distinct(COLLECTIONS.deliveries, "pass", { ...open, replay: { $gt: "" } }),
  ]);
  return new Set([...chained, ...replayed]);
}

/** Deliveries that carry the replay's id, up to `limit` where it is given. */
function count(
  wire: Wire,
  tenant: Tenant,
  id: string,
  which: Filter<DeliveryDocument>,
  limit?: number,
): Promise<number> {
  const filter = { replay: id, tenant: tenantKey(tenant), ...which };
  const options = limit === undefined ? {} : { limit };
  const deliveries = wire.collection<DeliveryDocument>(COLLECTIONS.deliveries);
  return translated(() => deliveries.countDocuments(filter, options));
}

async function insert(wire: Wire, replay: Replay, openLimit: number): Promise<boolean> {
  const tenant = tenantKey(replay.tenant);
  let hasSlot = await takeSlot(wire, replay, openLimit);
  if (!hasSlot && (await freeSlots(wire, replay)) > 0) hasSlot = await takeSlot(wire, replay, openLimit);
  if (!hasSlot) return false;
  const document = { _id: idIn(replay.tenant, replay.id), tenant, ...fieldsOf(replay) };
  await wire.insert(COLLECTIONS.replays, [document], ({ json }) => json.length);
  return true;
}

/** True as well where it has one. */
async function takeSlot(wire: Wire, replay: Replay, openLimit: number): Promise<boolean> {
  const tenant = tenantKey(replay.tenant);
  const taken = await wire.find<SlotDocument>(COLLECTIONS.replaySlots, { tenant });
  if (taken.some((slot) => slot.replay === replay.id)) return true;
  const used = new Set(taken.map(({ _id }) => _id));
  for (let at = 1; at <= openLimit; at++) {
    const slot: SlotDocument = { _id: `${tenant}/${at}`, tenant, replay: replay.id, takenAt: replay.createdAtMs };
    if (used.has(slot._id)) continue;
    if ((await wire.insert(COLLECTIONS.replaySlots, [slot], () => 0)).length === 0) return true;
  }
  return false;
}

/** Those of replays that are over, or never came to be. */
async function freeSlots(wire: Wire, { tenant, createdAtMs }: Replay): Promise<number> {
  const taken = await wire.find<SlotDocument>(COLLECTIONS.replaySlots, { tenant: tenantKey(tenant) });
  const ids = taken.map(({ replay }) => idIn(tenant, replay));
  const replays = await wire.find<ReplayDocument>(COLLECTIONS.replays, { _id: { $in: ids } });
  const states = new Map(replays.map(({ _id, state }) => [_id, state]));
  const left = taken.filter(({ replay, takenAt }) => {
    const state = states.get(idIn(tenant, replay));
    if (state === undefined) return takenAt < createdAtMs - SLOT_WITHOUT_REPLAY_MS;
    return state !== "running" && state !== "paused";
  });
  for (const { replay } of left) await giveBack(wire, replay);
  return left.length;
}

function giveBack(wire: Wire, replayId: string): Promise<unknown> {
  return translated(() =>
    wire
      .collection<SlotDocument>(COLLECTIONS.replaySlots)
      .deleteMany({ replay: replayId }, { writeConcern: WRITE_CONCERN }),
  );
}

function read(wire: Wire, tenant: Tenant, id: string): Promise<ReplayDocument | undefined> {
  return wire.findOne<ReplayDocument>(COLLECTIONS.replays, { _id: idIn(tenant, id) });
}

function fieldsOf(replay: Replay) {
  const { state, fence, leaseUntilMs = 0, createdAtMs, finishedAtMs } = replay;
  return {
    state,
    fence,
    leaseUntil: leaseUntilMs,
    createdAt: createdAtMs,
    ...(finishedAtMs === undefined ? {} : { finishedAt: new Date(finishedAtMs) }),
    json: JSON.stringify(replay),
  };
}

/** False where it is no longer as it was read. */
async function write(wire: Wire, before: Replay, after: Replay): Promise<boolean> {
  const q = { _id: idIn(before.tenant, before.id), fence: before.fence, state: before.state };
  if ((await wire.update(COLLECTIONS.replays, [{ q, u: { $set: fieldsOf(after) } }])) !== 1) return false;
  if (isOver(after)) await giveBack(wire, after.id);
  return true;
}

class Steps {
  readonly #wire: Wire;
  readonly #events: EventTable;
  readonly #nextToken: () => string;

  constructor(wire: Wire, events: EventTable, nextToken: () => string) {
    this.#wire = wire;
    this.#events = events;
    this.#nextToken = nextToken;
  }

  async step(step: ReplayStep): Promise<Replay | undefined> {
    const { tenant, id, fence, nowMs, due, fresh, skipped, alreadySent, cursor, isAtEnd, deferred, finished } = step;
    const found = await read(this.#wire, tenant, id);
    if (found === undefined || found.fence !== fence || found.state !== "running") return undefined;
    const replay = replayOf(found);
    const asked = due.length + fresh.length;
    const sent = asked === 0 ? 0 : await this.#send(step);
    const { cursor: _cursor, leaseUntilMs: _lease, ...rest } = replay;
    const next: Replay = {
      ...rest,
      sent: replay.sent + sent + alreadySent,
      skipped: replay.skipped + skipped + asked - sent,
      isAtEnd,
      deferred,
      ...(cursor === undefined ? {} : { cursor }),
      ...(finished ? { state: "finished", finishedAtMs: nowMs } : { leaseUntilMs: step.leaseUntilMs }),
    };
    return (await write(this.#wire, replay, next)) ? next : undefined;
  }

  /** How many of the step's deliveries carry the replay's id after it. */
  async #send({ tenant, id, nowMs, due, fresh }: ReplayStep): Promise<number> {
    const ids = [...due, ...fresh.map((delivery) => delivery.id)].map((deliveryId) => idIn(tenant, deliveryId));
    const rows = await this.#wire.find<DeliveryDocument>(
      COLLECTIONS.deliveries,
      { _id: { $in: ids } },
      { projection: { event: 1, status: 1, replay: 1 } },
    );
    const known = new Set(rows.map(({ _id }) => _id));
    const again = rows.filter(({ status, replay }) => replay !== id && status >= FIRST_TERMINAL);
    const missing = fresh.filter((delivery) => !known.has(idIn(tenant, delivery.id)));
    const stored = await this.#keptEvents(tenant, [
      ...again.map(({ event }) => event),
      ...missing.map(({ eventId }) => eventId),
    ]);
    const inserts = missing
      .filter(({ eventId }) => stored.has(idIn(tenant, eventId)))
      .map((delivery) => prepare({ kind: "first", delivery }, this.#nextToken))
      .flatMap((prepared) => (prepared.kind === "first" ? [prepared.document] : []));
    // Where somebody else was quicker with a row it is open, and left alone.
    if (inserts.length > 0) await this.#wire.insert(COLLECTIONS.deliveries, inserts, () => 0);
    const updates = again
      .filter(({ event }) => stored.has(idIn(tenant, event)))
      .map(({ _id }) => dueAgain(_id, id, nowMs, this.#nextToken()));
    if (updates.length > 0) await this.#wire.update(COLLECTIONS.deliveries, updates);
    const made = await this.#wire.find<DeliveryDocument>(
      COLLECTIONS.deliveries,
      { _id: { $in: ids }, replay: id },
      { projection: { _id: 1 } },
    );
    return made.length;
  }

  /** Those that are stored with their payload, kept from now on: without its event a delivery could only fail. */
  async #keptEvents(tenant: Tenant, ids: readonly string[]): Promise<ReadonlySet<string>> {
    if (ids.length === 0) return new Set();
    const keys = [...new Set(ids)].map((id) => idIn(tenant, id));
    await this.#events.pin(keys);
    const found = await this.#wire.find<EventDocument>(
      COLLECTIONS.events,
      { _id: { $in: keys }, payloadDroppedAt: { $exists: false } },
      { projection: { _id: 1 } },
    );
    return new Set(found.map(({ _id }) => _id));
  }
}

function dueAgain(_id: string, replayId: string, nowMs: number, token: string): UpdateStatement {
  return {
    q: { _id, status: { $gte: FIRST_TERMINAL }, replay: { $ne: replayId } },
    u: {
      $set: {
        status: WAITING,
        class: WORK_CLASSES.indexOf("replay"),
        workAt: nowMs,
        runAttempts: 0,
        replay: replayId,
        token,
      },
      $inc: { run: 1, fence: 1 },
      $unset: { finishedAt: 1, foldedInto: 1 },
    },
  };
}
