/** What the threads of the floor say to each other, and the one way in which byte strings travel: packed, handed over. */
import { packBytes } from "../../src/kernel/thread-call.ts";

export interface FloorData {
  /** Where the thread's file lies. */
  readonly directory: string;
}

/** Byte strings one after the other. */
export interface Packed {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly lengths: readonly number[];
}

export function packed(parts: readonly Uint8Array[]): Packed {
  return { bytes: packBytes(parts), lengths: parts.map((part) => part.byteLength) };
}

/** From the thread of intake. */
export type FromIntake =
  | { readonly kind: "listens"; readonly port: number }
  | { readonly kind: "subscribed"; readonly entityId: string; readonly url: string }
  /** Durable events, the first at `offset`. */
  | { readonly kind: "events"; readonly offset: number; readonly events: Packed };

/** To the thread of intake: everything before this offset is delivered, and its outcome durable. */
export interface Position {
  readonly offset: number;
}

/** A delivery's row: id, event, subscription, status, time in milliseconds, attempts as JSON. */
export type DeliveryRow = readonly [string, string, string, number, number, string];

/** To the thread of the store, which answers each with the count of its rows once they are durable. */
export interface Outcomes {
  readonly eventIds: readonly string[];
  readonly events: Packed;
  readonly rows: readonly DeliveryRow[];
}
