import type { DecodedEvent } from "../domain/event.ts";
import type { Assignment } from "./event-log.ts";

/** An event on its way from a record of the log to its deliveries. One of `done` and `conflict` is called; a second call does nothing. */
export interface IncomingEvent extends DecodedEvent {
  readonly assignment: Assignment;
  /** Its record's, in the assignment's partition: the place of an event among its pass's. */
  readonly offset: number;
  /** All that the record asked for is durable: its offset may go. */
  done(): void;
  /** Another content is stored under its id: the record becomes a dead letter. */
  conflict(): void;
}

/** What intake hands events to: the delivery engine. */
export interface EventTaker {
  /** Takes events in the order of the log. Returns at once. */
  take(events: readonly IncomingEvent[]): void;
  /** True while it has as much as it may hold: the log is read no further. */
  isFull(): boolean;
  /** Called whenever a full one has room again. */
  onRoom(listener: () => void): void;
  /** Work of these assignments that has not been sent is dropped (protocol, rule 2). */
  drop(assignments: readonly Assignment[]): void;
  /** Resolves when nothing that came from the log is in flight or unflushed. */
  settled(): Promise<void>;
}
