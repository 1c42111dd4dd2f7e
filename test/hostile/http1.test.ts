/** Heads that two readers read in two ways (request smuggling), and what asks HTTP/1.1 to become something else. */
import { once } from "node:events";
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ADMIN_KEY, type TestApi, testApi } from "../support/api.ts";
import { within } from "../support/within.ts";

let api: TestApi;
beforeAll(async () => {
  api = await testApi();
});
afterAll(() => api.stop(0));

const METHOD = "/passbus.v1.EventService/ListEvents";
const HEAD = `POST ${METHOD} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ${ADMIN_KEY}\r\ncontent-type: application/json\r\n`;
/** Behind what is in doubt: answered with 404 by who takes it for a request. */
const SMUGGLED = "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
const chunks = (size = "2") => `\r\n\r\n${size}\r\n{}\r\n0\r\n\r\n`;

/** Statuses of all answers until the connection is closed, by the other side or, where it stays open, by us. */
async function statuses(request: string): Promise<readonly string[]> {
  const socket = connect(api.port, "127.0.0.1");
  let text = "";
  const closed = once(socket, "close");
  const quiet = Promise.withResolvers<void>();
  socket.on("data", (chunk) => {
    text += chunk.toString("latin1");
    // The answers end with that to our own last request, or with a closed connection.
    if (text.includes('"status":"alive"')) quiet.resolve();
  });
  socket.on("error", () => {});
  socket.write(`${request}GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n`, "latin1");
  await within(30_000, "the end of the answers", Promise.race([closed, quiet.promise]));
  socket.destroy();
  return [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status = ""]) => status);
}

