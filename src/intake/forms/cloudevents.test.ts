import { create, toJsonString } from "@bufbuild/protobuf";
import { CloudEvent, Kafka } from "cloudevents";
import { describe, expect, test } from "vitest";
import { type PassEvent, PassEventSchema, PassEventType } from "../../../gen/passbus/v1/pass_event_pb.js";
import { decodedEvent, plainOptions } from "../../../test/support/events.ts";
import { JSON_TYPE, PAYLOAD, PROTOBUF, STRUCTURED } from "../../../test/support/kafka-forms.ts";
import { EVENT_TYPES } from "../../domain/event.ts";
import { cloudevents } from "../../formats/cloudevents.ts";
import { sampleEvent } from "../../formats/samples.ts";
import { readEvent } from "./read-event.ts";

const ATTRIBUTES = { specversion: "1.0", id: "evt-1", source: "/wallets", type: "pass.installed" };
const DATA = { pass: { id: "p1" } };

function structured(members: object, type = STRUCTURED): PassEvent {
  return readEvent({ "content-type": type }, Buffer.from(JSON.stringify(members)));
}

function binary(attributes: Readonly<Record<string, string>>, data: object = DATA, type = JSON_TYPE): PassEvent {
  const named = Object.entries(attributes).map(([name, value]) => [`ce_${name}`, value]);
  return readEvent({ ...Object.fromEntries(named), "content-type": type }, Buffer.from(JSON.stringify(data)));
}

/** One of our webhooks' events, of this type. */
function sent(type: PassEventType) {
  const sample = sampleEvent(type);
  if (sample === undefined) throw new Error("no sample");
  return decodedEvent({ ...sample, id: "evt-1", organisationId: "acme", environment: "staging" });
}

describe("what CLOUDEVENTS webhooks say is read back", () => {
  test.each(EVENT_TYPES)("structured, type %i", (type) => {
    const { headers, body } = cloudevents.render(sent(type), plainOptions);
    expect(readEvent(headers, body)).toEqual(sent(type).event);
  });

  test.each(EVENT_TYPES)("binary, type %i, with HTTP's headers under Kafka's names", (type) => {
    const { headers, body } = cloudevents.render(sent(type), { ...plainOptions, cloudeventsMode: "binary" });
    const renamed = Object.entries(headers).map(([name, value]) => [name.replace(/^ce-/, "ce_"), value]);
    expect(readEvent(Object.fromEntries(renamed), body)).toEqual(sent(type).event);
  });
});

describe("what CloudEvents' own SDK writes for Kafka is read", () => {
  const { event } = sent(PassEventType.UPDATED);
  const data = JSON.parse(toJsonString(PassEventSchema, create(PassEventSchema, { ...event, id: "", type: 0 })));
  const source = new CloudEvent({ ...ATTRIBUTES, type: "com.example.pass.updated", time: data.occurredAt, data });

  test.each(["structured", "binary"] as const)("%s", (mode) => {
    const { headers = {}, value } = Kafka[mode](source);
    const text = typeof value === "string" ? value : JSON.stringify(value);
    expect(readEvent(headers as Record<string, string>, Buffer.from(text))).toEqual(event);
  });
});

describe("a CloudEvent", () => {
  test("says type, id and time where its data leaves them empty", () => {
    const time = "2020-12-22T14:41:58.5+01:00";
    expect(binary({ ...ATTRIBUTES, time })).toMatchObject({
      id: "evt-1",
      type: PassEventType.INSTALLED,
      occurredAt: { seconds: 1_608_644_518n, nanos: 500_000_000 },
      organisationId: "",
      pass: { id: "p1" },
    });
  });

  test("may say what its data says too", () => {
    const data = { ...DATA, id: "evt-1", type: "PASS_EVENT_TYPE_INSTALLED", occurredAt: "2020-12-22T13:41:58Z" };
    const event = structured({ ...ATTRIBUTES, time: "2020-12-22T13:41:58Z", data });
    expect(event).toMatchObject({ id: "evt-1", type: PassEventType.INSTALLED });
  });

  test("has a type behind a reverse-DNS name, or as the enum has it", () => {
    expect(binary({ ...ATTRIBUTES, type: "com.example.pass.deleted" }).type).toBe(PassEventType.DELETED);
    expect(binary({ ...ATTRIBUTES, type: "PASS_EVENT_TYPE_SCANNED" }).type).toBe(PassEventType.SCANNED);
  });

  test("names its tenant in a source of ours alone", () => {
    const tenant = { organisationId: "acme", environment: "staging" };
    expect(binary({ ...ATTRIBUTES, source: "urn:passbus:acme:staging" })).toMatchObject(tenant);
    expect(binary({ ...ATTRIBUTES, source: "urn:passbus:acme:staging" }, { ...DATA, ...tenant })).toMatchObject(tenant);
    expect(binary({ ...ATTRIBUTES, source: "urn:example:acme:staging" }).organisationId).toBe("");
  });

  test("is structured by its content type, whatever headers stand beside it", () => {
    const headers = { "content-type": `${STRUCTURED}; charset=utf-8`, ce_specversion: "1.0", ce_id: "other" };
    const value = Buffer.from(JSON.stringify({ ...ATTRIBUTES, time: null, unknown: true, data: DATA }));
    expect(readEvent(headers, value)).toMatchObject({ id: "evt-1", type: PassEventType.INSTALLED });
  });

  test("decides what PassKit's update was", () => {
    const update = { event: "PASS_EVENT_RECORD_UPDATED", pass: { id: "p1", metadata: { status: 2 } } };
    const media = `${JSON_TYPE}; ${PAYLOAD}`;
    const type = (name: string) => binary({ ...ATTRIBUTES, type: name }, update, media).type;
    expect(type("pass.updated")).toBe(PassEventType.UPDATED);
    expect(type("pass.uninstalled")).toBe(PassEventType.UNINSTALLED);
    expect(structured({ ...ATTRIBUTES, type: "pass.updated", datacontenttype: media, data: update }).type).toBe(
      PassEventType.UPDATED,
    );
  });
});

