/** PassKit's way of asking for a list (`io.Filters`, `io.Pagination`), read into a question that can be answered. */
import type { DescEnum } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import {
  ConfigurationTypeSchema,
  CouponEventIdSchema,
  IntegrationStatusSchema,
  MembershipEventIdSchema,
  PassEventIdSchema,
  type SinkSubscription,
} from "../../gen/io/integrations_pb.js";
import { type PassProtocol, PassProtocolSchema } from "../../gen/io/pass_pb.js";
import {
  type FieldFilter,
  type FilterGroup,
  type ListRequest,
  type ListRequestDeprecated,
  Operator,
  OperatorSchema,
} from "../../gen/io/query_pb.js";
import { isPassProtocol } from "../domain/pass-protocol.ts";
import { type FieldViolation, invalidFields } from "../kernel/errors.ts";
import { wrongValue } from "./passkit-events.ts";

type Test = (sink: SinkSubscription) => boolean;

export interface SinkQuery {
  /** Undefined: every class's. */
  readonly classId?: string;
  readonly matches: Test;
  readonly offset: number;
  /** Infinity: all. */
  readonly limit: number;
  /** Undefined: the newest first, which is how the store has them. */
  readonly compare?: (left: SinkSubscription, right: SinkSubscription) => number;
}

/** @throws CodedError `request.invalid`. */
export function readListRequest({ classId, protocol, filters }: ListRequest): SinkQuery {
  const wrong: FieldViolation[] = [];
  const tests = (filters?.filterGroups ?? []).map((group, at) =>
    groupTest(group, `filters.filterGroups[${at}]`, wrong),
  );
  return query({ classId, protocol }, tests, filters ?? NO_PAGE, "filters", wrong);
}

/** The older form: three lists side by side, all of which must hold. @throws CodedError `request.invalid`. */
export function readDeprecatedListRequest({ classId, protocol, pagination }: ListRequestDeprecated): SinkQuery {
  const wrong: FieldViolation[] = [];
  const { filterField = [], filterValue = [], filterOperator = [] } = pagination ?? {};
  if (filterField.length !== filterValue.length || filterField.length !== filterOperator.length) {
    const description = "must be as long as filterValue and filterOperator";
    wrong.push({ field: "pagination.filterField", description });
  }
  const tests = filterField.map((field, at) => {
    const names = { field: `filterField[${at}]`, value: `filterValue[${at}]`, operator: `filterOperator[${at}]` };
    return fieldTest(field, filterValue[at] ?? "", filterOperator[at] ?? "", "pagination", names, wrong);
  });
  return query({ classId, protocol }, tests, pagination ?? NO_PAGE, "pagination", wrong);
}

interface Paging {
  readonly limit: number;
  readonly offset: number;
  readonly orderBy: string;
  readonly orderAsc: boolean;
}

const NO_PAGE: Paging = { limit: -1, offset: 0, orderBy: "", orderAsc: false };

function query(
  { classId, protocol }: { readonly classId: string; readonly protocol: PassProtocol },
  tests: readonly Test[],
  paging: Paging,
  root: string,
  wrong: FieldViolation[],
): SinkQuery {
  if (!isPassProtocol(protocol)) {
    wrong.push({ field: "protocol", description: wrongValue(PassProtocolSchema, protocol) });
  }
  const { limit, offset } = paging;
  if (limit < -1) wrong.push({ field: `${root}.limit`, description: "must be 1 or more; -1 and 0 stand for all" });
  if (offset < 0) wrong.push({ field: `${root}.offset`, description: "must be 0 or more" });
  const compare = orderOf(paging, root, wrong);
  if (wrong.length > 0) throw invalidFields(wrong);
  return {
    ...(classId === "" ? {} : { classId }),
    matches: (sink) => isOf(protocol, sink) && tests.every((test) => test(sink)),
    offset,
    limit: limit <= 0 ? Number.POSITIVE_INFINITY : limit,
    ...(compare === undefined ? {} : { compare }),
  };
}

/** One for any protocol (made in passbus.v1) is listed under each, as PassKit's get finds it. */
function isOf(protocol: PassProtocol, sink: SinkSubscription): boolean {
  return protocol === 0 || sink.protocol === 0 || sink.protocol === protocol;
}

