/** PassEntry's documented sample (seed 002), key for key, but for the one id that its own document leaves hanging. */
import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { PassSchema } from "../../gen/io/pass_pb.js";
import { PassDetailsSchema, PassEventType, ScanSchema } from "../../gen/passbus/v1/pass_event_pb.js";
import { passentry } from "../../src/formats/passentry.ts";
import { sampleEvent } from "../../src/formats/samples.ts";
import { decodedEvent, plainOptions } from "../support/events.ts";
import { golden } from "../support/golden.ts";

const NAMED = "313c3c3b950d30d7ecec486ddf9adf33b887ae29";
const INCLUDED = "e89b1330fc391ec89656f3c664318cff8805471e";

/** The sample's two relationships name a pass that `included` lacks; ours link what they include. */
function linked(sample: string): string {
  const dangling = `"pass":{"data":{"id":"${NAMED}"`;
  expect(sample.split(dangling)).toHaveLength(3);
  return sample.replaceAll(dangling, `"pass":{"data":{"id":"${INCLUDED}"`);
}

const expected = linked(golden("passentry/scanned.json"));
const id = "0194a887-f893-7c75-b250-ad2ef4a5d16e";
const at = (text: string) => timestampFromDate(new Date(text));

describe("PassEntry's documented webhook", () => {
  it("passScanned, from an event that says each thing in PassEntry's own words", () => {
    const event = decodedEvent({
      id,
      type: PassEventType.SCANNED,
      occurredAt: at("2022-01-01T00:00:00Z"),
      pass: create(PassSchema, {
        id: INCLUDED,
        externalId: "0811d028ddf0da42c28f",
        metadata: {
          issueAt: at("2022-01-01T00:00:00Z"),
          lastInstalledAt: at("2022-02-01T00:00:00Z"),
          lastUninstalledAt: at("2023-02-01T00:00:00Z"),
        },
      }),
      details: create(PassDetailsSchema, {
        downloadUrl: `https://localhost:3001/download?pass=${INCLUDED}`,
        passType: "generic",
        deviceType: "android",
        status: "removed",
        templateId: "c1f632d3e693a75c376b440b",
        templateName: "Pass Template 1 3079",
        nfc: INCLUDED,
        content: { fullName: "Jane Smith" },
        barcode: { enabled: true, type: "qr", source: "custom", value: "123abcd", displayText: true },
      }),
      scan: create(ScanSchema, {
        id: "0194a887-f880-703f-b8cf-16c1ea804b08",
        type: "nfc",
        value: NAMED,
        validationType: "internalValidation",
        status: "successful",
        scannedAt: at("2025-01-28T10:25:11Z"),
        reader: { id: "CC202952", name: "West Gate", type: "VtapReader" },
      }),
    });
    const rendered = passentry.render(event, plainOptions);
    expect(rendered.body.toString()).toBe(expected);
    expect(rendered.method).toBe("POST");
    expect(rendered.headers).toEqual({ "content-type": "application/json" });
  });

  it("passScanned, from the built-in sample, whose device and status are derived", () => {
    const sample = sampleEvent(PassEventType.SCANNED);
    if (sample === undefined) throw new Error("no sample");
    expect(sample.details).toMatchObject({ deviceType: "", status: "" });
    expect(passentry.render(decodedEvent({ ...sample, id }), plainOptions).body.toString()).toBe(expected);
  });
});