describe("is refused, and the connection closed with nothing after it read:", () => {
  test.each([
    ["a length and chunks (CL.TE)", `${HEAD}content-length: 6\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nG`, "400"],
    ["chunks and a length (TE.CL)", `${HEAD}transfer-encoding: chunked\r\ncontent-length: 3${chunks()}`, "400"],
    ["two lengths", `${HEAD}content-length: 2\r\ncontent-length: 30\r\n\r\n{}${SMUGGLED}`, "400"],
    ["one length twice", `${HEAD}content-length: 2\r\ncontent-length: 2\r\n\r\n{}${SMUGGLED}`, "400"],
    ["a list of lengths", `${HEAD}content-length: 2, 2\r\n\r\n{}${SMUGGLED}`, "400"],
    ["a length with a sign", `${HEAD}content-length: +2\r\n\r\n{}${SMUGGLED}`, "400"],
    ["a negative length", `${HEAD}content-length: -1\r\n\r\n{}${SMUGGLED}`, "400"],
    ["a hexadecimal length", `${HEAD}content-length: 0x2\r\n\r\n{}${SMUGGLED}`, "400"],
    ["a length beyond all integers", `${HEAD}content-length: 99999999999999999999\r\n\r\n{}`, "400"],
    ["a coding that is nearly chunked", `${HEAD}transfer-encoding: xchunked${chunks()}`, "501"],
    ["chunked, then another coding", `${HEAD}transfer-encoding: chunked, identity${chunks()}`, "400"],
    ["chunked twice", `${HEAD}transfer-encoding: chunked\r\ntransfer-encoding: chunked${chunks()}`, "400"],
    ["a coding that is not undone", `${HEAD}transfer-encoding: gzip, chunked${chunks()}`, "501"],
    ["a blank before the colon", `${HEAD}transfer-encoding : chunked${chunks()}`, "400"],
    ["a control character before the value", `${HEAD}transfer-encoding:\x0bchunked${chunks()}`, "400"],
    ["chunks in HTTP/1.0", `${HEAD.replace("HTTP/1.1", "HTTP/1.0")}transfer-encoding: chunked${chunks()}`, "400"],
    ["a folded line", `${HEAD}x-a: b\r\n c\r\ncontent-length: 2\r\n\r\n{}${SMUGGLED}`, "400"],
    ["a folded coding", `${HEAD}transfer-encoding:\r\n chunked${chunks()}`, "400"],
    ["a line feed alone", `${HEAD}x-a: b\ncontent-length: 2\r\n\r\n{}${SMUGGLED}`, "400"],
    ["a line feed alone before the body", `${HEAD}content-length: 2\r\n\n{}${SMUGGLED}`, "400"],
    ["line feeds alone throughout", `${HEAD.replaceAll("\r\n", "\n")}content-length: 2\n\n{}`, "400"],
    ["a carriage return alone", `${HEAD}x-a: b\rc: d\r\ncontent-length: 2\r\n\r\n{}`, "400"],
    ["a zero byte in a value", `${HEAD}x-a: b\0c\r\ncontent-length: 2\r\n\r\n{}`, "400"],
    ["a blank in a name", `${HEAD}x a: b\r\ncontent-length: 2\r\n\r\n{}`, "400"],
    ["a header without a name", `${HEAD}: b\r\ncontent-length: 2\r\n\r\n{}`, "400"],
    ["a blank before the first header", `POST ${METHOD} HTTP/1.1\r\n host: a\r\ncontent-length: 2\r\n\r\n{}`, "400"],
    ["a line feed alone after a chunk's size", `${HEAD}transfer-encoding: chunked\r\n\r\n2\n{}\r\n0\r\n\r\n`, "400"],
    ["a chunk longer than it says", `${HEAD}transfer-encoding: chunked\r\n\r\n2\r\n{}XX0\r\n\r\n`, "400"],
    ["a chunk's size beyond all integers", `${HEAD}transfer-encoding: chunked${chunks("ffffffffffffffff1")}`, "400"],
    ["a negative chunk", `${HEAD}transfer-encoding: chunked${chunks("-1")}`, "400"],
    ["a chunk's extension without end", `${HEAD}transfer-encoding: chunked${chunks(`2;${"a".repeat(20_000)}`)}`, "413"],
    ["two hosts", `${HEAD}host: b\r\ncontent-length: 2\r\n\r\n{}${SMUGGLED}`, "400"],
    ["no host", `${HEAD.replace("host: a\r\n", "")}content-length: 2\r\n\r\n{}${SMUGGLED}`, "400"],
    ["two keys", `${HEAD}authorization: Bearer x\r\ncontent-length: 2\r\n\r\n{}${SMUGGLED}`, "400"],
    ["two content types", `${HEAD}content-type: text/plain\r\ncontent-length: 2\r\n\r\n{}${SMUGGLED}`, "400"],
    ["HTTP/0.9", "GET /healthz\r\n\r\n", "505"],
    ["HTTP/2.0 as a line of HTTP/1.1", "GET /healthz HTTP/2.0\r\nhost: a\r\n\r\n", "505"],
    ["HTTP/1.2", "GET /healthz HTTP/1.2\r\nhost: a\r\n\r\n", "400"],
    ["more headers than may be", `${HEAD}${"x-a: 1\r\n".repeat(101)}content-length: 2\r\n\r\n{}`, "431"],
    ["a header that is too long", `${HEAD}x-a: ${"a".repeat(20_000)}\r\ncontent-length: 2\r\n\r\n{}`, "431"],
    ["a path that is too long", `GET /${"a".repeat(20_000)} HTTP/1.1\r\nhost: a\r\n\r\n`, "431"],
    ["TLS where none is spoken", `\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03${"x".repeat(100)}`, "400"],
    ["noise", "\xff\xfe\xfd\r\n\r\n", "400"],
  ])("%s", async (_, request, status) => {
    expect(await statuses(request)).toEqual([status]);
  });
});

describe("stays one request of HTTP/1.1:", () => {
  test.each([
    [
      "an upgrade to WebSocket",
      "GET",
      "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n",
      "200",
    ],
    [
      "an upgrade to HTTP/2",
      "GET",
      "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n",
      "200",
    ],
    ["a TRACE", "TRACE", "", "405"],
    ["an expectation that nobody has", "GET", "expect: 200-maybe\r\n", "417"],
    ["a body where none belongs", "GET", `content-length: ${SMUGGLED.length}\r\n`, "200"],
  ])("%s", async (_, method, headers, status) => {
    const body = headers.startsWith("content-length") ? SMUGGLED : "";
    const answers = await statuses(`${method} /healthz HTTP/1.1\r\nhost: a\r\n${headers}\r\n${body}`);
    // The second is that of the request behind it, where the connection stays.
    expect(answers.slice(0, 1)).toEqual([status]);
    expect(answers).not.toContain("404");
    expect(answers).not.toContain("101");
  });

  test("CONNECT makes a tunnel to nowhere", async () => {
    expect(await statuses("CONNECT elsewhere:443 HTTP/1.1\r\nhost: elsewhere\r\n\r\n")).toEqual([]);
  });
});
