/** The reader's other end in the log's tests. */
import type { Assignment, LogRecord, NewRecord, Position, RecordSink } from "../../src/intake/event-log.ts";

export function record(key: string, text: string, headers: Readonly<Record<string, string>> = {}): NewRecord {
  return { key, value: Buffer.from(text), headers };
}

export const textOf = ({ value }: LogRecord): string => Buffer.from(value ?? []).toString();

const placeOf = ({ topic, partition }: { readonly topic: string; readonly partition: number }): string =>
  `${topic}/${partition}`;

/** What a reader gave, and a way to wait for it. */
export class Received implements RecordSink {
  readonly all: LogRecord[] = [];
  readonly assignments: Assignment[] = [];
  readonly mistakes: string[] = [];
  readonly live = new Map<string, Assignment>();
  /** How often a partition has begun anew. */
  restarts = 0;
  #waiting: { readonly when: () => boolean; readonly resolve: () => void }[] = [];

  assigned(assignments: readonly Assignment[]): void {
    for (const assignment of assignments) {
      if (this.live.has(placeOf(assignment))) this.mistakes.push(`partition ${assignment.partition} given twice`);
      this.live.set(placeOf(assignment), assignment);
      this.assignments.push(assignment);
    }
    this.#look();
  }

  revoked(assignments: readonly Assignment[]): void {
    for (const assignment of assignments) this.live.delete(placeOf(assignment));
    this.#look();
  }

  restarted(assignment: Assignment): void {
    if (!this.live.has(placeOf(assignment))) this.mistakes.push("a partition that is not assigned begins anew");
    this.restarts += 1;
  }

  records(assignment: Assignment, records: readonly LogRecord[]): void {
    const live = this.live.get(placeOf(assignment));
    if (live?.generation !== assignment.generation) this.mistakes.push("records of a partition that is not assigned");
    for (const each of records) {
      if (placeOf(each) !== placeOf(assignment)) this.mistakes.push("a record of another partition");
      this.all.push(each);
    }
    this.#look();
  }

  /** Resolves as soon as `when` holds. */
  until(when: () => boolean): Promise<void> {
    if (when()) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ when, resolve }));
  }

  count(count: number): Promise<void> {
    return this.until(() => this.all.length >= count);
  }

  get texts(): readonly string[] {
    return this.all.map(textOf);
  }

  /** Behind the last record that was read, of each partition. */
  get positions(): readonly Position[] {
    const ends = new Map<string, number>();
    for (const each of this.all) ends.set(placeOf(each), each.offset + 1);
    return [...ends].flatMap(([place, offset]) => {
      const assignment = this.assignments.findLast((each) => placeOf(each) === place);
      return assignment === undefined ? [] : [{ ...assignment, offset }];
    });
  }

  #look(): void {
    const ready = this.#waiting.filter(({ when }) => when());
    this.#waiting = this.#waiting.filter((each) => !ready.includes(each));
    for (const { resolve } of ready) resolve();
  }
}