function groupTest({ condition, fieldFilters }: FilterGroup, root: string, wrong: FieldViolation[]): Test {
  if (OperatorSchema.value[condition] === undefined) {
    wrong.push({
      field: `${root}.condition`,
      description: `${condition} is not a value of io.Operator; use AND or OR`,
    });
  }
  const tests = fieldFilters.map(({ filterField, filterValue, filterOperator }: FieldFilter, at) =>
    fieldTest(filterField, filterValue, filterOperator, `${root}.fieldFilters[${at}]`, FIELD_FILTER, wrong),
  );
  // A group of nothing narrows nothing, whatever joins it.
  if (tests.length === 0) return () => true;
  return condition === Operator.OR
    ? (sink) => tests.some((test) => test(sink))
    : (sink) => tests.every((test) => test(sink));
}

interface Filterable {
  /** Its values are named; absent: text. */
  readonly names?: DescEnum;
  values(sink: SinkSubscription): readonly (string | number)[];
}

const FILTERABLE: ReadonlyMap<string, Filterable> = new Map<string, Filterable>([
  ["id", { values: (sink) => [sink.id] }],
  ["classId", { values: (sink) => [sink.classId] }],
  ["protocol", { names: PassProtocolSchema, values: (sink) => [sink.protocol] }],
  ["passEventId", { names: PassEventIdSchema, values: (sink) => sink.passEventId }],
  ["status", { names: IntegrationStatusSchema, values: (sink) => [sink.status] }],
  ["configType", { names: ConfigurationTypeSchema, values: (sink) => [sink.configType] }],
  ["membershipEvents", { names: MembershipEventIdSchema, values: (sink) => protocolIds(sink, "membershipEvents") }],
  ["couponEvents", { names: CouponEventIdSchema, values: (sink) => protocolIds(sink, "couponEvents") }],
]);

function protocolIds({ protocolEventId: chosen }: SinkSubscription, kind: "membershipEvents" | "couponEvents") {
  return chosen.case === kind ? chosen.value.ids : [];
}

const FIELD_FILTER = { field: "filterField", value: "filterValue", operator: "filterOperator" };

function fieldTest(
  field: string,
  value: string,
  operator: string,
  root: string,
  names: typeof FIELD_FILTER,
  wrong: FieldViolation[],
): Test {
  const say = (name: string, description: string) => wrong.push({ field: `${root}.${name}`, description });
  if (operator !== "eq") say(names.operator, `${JSON.stringify(operator)} is no operator here; use "eq"`);
  const filterable = FILTERABLE.get(field);
  if (filterable === undefined) {
    say(names.field, `${JSON.stringify(field)} can't be filtered by; use ${[...FILTERABLE.keys()].join(", ")}`);
    return () => false;
  }
  const { names: type, values } = filterable;
  if (type === undefined) return (sink) => values(sink).includes(value);
  const number = type.values.find(({ name }) => name === value)?.number;
  if (number === undefined) {
    const choice = type.values.map(({ name }) => name).join(", ");
    say(names.value, `${JSON.stringify(value)} is not the name of a value of ${type.typeName}; use ${choice}`);
    return () => false;
  }
  return (sink) => values(sink).includes(number);
}

type Key = (sink: SinkSubscription) => string | number;

const ORDERS: ReadonlyMap<string, Key> = new Map<string, Key>([
  ["createdAt", (sink) => (sink.createdAt === undefined ? 0 : timestampMs(sink.createdAt))],
  ["updatedAt", (sink) => (sink.updatedAt === undefined ? 0 : timestampMs(sink.updatedAt))],
  ["id", (sink) => sink.id],
  ["classId", (sink) => sink.classId],
  ["protocol", (sink) => sink.protocol],
  ["status", (sink) => sink.status],
]);

/** Equals are ordered by their ids, so that pages never overlap. */
function orderOf({ orderBy, orderAsc }: Paging, root: string, wrong: FieldViolation[]): SinkQuery["compare"] {
  const key = ORDERS.get(orderBy === "" ? "createdAt" : orderBy);
  if (key === undefined) {
    const choice = [...ORDERS.keys()].join(", ");
    wrong.push({ field: `${root}.orderBy`, description: `${JSON.stringify(orderBy)} is no order here; use ${choice}` });
    return undefined;
  }
  if (!orderAsc && (orderBy === "" || orderBy === "createdAt")) return undefined;
  const sign = orderAsc ? 1 : -1;
  return (left, right) => sign * (order(key(left), key(right)) || order(left.id, right.id));
}

function order(left: string | number, right: string | number): number {
  if (left === right) return 0;
  return left < right ? -1 : 1;
}
