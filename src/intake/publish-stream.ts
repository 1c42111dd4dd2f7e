/**
 * Events in, one after the other on a stream. Each has its own answer, in the order sent. What has arrived while the
 * log took a batch goes in as the next one, so a stream is as quick as batches are; it is read no further ahead of its
 * answers than LIMITS say, which is how a sender learns that it must wait.
 */
import type { PassEvent } from "../../gen/passbus/v1/pass_event_pb.js";
import { CodedError, ERRORS, invalidField } from "../kernel/errors.ts";
import { LIMITS } from "../kernel/limits.ts";
import type { Tenant } from "../kernel/tenant.ts";
import type { NewRecord } from "./event-log.ts";
import { append, eventRecord, type PublisherDeps, refuseUnbound } from "./publish.ts";

/** What came of one event of a stream. */
export interface StreamOutcome {
  /** Empty where an event without an id was refused. */
  readonly eventId: string;
  /** Absent where the event is durable. */
  readonly error?: CodedError;
}

export interface StreamRequest {
  readonly tenant: Tenant;
  /** undefined: a request without its event, which is refused like any other mistake. */
  readonly events: AsyncIterable<PassEvent | undefined>;
  /** Ends the reading; what has been read is answered. */
  readonly signal: AbortSignal;
}

/** Throws `tenant.forbidden` at once, else what reading the events threw, after the answers to those that came before. */
export type PublishStream = (request: StreamRequest) => AsyncIterable<StreamOutcome>;

export function publishStream(deps: PublisherDeps): PublishStream {
  return async function* publish({ tenant, events, signal }) {
    refuseUnbound(tenant, deps.mayPublish);
    const prepare = (event: PassEvent | undefined) => prepared(deps, tenant, event);
    const ahead = new ReadAhead(events[Symbol.asyncIterator](), prepare, signal);
    try {
      for (;;) {
        const batch = await ahead.take();
        if (batch.length === 0) return;
        const outcomes = await appended(deps, batch);
        for (const [at, outcome] of outcomes.entries()) {
          yield outcome;
          ahead.answered(batch[at]);
        }
      }
    } finally {
      ahead.stop();
    }
  };
}

/** An event on its way: a record for the log, or already refused. */
interface Prepared {
  readonly eventId: string;
  readonly record?: NewRecord;
  readonly error?: CodedError;
}

function prepared({ ids }: PublisherDeps, tenant: Tenant, event: PassEvent | undefined): Prepared {
  if (event === undefined) return { eventId: "", error: invalidField("event", "is required") };
  const givenId = event.id;
  try {
    const record = eventRecord(tenant, event, "event", ids);
    return { eventId: event.id, record };
  } catch (error) {
    if (error instanceof CodedError) return { eventId: givenId, error };
    throw error;
  }
}

async function appended({ log }: PublisherDeps, batch: readonly Prepared[]): Promise<readonly StreamOutcome[]> {
  const records = batch.flatMap(({ record }) => (record === undefined ? [] : [record]));
  let lost: CodedError | undefined;
  const results =
    records.length === 0
      ? []
      : await append(log, records).catch((error: CodedError) => {
          lost = error;
          return [];
        });
  let next = 0;
  return batch.map(({ eventId, record, error }) => {
    if (record === undefined) return { eventId, ...(error !== undefined && { error }) };
    const result = results[next++];
    if (result?.durable === true) return { eventId };
    const reason = result?.reason ?? ERRORS["log.unavailable"].meaning;
    return { eventId, error: lost ?? new CodedError("log.unavailable", reason) };
  });
}

/** Reads on while its events wait for their answers, as far as LIMITS allow. */
class ReadAhead {
  readonly #events: AsyncIterator<PassEvent | undefined>;
  readonly #prepare: (event: PassEvent | undefined) => Prepared;
  readonly #signal: AbortSignal;
  readonly #read: Prepared[] = [];
  #unanswered = 0;
  #bytes = 0;
  #ended = false;
  #failure: { readonly error: unknown } | undefined;
  #roomMade = () => {};
  #somethingCame = () => {};
  readonly #aborted = () => this.stop();

  constructor(
    events: AsyncIterator<PassEvent | undefined>,
    prepare: (event: PassEvent | undefined) => Prepared,
    signal: AbortSignal,
  ) {
    this.#events = events;
    this.#prepare = prepare;
    this.#signal = signal;
    signal.addEventListener("abort", this.#aborted);
    if (signal.aborted) this.#ended = true;
    void this.#readOn();
  }

  /** All that was read since; waits for something to come. Empty once all has been taken. */
  async take(): Promise<readonly Prepared[]> {
    if (this.#read.length === 0 && !this.#ended) {
      await new Promise<void>((resolve) => {
        this.#somethingCame = resolve;
      });
    }
    const batch = this.#read.splice(0);
    if (batch.length === 0 && this.#failure !== undefined) throw this.#failure.error;
    return batch;
  }

  answered(event: Prepared | undefined): void {
    this.#unanswered -= 1;
    this.#bytes -= bytesOf(event);
    this.#roomMade();
  }

  /** Reads no more. What was read can still be taken. */
  stop(): void {
    this.#signal.removeEventListener("abort", this.#aborted);
    this.#ended = true;
    this.#somethingCame();
    this.#roomMade();
  }

  #isFull(): boolean {
    return this.#unanswered >= LIMITS.publishAhead || this.#bytes >= LIMITS.publishAheadBytes;
  }

  async #readOn(): Promise<void> {
    try {
      while (!this.#ended) {
        const next = await this.#events.next();
        if (next.done === true || this.#ended) break;
        const event = this.#prepare(next.value);
        this.#read.push(event);
        this.#unanswered += 1;
        this.#bytes += bytesOf(event);
        this.#somethingCame();
        while (this.#isFull() && !this.#ended) {
          await new Promise<void>((resolve) => {
            this.#roomMade = resolve;
          });
        }
      }
    } catch (error) {
      this.#failure = { error };
    }
    this.stop();
  }
}

function bytesOf(event: Prepared | undefined): number {
  return event?.record?.value.length ?? 0;
}
