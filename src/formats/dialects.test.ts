/** What holds in every dialect: an event published once renders in each that can say its type. */
import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DeviceAttributes, LifecycleEvents } from "../../gen/io/pass_pb.js";
import { PassEventSchema, PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { anyEvent } from "../../test/support/any-event.ts";
import { decodedEvent, plainOptions } from "../../test/support/events.ts";
import { EVENT_TYPES } from "../domain/event.ts";
import type { FormatOptions } from "../domain/subscription.ts";
import { LIMITS } from "../kernel/limits.ts";
import type { Format } from "./format.ts";
import { FORMATS, formatOf } from "./registry.ts";
import { sampleEvent } from "./samples.ts";

const OPTIONS: readonly FormatOptions[] = [plainOptions, { ...plainOptions, cloudeventsMode: "binary" }];

const dialects = FORMATS.flatMap((format) =>
  format.name === "CLOUDEVENTS"
    ? OPTIONS.map((options) => ({ name: `${format.name} ${format.renderKey(options)}`, format, options }))
    : [{ name: format.name, format, options: plainOptions }],
);

const sayable = dialects.flatMap((dialect) =>
  dialect.format.types.map((type) => ({ ...dialect, type, typeName: PassEventType[type] })),
);

/** How deep the brackets of a value nest. */
function depth(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depth));
}

function isWritable(format: Format, event: Parameters<Format["render"]>[0], options: FormatOptions): void {
  const { headers, body } = format.render(event, options);
  expect(() => new TextDecoder("utf-8", { fatal: true }).decode(body)).not.toThrow();
  const json: unknown = JSON.parse(body.toString());
  expect(depth(json)).toBeLessThanOrEqual(LIMITS.contentDepth + 8);
  for (const [name, value] of Object.entries(headers)) {
    expect(name).toMatch(/^[a-z-]+$/);
    expect(value).toMatch(/^[\x21-\x7e]+$/);
  }
}

describe("every dialect, every type that it can say", () => {
  it.each(sayable)("$name $typeName: the sample, and an event that says nothing but its pass", (row) => {
    const { format, options, type } = row;
    const sample = sampleEvent(type);
    if (sample === undefined) throw new Error("no sample");
    isWritable(format, decodedEvent({ ...sample, id: "evt_1" }), options);
    isWritable(format, decodedEvent({ type, pass: { id: "p1" } }), options);
    // Even what intake refuses: a preview or an old record must say what is wrong, not stop the worker.
    isWritable(format, decodedEvent({ type }), options);
  });

  it("any event that intake accepts", () => {
    fc.assert(
      fc.property(anyEvent, (event) => {
        const before = structuredClone(event);
        for (const { format, options } of dialects) {
          if (!format.types.includes(event.type)) continue;
          const { stored } = decodedEvent({ type: event.type });
          isWritable(format, { stored, event }, options);
        }
        expect(event).toEqual(before);
      }),
      { numRuns: 300 },
    );
  });

  it.each(dialects)("$name refuses what it can't say, by name", ({ format, options }) => {
    for (const type of [PassEventType.UNSPECIFIED, ...EVENT_TYPES]) {
      if (format.types.includes(type)) continue;
      expect(() => format.render(decodedEvent({ type }), options)).toThrow(
        expect.objectContaining({
          code: "format.failed",
          message: `${format.name} cannot say ${PassEventType[type]}`,
        }),
      );
    }
  });

  it("says between them all that the design's table says", () => {
    const said = Object.fromEntries(FORMATS.map(({ name, types }) => [name, types.map((type) => PassEventType[type])]));
    const all = EVENT_TYPES.map((type) => PassEventType[type]);
    expect(said).toEqual({
      STANDARD: all,
      PASSKIT: ["CREATED", "INSTALLED", "UPDATED", "UNINSTALLED", "INVALIDATED", "DELETED"],
      PASSENTRY: ["CREATED", "INSTALLED", "UNINSTALLED", "SCANNED"],
      ETHPASS: ["CREATED", "INSTALLED", "UNINSTALLED", "INVALIDATED", "SCANNED"],
      CLOUDEVENTS: all,
    });
  });
});

describe("the depth of a body", () => {
  type Content = { readonly [key: string]: Content };
  const nested = (levels: number): Content => (levels <= 1 ? {} : { a: nested(levels - 1) });

  it.each(dialects)("$name: content as deep as intake lets it be", ({ format, options }) => {
    const details = { content: nested(LIMITS.contentDepth) };
    isWritable(format, decodedEvent({ type: PassEventType.CREATED, pass: { id: "p1" }, details }), options);
  });
});

describe("the size of a body", () => {
  it.each(dialects)("$name: a pass whose text is as long as may be, in characters that JSON writes long", (row) => {
    const long = "\u0001".repeat(LIMITS.eventBytes - 1_024);
    const event =
      row.name === "ETHPASS"
        ? { pass: { id: "p1" }, tokenGate: { ownerAddress: long } }
        : { pass: { id: "p1", recordData: { note: long } } };
    const { body } = row.format.render(decodedEvent({ type: PassEventType.CREATED, ...event }), row.options);
    expect(body.length).toBeGreaterThan(1_500_000);
    expect(body.length).toBeLessThanOrEqual(LIMITS.webhookBytes);
  });

  it("is refused beyond the limit: few bytes of protobuf can be many of JSON", () => {
    const nfts = Array.from({ length: 100_000 }, () => ({}));
    const event = create(PassEventSchema, { type: PassEventType.CREATED, pass: { id: "p1" }, tokenGate: { nfts } });
    expect(() => formatOf("ETHPASS").render(decodedEvent(event), plainOptions)).toThrow(
      expect.objectContaining({ code: "format.failed", message: expect.stringContaining("at most 2097152") }),
    );
  });

  it("holds for enums by name too", () => {
    const metadata = { lifecycleEvents: Array.from({ length: 200_000 }, () => LifecycleEvents.INSTALLED_APPLE) };
    const pass = { id: "p1", metadata: { ...metadata, installDeviceAttributes: [DeviceAttributes.Ios] } };
    expect(() =>
      formatOf("STANDARD").render(decodedEvent({ type: PassEventType.CREATED, pass }), plainOptions),
    ).toThrow("at most 2097152");
  });
});
