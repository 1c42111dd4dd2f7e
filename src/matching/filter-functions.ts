/**
 * The functions that filters have: the library's, each charged for what it does with texts and lists of any size, and a
 * few of our own in the place of the library's that would cost too much.
 */
import {
  type CelEnv,
  type CelFunc,
  type CelList,
  CelScalar,
  type CelValue,
  celEnv,
  celFunc,
  celMethod,
  isCelError,
  isCelList,
  isCelMap,
  listType,
} from "@bufbuild/cel";
import { hasKey } from "./filter-event.ts";
import type { CostMeter } from "./filter-meter.ts";
import { timeFunctions } from "./filter-time.ts";

const { BOOL, DYN, INT, STRING } = CelScalar;
const LIST = listType(DYN);

/** In the place of `has(a.b)`: takes `a` and "b". */
export const HAS = "@has";
/** Round what a loop runs over. */
export const RANGE = "@range";
/** Round a loop's condition, with what one of its rounds costs. */
export const ROUND = "@round";

/** Characters of two texts compared, or of one copied, for a unit. */
const COMPARED_PER_UNIT = 4_096;
/** Characters looked at one by one. */
const WALKED_PER_UNIT = 256;
/** Characters of a text times those of what is looked for in it: nobody promises that a search is better than that. */
const SEARCHED_PER_UNIT = 1_024;
/** A number, a time and a duration are shorter; a long run of digits costs its square. */
const CONVERTED_CHARACTERS = 64;

type Cost = (meter: CostMeter, target: CelValue | undefined, args: readonly CelValue[]) => void;

const comparing: Cost = (meter, _target, [left, right]) => meter.charge(weight(meter, left, right));

const converting: Cost = (meter, _target, [value]) => {
  meter.charge(1);
  if (typeof value === "string" && value.length > CONVERTED_CHARACTERS) {
    throw new Error(`a text of more than ${CONVERTED_CHARACTERS} characters is not converted`);
  }
};

const COSTS: ReadonlyMap<string, Cost> = new Map<string, Cost>([
  ["_==_", comparing],
  ["_!=_", comparing],
  ...["_<_", "_<=_", "_>_", "_>=_"].map((name): [string, Cost] => [
    name,
    (meter, _target, [left, right]) =>
      meter.chargeText(1 + Math.min(textLength(left), textLength(right)), WALKED_PER_UNIT),
  ]),
  [
    "@in",
    (meter, _target, [value, list]) => meter.charge(isCelList(list) ? list.size * weight(meter, value, value) : 1),
  ],
  [
    "_+_",
    (meter, _target, [left, right]) => meter.chargeText(1 + textLength(left) + textLength(right), COMPARED_PER_UNIT),
  ],
  ["startsWith", (meter, _target, [part]) => meter.chargeText(1 + textLength(part), COMPARED_PER_UNIT)],
  ["endsWith", (meter, _target, [part]) => meter.chargeText(1 + textLength(part), COMPARED_PER_UNIT)],
  [
    "contains",
    (meter, target, [part]) => meter.chargeText((1 + textLength(target)) * (1 + textLength(part)), SEARCHED_PER_UNIT),
  ],
  ["int", converting],
  ["double", converting],
  ["bool", converting],
  ["string", (meter) => meter.charge(1)],
  ["timestamp", converting],
  ["duration", converting],
]);

/** The environment in which filters are planned and run; all of its costs go to one meter. */
export function filterEnvironment(meter: CostMeter): CelEnv {
  const charged = [...celEnv().funcs].flatMap((func) => {
    const cost = COSTS.get(func.name);
    return cost === undefined ? [] : [chargedFunction(meter, func, cost)];
  });
  return celEnv({ funcs: [...charged, ...ownFunctions(meter), ...timeFunctions(meter)] });
}

function chargedFunction(meter: CostMeter, func: CelFunc, cost: Cost): CelFunc {
  const { name, target, arguments: takes, result } = func;
  const call = (given: CelValue | undefined, args: readonly CelValue[]): CelValue => {
    cost(meter, given, args);
    const answer = func.call(0, given, [...args]);
    if (answer === undefined) throw new Error(`found no matching overload for ${name}`);
    if (isCelError(answer)) throw answer;
    return answer;
  };
  if (target === undefined) return celFunc(name, takes, result, (...args: CelValue[]) => call(undefined, args));
  return celMethod(name, target, takes, result, function (...args: CelValue[]) {
    return call(this, args);
  });
}

function ownFunctions(meter: CostMeter): readonly CelFunc[] {
  const codePoints = (text: string) => {
    meter.chargeText(1 + text.length, WALKED_PER_UNIT);
    let count = 0;
    for (let at = 0; at < text.length; at += (text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1) count++;
    return BigInt(count);
  };
  return [
    celFunc("size", [STRING], INT, codePoints),
    celMethod("size", STRING, [], INT, function () {
      return codePoints(String(this));
    }),
    celMethod("lowerAscii", STRING, [], STRING, function () {
      meter.chargeText(1 + this.length, WALKED_PER_UNIT);
      return this.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
    }),
    // The library chains lists, and every step of a `map` or `filter` would go down the chain.
    celFunc("_+_", [LIST, LIST], LIST, (left: CelList, right: CelList) => {
      meter.charge(1 + Math.ceil((left.size + right.size) / 8));
      return [...left, ...right];
    }),
    celFunc(HAS, [DYN, STRING], BOOL, (value: CelValue, name: string) => {
      if (!isCelMap(value)) throw new Error(`has(x.${name}) of something that has no fields`);
      return hasKey(value, name);
    }),
    celFunc(RANGE, [DYN], DYN, (value: CelValue) => {
      if (isCelList(value) || isCelMap(value)) meter.charge(1 + Math.ceil(value.size / 4));
      return value;
    }),
    celFunc(ROUND, [INT, DYN], DYN, (units: bigint, condition: CelValue) => {
      meter.charge(Number(units));
      return condition;
    }),
  ];
}

function textLength(value: CelValue | undefined): number {
  return typeof value === "string" ? value.length : 0;
}

/** What comparing the two costs at most: a comparison goes no further into one than there is of the other. */
function weight(meter: CostMeter, left: CelValue | undefined, right: CelValue | undefined): number {
  if (typeof left === "string") return 1 + Math.ceil(Math.min(left.length, textLength(right)) / COMPARED_PER_UNIT);
  if (!isCelList(left) && !isCelMap(left)) return 1;
  if (isCelList(left) ? !isCelList(right) : !isCelMap(right)) return 1;
  let units = 1 + left.size;
  for (const value of left.values()) {
    meter.charge(1);
    units += weight(meter, value, value);
  }
  return units;
}
