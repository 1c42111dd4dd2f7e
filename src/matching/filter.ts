/**
 * Filters: a CEL expression over an event that says whether a subscription gets it (docs/filters.md). A text is checked
 * and planned once (`Filters.compile`), and judges any number of events (`Filter.judge`). One that fails says neither
 * yes nor no; whoever asked delivers the event all the same.
 */
import { type CelEnv, type CelMap, isCelError, plan } from "@bufbuild/cel";
import { toBinary } from "@bufbuild/protobuf";
import { OperationalEventTypeSchema } from "../../gen/passbus/v1/operational_event_pb.js";
import { type PassEvent, PassEventSchema, PassEventTypeSchema } from "../../gen/passbus/v1/pass_event_pb.js";
import type { ErrorCode } from "../kernel/errors.ts";
import { LIMITS } from "../kernel/limits.ts";
import { type CheckedFilter, checkFilter, FilterFlaw, type Place } from "./filter-check.ts";
import { enumName, readEvent } from "./filter-event.ts";
import { filterEnvironment } from "./filter-functions.ts";
import { CostMeter } from "./filter-meter.ts";

export interface FilterFailure {
  readonly code: Extract<ErrorCode, "filter.failed" | "filter.cost">;
  /** May quote the event: for whoever wrote the filter, and no log. */
  readonly message: string;
  /** Where in the filter's text. */
  readonly place?: Place | undefined;
}

export type FilterVerdict =
  | { readonly kind: "passed" }
  | { readonly kind: "stopped" }
  | { readonly kind: "failed"; readonly failure: FilterFailure };

/** An event made ready for any number of filters of the same `Filters`. */
export interface FilteredEvent {
  readonly event: CelMap;
}

export interface Filter {
  judge(event: FilteredEvent): FilterVerdict;
}

const PASSED: FilterVerdict = { kind: "passed" };
const STOPPED: FilterVerdict = { kind: "stopped" };

/** The language of filters. Filters and events of one go together. */
export class Filters {
  readonly #meter = new CostMeter(LIMITS.filterCost);
  readonly #environment: CelEnv = filterEnvironment(this.#meter);

  /** @throws FilterFlaw with the position and what would be right. */
  compile(text: string): Filter {
    const checked = checkFilter(text);
    const run = plan(this.#environment, checked.expr);
    return { judge: ({ event }) => this.#judge(checked, () => run({ event })) };
  }

  /**
   * Costs next to nothing: what filters ask of the event is read when they ask.
   *
   * @param bytes of the event in protobuf
   */
  read(event: PassEvent, bytes: number): FilteredEvent {
    return { event: readEvent(this.#meter, event, bytes) };
  }

  #judge({ place }: CheckedFilter, run: () => unknown): FilterVerdict {
    this.#meter.refill();
    const depth = Error.stackTraceLimit;
    // An expression makes an error wherever CEL has one, a hundred in a loop: traces would be nearly all of the cost.
    Error.stackTraceLimit = 0;
    try {
      const result = run();
      if (this.#meter.isOver) return failed("filter.cost", `costs more than ${LIMITS.filterCost} units on this event`);
      if (result === true) return PASSED;
      if (result === false) return STOPPED;
      if (!isCelError(result)) return failed("filter.failed", "gives neither true nor false");
      const id = result.exprId;
      return failed("filter.failed", result.message, id === undefined ? undefined : place(id));
    } finally {
      Error.stackTraceLimit = depth;
    }
  }
}

function failed(code: FilterFailure["code"], message: string, place?: Place): FilterVerdict {
  return { kind: "failed", failure: { code, message, place } };
}

/**
 * What is wrong with a filter, for whoever writes it: its text, or what comes of it on one of the samples, which are
 * events as it may meet them. Undefined where nothing is.
 */
export function filterFlaw(text: string, samples: readonly PassEvent[]): string | undefined {
  const filters = new Filters();
  try {
    const filter = filters.compile(text);
    for (const sample of samples) {
      const verdict = filter.judge(filters.read(sample, toBinary(PassEventSchema, sample).length));
      if (verdict.kind === "failed") return sampleFlaw(sample, verdict.failure);
    }
    return undefined;
  } catch (error) {
    if (error instanceof FilterFlaw) return error.message;
    throw error;
  }
}

function sampleFlaw(sample: PassEvent, { message, place }: FilterFailure): string {
  const where = place === undefined ? "" : `at line ${place.line}, column ${place.column}: `;
  const missing = message.startsWith("field not found");
  const hint = missing ? '; ask first whether it is there: has(a.b) && …, or "b" in a && …' : "";
  const { type, operationalEvent: operational } = sample;
  const name =
    operational === undefined
      ? enumName(PassEventTypeSchema, type)
      : enumName(OperationalEventTypeSchema, operational.type);
  return `${where}fails on the sample of ${name}: ${message}${hint}`;
}
