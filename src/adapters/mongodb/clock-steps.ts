/** What a clock that was wrong has left in the store: what waits for too late a time, and leases that are too long. */
import { randomUUID } from "node:crypto";
import type { Document } from "mongodb";
import type { DeliveryStore } from "../../delivery/delivery-store.ts";
import { ATTEMPTING, COLLECTIONS, type DeliveryDocument, WAITING } from "./documents.ts";
import type { Stored, Wire } from "./wire.ts";

/** The last step that was made up for. Times are those of the clock as it was right again. */
interface StepDocument extends Stored {
  readonly holder: string;
  readonly byMs: number;
  readonly atMs: number;
}

const STEP = "clock-step";

/** Workers whose clocks are set back together see it within this time of each other, */
const SAME_STEP_MS = 5 * 60_000;
/** and alike but for this: what is left of a larger step is a step of its own. */
const SAME_BY_MS = 10_000;

/** Long leases that one look takes in; the next look sees the others. */
const LOOK_ROWS = 1_000;

export class ClockSteps {
  readonly #wire: Wire;
  /** This worker's name. */
  readonly #holder = randomUUID();

  constructor(wire: Wire) {
    this.#wire = wire;
  }

  readonly turnBack: DeliveryStore["turnBack"] = async ({ nowMs, byMs }) => {
    const leftMs = await this.#take({ holder: this.#holder, byMs, atMs: nowMs });
    if (leftMs === 0) return 0;
    const update = (workAt: Document, u: Document) =>
      this.#wire.update(COLLECTIONS.deliveries, [{ q: { status: WAITING, workAt }, u, multi: true }]);
    // In this order: what the second moves may come to lie where the first would take it from.
    const due = await update({ $gt: nowMs, $lte: nowMs + leftMs }, { $set: { workAt: nowMs } });
    return due + (await update({ $gt: nowMs + leftMs }, { $inc: { workAt: -leftMs } }));
  };

  /** What of a step nobody has made up for yet. A worker that comes again with a step is believed: it failed midway, or is new. */
  async #take(step: Omit<StepDocument, "_id">): Promise<number> {
    const { upkeep } = COLLECTIONS;
    for (;;) {
      const before = await this.#wire.findOne<StepDocument>(upkeep, { _id: STEP });
      if (before === undefined) {
        const [taken] = await this.#wire.insert<StepDocument>(upkeep, [{ _id: STEP, ...step }], () => 0);
        if (taken === undefined) return step.byMs;
        continue;
      }
      const isOfOthers = before.holder !== step.holder && Math.abs(step.atMs - before.atMs) <= SAME_STEP_MS;
      const leftMs = isOfOthers ? step.byMs - before.byMs : step.byMs;
      if (leftMs <= SAME_BY_MS) return 0;
      const { _id, holder, byMs, atMs } = before;
      if ((await this.#wire.update(upkeep, [{ q: { _id, holder, byMs, atMs }, u: { $set: step } }])) === 1)
        return leftMs;
    }
  }

  readonly shortenLeases: DeliveryStore["shortenLeases"] = async ({ beyondMs, toMs }) => {
    const tooLong = { status: ATTEMPTING, workAt: { $gt: beyondMs } };
    // By status: what is under a lease is little, while any number may wait for a time as late.
    const found = await this.#wire.find<DeliveryDocument>(
      COLLECTIONS.deliveries,
      { ...tooLong, lane: { $gt: "" } },
      { projection: { _id: 1 }, limit: LOOK_ROWS, hint: "deliveries_unsent" },
    );
    if (found.length === 0) return 0;
    const q = { _id: { $in: found.map(({ _id }) => _id) }, ...tooLong };
    return this.#wire.update(COLLECTIONS.deliveries, [{ q, u: { $set: { workAt: toMs } }, multi: true }]);
  };
}