test("the data's message is named by its content type, else by the CloudEvent's", () => {
  const payload = { ...ATTRIBUTES, data: { event: "PASS_EVENT_INSTALLED", pass: { id: "p1" } } };
  const named = { ...payload, datacontenttype: `${JSON_TYPE};${PAYLOAD}` };
  const [inner, outer] = [
    structured(named, `${STRUCTURED};proto=passbus.v1.PassEvent`),
    structured(payload, `${STRUCTURED};${PAYLOAD}`),
  ];
  expect(inner).toMatchObject({ id: "evt-1", pass: { id: "p1" } });
  expect(outer).toEqual(inner);
});

describe("what is no CloudEvent of ours is refused, and says why", () => {
  const without = (name: keyof typeof ATTRIBUTES) => {
    const { [name]: _, ...others } = ATTRIBUTES;
    return others as Readonly<Record<string, string>>;
  };
  test.each(["specversion", "id", "source", "type"] as const)("without %s", (name) => {
    expect(() => binary(without(name))).toThrow(`the header ce_${name} is missing`);
    expect(() => structured({ ...without(name), data: DATA })).toThrow(`the CloudEvent's ${name} is missing`);
    expect(() => binary({ ...ATTRIBUTES, [name]: "" })).toThrow(`the header ce_${name} is missing`);
    expect(() => structured({ ...ATTRIBUTES, [name]: 1, data: DATA })).toThrow(`${name} must be a text`);
  });

  test.each([
    ["another version", { specversion: "0.3" }, "event.unreadable", /specversion: passbus reads 1.0/],
    ["another type", { type: "order.paid" }, "event.invalid", /^type: is not one of pass.created, /],
    ["a type that only ends like ours", { type: "bypass.created" }, "event.invalid", /^type: is not one of/],
    ["a time that is none", { time: "yesterday" }, "event.invalid", /^time: is no time of RFC 3339/],
    ["a time that is no text", { time: 1 }, "event.unreadable", /time must be a text/],
    ["no data", { data: undefined }, "event.unreadable", /has no data/],
    ["data that is a text", { data: "{}" }, "event.unreadable", /^data: must be a JSON object/],
    ["data twice", { data_base64: "e30=" }, "event.unreadable", /data and data_base64/],
    ["no base64", { data: undefined, data_base64: "!" }, "event.unreadable", /^data_base64: must be base64/],
    ["JSON that says it is protobuf", { datacontenttype: PROTOBUF }, "event.unreadable", /stands in data_base64/],
    [
      "data of a type of its own",
      { datacontenttype: "text/csv" },
      "event.unreadable",
      /^content-type: is not one that/,
    ],
    ["a content type that is no text", { datacontenttype: 1 }, "event.unreadable", /^datacontenttype: must be/],
    ["another id in its data", { data: { ...DATA, id: "evt-2" } }, "event.invalid", /^id: /],
    [
      "another time",
      { time: "2020-12-22T13:41:58Z", data: { ...DATA, occurredAt: "2020-12-22T13:41:59Z" } },
      "event.invalid",
      /^occurred_at: /,
    ],
    [
      "a time that is a moment later",
      { time: "2020-12-22T13:41:58Z", data: { ...DATA, occurredAt: "2020-12-22T13:41:58.000000001Z" } },
      "event.invalid",
      /^occurred_at: /,
    ],
    [
      "another type in its data",
      { data: { ...DATA, type: 1 } },
      "event.invalid",
      /^type: the value says PASS_EVENT_TYPE_CREATED/,
    ],
    [
      "another tenant",
      { source: "urn:passbus:a:b", data: { ...DATA, environment: "c" } },
      "tenant.forbidden",
      /source/,
    ],
  ])("%s", (_name, members, code, message) => {
    const refusal = () => structured({ ...ATTRIBUTES, data: DATA, ...members });
    expect(refusal).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }));
  });

  test("a batch, and other formats", () => {
    expect(() => structured([], "application/cloudevents-batch+json")).toThrow(
      "content-type: passbus reads one CloudEvent a record",
    );
    expect(() => structured({}, "application/cloudevents+avro")).toThrow(/reads one CloudEvent a record/);
    expect(() => structured([])).toThrow("the value must be a JSON object");
    expect(() => structured({}).type).toThrow("specversion is missing");
  });

  test("an attribute that stands twice", () => {
    const value = Buffer.from(JSON.stringify({ ...ATTRIBUTES, data: DATA }).replace("{", '{"id":"evt-0",'));
    expect(() => readEvent({ "content-type": STRUCTURED }, value)).toThrow("a key stands twice");
  });
});
