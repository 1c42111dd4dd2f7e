import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CouponEventId, MembershipEventId } from "../../gen/io/integrations_pb.js";
import { LifecycleEvents, PassProtocol, Status } from "../../gen/io/pass_pb.js";
import { PassEventSchema, PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { LIMITS } from "../kernel/limits.ts";
import { Filters, type FilterVerdict, filterFlaw } from "./filter.ts";
import { FilterFlaw } from "./filter-check.ts";

type Init = MessageInitShape<typeof PassEventSchema>;

const BYTES = 2_000;

/** A member's pass, installed on a phone of Apple's in London. */
const INSTALLED: Init = {
  id: "evt_1",
  type: PassEventType.INSTALLED,
  occurredAt: timestampFromDate(new Date("2026-03-29T00:30:00.250Z")),
  organisationId: "acme",
  environment: "production",
  entityId: "class-1",
  pass: {
    id: "pass-1",
    classId: "class-1",
    protocol: PassProtocol.MEMBERSHIP,
    personDetails: {
      emailAddress: "Ann@Example.COM",
      otherNames: ["Beth", "Cleo"],
      externalIds: { 7: "seven" },
      dateOfBirth: { year: 1990 },
    },
    metadata: {
      status: Status.PASS_INSTALLED,
      lifecycleEvents: [LifecycleEvents.RENDERED, LifecycleEvents.INSTALLED_APPLE],
      renderLocation: { country: "GB", latitude: 51.5 },
    },
    recordData: { "members.tier.id": "gold", empty: "" },
  },
  details: { content: { points: 120, vip: true, none: null, tags: ["a", "b"], deep: { list: [{ n: 1 }, { n: 2 }] } } },
  tokenGate: { nfts: [{ tokenId: "1" }, { tokenId: "2" }] },
  protocolEvent: { case: "membershipEvent", value: MembershipEventId.MEMBER_EVENT_ENROLLED },
};

function judge(text: string, init: Init = INSTALLED): FilterVerdict {
  const filters = new Filters();
  return filters.compile(text).judge(filters.read(create(PassEventSchema, init), BYTES));
}

function flaw(text: string): string {
  try {
    new Filters().compile(text);
  } catch (error) {
    if (error instanceof FilterFlaw) return error.message;
    throw error;
  }
  return "";
}

function says(text: string): boolean | string {
  const verdict = judge(text);
  return verdict.kind === "failed" ? verdict.failure.message : verdict.kind === "passed";
}

describe("what a filter sees", () => {
  test.each([
    [`event.id == "evt_1" && event.organisation_id == "acme" && event.environment == "production"`, true],
    [`event.entity_id == event.pass.classId`, true],
    [`event.type == "INSTALLED"`, true],
    [`event.type in ["CREATED", "UNINSTALLED"]`, false],
    [`event.type.endsWith("INSTALLED")`, true],
    [`event.pass.protocol == "MEMBERSHIP"`, true],
    [`event.pass.metadata.status != "PASS_INSTALLED"`, false],
    [`"INSTALLED_APPLE" in event.pass.metadata.lifecycleEvents`, true],
    [`event.pass.metadata.lifecycleEvents.exists(e, e == "INSTALLED_GOOGLE")`, false],
    [`event.membership_event == "MEMBER_EVENT_ENROLLED"`, true],
    [`event.pass.recordData["members.tier.id"] == "gold"`, true],
    [`"members.points" in event.pass.recordData`, false],
    [`event.pass.personDetails.externalIds[7] == "seven" && 7 in event.pass.personDetails.externalIds`, true],
    [`7.0 in event.pass.personDetails.externalIds || 8 in event.pass.personDetails.externalIds`, true],
    [`event.pass.personDetails.dateOfBirth.year < 2000`, true],
    [`event.pass.personDetails.otherNames[1] == "Cleo" && size(event.pass.personDetails.otherNames) == 2`, true],
    [`event.pass.personDetails.emailAddress.lowerAscii().endsWith("@example.com")`, true],
    [`event.pass.metadata.renderLocation.latitude > 51`, true],
    [`event.token_gate.nfts.exists(n, n.token_id == "2")`, true],
    [`event.token_gate.nfts.exists_one(n, n.token_id != "")`, false],
    [`event.token_gate.nfts.all(n, n.token_id.size() == 1)`, true],
    [`event.token_gate.nfts.map(n, n.token_id) == ["1", "2"]`, true],
    [`event.token_gate.nfts.filter(n, n.token_id > "1").size() == 1`, true],
    [`event.token_gate.nfts.map(n, n.token_id == "2", n.token_id)[0] == "2"`, true],
  ])("%s: %s", (text, expected) => {
    expect(says(text)).toBe(expected);
  });

  test.each([
    [`event.details.content.points >= 100 && event.details.content.points == 120`, true],
    [`event.details.content.vip`, true],
    [`event.details.content.none == null`, true],
    [`"b" in event.details.content.tags && event.details.content["tags"][0] == "a"`, true],
    [`event.details.content.deep.list.exists(x, x.n == 2)`, true],
    [`event.details.content.exists(key, key == "vip")`, true],
    [`type(event.details.content.points) == double && type(event.details.content.deep) == map`, true],
    [`event.details.content == event.details.content`, true],
    [`event.details.content.deep == {"list": [{"n": 1}, {"n": 2.0}]}`, true],
    [`event.details.content.deep == {"list": [{"n": 1}, {"n": 3}]}`, false],
  ])("content as it comes: %s: %s", (text, expected) => {
    expect(says(text)).toBe(expected);
  });

  test.each([
    [`has(event.pass) && has(event.pass.personDetails.dateOfBirth)`, true],
    [`has(event.scan) || has(event.pass.metadata.utm)`, false],
    [`has(event.membership_event) && !has(event.coupon_event)`, true],
    [`has(event.pass.recordData.empty) && !has(event.pass.recordData.nothing)`, true],
    [`has(event.details.content.none) && !has(event.details.content.nothing)`, true],
    [`has(event.details.content.deep.list)`, true],
    [`has({"a": 1}.a) && !has({"a": 1}.b)`, true],
    [`event.token_gate.nfts.exists(n, has(n.contract_address))`, false],
    [`event.scan.reader.name == "" && event.details.nfc == "" && !event.details.barcode.enabled`, true],
    [`event.coupon_event == "${CouponEventId[0]}" && event.pass.personDetails.gender == "NOT_KNOWN"`, true],
    [`event.scan.scanned_at == timestamp("1970-01-01T00:00:00Z") && event.details.content.size() == 5`, true],
  ])("what is set, and the defaults of what is not: %s: %s", (text, expected) => {
    expect(says(text)).toBe(expected);
  });

  test.each([
    [`event.occurred_at > timestamp("2026-03-28T23:59:59Z")`, true],
    [`event.occurred_at + duration("30m") == timestamp("2026-03-29T01:00:00.250Z")`, true],
    [`event.occurred_at.getHours() == 0 && event.occurred_at.getMinutes() == 30`, true],
    [`event.occurred_at.getMilliseconds() == 250 && event.occurred_at.getSeconds() == 0`, true],
    [`event.occurred_at.getFullYear() == 2026 && event.occurred_at.getMonth() == 2`, true],
    [`event.occurred_at.getDate() == 29 && event.occurred_at.getDayOfMonth() == 28`, true],
    [`event.occurred_at.getDayOfWeek() == 0 && event.occurred_at.getDayOfYear() == 87`, true],
    [
      `event.occurred_at.getHours("America/New_York") == 20 && event.occurred_at.getDate("America/New_York") == 28`,
      true,
    ],
    [`event.occurred_at.getHours("-05:30") == 19 && event.occurred_at.getHours("02:00") == 2`, true],
    // An hour that Berlin leaves out that night is none of the other zones'.
    [`(event.occurred_at + duration("2h")).getHours() == 2`, true],
    [`(event.occurred_at + duration("2h")).getHours("Europe/Berlin") == 4`, true],
    [`duration("90m").getHours() == 1`, true],
  ])("time: %s: %s", (text, expected) => {
    expect(says(text)).toBe(expected);
  });

  test("numbers of enums that this version does not know are text", () => {
    const verdict = judge(`event.pass.protocol == event.id`, { id: "777", pass: { protocol: 777 as PassProtocol } });
    expect(verdict).toEqual({ kind: "passed" });
  });
});

describe("a text that is no filter is refused, with its place and what would be right", () => {
  test.each([
    ["", /^at line 1, column 1: is not CEL/],
    [`event.type =\n= "INSTALLED"`, /^at line 1, column 12: is not CEL: found =/],
    [
      `event.type == "INSTALLED" &&\n  event.typ == "x"`,
      /^at line 2, column 8: passbus.v1.PassEvent has no "typ"; it has id, type,/,
    ],
    [`event.type == "INSTALED"`, /^at line 1, column 12: "INSTALED" is no PassEventType; use .*"INSTALLED"/],
    [`event.type == "PASS_EVENT_TYPE_INSTALLED"`, /"CREATED", "INSTALLED"/],
    [`event.type in ["INSTALLED", "created"]`, /"created" is no PassEventType/],
    [`"INSTALLED" in event.pass.metadata.lifecycleEvents`, /is no LifecycleEvents; use .*"INSTALLED_APPLE"/],
    [`event.pass.metadata.lifecycleEvents.exists(e, e == "APPLE")`, /"APPLE" is no LifecycleEvents/],
    [`event.type == 2`, /a number is no PassEventType/],
    [`event.pass.id`, /^must be true or false, and is a text$/],
    [`event.pass`, /^must be true or false, and is a Pass$/],
    [`!event.pass.id`, /&&, \|\|, ! and \?: are for what is true or false, and this is a text/],
    [`event.pass.id ? true : false`, /and this is a text/],
    [`event.pass.id == 5`, /a text never equals a number/],
    [`event.scan == null`, /a Scan never equals null; has\(…\) tells whether a field is set/],
    [`event.pass.id > 5`, /a text is compared with a number/],
    [`event.pass > event.pass`, /a Pass has no order/],
    [`1 in event.pass.recordData`, /a number never equals a text/],
    [`"a" in event.pass.id`, /"in" looks into a list or a map, and this is a text/],
    [`event.pass["id"] == "a"`, /\[…\] reads a list or a map, and this is a Pass/],
    [`event.token_gate.nfts["a"].token_id == ""`, /a list is read by number, not by a text/],
    [`event.token_gate.nfts.token_id == ""`, /a list has no "token_id"; for one that has it: list.exists/],
    [`event.token_gate.nfts.exists(n, n.id == "")`, /passbus.v1.Nft has no "id"/],
    [`event.pass.id.exists(n, true)`, /a loop goes over a list or a map, and this is a text/],
    [`pass.id == "a"`, /there is no "pass"; a filter sees "event", and a text stands in quotes/],
    [`event.type == INSTALLED`, /there is no "INSTALLED"/],
    [`event.pass.id.matches("a")`, /matches is left out, .* use startsWith, endsWith or contains/],
    [`event.pass.id.startswith("a")`, /there is no function "startswith"; there are contains, startsWith/],
    [`contains(event.pass.id, "a")`, /contains is called as text.contains\(…\)/],
    [`"1".int() == 1`, /int is called as int\(…\)/],
    [`event.pass.id.contains()`, /contains is called with 0 arguments/],
    [`event.pass.id.contains(1)`, /contains does not take a number/],
    [`event.pass.protocol + 1 == 2`, /a text and a number do not go together/],
    [`event.occurred_at.getHours("Berlin") == 1`, /"Berlin" is no time zone; use "Europe\/Berlin" or "\+01:00"/],
    [`event.occurred_at.getHours(event.pass.id) == 1`, /a time zone must be written out/],
    [`has(event)`, /has asks for a field/],
    [`passbus.v1.PassEvent{id: "a"} == event`, /a filter makes no messages/],
  ])("%s: %s", (text, expected) => {
    const samples = [create(PassEventSchema, INSTALLED)];
    expect(filterFlaw(text, samples)).toMatch(expected);
  });

  test("at the limits of length, parts and nesting, and one over", () => {
    const long = (characters: number) => `event.id != "${"a".repeat(characters - 14)}"`;
    expect(flaw(long(LIMITS.filterCharacters))).toBe("");
    expect(flaw(long(LIMITS.filterCharacters + 1))).toMatch(/must have at most 2048 characters, and has 2049/);
    const parts = (count: number) => `1 in [${"1,".repeat(count - 4)}1]`;
    expect(flaw(parts(LIMITS.filterNodes))).toBe("");
    expect(flaw(parts(LIMITS.filterNodes + 1))).toMatch(/has more than 400 parts/);
    const deep = (levels: number) => `0${"+1".repeat(levels - 2)} == 1`;
    expect(flaw(deep(LIMITS.filterDepth))).toBe("");
    expect(flaw(deep(LIMITS.filterDepth + 1))).toMatch(/nests deeper than 32 levels/);
    expect(flaw(`${"[".repeat(1_000)}1${"]".repeat(1_000)} == 1`)).toMatch(/nests/);
  });

  test("a loop in a loop, but not one after another", () => {
    const inner = `event.token_gate.nfts.exists(m, m.token_id == "1")`;
    expect(flaw(`event.token_gate.nfts.exists(n, ${inner})`)).toMatch(/a loop stands in a loop/);
    expect(flaw(`${inner} && event.token_gate.nfts.map(n, n.token_id).exists(t, t == "1")`)).toBe("");
  });

  test("what fails on a sample, by the sample's type", () => {
    const samples = [
      create(PassEventSchema, INSTALLED),
      create(PassEventSchema, { ...INSTALLED, type: PassEventType.SCANNED, details: {} }),
    ];
    expect(filterFlaw(`event.details.content.points > 5`, samples)).toBe(
      `at line 1, column 22: fails on the sample of SCANNED: field not found: points; ask first whether it is there: has(a.b) && …, or "b" in a && …`,
    );
    expect(
      filterFlaw(`has(event.details.content.points) && event.details.content.points > 5`, samples),
    ).toBeUndefined();
    expect(filterFlaw(`event.details.content.vip ? event.pass.recordData : {}`, samples)).toMatch(/true or false/);
    expect(filterFlaw(`event.details.content.tags`, samples.slice(0, 1))).toMatch(/gives neither true nor false/);
  });
});

describe("a filter that fails on an event", () => {
  test("says so, with its place", () => {
    expect(judge(`event.id == "x" ||\n event.details.content.nothing == 1`)).toEqual({
      kind: "failed",
      failure: { code: "filter.failed", message: "field not found: nothing", place: { line: 2, column: 23 } },
    });
    expect(says(`event.details.content.points > "a"`)).toMatch(/no matching overload/);
    expect(says(`1 / (event.pass.personDetails.dateOfBirth.year - 1990) == 1`)).toMatch(/divide by zero/);
    expect(says(`event.details.content.points`)).toBe("gives neither true nor false");
    expect(says(`int(event.pass.id) == 1`)).toMatch(/BigInt/);
    expect(says(`double("${"1".repeat(65)}") == 1.0`)).toMatch(/more than 64 characters/);
  });

  test("but for what && and || do not ask, as CEL has it", () => {
    expect(says(`event.details.content.nothing == 1 || event.id == "evt_1"`)).toBe(true);
    expect(says(`event.details.content.nothing == 1 && event.id == "x"`)).toBe(false);
  });

  test("leaves traces of errors as it found them", () => {
    const before = Error.stackTraceLimit;
    try {
      Error.stackTraceLimit = 7;
      judge(`event.details.content.nothing == 1`);
      expect(Error.stackTraceLimit).toBe(7);
    } finally {
      Error.stackTraceLimit = before;
    }
  });
});

/** Texts of the grammar's own words: nearly all are nonsense, and many nearly filters. */
const soup = fc
  .array(
    fc.constantFrom(
      ..."event . pass id type details content nfts token_gate == != && || ! ( ) [ ] { } ? : , 1 1.5 'a' \"INSTALLED\" in has exists all map filter x size + - * / % < > null true timestamp getHours 'UTC' @ \\ \n é".split(
        " ",
      ),
    ),
    { maxLength: 30 },
  )
  .map((words) => words.join(""));

/** An expression, and what it ought to say by JavaScript. */
type Said = readonly [text: string, expected: boolean];

const leaf: fc.Arbitrary<Said> = fc.oneof(
  fc.tuple(fc.nat(50), fc.nat(50)).map(([a, b]): Said => [`${a} < ${b}`, a < b]),
  fc
    .constantFrom("pass-1", "pass-2", "")
    .map((id): Said => [`event.pass.id == ${JSON.stringify(id)}`, id === "pass-1"]),
  fc
    .string({ maxLength: 4 })
    .map((part): Said => [`event.pass.id.contains(${celText(part)})`, "pass-1".includes(part)]),
  fc
    .constantFrom("1", "2", "3")
    .map((id): Said => [`event.token_gate.nfts.exists(n, n.token_id == "${id}")`, id !== "3"]),
  fc.boolean().map((value): Said => [String(value), value]),
);
const { tree } = fc.letrec<{ tree: Said }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 4 },
    leaf,
    fc.tuple(tie("tree"), tie("tree")).map(([a, b]): Said => [`(${a[0]}) && (${b[0]})`, a[1] && b[1]]),
    fc.tuple(tie("tree"), tie("tree")).map(([a, b]): Said => [`(${a[0]}) || (${b[0]})`, a[1] || b[1]]),
    tie("tree").map((a): Said => [`!(${a[0]})`, !a[1]]),
    fc
      .tuple(tie("tree"), tie("tree"), tie("tree"))
      .map(([a, b, c]): Said => [`(${a[0]}) ? (${b[0]}) : (${c[0]})`, a[1] ? b[1] : c[1]]),
  ),
}));

