/** Records with a canary in whatever a refusal could say again: none of them becomes an event. */
import { toBinary } from "@bufbuild/protobuf";
import type { Message } from "kafkajs";
import { PassEventSchema } from "../../gen/passbus/v1/pass_event_pb.js";
import { canary, canaryEvent } from "./canary.ts";

export function poisonMessages(): Message[] {
  const whole = Buffer.from(toBinary(PassEventSchema, canaryEvent("evt-k", "pass-k")));
  const values = [
    `{"pass":{"id":"p","externalId":"${canary("json")}"`,
    `${canary("json")} is none`,
    `{"pass":{"id":"p","recordData":"${canary("record-data")}"}}`,
    `{"type":"NO_SUCH_TYPE","pass":{"id":"p","externalId":"${canary("external-id")}"}}`,
    `{"pass":{"protocol":"${canary("enum")}"}}`,
    `{"type":"${canary("enum")}"}`,
    `{"${canary("field")}":1}`,
    `{"pass":{"${canary("field")}":1}}`,
    `{"${canary("twice")}":1,"${canary("twice")}":2}`,
    `{"pass":{"recordData":{"${canary("map-key")}":1}}}`,
    whole.subarray(0, whole.length - 3),
    JSON.stringify({ pass: { personDetails: { surname: canary("no-id") } } }),
  ];
  const headers = [
    { "content-type": `text/${canary("content-type")}` },
    { "content-type": `application/json; proto=${canary("proto")}` },
    { "content-type": "application/json; proto=io.SinkSubscriptionPayload" },
    { "event-type": canary("event-type"), "content-type": "application/json; proto=io.SinkSubscriptionPayload" },
    { ce_specversion: "1.0", ce_id: "e", ce_source: "/s", ce_type: canary("ce-type") },
    { ce_specversion: "1.0", ce_id: "e", ce_source: "/s", ce_type: "pass.created", ce_time: canary("time") },
    { ce_specversion: canary("specversion"), ce_id: "e", ce_source: "/s", ce_type: "pass.created" },
    { "content-type": `application/cloudevents+${canary("format")}` },
    { "organisation-id": canary("organisation@") },
  ];
  const named = JSON.stringify({ event: canary("event"), pass: { id: "p" } });
  const unnamed = JSON.stringify({ pass: { id: "p" } });
  const key = canary("kafka-key");
  return [
    ...values.map((value) => ({ key, value })),
    ...headers.map((each) => ({
      key,
      headers: each,
      value: "event-type" in each || "ce_time" in each ? unnamed : named,
    })),
  ];
}
