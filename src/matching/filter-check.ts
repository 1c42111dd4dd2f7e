/**
 * What a filter must be before it is planned: parsed, within its limits, made of known fields and functions. It answers
 * the expression with its loops and its `has` put under our own functions (filter-functions.ts), which charge for them.
 */
import { parse } from "@bufbuild/cel";
import { PassEventSchema } from "../../gen/passbus/v1/pass_event_pb.js";
import { LIMITS } from "../kernel/limits.ts";
import { judgeCall } from "./filter-calls.ts";
import { HAS, RANGE, ROUND } from "./filter-functions.ts";
import { BOOL, fieldKind, type Kind, mayMeet, NUMBER, nameOf, TEXT, UNKNOWN } from "./filter-kinds.ts";

export type Expr = ReturnType<typeof parse>["expr"];
type ExprOf<C extends Expr["exprKind"]["case"]> = Extract<Expr["exprKind"], { case: C }>["value"];

/** Where in its text, counted from 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

/** Why a text is no filter. */
export class FilterFlaw extends Error {
  override readonly name = "FilterFlaw";

  constructor(description: string, place?: Place) {
    super(place === undefined ? description : `at line ${place.line}, column ${place.column}: ${description}`);
  }
}

export interface CheckedFilter {
  readonly expr: Expr;
  /** Of a part of the expression, by its id. */
  place(id: bigint): Place | undefined;
}

/** @throws FilterFlaw */
export function checkFilter(text: string): CheckedFilter {
  if (text.length > LIMITS.filterCharacters) {
    throw new FilterFlaw(`must have at most ${LIMITS.filterCharacters} characters, and has ${text.length}`);
  }
  const parsed = parseText(text);
  const offsets = parsed.sourceInfo?.positions ?? {};
  const place = (id: bigint): Place | undefined => {
    const offset = offsets[String(id)];
    return offset === undefined ? undefined : placeAt(text, offset);
  };
  const root = new Checker(place).check(parsed.expr, ROOT);
  if (!mayMeet(root.kind, BOOL)) throw new FilterFlaw(`must be true or false, and is ${nameOf(root.kind)}`);
  return { expr: root.expr, place };
}

function parseText(text: string): ReturnType<typeof parse> {
  try {
    return parse(text);
  } catch (error) {
    throw syntaxFlaw(error);
  }
}

function syntaxFlaw(error: unknown): FilterFlaw {
  // The parser goes down a level for each bracket, and has no limit of its own.
  if (error instanceof RangeError) return new FilterFlaw("nests too deeply");
  const message = error instanceof Error ? error.message : String(error);
  const parts = /<input>:(\d+):(\d+): (.*)$/s.exec(message);
  if (parts === null) return new FilterFlaw(message);
  const [, line, column, what = ""] = parts;
  return new FilterFlaw(`is not CEL: ${what.slice(0, 200)}`, { line: Number(line), column: Number(column) });
}

function placeAt(text: string, offset: number): Place {
  const before = text.slice(0, offset).split("\n");
  return { line: before.length, column: (before.at(-1) ?? "").length + 1 };
}

/** A part of the expression: what it gives, and what is planned in its place. */
export interface Checked {
  readonly kind: Kind;
  readonly expr: Expr;
}

interface Scope {
  readonly names: ReadonlyMap<string, Kind>;
  readonly inLoop: boolean;
  readonly depth: number;
}

const EVENT: Kind = { is: "message", type: PassEventSchema };
const ROOT: Scope = { names: new Map([["event", EVENT]]), inLoop: false, depth: 0 };

/** Parts of a loop's body that are run for a unit, besides what its functions cost. */
const LOOPED_NODES_PER_UNIT = 3;

/** Names of CEL's types, to be compared with `type(x)`. */
const TYPES = new Set(["int", "double", "bool", "string", "list", "map", "null_type"]);

class Checker {
  readonly #place: CheckedFilter["place"];
  #nodes = 0;

  constructor(place: CheckedFilter["place"]) {
    this.#place = place;
  }

