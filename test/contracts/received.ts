/** The reader's other end in the log's tests. */
import type { Assignment, LogRecord, NewRecord, Position, RecordSink } from "../../src/intake/event-log.ts";

export function record(key: string, text: string, headers: Readonly<Record<string, string>> = {}): NewRecord {
  return { key, value: Buffer.from(text), headers };
}

export const textOf = ({ value }: LogRecord): string => Buffer.from(value ?? []).toString();

/** What a reader gave, and a way to wait for it. */
export class Received implements RecordSink {
  readonly all: LogRecord[] = [];
  readonly assignments: Assignment[] = [];
  readonly mistakes: string[] = [];
  readonly live = new Map<number, Assignment>();
  #waiting: { readonly when: () => boolean; readonly resolve: () => void }[] = [];

  assigned(assignments: readonly Assignment[]): void {
    for (const assignment of assignments) {
      if (this.live.has(assignment.partition)) this.mistakes.push(`partition ${assignment.partition} given twice`);
      this.live.set(assignment.partition, assignment);
      this.assignments.push(assignment);
    }
    this.#look();
  }

  revoked(assignments: readonly Assignment[]): void {
    for (const { partition } of assignments) this.live.delete(partition);
    this.#look();
  }

  records(assignment: Assignment, records: readonly LogRecord[]): void {
    const live = this.live.get(assignment.partition);
    if (live?.generation !== assignment.generation) this.mistakes.push("records of a partition that is not assigned");
    for (const each of records) {
      if (each.partition !== assignment.partition) this.mistakes.push("a record of another partition");
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
    const ends = new Map<number, number>();
    for (const { partition, offset } of this.all) ends.set(partition, offset + 1);
    return [...ends].flatMap(([partition, offset]) => {
      const generation = this.assignments.findLast((each) => each.partition === partition)?.generation;
      return generation === undefined ? [] : [{ partition, generation, offset }];
    });
  }

  #look(): void {
    const ready = this.#waiting.filter(({ when }) => when());
    this.#waiting = this.#waiting.filter((each) => !ready.includes(each));
    for (const { resolve } of ready) resolve();
  }
}
