import type { FileRecord } from "./log-file.ts";

/** Bytes of records that wait in memory for the reader. A reader that falls further behind reads the file. */
const TAIL_BYTES = 16 * 1024 * 1024;

/** What a record costs in memory besides its value, about. */
const RECORD_BYTES = 256;

/**
 * The records that were appended and not yet read, while they are few enough to keep. Either it holds everything from
 * `nextOffset` on, or, having overflowed, nothing.
 */
export class Tail {
  #records: FileRecord[] = [];
  #first = 0;
  #bytes = 0;
  #complete: boolean;

  /** `complete`: there is nothing unread yet. */
  constructor(complete: boolean) {
    this.#complete = complete;
  }

  /** False where unread records have to be read from the file. */
  get complete(): boolean {
    return this.#complete;
  }

  /** The reader has read everything that there is. */
  caughtUp(): void {
    this.#complete = true;
  }

  push(record: FileRecord): void {
    if (!this.#complete) return;
    this.#records.push(record);
    this.#bytes += record.value.byteLength + RECORD_BYTES;
    if (this.#bytes <= TAIL_BYTES) return;
    this.#records = [];
    this.#first = 0;
    this.#bytes = 0;
    this.#complete = false;
  }

  /** Takes records from the front as long as `wanted` says so. */
  take(wanted: (record: FileRecord) => boolean): void {
    let record = this.#records[this.#first];
    while (record !== undefined && wanted(record)) {
      this.#bytes -= record.value.byteLength + RECORD_BYTES;
      this.#first += 1;
      record = this.#records[this.#first];
    }
    // Shifting one by one would move the whole array each time.
    if (this.#first === this.#records.length || this.#first >= 4_096) {
      this.#records = this.#records.slice(this.#first);
      this.#first = 0;
    }
  }
}
