/**
 * Workers' beats, a document each, and the end of a dead one's leases. A row under a lease bears its holder's name in its
 * token (tokens.ts): a claim writes nothing more than it did, and a death costs one look along `deliveries_unsent`.
 */
import type { HeartbeatStore, Pulse } from "../../delivery/heartbeat-store.ts";
import { ATTEMPTING, COLLECTIONS, type DeliveryDocument } from "./documents.ts";
import type { Tokens } from "./tokens.ts";
import type { Stored, Wire } from "./wire.ts";

/** Its `_id` is the holder's name. */
interface WorkerDocument extends Stored {
  readonly beats: number;
  /** It was taken for dead: it beats no more under this name. */
  readonly dead?: true;
}

/** Leases that are ended at a time. */
const LOOK_ROWS = 1_000;

const { workers, deliveries } = COLLECTIONS;

export class MongoHeartbeats implements HeartbeatStore {
  readonly #wire: Wire;
  readonly #tokens: Tokens;
  /** The name under which there is, or was, a document. */
  #known: string | undefined;

  constructor(wire: Wire, tokens: Tokens) {
    this.#wire = wire;
    this.#tokens = tokens;
  }

  readonly beat: HeartbeatStore["beat"] = async () => {
    const { holder, life } = this.#tokens;
    // Before the store looks: another beat may begin the document between its look and our hearing of it.
    const wasKnown = this.#known === holder;
    const q = { _id: holder, dead: { $exists: false } };
    if ((await this.#wire.update(workers, [{ q, u: { $inc: { beats: 1 } } }])) === 1) {
      this.#known = holder;
      return life;
    }
    // Unless another beat, also under way, has found it first.
    if (wasKnown && this.#tokens.holder === holder) this.#tokens.rename();
    return this.#begin();
  };

  async #begin(): Promise<number> {
    const { holder, life } = this.#tokens;
    const taken = await this.#wire.insert<WorkerDocument>(workers, [{ _id: holder, beats: 1 }], () => 0);
    this.#known = holder;
    // By another beat under way, or one whose answer was lost: it may be dead by now.
    return taken.length === 0 ? life : this.beat();
  }

  readonly pulses: HeartbeatStore["pulses"] = async () => {
    const found = await this.#wire.find<WorkerDocument>(workers, { _id: { $ne: this.#tokens.holder } });
    return found.map(({ _id, beats, dead }): Pulse => ({ holder: _id, beats, isDead: dead === true }));
  };

  readonly bury: HeartbeatStore["bury"] = async ({ holder, beats }, nowMs) => this.#bury({ _id: holder, beats }, nowMs);

  readonly leave: HeartbeatStore["leave"] = async (nowMs) => {
    const _id = this.#tokens.holder;
    const ended = await this.#bury({ _id }, nowMs);
    if (ended > 0) await this.#wire.remove(workers, { _id });
    return ended;
  };

  /** Dead first: what it leases after the look would stay under its name, and it must have another by then. */
  async #bury(who: { readonly _id: string; readonly beats?: number }, nowMs: number): Promise<number> {
    if ((await this.#wire.update(workers, [{ q: who, u: { $set: { dead: true } } }])) === 0) return 0;
    const { _id } = who;
    let ended = 0;
    let found: number;
    do {
      found = await this.#endLeases(_id, nowMs);
      ended += found;
    } while (found === LOOK_ROWS);
    // Where there were some, it may have been about to lease more: the next look tells.
    if (ended === 0) await this.#wire.remove(workers, { _id });
    return ended;
  }

  /** By status: what is under a lease is little, while any number may wait. */
  async #endLeases(holder: string, nowMs: number): Promise<number> {
    const held = {
      status: ATTEMPTING,
      workAt: { $gt: nowMs },
      // A dot ends a holder's name in a token, and a slash comes after it.
      token: { $gt: `${holder}.`, $lt: `${holder}/` },
    };
    const rows = await this.#wire.find<DeliveryDocument>(
      deliveries,
      { ...held, lane: { $gt: "" } },
      { projection: { _id: 1 }, limit: LOOK_ROWS, batchSize: LOOK_ROWS, hint: "deliveries_unsent" },
    );
    if (rows.length === 0) return 0;
    const q = { _id: { $in: rows.map(({ _id }) => _id) }, ...held };
    await this.#wire.update(deliveries, [{ q, u: { $set: { workAt: nowMs } }, multi: true }]);
    return rows.length;
  }
}
