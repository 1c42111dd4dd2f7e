import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Health, HealthCheckResponse_ServingStatus as Status } from "../../gen/grpc/health/v1/health_pb.js";
import { ADMIN_KEY, type TestApi, testApi } from "../../test/support/api.ts";

const METHOD = "/passbus.v1.EventService/ListEvents";
const CALL = {
  method: "POST",
  headers: { "content-type": "application/json", authorization: `Bearer ${ADMIN_KEY}` },
  body: "{}",
};

let api: TestApi;
beforeAll(async () => {
  api = await testApi({ corsOrigins: ["https://board.example"] });
});
afterAll(() => api.stop(0));

describe("the probes", () => {
  it("say that it lives, and whether it is ready, with the reasons", async () => {
    expect((await fetch(`${api.url}/healthz`)).status).toBe(200);
    const ready = await fetch(`${api.url}/readyz`);
    expect([ready.status, await ready.json()]).toEqual([200, { ready: true, reasons: [] }]);
    api.stage.ready = false;
    const unready = await fetch(`${api.url}/readyz?verbose`);
    expect([unready.status, await unready.json()]).toEqual([
      503,
      { ready: false, reasons: ["the store does not answer"] },
    ]);
    expect((await fetch(`${api.url}/healthz`)).status).toBe(200);
    api.stage.ready = true;
  });

  it("answer HEAD without a body, and refuse to be written to", async () => {
    const head = await fetch(`${api.url}/readyz`, { method: "HEAD" });
    expect([head.status, await head.text()]).toEqual([200, ""]);
    const post = await fetch(`${api.url}/readyz`, { method: "POST", body: "{}" });
    expect([post.status, post.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
  });

  it("say 500 where readiness can't be found out, and 404 for what is not there", async () => {
    const broken = await testApi({ readiness: () => Promise.reject(new Error("no answer")) });
    expect((await fetch(`${broken.url}/readyz`)).status).toBe(500);
    expect(broken.stage.errors.map(({ event }) => event)).toEqual(["api.answer_failed"]);
    await broken.stop(0);
    for (const path of ["/readyz/", "/passbus.v1.EventService/Nothing"]) {
      expect((await fetch(api.url + path)).status).toBe(404);
    }
  });
});

describe("grpc.health.v1", () => {
  const client = (url = api.url) => createClient(Health, createGrpcTransport({ baseUrl: url }));

  it("has the server's readiness for each service that is served", async () => {
    for (const service of ["", "passbus.v1.EventService"]) {
      expect((await client().check({ service })).status).toBe(Status.SERVING);
      api.stage.ready = false;
      expect((await client().check({ service })).status).toBe(Status.NOT_SERVING);
      api.stage.ready = true;
    }
    await expect(client().check({ service: "passbus.v1.NobodysService" })).rejects.toThrow("service:");
    const { statuses } = await client().list({});
    expect(Object.keys(statuses)).toContain("passbus.v1.SubscriptionService");
  });
});

describe("calls from browsers", () => {
  const preflight = (origin: string) =>
    fetch(api.url + METHOD, {
      method: "OPTIONS",
      headers: {
        origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type,connect-protocol-version",
      },
    });

  it("are let in from an origin on the list", async () => {
    const answer = await preflight("https://board.example");
    expect(answer.status).toBe(204);
    expect(answer.headers.get("access-control-allow-origin")).toBe("https://board.example");
    const headers = answer.headers.get("access-control-allow-headers")?.toLowerCase().split(/, */);
    expect(headers).toEqual(expect.arrayContaining(["authorization", "content-type", "connect-protocol-version"]));
    expect(answer.headers.get("vary")).toBe("origin");
    const call = await fetch(api.url + METHOD, {
      ...CALL,
      headers: { ...CALL.headers, origin: "https://board.example" },
    });
    expect([call.status, call.headers.get("access-control-allow-origin")]).toEqual([200, "https://board.example"]);
    expect(call.headers.get("access-control-expose-headers")?.toLowerCase()).toContain("grpc-status");
    expect(call.headers.get("access-control-allow-credentials")).toBeNull();
  });

  it("are not let in from another", async () => {
    const answer = await preflight("https://other.example");
    expect(answer.headers.get("access-control-allow-origin")).toBeNull();
    expect(answer.headers.get("vary")).toBe("origin");
  });

  it("are let in from anywhere with *, and from nowhere by default", async () => {
    for (const [corsOrigins, allowed] of [
      [["*"], "*"],
      [[], null],
    ] as const) {
      const other = await testApi({ corsOrigins });
      const call = await fetch(other.url + METHOD, { ...CALL, headers: { ...CALL.headers, origin: "https://a.b" } });
      expect([call.status, call.headers.get("access-control-allow-origin")]).toEqual([200, allowed]);
      await other.stop(0);
    }
  });
});

describe("requests that are off", () => {
  it.each([
    ["a host that is none", "HTTP/1.1\r\nhost: [bad\r\n"],
    ["no host, in HTTP/1.0", "HTTP/1.0\r\n"],
  ])("with %s are answered 400, and the server lives on", async (_, rest) => {
    const socket = connect(api.port, "127.0.0.1");
    socket.write(`POST ${METHOD} ${rest}content-type: application/json\r\ncontent-length: 2\r\n\r\n{}`);
    const [head] = await once(socket, "data");
    expect(String(head)).toContain(" 400 ");
    socket.destroy();
    expect((await fetch(`${api.url}/healthz`)).status).toBe(200);
  });

  it("with a header that is too large are answered 431", async () => {
    const answer = await fetch(`${api.url}/healthz`, { headers: { "x-large": "x".repeat(20_000) } });
    expect(answer.status).toBe(431);
  });

  it("with no path, as CONNECT in HTTP/2, do no harm", async () => {
    const session = connectHttp2(api.url);
    const stream = session.request({ ":method": "CONNECT", ":authority": "elsewhere:443" });
    const [headers] = await once(stream, "response");
    expect(headers[":status"]).toBe(405);
    session.destroy();
    expect((await fetch(`${api.url}/healthz`)).status).toBe(200);
  });
});
