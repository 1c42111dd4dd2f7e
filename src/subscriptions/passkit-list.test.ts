import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { MembershipEventId, type SinkSubscription, SinkSubscriptionSchema } from "../../gen/io/integrations_pb.js";
import { PassProtocol } from "../../gen/io/pass_pb.js";
import { ListRequestDeprecatedSchema, ListRequestSchema, Operator } from "../../gen/io/query_pb.js";
import { refusal } from "../../test/support/subscriptions.ts";
import { readDeprecatedListRequest, readListRequest, type SinkQuery } from "./passkit-list.ts";

type ListInit = MessageInitShape<typeof ListRequestSchema>;
type DeprecatedInit = MessageInitShape<typeof ListRequestDeprecatedSchema>;

const read = (init: ListInit) => readListRequest(create(ListRequestSchema, init));
const readOld = (init: DeprecatedInit) => readDeprecatedListRequest(create(ListRequestDeprecatedSchema, init));

const SINKS: readonly SinkSubscription[] = [
  { id: "a", classId: "c1", protocol: PassProtocol.MEMBERSHIP, passEventId: [1, 2], status: 2, at: 3 },
  { id: "b", classId: "c1", protocol: PassProtocol.MEMBERSHIP, passEventId: [4], status: 1, at: 1 },
  { id: "c", classId: "c2", protocol: PassProtocol.SINGLE_USE_COUPON, passEventId: [1], status: 2, at: 2 },
].map(({ at, ...init }) =>
  create(SinkSubscriptionSchema, {
    ...init,
    configType: 1,
    createdAt: timestampFromMs(at),
    updatedAt: timestampFromMs(9 - at),
  }),
);

const member = create(SinkSubscriptionSchema, {
  id: "m",
  protocolEventId: { case: "membershipEvents", value: { ids: [MembershipEventId.MEMBER_EVENT_ENROLLED] } },
});

function found({ matches, compare }: SinkQuery, sinks = SINKS): string {
  const matching = sinks.filter(matches);
  return (compare === undefined ? matching : matching.toSorted(compare)).map(({ id }) => id).join("");
}

const filters = (...fields: readonly (readonly [string, string, string?])[]) => [
  {
    fieldFilters: fields.map(([filterField, filterValue, filterOperator = "eq"]) => ({
      filterField,
      filterValue,
      filterOperator,
    })),
  },
];

describe("what a list is narrowed to", () => {
  test.each<[string, ListInit, string]>([
    ["nothing", {}, "abc"],
    ["a protocol", { protocol: PassProtocol.MEMBERSHIP }, "ab"],
    ["a status by name", { filters: { filterGroups: filters(["status", "INTEGRATION_ACTIVE"]) } }, "ac"],
    [
      "an event among others",
      { filters: { filterGroups: filters(["passEventId", "PASS_EVENT_RECORD_CREATED"]) } },
      "ac",
    ],
    ["an id", { filters: { filterGroups: filters(["id", "b"]) } }, "b"],
    ["a class", { filters: { filterGroups: filters(["classId", "c2"]) } }, "c"],
    ["a protocol by name", { filters: { filterGroups: filters(["protocol", "SINGLE_USE_COUPON"]) } }, "c"],
    ["a kind", { filters: { filterGroups: filters(["configType", "ZAPIER"]) } }, ""],
    [
      "both of a group",
      { filters: { filterGroups: filters(["status", "INTEGRATION_ACTIVE"], ["classId", "c1"]) } },
      "a",
    ],
    [
      "either of a group",
      {
        filters: {
          filterGroups: filters(["id", "b"], ["id", "c"]).map((group) => ({ ...group, condition: Operator.OR })),
        },
      },
      "bc",
    ],
    [
      "two groups, which must both hold",
      { filters: { filterGroups: [...filters(["classId", "c1"]), ...filters(["id", "a"])] } },
      "a",
    ],
    ["an empty group of either", { filters: { filterGroups: [{ condition: Operator.OR }] } }, "abc"],
  ])("%s", (_, request, expected) => {
    expect(found(read(request))).toBe(expected);
  });

  test("a protocol lists those for any protocol too", () => {
    const any = create(SinkSubscriptionSchema, { id: "z" });
    expect(found(read({ protocol: PassProtocol.MEMBERSHIP }), [...SINKS, any])).toBe("abz");
    expect(found(readOld({ protocol: PassProtocol.SINGLE_USE_COUPON }), [...SINKS, any])).toBe("cz");
  });

  test("the protocol's events by name", () => {
    const of = (field: string, name: string) => read({ filters: { filterGroups: filters([field, name]) } });
    expect(found(of("membershipEvents", "MEMBER_EVENT_ENROLLED"), [member])).toBe("m");
    expect(found(of("membershipEvents", "MEMBER_EVENT_UPDATED"), [member])).toBe("");
    expect(found(of("couponEvents", "COUPON_EVENT_CREATED"), [member])).toBe("");
  });

  test("the class is for the store to narrow", () => {
    expect(read({ classId: "c1" }).classId).toBe("c1");
    expect(read({}).classId).toBeUndefined();
  });
});

