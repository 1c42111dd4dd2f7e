/** Receivers of webhooks that break every rule, and what passbus is to make of each. */
import { readFileSync } from "node:fs";
import type { Socket } from "node:net";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { ErrorCode } from "../../src/kernel/errors.ts";
import { httpsServer, type TestServer, tcpServer } from "./receiver.ts";

export interface BadReceiver {
  /** What it does, as the table of faults says it. */
  readonly name: string;
  /** What each attempt is to be put down to; absent where the delivery is to be DELIVERED at the first one. */
  readonly code?: ErrorCode;
  readonly status?: number;
  /** Of the attempt's error message, where the code alone doesn't say which of several. */
  readonly says?: RegExp;
  /** Has the connection from its start on. */
  readonly speak: (socket: Socket, connection: number) => void;
  /** Over TLS with this certificate of test/support/tls; then `speak` gets the plain side. */
  readonly certificate?: string;
}

/** The most that a receiver can be rid of in one connection: what kernels buffer, and not what it has to say. */
export const MOST_POURED_BYTES = 16 * 1024 * 1024;
const TEN_GB = 10 * 1024 ** 3;
const BLOCK = Buffer.alloc(64 * 1024, "x");
const HINT = Buffer.from("HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n".repeat(200));
const BOMB = gzipSync(Buffer.alloc(64 * 1024 * 1024));
const GARBAGE_WAITS = ["banana", "-5", "1e3", "", "Fri, 99 Foo 2026 25:61:61 GMT", "9".repeat(40), "0x10", "1, 2"];

/** Writes as much as is taken, until it is cut. */
function pour(socket: Socket, chunk: Buffer): void {
  const more = () => {
    while (!socket.destroyed && socket.write(chunk)) {}
    if (!socket.destroyed) socket.once("drain", more);
  };
  more();
}

/** A byte now and then: each in time for every timeout that counts from the last one. */
function drip(socket: Socket, text: string): void {
  let at = 0;
  const timer = setInterval(() => socket.write(text[at++ % text.length] ?? ""), 200);
  socket.once("close", () => clearInterval(timer));
}

/** Once the request is there. */
function answers(say: (socket: Socket, connection: number) => void): BadReceiver["speak"] {
  return (socket, connection) => socket.once("data", () => say(socket, connection));
}

const OK = "HTTP/1.1 200 OK\r\n";
const GARBAGE_LENGTH = `${OK}content-length: 5\r\ncontent-length: 7\r\n\r\nhello`;

