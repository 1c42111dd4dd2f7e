import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { httpServer, httpsServer, tcpServer } from "../../../test/support/receiver.ts";
import { networkSet } from "../../kernel/addresses.ts";
import { systemClock } from "../../kernel/clock.ts";
import { type HttpSenderOptions, httpSender } from "./sender.ts";

const tls = (name: string) => readFileSync(join(import.meta.dirname, "../../../test/support/tls", name), "utf8");
const loopback = networkSet(["127.0.0.0/8"]);
const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

/** An ordinary proxy, that knows CONNECT. */
async function connectProxy() {
  const asked: { readonly authority: string; readonly authorization: string | undefined }[] = [];
  const server: Server = createServer();
  server.on("connect", (request, socket, head) => {
    asked.push({ authority: request.url ?? "", authorization: request.headers["proxy-authorization"] });
    const [host = "", port = ""] = (request.url ?? "").split(":");
    const onward = connect(Number(port), host, () => {
      socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
      onward.write(head);
      onward.pipe(socket).pipe(onward);
    });
    for (const end of [onward, socket]) end.on("error", () => end.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { asked, port };
}

function senderThrough(port: number, options: Partial<HttpSenderOptions> = {}) {
  const sender = httpSender({
    clock: systemClock,
    allowHttp: true,
    allowedNetworks: loopback,
    proxy: { host: "127.0.0.1", port },
    connectTimeoutMs: 500,
    ...options,
  });
  closing.push(() => sender.close());
  return (url: string) => sender.send({ method: "POST", url, headers: {}, body: Buffer.from("{}"), timeoutMs: 3_000 });
}

describe("an outbound proxy", () => {
  it("is asked for the address that was checked, and never for the name", async () => {
    await using receiver = await httpServer((_request, response) => response.end("ok"));
    const proxy = await connectProxy();
    const send = senderThrough(proxy.port, {
      proxy: { host: "127.0.0.1", port: proxy.port, authorization: "Basic dTpw" },
      resolve: async () => ["10.0.0.1", "127.0.0.1"],
    });
    expect(await send(`http://receiver.test:${receiver.port}/`)).toMatchObject({ kind: "response", status: 200 });
    expect(proxy.asked).toEqual([{ authority: `127.0.0.1:${receiver.port}`, authorization: "Basic dTpw" }]);
  });

  it("carries TLS between passbus and the endpoint, whose name is verified", async () => {
    await using receiver = await httpsServer({ key: tls("key.pem"), cert: tls("cert.pem") }, (_request, response) =>
      response.end("ok"),
    );
    const proxy = await connectProxy();
    const send = senderThrough(proxy.port, { ca: tls("cert.pem"), resolve: async () => ["127.0.0.1"] });
    expect(await send(`https://localhost.test:${receiver.port}/`)).toMatchObject({ reason: "tls.failed" });
    expect(await send(`https://localhost:${receiver.port}/`)).toMatchObject({ kind: "response", status: 200 });
  });

  it("is no way round the guard", async () => {
    const proxy = await connectProxy();
    const send = senderThrough(proxy.port, { allowedNetworks: networkSet([]), resolve: async () => ["127.0.0.1"] });
    expect(await send("http://127.0.0.1:8081/")).toMatchObject({ kind: "failure" });
    expect(await send("http://rebound.test:8080/")).toMatchObject({ reason: "guard.refused" });
    expect(proxy.asked).toEqual([]);
  });

  it.each([
    ["HTTP/1.1 403 Forbidden\r\n\r\n", "the proxy answered 403"],
    ["SSH-2.0-OpenSSH\r\n\r\n", "the proxy's answer is no HTTP"],
    ["x".repeat(20_000), "the proxy's answer has no end"],
    ["", "the proxy made no connection within 500 ms"],
  ])("that says %.12j makes no connection", async (answer, message) => {
    await using proxy = await tcpServer((socket) => void (answer !== "" && socket.write(answer)));
    const send = senderThrough(proxy.port);
    expect(await send("http://127.0.0.1:8080/")).toMatchObject({ reason: "connect.failed", message });
  });

  it("that isn't there is told, and not where it would be", async () => {
    const gone = await tcpServer(() => {});
    await gone[Symbol.asyncDispose]();
    expect(await senderThrough(gone.port)("http://127.0.0.1:8080/")).toMatchObject({
      reason: "connect.refused",
      message: "the connection to the proxy failed (ECONNREFUSED)",
    });
  });

  it("that has no address is told, and not by its name", async () => {
    const proxy = { host: "proxy.invalid", port: 3_128 };
    expect(await senderThrough(0, { proxy, connectTimeoutMs: 5_000 })("http://127.0.0.1:8080/")).toMatchObject({
      reason: "connect.failed",
      message: expect.stringMatching(/^the connection to the proxy failed \([A-Z_]+\)$/),
    });
  });

  it("that drops the connection is told in our words", async () => {
    await using proxy = await tcpServer((socket) => void socket.once("data", () => socket.resetAndDestroy()));
    expect(await senderThrough(proxy.port)("http://127.0.0.1:8080/")).toMatchObject({
      message: "the connection to the proxy failed (ECONNRESET)",
    });
  });
});

// "If you need to whitelist our IP addresses" (seed 003).
describe("an egress address", () => {
  it("is where connections leave from", async () => {
    const seen: (string | undefined)[] = [];
    await using receiver = await httpServer((request, response) => {
      seen.push(request.socket.remoteAddress);
      response.end();
    });
    const proxy = await connectProxy();
    await senderThrough(proxy.port, { proxy: undefined, egressAddress: "127.0.0.9" })(
      `http://127.0.0.1:${receiver.port}/`,
    );
    expect(seen).toEqual(["127.0.0.9"]);
  });
});