  check(expr: Expr, outer: Scope): Checked {
    const scope = { ...outer, depth: outer.depth + 1 };
    if (scope.depth > LIMITS.filterDepth) throw this.#flaw(expr, `nests deeper than ${LIMITS.filterDepth} levels`);
    this.#nodes++;
    if (this.#nodes > LIMITS.filterNodes) throw this.#flaw(expr, `has more than ${LIMITS.filterNodes} parts`);
    const { exprKind } = expr;
    switch (exprKind.case) {
      case "constExpr":
        return { kind: constantKind(exprKind.value), expr };
      case "identExpr":
        return { kind: this.#name(expr, exprKind.value.name, scope), expr };
      case "selectExpr":
        return this.#select(expr, exprKind.value, scope);
      case "callExpr":
        return this.#call(expr, exprKind.value, scope);
      case "listExpr":
        return this.#list(expr, exprKind.value, scope);
      case "structExpr":
        return this.#map(expr, exprKind.value, scope);
      case "comprehensionExpr":
        return this.#loop(expr, exprKind.value, scope);
      case undefined:
        throw this.#flaw(expr, "is empty");
    }
  }

  #flaw(expr: Expr, description: string): FilterFlaw {
    return new FilterFlaw(description, this.#place(expr.id));
  }

  #name(expr: Expr, name: string, scope: Scope): Kind {
    const kind = scope.names.get(name);
    if (kind !== undefined) return kind;
    if (TYPES.has(name)) return { is: "type" };
    throw this.#flaw(expr, `there is no ${JSON.stringify(name)}; a filter sees "event", and a text stands in quotes`);
  }

  #select(expr: Expr, value: ExprOf<"selectExpr">, scope: Scope): Checked {
    if (value.operand === undefined) throw this.#flaw(expr, "is a field of nothing");
    const operand = this.check(value.operand, scope);
    const kind = this.#field(expr, operand.kind, value.field);
    if (!value.testOnly) {
      return { kind, expr: { ...expr, exprKind: { case: "selectExpr", value: { ...value, operand: operand.expr } } } };
    }
    return {
      kind: BOOL,
      expr: call(expr, HAS, [operand.expr, constant(expr, { case: "stringValue", value: value.field })]),
    };
  }

