/** Which operators and functions a filter may use, on what, and what they give. */
import { BOOL, comparisonFlaw, type Kind, mayMeet, NUMBER, nameOf, TEXT, UNKNOWN } from "./filter-kinds.ts";
import { isTimeZone, TIME_GETTERS } from "./filter-time.ts";

export interface JudgedCall {
  readonly kind: Kind;
  readonly flaw?: string | undefined;
}

type Judge = (args: readonly Kind[], target: Kind | undefined) => JudgedCall;

/** How a function is called: `f(x)`, `x.f()`, or both ways. */
interface FilterFunction {
  readonly form: "function" | "method" | "either";
  /** What it is called on: the target of a method, the first argument of a function. */
  readonly on: readonly Kind[];
  /** What it takes besides, at most; of a method all but the target. */
  readonly takes: readonly Kind[];
  /** How many of these must be there. */
  readonly least: number;
  readonly gives: Kind;
}

const TIME: Kind = { is: "time" };
const DURATION: Kind = { is: "duration" };
const LIST: Kind = { is: "list", of: UNKNOWN };
const MAP: Kind = { is: "map", key: UNKNOWN, of: UNKNOWN };

const METHODS: readonly (readonly [string, FilterFunction])[] = [
  ["contains", method([TEXT], [TEXT], BOOL)],
  ["startsWith", method([TEXT], [TEXT], BOOL)],
  ["endsWith", method([TEXT], [TEXT], BOOL)],
  ["lowerAscii", method([TEXT], [], TEXT)],
  ["size", { form: "either", on: [TEXT, LIST, MAP], takes: [], least: 0, gives: NUMBER }],
  ...[...TIME_GETTERS.keys()].map((name): [string, FilterFunction] => [
    name,
    { form: "method", on: [TIME, DURATION], takes: [TEXT], least: 0, gives: NUMBER },
  ]),
];

const CONVERSIONS: readonly (readonly [string, FilterFunction])[] = [
  ["int", conversion([NUMBER, TEXT, TIME, DURATION], NUMBER)],
  ["double", conversion([NUMBER, TEXT], NUMBER)],
  ["string", conversion([TEXT, NUMBER, BOOL, TIME, DURATION], TEXT)],
  ["bool", conversion([BOOL, TEXT], BOOL)],
  ["timestamp", conversion([TEXT, TIME, NUMBER], TIME)],
  ["duration", conversion([TEXT, DURATION, NUMBER], DURATION)],
  ["type", conversion([UNKNOWN], { is: "type" })],
];

/** All that may be called by a name. `has`, `all`, `exists`, `exists_one`, `filter` and `map` are no calls to CEL. */
const FUNCTIONS: ReadonlyMap<string, FilterFunction> = new Map([...METHODS, ...CONVERSIONS]);

/** Why a function of CEL is not among them. */
const REFUSED: ReadonlyMap<string, string> = new Map([
  ["matches", "matches is left out, since nobody can say what a pattern costs; use startsWith, endsWith or contains"],
  ["has", "has asks for a field: has(event.scan)"],
]);

const OPERATORS: ReadonlyMap<string, Judge> = new Map<string, Judge>([
  ["_&&_", (args) => ({ kind: BOOL, flaw: boolFlaw(args) })],
  ["_||_", (args) => ({ kind: BOOL, flaw: boolFlaw(args) })],
  ["!_", (args) => ({ kind: BOOL, flaw: boolFlaw(args) })],
  ["@not_strictly_false", () => ({ kind: BOOL })],
  ["_?_:_", ([condition = UNKNOWN, yes = UNKNOWN, no = UNKNOWN]) => choice(condition, yes, no)],
  ["_==_", ([left = UNKNOWN, right = UNKNOWN]) => ({ kind: BOOL, flaw: comparisonFlaw(left, right) })],
  ["_!=_", ([left = UNKNOWN, right = UNKNOWN]) => ({ kind: BOOL, flaw: comparisonFlaw(left, right) })],
  ["_<_", order],
  ["_<=_", order],
  ["_>_", order],
  ["_>=_", order],
  ["@in", ([value = UNKNOWN, within = UNKNOWN]) => ({ kind: BOOL, flaw: membershipFlaw(value, within) })],
  ["_[_]", ([of = UNKNOWN, key = UNKNOWN]) => entry(of, key)],
  ["_+_", arithmetic],
  ["_-_", arithmetic],
  ["_*_", arithmetic],
  ["_/_", arithmetic],
  ["_%_", arithmetic],
  [
    "-_",
    ([value = UNKNOWN]) => ({
      kind: NUMBER,
      flaw: isOneOf(value, [NUMBER, DURATION]) ? undefined : `-${nameOf(value)}?`,
    }),
  ],
]);

export function judgeCall(name: string, target: Kind | undefined, args: readonly Kind[]): JudgedCall {
  const operator = OPERATORS.get(name);
  if (operator !== undefined) return operator(args, target);
  const func = FUNCTIONS.get(name);
  if (func !== undefined) return { kind: func.gives, flaw: functionFlaw(name, func, target, args) };
  const choices = [...FUNCTIONS.keys()].join(", ");
  return {
    kind: UNKNOWN,
    flaw: REFUSED.get(name) ?? `there is no function ${JSON.stringify(name)}; there are ${choices}`,
  };
}

