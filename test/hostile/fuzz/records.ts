/** Records as no producer should write them, read by what reads records. */
import { create, type DescMessage, isMessage, type Message } from "@bufbuild/protobuf";
import { SinkSubscriptionPayloadSchema } from "../../../gen/io/integrations_pb.js";
import { PassSchema } from "../../../gen/io/pass_pb.js";
import { PassEventSchema, PassEventType } from "../../../gen/passbus/v1/pass_event_pb.js";
import { recordDecoder } from "../../../src/intake/decode.ts";
import type { LogRecord } from "../../../src/intake/event-log.ts";
import { tenantRule } from "../../../src/intake/tenants.ts";
import { Chance } from "./chance.ts";
import { binaryOf, jsonOf, Messages } from "./messages.ts";
import { mutated } from "./mutations.ts";

const TOPIC = "pass.events";

const CONTENT_TYPES = [
  undefined,
  "",
  "application/x-protobuf",
  "application/protobuf",
  "application/json",
  "application/json; charset=utf-8",
  "application/cloudevents+json",
  "application/x-protobuf;canonical=1",
  "text/plain",
  "APPLICATION/JSON",
  ";;;",
];
const PARAMETERS = [
  "",
  ";proto=passbus.v1.PassEvent",
  ";proto=io.SinkSubscriptionPayload",
  ";proto=io.Pass",
  ';proto="',
];

const NAMES = ["acme", "globex", "production", "test", "evt_1", "p1", "__proto__"];

function headersOf(chance: Chance, messages: Messages): Record<string, string> {
  const headers: Record<string, string> = {};
  const type = chance.of(CONTENT_TYPES);
  if (type !== undefined) headers["content-type"] = type + chance.of(PARAMETERS);
  const more = ["organisation-id", "environment", "entity-id", "event-id", "event-type", "__proto__"];
  for (const name of more) if (chance.oneIn(6)) headers[name] = messages.text();
  if (!chance.oneIn(3)) return headers;
  const attributes = ["specversion", "id", "source", "type", "time", "subject", "datacontenttype", "dataschema"];
  for (const name of attributes) {
    const right = { specversion: "1.0", type: "pass.installed", source: "urn:passbus:acme:production" }[name];
    if (!chance.oneIn(4)) headers[`ce_${name}`] = chance.oneIn(2) ? (right ?? "x") : messages.text();
  }
  return headers;
}

/** What the rules of events ask for, which chance alone rarely has. */
function complete(message: Message): void {
  if (isMessage(message, SinkSubscriptionPayloadSchema)) message.event = "PASS_EVENT_INSTALLED";
  if (!isMessage(message, PassEventSchema)) return;
  message.type = PassEventType.INSTALLED;
  message.operationalEvent = undefined;
  message.pass ??= create(PassSchema);
  message.pass.id = "p1";
  message.entityId = message.pass.classId;
  message.organisationId = "acme";
  message.environment = "";
}

function tameHeaders(chance: Chance, type: DescMessage): Record<string, string> {
  const form = chance.of(["application/x-protobuf", "application/json", "application/cloudevents+json"]);
  return { "content-type": `${form};proto=${type.typeName}` };
}

/** A CloudEvent around the value, in the structured mode. */
function wrapped(json: string, bytes: Buffer, chance: Chance): string {
  const data = chance.oneIn(2) ? `"data":${json}` : `"data_base64":"${bytes.toString("base64")}"`;
  return `{"specversion":"1.0","id":"evt_1","source":"/s","type":"pass.installed",${data}}`;
}

export function recordOf(seed: number, number: number): LogRecord {
  const chance = new Chance(seed, number, "record");
  const isTame = chance.oneIn(2);
  const messages = new Messages(chance, isTame ? ["p1", "acme", "production"] : NAMES, isTame);
  const type: DescMessage = chance.oneIn(3) ? SinkSubscriptionPayloadSchema : PassEventSchema;
  const message = messages.message(type);
  if (isTame) complete(message);
  const headers = isTame ? tameHeaders(chance, type) : headersOf(chance, messages);
  const [bytes, json] = [binaryOf(type, message), jsonOf(type, message)];
  const isJson = /json/i.test(headers["content-type"] ?? "") !== (!isTame && chance.oneIn(8));
  const text = headers["content-type"]?.includes("cloudevents") === true ? wrapped(json, bytes, chance) : json;
  const value = isJson ? mutated(Buffer.from(text), "json", chance) : mutated(bytes, "binary", chance);
  const framed =
    !isTame && chance.oneIn(10)
      ? Buffer.concat([Buffer.of(0, 0, 0, 1, chance.below(256), chance.below(4)), value])
      : value;
  return {
    topic: TOPIC,
    partition: 0,
    offset: number,
    appendedAtMs: 1_700_000_000_000,
    key: null,
    value: framed,
    headers,
  };
}

/** The topic may speak for one tenant, and so for no other. */
const TENANT = { organisation: "acme", environment: "production" };
const decode = recordDecoder(tenantRule([{ topic: TOPIC, ...TENANT }], "acme"));

/** No record takes longer to read, on however slow a machine. */
const HANG_MS = 5_000;

export interface RecordCounts {
  events: number;
  dead: number;
  slowestMs: number;
}

/** @throws where the case shows a mistake of the decoder's, saying which. */
export function fuzzRecord(seed: number, number: number, counts: RecordCounts): void {
  const record = recordOf(seed, number);
  const startMs = performance.now();
  const decoded = decode(record);
  const tookMs = performance.now() - startMs;
  counts.slowestMs = Math.max(counts.slowestMs, tookMs);
  if (tookMs > HANG_MS) throw new Error(`it took ${tookMs} ms`);
  const tenant = decoded.kind === "event" ? decoded.event.stored.tenant : decoded.letter.tenant;
  if (tenant?.organisation !== TENANT.organisation || tenant.environment !== TENANT.environment) {
    throw new Error(`it became ${JSON.stringify(tenant)}'s`);
  }
  if (decoded.kind === "dead") {
    counts.dead += 1;
    return;
  }
  counts.events += 1;
  // What was stored reads back as the same event: a mistake in writing it down would be found at its delivery.
  const { value, contentHash } = decoded.event.stored;
  const again = decode({ ...record, value, headers: { "content-type": "application/x-protobuf;canonical=1" } });
  if (again.kind !== "event" || again.event.stored.contentHash !== contentHash) {
    throw new Error("what was stored does not read back");
  }
}
