import { afterEach, expect, it } from "vitest";
import type { BinRequest } from "../../gen/passbus/v1/inspector_service_pb.js";
import { httpServer, type TestServer } from "../../test/support/receiver.ts";
import { forward } from "./forward.ts";

let server: TestServer | undefined;
afterEach(() => server?.[Symbol.asyncDispose]());

it.each([
  ["/hook", "/a/b?x=1", "/hook/a/b?x=1"],
  ["/hook", "", "/hook"],
  ["/hook/", "/./a", "/hook/a"],
  ["/", "/a/../b", "/b"],
  ["/hook", "/../admin", undefined],
  ["/hook", "/%2e%2e/admin", undefined],
  ["/hook", "/a/../../hookup", undefined],
])("what came to a bin goes no further than %s was said to: %s", async (base, path, wanted) => {
  const asked: (string | undefined)[] = [];
  server = await httpServer((request, response) => {
    asked.push(request.url);
    response.end();
  });
  const arrived = { method: "POST", body: new Uint8Array(), headers: {}, path } as unknown as BinRequest;
  const forwarded = await forward(new URL(`http://127.0.0.1:${server.port}${base}`), arrived);
  expect(asked).toEqual(wanted === undefined ? [] : [wanted]);
  expect("error" in forwarded).toBe(wanted === undefined);
});