  #field(expr: Expr, kind: Kind, name: string): Kind {
    if (kind.is === "unknown") return UNKNOWN;
    if (kind.is === "map" && mayMeet(kind.key, TEXT)) return kind.of;
    if (kind.is !== "message") {
      const hint = kind.is === "list" ? "; for one that has it: list.exists(x, x.…)" : "";
      throw this.#flaw(expr, `${nameOf(kind)} has no ${JSON.stringify(name)}${hint}`);
    }
    const field = kind.type.fields.find((candidate) => candidate.name === name);
    if (field !== undefined) return fieldKind(field);
    const names = kind.type.fields.map((candidate) => candidate.name).join(", ");
    throw this.#flaw(expr, `${kind.type.typeName} has no ${JSON.stringify(name)}; it has ${names}`);
  }

  #call(expr: Expr, value: ExprOf<"callExpr">, scope: Scope): Checked {
    const target = value.target === undefined ? undefined : this.check(value.target, scope);
    const args = value.args.map((arg) => this.check(arg, scope));
    const judged = judgeCall(
      value.function,
      target?.kind,
      args.map((arg) => arg.kind),
    );
    if (judged.flaw !== undefined) throw this.#flaw(expr, judged.flaw);
    const checked = {
      ...value,
      args: args.map((arg) => arg.expr),
      ...(target === undefined ? {} : { target: target.expr }),
    };
    return { kind: judged.kind, expr: { ...expr, exprKind: { case: "callExpr", value: checked } } };
  }

  #list(expr: Expr, value: ExprOf<"listExpr">, scope: Scope): Checked {
    const elements = value.elements.map((element) => this.check(element, scope));
    const items = elements.map((element) => element.kind);
    const first = items[0];
    const of = first !== undefined && items.every((kind) => kind.is === first.is) ? unliteral(first) : UNKNOWN;
    const checked = { ...value, elements: elements.map((element) => element.expr) };
    return { kind: { is: "list", of, items }, expr: { ...expr, exprKind: { case: "listExpr", value: checked } } };
  }

  #map(expr: Expr, value: ExprOf<"structExpr">, scope: Scope): Checked {
    if (value.messageName !== "") throw this.#flaw(expr, "a filter makes no messages");
    const entries = value.entries.map((entry) => {
      if (entry.keyKind.case !== "mapKey" || entry.value === undefined) throw this.#flaw(expr, "is no map");
      const key = this.check(entry.keyKind.value, scope).expr;
      return { ...entry, keyKind: { case: "mapKey" as const, value: key }, value: this.check(entry.value, scope).expr };
    });
    const kind: Kind = { is: "map", key: UNKNOWN, of: UNKNOWN };
    return { kind, expr: { ...expr, exprKind: { case: "structExpr", value: { ...value, entries } } } };
  }

  /** `all`, `exists`, `exists_one`, `filter` and `map`, which the parser has written out. */
  #loop(expr: Expr, value: ExprOf<"comprehensionExpr">, scope: Scope): Checked {
    const { iterRange, accuInit, loopCondition, loopStep, result } = value;
    if (!iterRange || !accuInit || !loopCondition || !loopStep || !result) throw this.#flaw(expr, "is no loop");
    if (scope.inLoop) throw this.#flaw(expr, "a loop stands in a loop; filters have none of these");
    const range = this.check(iterRange, scope);
    const start = this.check(accuInit, scope);
    const names = new Map(scope.names)
      .set(value.accuVar, unliteral(start.kind))
      .set(value.iterVar, this.#element(expr, range.kind));
    const inside = { names, inLoop: true, depth: scope.depth };
    const before = this.#nodes;
    const condition = this.check(loopCondition, inside);
    const step = this.check(loopStep, inside);
    const units = Math.ceil((this.#nodes - before) / LOOPED_NODES_PER_UNIT);
    const cost = constant(expr, { case: "int64Value", value: BigInt(units) });
    const end = this.check(result, { ...inside, inLoop: false });
    const checked = {
      ...value,
      iterRange: call(expr, RANGE, [range.expr]),
      accuInit: start.expr,
      loopCondition: call(expr, ROUND, [cost, condition.expr]),
      loopStep: step.expr,
      result: end.expr,
    };
    return { kind: end.kind, expr: { ...expr, exprKind: { case: "comprehensionExpr", value: checked } } };
  }

  #element(expr: Expr, range: Kind): Kind {
    switch (range.is) {
      case "list":
        return range.of;
      case "map":
        return range.key;
      case "unknown":
        return UNKNOWN;
      default:
        throw this.#flaw(expr, `a loop goes over a list or a map, and this is ${nameOf(range)}`);
    }
  }
}

function constantKind({ constantKind: constant }: ExprOf<"constExpr">): Kind {
  switch (constant.case) {
    case "stringValue":
      return { is: "text", literal: constant.value };
    case "boolValue":
      return BOOL;
    case "nullValue":
      return { is: "null" };
    case "bytesValue":
      return { is: "bytes" };
    default:
      return NUMBER;
  }
}

/** Of more than the one that is written out. */
function unliteral(kind: Kind): Kind {
  if (kind.is === "text") return TEXT;
  return kind.is === "list" ? { is: "list", of: kind.items?.length === 0 ? UNKNOWN : kind.of } : kind;
}

/** In the place of `at`, and so of its id: what fails in it is shown there. */
function call(at: Expr, name: string, args: Expr[]): Expr {
  const value = { $typeName: "cel.expr.Expr.Call" as const, function: name, args };
  return { $typeName: "cel.expr.Expr", id: at.id, exprKind: { case: "callExpr", value } };
}

function constant(at: Expr, constantKind: ExprOf<"constExpr">["constantKind"]): Expr {
  const value = { $typeName: "cel.expr.Constant" as const, constantKind };
  return { $typeName: "cel.expr.Expr", id: at.id, exprKind: { case: "constExpr", value } };
}