describe("pages and orders", () => {
  test.each([
    [undefined, Number.POSITIVE_INFINITY],
    [-1, Number.POSITIVE_INFINITY],
    [0, Number.POSITIVE_INFINITY],
    [7, 7],
  ])("the limit %s is %d", (limit, expected) => {
    expect(read(limit === undefined ? {} : { filters: { limit } }).limit).toBe(expected);
  });

  test.each([
    ["", false, undefined],
    ["createdAt", false, undefined],
    ["", true, "bca"],
    ["createdAt", true, "bca"],
    ["updatedAt", true, "acb"],
    ["updatedAt", false, "bca"],
    ["id", false, "cba"],
    ["classId", false, "cba"],
    ["status", true, "bac"],
    ["protocol", true, "abc"],
  ])("by %j, ascending %s", (orderBy, orderAsc, expected) => {
    const query = read({ filters: { orderBy, orderAsc, offset: 2 } });
    expect(query.compare === undefined ? undefined : found(query)).toBe(expected);
    expect(query.offset).toBe(2);
  });
});

describe("the older form", () => {
  test("has its filters side by side", () => {
    const pagination = {
      limit: 2,
      offset: 1,
      filterField: ["status", "classId"],
      filterValue: ["INTEGRATION_ACTIVE", "c2"],
      filterOperator: ["eq", "eq"],
      orderBy: "id",
      orderAsc: true,
    };
    const query = readOld({ classId: "c", protocol: PassProtocol.SINGLE_USE_COUPON, pagination });
    expect(query).toMatchObject({ classId: "c", limit: 2, offset: 1 });
    expect(found(query)).toBe("c");
    expect(found(readOld({}))).toBe("abc");
  });

  test.each<[DeprecatedInit, readonly string[]]>([
    [{ pagination: { filterField: ["id"] } }, ["pagination.filterField", "pagination.filterOperator[0]"]],
    [
      { pagination: { filterField: ["url"], filterValue: ["x"], filterOperator: ["eq"], limit: -2 } },
      ["pagination.filterField[0]", "pagination.limit"],
    ],
  ])("%j is refused", async (request, fields) => {
    const error = await refusal((async () => readOld(request))());
    expect(error.violations.map(({ field }) => field)).toEqual(fields);
  });
});

describe("a request that can't be answered is refused by the field's name", () => {
  const filter = "filters.filterGroups[0].fieldFilters[0]";
  test.each<[ListInit, string]>([
    [{ protocol: 99 as never }, "protocol"],
    [{ filters: { limit: -2 } }, "filters.limit"],
    [{ filters: { offset: -1 } }, "filters.offset"],
    [{ filters: { orderBy: "configuration" } }, "filters.orderBy"],
    [{ filters: { filterGroups: filters(["status", "2"]) } }, `${filter}.filterValue`],
    [{ filters: { filterGroups: filters(["status", "integration_active"]) } }, `${filter}.filterValue`],
    [{ filters: { filterGroups: filters(["configuration", "x"]) } }, `${filter}.filterField`],
    [{ filters: { filterGroups: filters(["id", "x", "like"]) } }, `${filter}.filterOperator`],
    [{ filters: { filterGroups: filters(["id", "x", ""]) } }, `${filter}.filterOperator`],
    [{ filters: { filterGroups: [{ condition: 7 as never }] } }, "filters.filterGroups[0].condition"],
  ])("%j", async (request, field) => {
    const error = await refusal((async () => read(request))());
    expect(error.violations.map((violation) => violation.field)).toEqual([field]);
  });
});
