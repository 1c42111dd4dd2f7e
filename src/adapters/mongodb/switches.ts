/** Which deliveries are stopped. */
import type { SwitchStore } from "../../delivery/kill-switch.ts";
import { COLLECTIONS } from "./documents.ts";
import { type Stored, translated, type Wire, WRITE_CONCERN } from "./wire.ts";

/** `_id` is the organisation with a slash before it, so that it sorts behind the service's. */
interface StopDocument extends Stored {
  readonly organisation?: string;
  readonly reason: string;
  readonly stoppedAt: number;
  readonly stoppedBy: string;
}

const SERVICE = "";
const idOf = (organisation: string | undefined): string => (organisation === undefined ? SERVICE : `/${organisation}`);

export function switchStore(wire: Wire): SwitchStore {
  const stops = () => wire.collection<StopDocument>(COLLECTIONS.stops);
  return {
    async stops() {
      const found = await wire.find<StopDocument>(COLLECTIONS.stops, {}, { sort: { _id: 1 } });
      return found.map(({ organisation, reason, stoppedAt, stoppedBy }) => ({
        ...(organisation === undefined ? {} : { organisation }),
        reason,
        sinceMs: stoppedAt,
        by: stoppedBy,
      }));
    },
    /** What is stopped already keeps its time. */
    stop: ({ organisation, reason, sinceMs, by }) =>
      translated(async () => {
        await stops().updateOne(
          { _id: idOf(organisation) },
          {
            $set: { reason, stoppedBy: by },
            $setOnInsert: { stoppedAt: sinceMs, ...(organisation === undefined ? {} : { organisation }) },
          },
          { upsert: true, writeConcern: WRITE_CONCERN },
        );
      }),
    start: (organisation) =>
      translated(async () => {
        await stops().deleteOne({ _id: idOf(organisation) }, { writeConcern: WRITE_CONCERN });
      }),
  };
}
