/** Read back by the rules of CloudEvents' own documents (JSON Event Format 1.0, HTTP Protocol Binding 1.0). */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { type PassEventSchema, PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { decodedEvent, plainOptions } from "../../test/support/events.ts";
import { cloudevents } from "./cloudevents.ts";
import { standard } from "./standard.ts";

const binaryOptions = { ...plainOptions, cloudeventsMode: "binary" } as const;

type Init = MessageInitShape<typeof PassEventSchema>;

const structured = (init: Init) => cloudevents.render(decodedEvent(init), plainOptions);
const binary = (init: Init) => cloudevents.render(decodedEvent(init), binaryOptions);

/** HTTP Protocol Binding 1.0, §3.1.3.2, backwards. */
function attributesOf(headers: Readonly<Record<string, string>>): Record<string, string> {
  const ours = Object.entries(headers).filter(([name]) => name.startsWith("ce-"));
  return Object.fromEntries(ours.map(([name, value]) => [name.slice(3), decodeURIComponent(value)]));
}

const init: Init = {
  id: "evt_1",
  type: PassEventType.INSTALLED,
  occurredAt: create(TimestampSchema, { seconds: 1_608_644_518n, nanos: 743_534_000 }),
  pass: { id: "p1", classId: "c1" },
};

const attributes = {
  specversion: "1.0",
  id: "evt_1",
  source: "urn:passbus:acme:production",
  type: "pass.installed",
  subject: "p1",
  time: "2020-12-22T13:41:58.743534Z",
};

describe("CLOUDEVENTS, structured", () => {
  it("is one JSON object of attributes and data", () => {
    const { method, headers, body } = structured(init);
    expect(method).toBe("POST");
    expect(headers).toEqual({ "content-type": "application/cloudevents+json" });
    expect(body.toString()).toBe(
      `${JSON.stringify({ ...attributes, datacontenttype: "application/json" }).slice(0, -1)},` +
        '"data":{"id":"evt_1","entityId":"c1","pass":{"id":"p1","classId":"c1"}}}',
    );
  });

  it("has the data that STANDARD has", () => {
    const event = decodedEvent(init);
    const theirs = JSON.parse(standard.render(event, plainOptions).body.toString());
    expect(JSON.parse(structured(init).body.toString()).data).toEqual(theirs.data);
  });
});

describe("CLOUDEVENTS, binary", () => {
  it("has the same attributes as headers, the data's type as content-type, and the data as body", () => {
    const { method, headers, body } = binary(init);
    expect(method).toBe("POST");
    expect(attributesOf(headers)).toEqual(attributes);
    expect(headers["content-type"]).toBe("application/json");
    expect(headers["ce-datacontenttype"]).toBeUndefined();
    expect(JSON.parse(body.toString())).toEqual(JSON.parse(structured(init).body.toString()).data);
  });

  it("writes what a header can't hold as the binding's own example does", () => {
    const subject = (id: string) => binary({ ...init, pass: { id } }).headers["ce-subject"];
    expect(subject("Euro € 😀")).toBe("Euro%20%E2%82%AC%20%F0%9F%98%80");
    expect(subject('a"b%c')).toBe("a%22b%25c");
    expect(subject("!#$&'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~")).toBe("!#$&'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~");
    expect(binary({ ...init, id: '"100%"' }).headers["ce-id"]).toBe("%22100%25%22");
  });
});

describe("the attributes", () => {
  it("name organisation and environment in the source, since event ids are unique in these alone", () => {
    const { source } = JSON.parse(
      structured({ ...init, organisationId: "Straße:7", environment: "a b" }).body.toString(),
    );
    expect(source).toBe("urn:passbus:Stra%C3%9Fe%3A7:a%20b");
    expect(URL.canParse(source)).toBe(true);
  });

  it("leave out a subject that would be empty", () => {
    const { pass: _, ...bare } = init;
    expect(JSON.parse(structured(bare).body.toString())).not.toHaveProperty("subject");
    expect(binary(bare).headers).not.toHaveProperty("ce-subject");
  });

  it("are rendered once for each mode", () => {
    expect(cloudevents.renderKey(plainOptions)).not.toBe(cloudevents.renderKey(binaryOptions));
    expect(cloudevents.renderKey(plainOptions)).toBe(cloudevents.renderKey({ ...plainOptions, passkitMethod: 1 }));
  });
});
