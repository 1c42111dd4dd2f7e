/** What is done with many deliveries at once. */
import { DeliveryStatus } from "../../../../gen/passbus/v1/delivery_pb.js";
import { count } from "../../numbers.ts";
import { refusalOf } from "../../parts/failure.tsx";
import type { DeliveryRow } from "./row.ts";

export type Choice = ReadonlySet<string>;

/** At the same time. */
const CALLS = 4;
const CANCELLABLE = new Set([DeliveryStatus.WAITING, DeliveryStatus.HELD]);

/** By the rows as they are now. One that the log holds no longer is asked for: passbus knows. */
export function cancellableOf(chosen: Choice, rows: readonly Pick<DeliveryRow, "id" | "status">[]): readonly string[] {
  const statuses = new Map(rows.map(({ id, status }) => [id, status]));
  return [...chosen].filter((id) => CANCELLABLE.has(statuses.get(id) ?? DeliveryStatus.WAITING));
}

export interface Refused {
  readonly id: string;
  readonly message: string;
}

export interface CallsMade {
  readonly done: readonly string[];
  readonly refused: readonly Refused[];
  /** What nobody was called for, since it was asked to stop. */
  readonly left: number;
}

/** Calls for each, a few at a time. What is under way when the signal asks to stop is waited for. */
export async function callForEach(
  ids: readonly string[],
  call: (id: string) => Promise<unknown>,
  signal: AbortSignal,
): Promise<CallsMade> {
  const done: string[] = [];
  const refused: Refused[] = [];
  const rest = [...ids];
  const work = async () => {
    while (!signal.aborted) {
      const id = rest.shift();
      if (id === undefined) return;
      try {
        await call(id);
        done.push(id);
      } catch (error) {
        refused.push({ id, message: refusalOf(error).message });
      }
    }
  };
  await Promise.all(Array.from({ length: CALLS }, work));
  return { done, refused, left: rest.length };
}

/** As it is announced. */
export function callsText(what: "retry" | "cancel", { done, left }: CallsMade): string {
  const asked = `Asked to ${what === "retry" ? "send" : "cancel"} ${count(done.length)}`;
  return left === 0 ? `${asked}.` : `${asked}, and stopped before the other ${count(left)}.`;
}
