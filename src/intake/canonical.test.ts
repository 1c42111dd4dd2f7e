import { clone, create, equals, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PassSchema } from "../../gen/io/pass_pb.js";
import { PassEventSchema, PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { canonicalBytes, completeEvent } from "./canonical.ts";

const tenant = { organisation: "acme", environment: "staging" };

type Init = MessageInitShape<typeof PassEventSchema>;

function event(init: Init) {
  const event = create(PassEventSchema, init);
  if (!("id" in init)) event.id = "e";
  if (!("type" in init)) event.type = PassEventType.CREATED;
  if (!("pass" in init)) event.pass = create(PassSchema, { id: "p" });
  return event;
}

/** A number as the wire has it. */
function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>>= 7) {
    if (rest < 128) return Buffer.from([...bytes, rest]);
    bytes.push((rest & 127) | 128);
  }
}

describe("canonicalBytes", () => {
  test("is the same whatever the order in which maps and content were filled", () => {
    const one = event({
      pass: {
        id: "p",
        recordData: { b: "1", a: "2", 10: "3", 9: "4" },
        personDetails: { externalIds: { [-2]: "x", [-1]: "y" } },
      },
      details: { content: { z: [{ d: 1, c: 2 }], y: { b: null, a: true } } },
    });
    const other = event({
      pass: {
        id: "p",
        recordData: { 9: "4", a: "2", b: "1", 10: "3" },
        personDetails: { externalIds: { [-1]: "y", [-2]: "x" } },
      },
      details: { content: { y: { a: true, b: null }, z: [{ c: 2, d: 1 }] } },
    });
    expect(Buffer.from(toBinary(PassEventSchema, one))).not.toEqual(Buffer.from(toBinary(PassEventSchema, other)));
    expect(Buffer.from(canonicalBytes(one))).toEqual(Buffer.from(canonicalBytes(other)));
  });

  test("keeps the order of lists, which says something", () => {
    const one = event({ details: { content: { list: [1, 2] } } });
    const other = event({ details: { content: { list: [2, 1] } } });
    expect(Buffer.from(canonicalBytes(one))).not.toEqual(Buffer.from(canonicalBytes(other)));
  });

  test("says what the event said, and says it again when read", () => {
    const json = fc.jsonValue({ maxDepth: 4 });
    const maps = fc.dictionary(fc.string(), fc.string());
    const ids = fc.dictionary(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }).map(String), fc.string());
    fc.assert(
      fc.property(maps, ids, fc.dictionary(fc.string(), json), (recordData, externalIds, content) => {
        const given = event({
          pass: { id: "p", recordData, personDetails: { externalIds } },
          details: { content: content as never },
        });
        const before = fromBinary(PassEventSchema, toBinary(PassEventSchema, clone(PassEventSchema, given)));
        const bytes = canonicalBytes(given);
        const read = fromBinary(PassEventSchema, bytes);
        expect(equals(PassEventSchema, read, before)).toBe(true);
        expect(Buffer.from(canonicalBytes(read))).toEqual(Buffer.from(bytes));
      }),
    );
  });

  test("keeps what a newer producer's fields say, at every depth", () => {
    // Field 4000 of the event, and field 4001 of its pass: this version knows neither.
    const tag = (field: number) => varint((field << 3) | 2);
    const text = (field: number, value: string) =>
      Buffer.concat([tag(field), varint(value.length), Buffer.from(value)]);
    const pass = Buffer.concat([toBinary(PassSchema, create(PassSchema, { id: "p" })), text(4_001, "inner")]);
    const wire = Buffer.concat([
      toBinary(PassEventSchema, create(PassEventSchema, { id: "e", type: PassEventType.CREATED })),
      tag(10),
      varint(pass.length),
      pass,
      text(4_000, "outer"),
    ]);
    const bytes = Buffer.from(canonicalBytes(fromBinary(PassEventSchema, wire)));
    expect(bytes.includes(text(4_000, "outer"))).toBe(true);
    expect(bytes.includes(text(4_001, "inner"))).toBe(true);
    expect(Buffer.from(canonicalBytes(fromBinary(PassEventSchema, bytes)))).toEqual(bytes);
  });

  test("a key __proto__ is one like any other", () => {
    const recordData = JSON.parse('{"b":"1","__proto__":"2"}');
    const read = fromBinary(PassEventSchema, canonicalBytes(event({ pass: { id: "p", recordData } })));
    expect(Object.entries(read.pass?.recordData ?? {})).toEqual([
      ["__proto__", "2"],
      ["b", "1"],
    ]);
  });
});

describe("completeEvent", () => {
  test("fills in id, tenant and entity, and leaves the time as it was given", () => {
    const given = event({ id: "", pass: { id: "p", classId: "class" } });
    completeEvent(given, tenant, "evt_1");
    expect(given).toMatchObject({ id: "evt_1", organisationId: "acme", environment: "staging", entityId: "class" });
    expect(given.occurredAt).toBeUndefined();
  });

  test("an entity that is named stays", () => {
    const given = event({ entityId: "mine" });
    completeEvent(given, tenant, "e");
    expect(given.entityId).toBe("mine");
  });
});
