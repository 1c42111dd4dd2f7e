import { connect } from "node:http2";
import { Code, createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { InspectorService, SignatureVerdict } from "../../gen/passbus/v1/inspector_service_pb.js";
import { TENANT, type TestApi, testApi } from "../../test/support/api.ts";
import { failureOf, grpcWithKey } from "../../test/support/grpc.ts";
import { within } from "../../test/support/within.ts";
import type { Role } from "../access/access-store.ts";
import { LIMITS } from "../kernel/limits.ts";

let api: TestApi;
beforeAll(async () => {
  api = await testApi();
});
afterAll(() => api.stop(0));

const inspector = (role: Role = "admin", organisation = TENANT.organisation) =>
  createClient(
    InspectorService,
    grpcWithKey(api.url, api.stage.key(role, { organisation, environment: "production" })),
  );

async function made(statusCode = 0) {
  const { bin } = await inspector().createBin({ statusCode, description: "for a test" });
  return { binId: bin?.id ?? "", url: `${api.url}/bins/${bin?.id}`, bin };
}

const requestsOf = async (binId: string, role: Role = "admin") =>
  (await inspector(role).listBinRequests({ binId })).requests;

describe("a request bin, over the API", () => {
  test("has a URL under the public one, a day to live, and is listed, shown and deleted", async () => {
    const { binId, bin } = await made(503);
    expect(bin).toMatchObject({
      url: `https://passbus.test/bins/${binId}`,
      statusCode: 503,
      description: "for a test",
    });
    expect(Number(bin?.expiresAt?.seconds) - Number(bin?.createdAt?.seconds)).toBe(86_400);
    expect((await inspector("viewer").getBin({ binId })).bin).toEqual(bin);
    expect((await inspector().listBins({})).bins).toContainEqual(bin);
    await inspector("operator").deleteBin({ binId });
    expect((await failureOf(inspector().getBin({ binId }))).code).toBe(Code.NotFound);
  });

  test("is refused where it can't be", async () => {
    const refusals = [
      inspector().createBin({ statusCode: 302 }),
      inspector().createBin({ lifetime: { seconds: 10n } }),
      inspector().createBin({ description: "x".repeat(201) }),
      inspector().getBin({}),
    ];
    for (const each of refusals) expect((await failureOf(each)).code).toBe(Code.InvalidArgument);
    expect((await failureOf(inspector("viewer").createBin({}))).code).toBe(Code.PermissionDenied);
  });

  test("takes requests of anyone without a key, in any method, and shows them to its own organisation", async () => {
    const { binId, url } = await made();
    const sent = await fetch(`${url}/deep?a=b`, { method: "PUT", headers: { "x-mine": "1" }, body: "hello" });
    expect([sent.status, await sent.json()]).toEqual([200, { status: "ok" }]);
    const head = await fetch(url, { method: "HEAD" });
    expect([head.status, await head.text()]).toEqual([200, ""]);
    const [second, first] = await requestsOf(binId);
    expect(second).toMatchObject({ method: "HEAD", path: "", verdict: SignatureVerdict.UNKNOWN });
    expect(first).toMatchObject({ method: "PUT", path: "/deep?a=b", fromPassbus: false, statusCode: 200 });
    expect(first?.headers).toMatchObject({ "x-mine": "1", "content-length": "5" });
    expect(Buffer.from(first?.body ?? []).toString()).toBe("hello");
    const elsewhere = inspector("admin", "globex");
    expect((await failureOf(elsewhere.listBinRequests({ binId }))).code).toBe(Code.NotFound);
  });

  test("takes them over HTTP/2 too", async () => {
    const { binId, url } = await made(418);
    const session = connect(api.url);
    const stream = session.request({ ":method": "POST", ":path": new URL(url).pathname });
    stream.end("two");
    const status = await within(30_000, "an answer", new Promise((resolve) => stream.once("response", resolve)));
    expect(status).toMatchObject({ ":status": 418 });
    session.destroy();
    const [request] = await requestsOf(binId);
    expect(Object.keys(request?.headers ?? {}).filter((name) => name.startsWith(":"))).toEqual([]);
    expect(request?.headers.host).toBe(new URL(api.url).host);
  });

  test("answers 413 for what is too large, 410 where there is none, and keeps neither", async () => {
    const { binId, url } = await made();
    const large = await fetch(url, { method: "POST", body: Buffer.alloc(LIMITS.binBodyBytes + 1) });
    expect(large.status).toBe(413);
    for (const path of ["/bins/", "/bins/bin_1", `/bins/bin_${"0".repeat(32)}?x`]) {
      expect((await fetch(`${api.url}${path}`)).status).toBe(410);
    }
    expect(await requestsOf(binId)).toEqual([]);
  });

  test("shows an authorization to those who could have set it, and to no viewer", async () => {
    const { binId, url } = await made();
    await fetch(url, { headers: { authorization: "Bearer a-secret" } });
    expect((await requestsOf(binId, "subscriber"))[0]?.headers.authorization).toBe("Bearer a-secret");
    expect((await requestsOf(binId, "viewer"))[0]?.headers.authorization).toBe("");
  });

  test("tells a watch of what arrives", async () => {
    const { binId, url } = await made();
    const ending = new AbortController();
    const stream = inspector("viewer").watchBin({ binId }, { signal: ending.signal })[Symbol.asyncIterator]();
    expect((await within(30_000, "the beginning", stream.next())).value).toMatchObject({});
    await fetch(url, { method: "DELETE" });
    const told = await within(30_000, "the request", stream.next());
    expect(told.value?.request).toMatchObject({ method: "DELETE" });
    ending.abort();
    await expect(stream.next()).rejects.toThrow();
  });
});