function method(on: readonly Kind[], takes: readonly Kind[], gives: Kind): FilterFunction {
  return { form: "method", on, takes, least: takes.length, gives };
}

function conversion(on: readonly Kind[], gives: Kind): FilterFunction {
  return { form: "function", on, takes: [], least: 0, gives };
}

function functionFlaw(
  name: string,
  func: FilterFunction,
  target: Kind | undefined,
  args: readonly Kind[],
): string | undefined {
  if (target === undefined && func.form === "method") return `${name} is called as text.${name}(…)`;
  if (target !== undefined && func.form === "function") return `${name} is called as ${name}(…)`;
  const [on, ...others] = target === undefined ? args : [target, ...args];
  if (on === undefined || others.length < func.least || others.length > func.takes.length) {
    return `${name} is called with ${args.length} arguments`;
  }
  if (!isOneOf(on, func.on)) return `${name} is for ${func.on.map(nameOf).join(" or ")}, and this is ${nameOf(on)}`;
  const wrong = others.find((kind, at) => !mayMeet(kind, func.takes[at] ?? UNKNOWN));
  if (wrong !== undefined) return `${name} does not take ${nameOf(wrong)}`;
  const [zone] = others;
  return TIME_GETTERS.has(name) && zone !== undefined ? zoneFlaw(zone) : undefined;
}

function zoneFlaw(zone: Kind): string | undefined {
  const literal = zone.is === "text" ? zone.literal : undefined;
  if (literal === undefined) return "a time zone must be written out";
  return isTimeZone(literal)
    ? undefined
    : `${JSON.stringify(literal)} is no time zone; use "Europe/Berlin" or "+01:00"`;
}

function boolFlaw(args: readonly Kind[]): string | undefined {
  const wrong = args.find((kind) => !mayMeet(kind, BOOL));
  return wrong === undefined
    ? undefined
    : `&&, ||, ! and ?: are for what is true or false, and this is ${nameOf(wrong)}`;
}

function choice(condition: Kind, yes: Kind, no: Kind): JudgedCall {
  return { kind: yes.is === no.is && yes.is !== "message" ? general(yes) : UNKNOWN, flaw: boolFlaw([condition]) };
}

/** Two enums, lists or maps may have different names and elements. */
function general(kind: Kind): Kind {
  switch (kind.is) {
    case "enum":
    case "text":
      return TEXT;
    case "list":
      return LIST;
    case "map":
      return MAP;
    default:
      return kind;
  }
}

function order([left = UNKNOWN, right = UNKNOWN]: readonly Kind[]): JudgedCall {
  const ordered = [NUMBER, TEXT, TIME, DURATION, BOOL];
  const wrong = [left, right].find((kind) => !isOneOf(kind, ordered));
  if (wrong !== undefined) return { kind: BOOL, flaw: `${nameOf(wrong)} has no order` };
  return { kind: BOOL, flaw: mayMeet(left, right) ? undefined : `${nameOf(left)} is compared with ${nameOf(right)}` };
}

function membershipFlaw(value: Kind, within: Kind): string | undefined {
  switch (within.is) {
    case "list": {
      const items = within.items ?? [within.of];
      return items.map((item) => comparisonFlaw(value, item)).find((flaw) => flaw !== undefined);
    }
    case "map":
      return comparisonFlaw(value, within.key);
    case "unknown":
      return undefined;
    default:
      return `"in" looks into a list or a map, and this is ${nameOf(within)}`;
  }
}

function entry(of: Kind, key: Kind): JudgedCall {
  switch (of.is) {
    case "list":
      return {
        kind: of.of,
        flaw: mayMeet(key, NUMBER) ? undefined : `a list is read by number, not by ${nameOf(key)}`,
      };
    case "map":
      return { kind: of.of, flaw: mayMeet(key, of.key) ? undefined : `this map has no key that is ${nameOf(key)}` };
    case "unknown":
      return { kind: UNKNOWN };
    default:
      return { kind: UNKNOWN, flaw: `[…] reads a list or a map, and this is ${nameOf(of)}` };
  }
}

function arithmetic([left = UNKNOWN, right = UNKNOWN]: readonly Kind[]): JudgedCall {
  const wrong = [left, right].find((kind) => !isOneOf(kind, [NUMBER, TEXT, TIME, DURATION, LIST]));
  if (wrong !== undefined) return { kind: UNKNOWN, flaw: `${nameOf(wrong)} is no number` };
  const areTimes = [left, right].every((kind) => isOneOf(kind, [TIME, DURATION]));
  if (!mayMeet(left, right) && !areTimes) {
    return { kind: UNKNOWN, flaw: `${nameOf(left)} and ${nameOf(right)} do not go together` };
  }
  if (left.is === "unknown" || areTimes) return { kind: UNKNOWN };
  return { kind: general(left) };
}

function isOneOf(kind: Kind, kinds: readonly Kind[]): boolean {
  return kinds.some((candidate) => mayMeet(kind, candidate));
}