function celText(text: string): string {
  const escaped = [...text].map((character) => `\\U${(character.codePointAt(0) ?? 0).toString(16).padStart(8, "0")}`);
  return `"${escaped.join("")}"`;
}

describe("properties", () => {
  test("whatever the text, it is refused as a flaw or judges the event", () => {
    fc.assert(
      fc.property(fc.oneof(soup, fc.string({ unit: "binary" })), (text) => {
        const said = filterFlaw(text, [create(PassEventSchema, INSTALLED)]);
        expect(said === undefined || said.length > 0).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  test("logic, comparison and loops say what JavaScript says", () => {
    fc.assert(
      fc.property(tree, ([text, expected]) => {
        fc.pre(flaw(text) === "");
        expect(says(text)).toBe(expected);
      }),
      { numRuns: 150 },
    );
  });

  test("a filter says of an event what it says of it after other filters", () => {
    const filters = new Filters();
    const texts = [
      `event.details.content.deep.list.exists(x, x.n == 2)`,
      `event.details.content == event.details.content`,
      `event.pass.recordData.exists(k, k == "empty")`,
      `size(event.pass.metadata.lifecycleEvents) == 2`,
      `event.details.content.tags.map(t, t + t).map(t, t + t).map(t, t + t) == ["a"]`,
    ].map((text) => filters.compile(text));
    const read = () => filters.read(create(PassEventSchema, INSTALLED), BYTES);
    const alone = texts.map((filter) => filter.judge(read()));
    fc.assert(
      fc.property(fc.array(fc.nat(texts.length - 1), { maxLength: 20 }), (order) => {
        const shared = read();
        for (const at of order) expect(texts[at]?.judge(shared)).toEqual(alone[at]);
      }),
      { numRuns: 50 },
    );
  });
});