export const BAD_RECEIVERS: readonly BadReceiver[] = [
  { name: "accepts and never answers", code: "attempt.timeout", speak: () => {} },
  {
    name: "drips its header, a byte at a time",
    code: "attempt.timeout",
    speak: answers((socket) => drip(socket, `${OK}x-patience: ${"y".repeat(1_000)}`)),
  },
  {
    name: "drips its body, a byte at a time",
    code: "attempt.timeout",
    speak: answers((socket) => {
      socket.write(`${OK}content-length: 1000\r\n\r\n`);
      drip(socket, "z");
    }),
  },
  { name: "closes as soon as it is reached", code: "connection.closed", speak: (socket) => void socket.destroy() },
  {
    name: "resets the connection after the request",
    code: "connection.closed",
    speak: answers((socket) => void socket.resetAndDestroy()),
  },
  {
    name: "closes in the middle of its header",
    code: "connection.closed",
    speak: answers((socket) => void socket.end("HTTP/1.1 200 OK\r\ncontent-le")),
  },
  {
    name: "closes in the middle of its body",
    code: "connection.closed",
    speak: answers((socket) => void socket.end(`${OK}content-length: 100\r\n\r\nten bytes.`)),
  },
  {
    name: "answers 200 and sends 10 GB",
    status: 200,
    speak: answers((socket) => {
      socket.write(`${OK}content-length: ${TEN_GB}\r\n\r\n`);
      pour(socket, BLOCK);
    }),
  },
  {
    name: "answers 500 and never ends its chunks",
    code: "http.status",
    status: 500,
    speak: answers((socket) => {
      socket.write("HTTP/1.1 500 Oh\r\ntransfer-encoding: chunked\r\n\r\n");
      pour(socket, Buffer.from(`1000\r\n${"c".repeat(0x1000)}\r\n`.repeat(16)));
    }),
  },
  {
    name: "never ends its headers",
    code: "response.invalid",
    speak: answers((socket) => {
      socket.write(OK);
      pour(socket, Buffer.from("x-more: of the same\r\n".repeat(500)));
    }),
  },
  {
    name: "never ends its first header",
    code: "response.invalid",
    speak: answers((socket) => {
      socket.write(`${OK}x-long: `);
      pour(socket, BLOCK);
    }),
  },
  {
    name: "speaks SSH",
    code: "response.invalid",
    speak: answers((socket) => void socket.end("SSH-2.0-OpenSSH_9.6\r\n")),
  },
  {
    name: "gives a chunk's size that is none",
    code: "response.invalid",
    speak: answers((socket) => void socket.end(`${OK}transfer-encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n`)),
  },
  {
    name: "gives two lengths",
    code: "response.invalid",
    speak: answers((socket) => void socket.end(GARBAGE_LENGTH)),
  },
  {
    name: "floods with interim responses (103)",
    code: "response.invalid",
    speak: answers((socket) => pour(socket, HINT)),
  },
  {
    name: "answers 100 to nobody's question",
    code: "connection.closed",
    speak: answers((socket) => void socket.end("HTTP/1.1 100 Continue\r\n\r\n")),
  },
  {
    name: "sends a gzip bomb (64 MiB in 64 KiB)",
    status: 200,
    speak: answers((socket) => {
      socket.write(`${OK}content-encoding: gzip\r\ncontent-length: ${BOMB.length}\r\n\r\n`);
      socket.end(BOMB);
    }),
  },
  {
    name: "redirects to itself",
    code: "http.redirect",
    status: 308,
    speak: answers((socket) => {
      const self = `http://127.0.0.1:${socket.localPort}/`;
      socket.end(`HTTP/1.1 308 Again\r\nlocation: ${self}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`);
    }),
  },
  {
    name: "answers 503 with garbage in Retry-After",
    code: "http.status",
    status: 503,
    speak: answers((socket, connection) => {
      const wait = GARBAGE_WAITS[connection % GARBAGE_WAITS.length];
      socket.end(`HTTP/1.1 503 Later\r\nretry-after: ${wait}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`);
    }),
  },
  {
    name: "has a certificate that has expired",
    code: "tls.failed",
    says: /expired/u,
    certificate: "expired",
    speak: () => {},
  },
  {
    name: "has a certificate of its own making",
    code: "tls.failed",
    says: /self-signed/u,
    certificate: "cert",
    speak: () => {},
  },
  {
    name: "has another host's certificate",
    code: "tls.failed",
    says: /altnames/u,
    certificate: "wrong-name",
    speak: () => {},
  },
  {
    name: "speaks plain text where TLS is asked for",
    code: "tls.failed",
    certificate: "",
    speak: answers((socket) => void socket.end("HTTP/1.1 400 Bad Request\r\n\r\n")),
  },
];

/** A receiver that runs. */
export interface RunningBadReceiver extends AsyncDisposable {
  readonly url: string;
  readonly connections: () => number;
  /** The most that it got rid of in one connection. */
  readonly mostPouredBytes: () => number;
}

const TLS_FOLDER = join(import.meta.dirname, "tls");

export const AUTHORITY_FILE = join(TLS_FOLDER, "authority.pem");

/** An https receiver with a certificate of test/support/tls that answers 200. */
export function tlsReceiver(certificate: string): Promise<TestServer> {
  const [key, cert] = ["key", certificate].map((name) => readFileSync(join(TLS_FOLDER, `${name}.pem`), "utf8"));
  return httpsServer({ key: key ?? "", cert: cert ?? "" }, (request, response) => {
    request.resume().once("end", () => response.end());
  });
}

export async function startBadReceiver({ speak, certificate }: BadReceiver): Promise<RunningBadReceiver> {
  const sockets: Socket[] = [];
  const isTls = certificate !== undefined && certificate !== "";
  const server = isTls
    ? await tlsReceiver(certificate)
    : await tcpServer((socket) => {
        sockets.push(socket);
        speak(socket, sockets.length);
      });
  return {
    url: `${certificate === undefined ? "http" : "https"}://127.0.0.1:${server.port}/`,
    connections: server.connections,
    mostPouredBytes: () => Math.max(0, ...sockets.map(({ bytesWritten }) => bytesWritten)),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}
