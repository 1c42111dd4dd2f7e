/** JSON that costs more than it weighs, or says one thing to one reader and another to the next. */
import { brotliCompressSync, gzipSync } from "node:zlib";
import { fromBinary } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PassEventSchema } from "../../gen/passbus/v1/pass_event_pb.js";
import { LIMITS } from "../../src/kernel/limits.ts";
import { ADMIN_KEY, type TestApi, testApi } from "../support/api.ts";
import { METHODS, nameOf } from "../support/everyone.ts";

let api: TestApi;
beforeAll(async () => {
  api = await testApi();
});
afterAll(() => api.stop(0));

async function publish(body: string | Buffer, headers: Readonly<Record<string, string>> = {}) {
  const response = await fetch(`${api.url}/passbus.v1.EventService/PublishEvents`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${ADMIN_KEY}`, ...headers },
    body,
  });
  const answer = (await response.json()) as { readonly code?: string; readonly message?: string };
  return { status: response.status, code: answer.code, message: answer.message };
}

const event = (more: string) => `{"events":[{"type":"PASS_EVENT_TYPE_CREATED","pass":{"id":"p1"}${more}}]}`;
const gzip = { "content-encoding": "gzip" };
const invalid = (message: string) => ({ code: "invalid_argument", message: expect.stringContaining(message) });
const exhausted = (message: string) => ({ code: "resource_exhausted", message: expect.stringContaining(message) });
const TOO_LARGE = exhausted(`larger than the ${LIMITS.requestBytes} bytes`);
const TOO_MANY = exhausted(`more than the ${LIMITS.jsonValues} JSON values`);
const keys = (count: number) => Array.from({ length: count }, (_, at) => `"k${at}":0`).join(",");

test.each([
  ["a million lists", "[".repeat(1_000_000), {}, invalid(`must not be nested deeper than ${LIMITS.jsonDepth}`)],
  ["a million objects", '{"a":'.repeat(800_000), {}, invalid("must not be nested deeper")],
  [
    "content that is nested too deep",
    event(`,"details":{"content":${'{"a":'.repeat(200)}1${"}".repeat(200)}}`),
    {},
    invalid("events[0].details.content"),
  ],
  ["more keys than may be", `{${keys(LIMITS.jsonValues + 1)}}`, {}, TOO_MANY],
  ["more keys than may be, packed", gzipSync(`{${keys(LIMITS.jsonValues + 1)}}`), gzip, TOO_MANY],
  ["brackets in texts, which are none", event(`,"id":"${"[".repeat(2_000)}"`), {}, invalid("events[0].id")],
  ["a gzip bomb", gzipSync(Buffer.alloc(64 * 1024 * 1024)), gzip, TOO_LARGE],
  ["a brotli bomb", brotliCompressSync(Buffer.alloc(64 * 1024 * 1024)), { "content-encoding": "br" }, TOO_LARGE],
  ["a body that is too large", Buffer.alloc(LIMITS.requestBytes + 1, " "), {}, TOO_LARGE],
  ["what is no gzip", "hello", gzip, invalid("can't be unpacked")],
  ["a coding that we don't know", "{}", { "content-encoding": "deflate" }, { code: "unimplemented" }],
  ["a key twice", '{"events":[],"events":[]}', {}, invalid("duplicate object key")],
  ["a key twice, once in escapes", '{"events":[],"\\u0065vents":[]}', {}, invalid("duplicate object key")],
  [
    "a field under both of its names",
    event(',"organisationId":"acme","organisation_id":"globex"'),
    {},
    { code: "invalid_argument" },
  ],
  [
    "a key of a map twice",
    '{"events":[{"pass":{"recordData":{"a":"1","a":"2"}}}]}',
    {},
    invalid("duplicate object key"),
  ],
  ["bytes that are no UTF-8", Buffer.from(event(',"id":"\xff"'), "latin1"), {}, invalid("is not UTF-8")],
  [
    "UTF-8 that is cut off",
    Buffer.concat([Buffer.from('{"events":[]}'), Buffer.of(0xe2, 0x82)]),
    {},
    { code: "invalid_argument" },
  ],
  ["a lone surrogate as a name", event(',"entityId":"\\ud800"'), {}, { code: "invalid_argument" }],
  ["a number beyond all numbers", event(',"occurredAt":1e999'), {}, invalid("occurred_at")],
  ["an enum of 400 digits", `{"events":[{"type":${"9".repeat(400)}}]}`, {}, invalid("events[0].type")],
  ["__proto__ as a field", '{"__proto__":{"events":[]}}', {}, invalid("__proto__: is not a field")],
  ["a field of 20,000 characters", `{"${"y".repeat(20_000)}":1}`, {}, invalid("yyy")],
])("%s is refused", async (_, body, headers, refusal) => {
  const answer = await publish(body, headers);
  expect(answer).toMatchObject(refusal);
  expect(answer.message?.length).toBeLessThan(LIMITS.messageCharacters + 100);
  expect(api.stage.errors).toEqual([]);
});

test("__proto__ is a key like any other in maps and content, and changes nothing else", async () => {
  const record = '"recordData":{"__proto__":"x","constructor":"y"}';
  const content = '"details":{"content":{"__proto__":{"polluted":true}}}';
  const body = `{"events":[{"type":"PASS_EVENT_TYPE_CREATED","pass":{"id":"p1",${record}},${content}}]}`;
  expect(await publish(gzipSync(body), gzip)).toMatchObject({ status: 200 });
  const stored = fromBinary(PassEventSchema, api.stage.records.at(-1)?.value ?? new Uint8Array());
  expect(Object.entries(stored.pass?.recordData ?? {}).sort()).toEqual([
    ["__proto__", "x"],
    ["constructor", "y"],
  ]);
  expect(JSON.stringify(stored.details?.content)).toBe('{"__proto__":{"polluted":true}}');
  expect(Reflect.get({}, "polluted")).toBeUndefined();
});

describe("whatever carries the JSON", () => {
  const envelope = (flags: number, message: Buffer) => {
    const head = Buffer.alloc(5);
    head.writeUInt8(flags);
    head.writeUInt32BE(message.length, 1);
    return Buffer.concat([head, message]);
  };
  const post = (path: string, headers: Readonly<Record<string, string>>, body: Buffer) =>
    fetch(`${api.url}${path}`, { method: "POST", headers: { authorization: `Bearer ${ADMIN_KEY}`, ...headers }, body });
  const deep = Buffer.from(`{"filter":${"[".repeat(LIMITS.jsonDepth)}`);
  const many = Buffer.from(`{${keys(LIMITS.jsonValues + 1)}}`);
  const DEEP = "must not be nested deeper";

  test.each([
    ["a message of a stream that is too deep", envelope(0, deep), {}, DEEP],
    ["one of too many values", envelope(0, many), {}, `more than the ${LIMITS.jsonValues} JSON values`],
    ["one that is too deep, packed", envelope(1, gzipSync(deep)), { "connect-content-encoding": "gzip" }, DEEP],
    ["the same in brotli", envelope(1, brotliCompressSync(deep)), { "connect-content-encoding": "br" }, DEEP],
    [
      "a bomb",
      envelope(1, gzipSync(Buffer.alloc(64 * 1024 * 1024))),
      { "connect-content-encoding": "gzip" },
      `larger than the ${LIMITS.requestBytes} bytes`,
    ],
    ["what is no gzip", envelope(1, deep), { "connect-content-encoding": "gzip" }, "can't be unpacked"],
    ["what is packed in nothing", envelope(1, deep), {}, "compressed"],
    ["bytes that are no UTF-8", envelope(0, Buffer.of(0x22, 0xff, 0x22)), {}, "is not UTF-8"],
  ])("%s is refused", async (_, body, headers, message) => {
    const type = { "content-type": "application/connect+json" };
    const answer = await post("/passbus.v1.DeliveryService/WatchDeliveries", { ...type, ...headers }, body);
    expect(await answer.text()).toContain(message);
    expect(api.stage.errors).toEqual([]);
  });

  test.each(["application/grpc+json", "application/grpc-web+json", "application/GRPC-web-text+JSON"])(
    "%s is no type of ours",
    async (type) => {
      for (const path of ["/grpc.health.v1.Health/Check", "/passbus.v1.EventService/PublishEvents"]) {
        expect((await post(path, { "content-type": type }, envelope(0, Buffer.from("{}")))).status).toBe(415);
      }
    },
  );

  test("none comes in a URL", () => {
    expect(METHODS.filter(({ idempotency }) => idempotency !== 0).map(nameOf)).toEqual([]);
  });
});
