import { ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, expect, it } from "vitest";
import { EventService } from "../../gen/passbus/v1/event_service_pb.js";
import { PassEventType } from "../../gen/passbus/v1/pass_event_pb.js";
import { ADMIN_KEY, type TestApi, testApi } from "../../test/support/api.ts";
import { LIMITS } from "../kernel/limits.ts";

let api: TestApi;
beforeAll(async () => {
  api = await testApi();
});
afterAll(() => api.stop(0));

type Content = { readonly [key: string]: Content };
const nested = (levels: number): Content => (levels <= 1 ? {} : { a: nested(levels - 1) });

it.each([
  ["protobuf", () => createGrpcTransport({ baseUrl: api.url })],
  ["JSON", () => createConnectTransport({ baseUrl: api.url, httpVersion: "1.1", useBinaryFormat: false })],
])("in %s, content is taken as deep as it may be, and named where it is deeper", async (_, transport) => {
  const publish = (levels: number) =>
    createClient(EventService, transport()).publishEvents(
      { events: [{ type: PassEventType.CREATED, pass: { id: "p" }, details: { content: nested(levels) } }] },
      { headers: { authorization: `Bearer ${ADMIN_KEY}` } },
    );
  await publish(LIMITS.contentDepth);
  const refused = await publish(LIMITS.contentDepth + 1).catch((error: unknown) => ConnectError.from(error));
  expect(refused).toMatchObject({
    rawMessage: `events[0].details.content: must not be nested deeper than ${LIMITS.contentDepth}`,
  });
});
