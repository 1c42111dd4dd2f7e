/** passbus's own events as docs/operational-events.md documents them, letter for letter up to white space. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { CloudEvent, HTTP } from "cloudevents";
import { describe, expect, it } from "vitest";
import { OperationalEventType } from "../../gen/passbus/v1/operational_event_pb.js";
import { cloudevents } from "../../src/formats/cloudevents.ts";
import { OPERATIONAL_NAMES } from "../../src/formats/event-data.ts";
import { operationalSample } from "../../src/formats/operational-samples.ts";
import { FORMATS } from "../../src/formats/registry.ts";
import { standard } from "../../src/formats/standard.ts";
import { decodedEvent, plainOptions } from "../support/events.ts";
import { compact, golden } from "../support/golden.ts";

const named = [...OPERATIONAL_NAMES].map(([type, name]) => ({ type, name }));

function sampleOf(type: OperationalEventType) {
  const sample = operationalSample(type);
  if (sample === undefined) throw new Error("no sample");
  return decodedEvent({ ...sample, id: "evt_1", organisationId: "acme", environment: "production", entityId: "shop" });
}

it("every type has a name and a sample", () => {
  const all = Object.values(OperationalEventType).filter((value) => typeof value === "number" && value !== 0);
  expect(named.map(({ type }) => type)).toEqual(all);
  expect(operationalSample(OperationalEventType.UNSPECIFIED)).toBeUndefined();
});

describe.each(named)("$name", ({ type, name }) => {
  it("in STANDARD", () => {
    const { method, headers, body } = standard.render(sampleOf(type), plainOptions);
    expect(body.toString()).toBe(golden(`operational/${name}.json`));
    expect({ method, headers }).toEqual({ method: "POST", headers: { "content-type": "application/json" } });
  });

  it.each(["structured", "binary"] as const)("in CLOUDEVENTS, %s: read by the npm SDK", (mode) => {
    const options = mode === "binary" ? { ...plainOptions, cloudeventsMode: mode } : plainOptions;
    const { headers, body } = cloudevents.render(sampleOf(type), options);
    const event = HTTP.toEvent({ headers: { ...headers }, body: body.toString() });
    if (Array.isArray(event)) throw new Error("a batch");
    const { data, timestamp } = JSON.parse(golden(`operational/${name}.json`));
    expect(new CloudEvent({ ...event })).toMatchObject({
      id: "evt_1",
      source: "urn:passbus:acme:production",
      type: name,
      subject: "sub_sample",
      data,
    });
    expect(Date.parse(event.time ?? "")).toBe(Date.parse(timestamp));
  });

  const others = FORMATS.filter((format) => format.saysOperationalEvents !== true);
  it.each(others)("not in $name", (format) => {
    expect(() => format.render(sampleOf(type), plainOptions)).toThrow(
      expect.objectContaining({ code: "format.failed" }),
    );
  });
});

it("leaves the event as it was, its type too", () => {
  const event = sampleOf(OperationalEventType.DELIVERY_FAILED);
  standard.render(event, plainOptions);
  expect(event.event.operationalEvent?.type).toBe(OperationalEventType.DELIVERY_FAILED);
});

it("docs/operational-events.md shows one as it is", () => {
  const page = readFileSync(join(import.meta.dirname, "../../docs/operational-events.md"), "utf8");
  const shown = /```json\n(.*?)```/s.exec(page)?.[1] ?? "";
  expect(compact(shown)).toBe(golden("operational/delivery.failed.json"));
  for (const { name } of named) expect(page).toContain(`| \`${name}\` |`);
});
