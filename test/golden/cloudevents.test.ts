/** CloudEvents' own SDK for JavaScript reads what we write, in both modes. */
import { CloudEvent, HTTP } from "cloudevents";
import { describe, expect, it } from "vitest";
import type { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { EVENT_TYPES } from "../../src/domain/event.ts";
import { cloudevents } from "../../src/formats/cloudevents.ts";
import { sampleEvent } from "../../src/formats/samples.ts";
import { standard } from "../../src/formats/standard.ts";
import { decodedEvent, plainOptions } from "../support/events.ts";

const modes = { structured: plainOptions, binary: { ...plainOptions, cloudeventsMode: "binary" } } as const;

function sampleOf(type: PassEventType) {
  const sample = sampleEvent(type);
  if (sample === undefined) throw new Error("no sample");
  return decodedEvent({ ...sample, id: "evt_1", organisationId: "acme", environment: "production" });
}

function readBack(type: PassEventType, mode: keyof typeof modes): CloudEvent<unknown> {
  const { headers, body } = cloudevents.render(sampleOf(type), modes[mode]);
  const message = { headers: { ...headers }, body: body.toString() };
  expect(HTTP.isEvent(message)).toBe(true);
  const event = HTTP.toEvent(message);
  if (Array.isArray(event)) throw new Error("a batch");
  // Its constructor is strict: it throws for an attribute that CloudEvents 1.0 doesn't allow.
  return new CloudEvent({ ...event });
}

describe.each(["structured", "binary"] as const)("the npm SDK reads the %s mode", (mode) => {
  it.each(EVENT_TYPES)("type %i", (type) => {
    const event = readBack(type, mode);
    const { event: sent } = sampleOf(type);
    const { data, timestamp, type: name } = JSON.parse(standard.render(sampleOf(type), plainOptions).body.toString());
    expect(event).toMatchObject({
      id: "evt_1",
      specversion: "1.0",
      source: "urn:passbus:acme:production",
      type: name,
      subject: sent.pass?.id,
      datacontenttype: "application/json",
      data,
    });
    expect(Date.parse(event.time ?? "")).toBe(Date.parse(timestamp));
  });
});
