/** Those who mean harm: each keeps some connections at it until it is told to stop. What they send, no client sends. */
import { connect, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { callFields, FLAGS, fields, frame, PREFACE, uint32 } from "./frames.ts";

/** Whom it attacks, and with what. */
export interface Target {
  readonly port: number;
  /** One that counts: some attackers are customers. */
  readonly key: string;
}

export interface Attack {
  readonly name: string;
  /** Connections at a time; each that ends is made anew. */
  readonly connections: number;
  /** What one connection does; returns when it has no more to send. */
  readonly act: (line: Line, target: Target) => Promise<void>;
}

const LIST = "/passbus.v1.EventService/ListEvents";
const PUBLISH = "/passbus.v1.EventService/PublishEvents";
const REFLECT = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
const WATCH = "/grpc.health.v1.Health/Watch";

/** Between two bytes of who drips. */
const DRIP_MS = 100;
/** Before who was cut comes again: from one address, and with TLS, nobody does so much faster. */
const AGAIN_MS = 500;

/** One connection of an attacker. */
export class Line {
  readonly socket: Socket;
  readonly signal: AbortSignal;
  readonly #closed: Promise<void>;

  constructor(port: number, stop: AbortSignal) {
    this.socket = connect(port, "127.0.0.1");
    this.socket.on("error", () => {});
    this.socket.resume();
    const over = new AbortController();
    this.signal = AbortSignal.any([stop, over.signal]);
    this.#closed = new Promise((resolve) => {
      this.socket.once("close", () => {
        over.abort();
        resolve();
      });
    });
  }

  get isOver(): boolean {
    return this.signal.aborted;
  }

  /** Resolves when the other side has room for more. */
  async send(bytes: Buffer | string): Promise<void> {
    if (this.isOver || this.socket.write(bytes)) return;
    await new Promise<void>((resolve) => {
      this.socket.once("drain", resolve);
      this.signal.addEventListener("abort", () => resolve(), { once: true });
    });
  }

  /** A byte at a time. */
  async drip(text: string): Promise<void> {
    for (const byte of text) {
      if (this.isOver) return;
      await this.send(byte);
      await delay(DRIP_MS, undefined, { signal: this.signal }).catch(() => {});
    }
  }

  /** As fast as the other side takes it. */
  async flood(bytes: Buffer): Promise<void> {
    while (!this.isOver) {
      await this.send(bytes);
      // Its own turn of the loop, so that the one who attacks sees that it was cut.
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async hold(): Promise<void> {
    await delay(600_000, undefined, { signal: this.signal }).catch(() => {});
  }

  async close(): Promise<void> {
    this.socket.destroy();
    await this.#closed;
  }
}

/** Attacks until `stop`; counts the connections that it made. */
export async function attack({ connections, act }: Attack, target: Target, stop: AbortSignal): Promise<number> {
  let made = 0;
  const one = async () => {
    while (!stop.aborted) {
      made += 1;
      const line = new Line(target.port, stop);
      await act(line, target);
      await line.close();
      await delay(AGAIN_MS, undefined, { signal: stop }).catch(() => {});
    }
  };
  await Promise.all(Array.from({ length: connections }, one));
  return made;
}

const times = (count: number, bytes: Buffer) => Buffer.concat(Array<Buffer>(count).fill(bytes));

const http1 = (path: string, headers: Readonly<Record<string, string | number>>) =>
  `POST ${path} HTTP/1.1\r\nhost: a\r\n${Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join("")}\r\n`;

const bearer = ({ key }: Target) => ({ authorization: `Bearer ${key}` });
const JSON_TYPE = { "content-type": "application/json" };
const GRPC_TYPE = { "content-type": "application/grpc", te: "trailers" };

/** A flood of one frame that is legal by itself. */
function frames(name: string, one: Buffer): Attack {
  const many = times(200, one);
  return {
    name,
    connections: 4,
    act: async (line) => {
      await line.send(PREFACE);
      await line.flood(many);
    },
  };
}

const slow: readonly Attack[] = [
  { name: "silent connections", connections: 300, act: (line) => line.hold() },
  {
    name: "HTTP/1.1 header drip",
    connections: 200,
    act: (line) => line.drip(`GET / HTTP/1.1\r\nx: ${"a".repeat(9_999)}`),
  },
  {
    name: "HTTP/1.1 body drip",
    connections: 200,
    act: async (line, target) => {
      await line.send(http1(LIST, { ...JSON_TYPE, ...bearer(target), "content-length": 4_000 }));
      await line.drip(" ".repeat(4_000));
    },
  },
  { name: "HTTP/2 preface drip", connections: 200, act: (line) => line.drip(PREFACE.toString("latin1")) },
  {
    name: "HTTP/2 connections without a call",
    connections: 300,
    act: async (line) => {
      await line.send(PREFACE);
      await line.hold();
    },
  },
  {
    name: "HTTP/2 body drip",
    connections: 50,
    act: async (line, target) => {
      await line.send(PREFACE);
      const headers = callFields(LIST, { ...GRPC_TYPE, ...bearer(target) });
      for (let stream = 1; stream < 20; stream += 2)
        await line.send(frame("HEADERS", FLAGS.endHeaders, stream, headers));
      for (; !line.isOver; await delay(DRIP_MS, undefined, { signal: line.signal }).catch(() => {})) {
        await line.send(frame("DATA", 0, 1, Buffer.of(0)));
      }
    },
  },
  {
    name: "streams without messages, of who needs no key",
    connections: 10,
    act: async (line) => {
      await line.send(PREFACE);
      const headers = [REFLECT, WATCH].map((path) => callFields(path, GRPC_TYPE));
      for (let stream = 1; stream < 400; stream += 2) {
        await line.send(frame("HEADERS", FLAGS.endHeaders, stream, headers[((stream - 1) / 2) % 2]));
      }
      await line.hold();
    },
  },
  {
    name: "answers that nobody reads",
    connections: 20,
    act: async (line) => {
      line.socket.pause();
      const settings = frame("SETTINGS", 0, 0, Buffer.concat([Buffer.of(0, 4), uint32(0)]));
      await line.send(Buffer.concat([PREFACE, settings]));
      const headers = callFields("/healthz");
      for (let stream = 1; stream < 1_000; stream += 2) {
        await line.send(frame("HEADERS", FLAGS.endHeaders | FLAGS.endStream, stream, headers));
      }
      await line.hold();
    },
  },
];

const floods: readonly Attack[] = [
  {
    name: "HTTP/1.1 header flood",
    connections: 4,
    act: (line) => line.flood(Buffer.from(`GET / HTTP/1.1\r\n${"x-flood: aaaaaaaaaaaaaaaaaaaa\r\n".repeat(500)}`)),
  },
  {
    name: "HTTP/1.1 pipelining flood",
    connections: 4,
    act: (line) => line.flood(Buffer.from("GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n".repeat(100))),
  },
  {
    name: "HTTP/2 header flood",
    connections: 4,
    act: async (line) => {
      await line.send(PREFACE);
      const headers = Buffer.concat([
        callFields(LIST),
        fields(Array.from({ length: 900 }, (_, at) => [`x-${at}`, "a"])),
      ]);
      for (let stream = 1; !line.isOver && stream < 10_000; stream += 2) {
        await line.send(frame("HEADERS", FLAGS.endHeaders, stream, headers));
      }
    },
  },
  {
    name: "HTTP/2 rapid reset",
    connections: 4,
    act: async (line, target) => {
      await line.send(PREFACE);
      const headers = callFields(LIST, { ...GRPC_TYPE, ...bearer(target) });
      for (let stream = 1; !line.isOver && stream < 1_000_000; stream += 2) {
        const open = frame("HEADERS", FLAGS.endHeaders, stream, headers);
        await line.send(Buffer.concat([open, frame("RST_STREAM", 0, stream, uint32(8))]));
        if (stream % 200 === 1) await new Promise((resolve) => setImmediate(resolve));
      }
    },
  },
  {
    name: "CONTINUATION flood",
    connections: 4,
    act: async (line) => {
      await line.send(Buffer.concat([PREFACE, frame("HEADERS", 0, 1, callFields(LIST))]));
      await line.flood(times(100, frame("CONTINUATION", 0, 1, fields([["x", "a"]]))));
    },
  },
  frames("SETTINGS flood", frame("SETTINGS", 0, 0, Buffer.concat([Buffer.of(0, 3), uint32(100)]))),
  frames("PING flood", frame("PING", 0, 0, Buffer.alloc(8))),
  frames("WINDOW_UPDATE flood", frame("WINDOW_UPDATE", 0, 0, uint32(1))),
  frames("PRIORITY flood", frame("PRIORITY", 0, 1, Buffer.alloc(5))),
  frames("flood of unknown frames", frame("UNKNOWN", 0, 0, Buffer.alloc(16))),
  {
    name: "flood of empty DATA",
    connections: 4,
    act: async (line, target) => {
      const headers = callFields(PUBLISH, { ...GRPC_TYPE, ...bearer(target) });
      await line.send(Buffer.concat([PREFACE, frame("HEADERS", FLAGS.endHeaders, 1, headers)]));
      await line.flood(times(200, frame("DATA", 0, 1)));
    },
  },
  {
    name: "flood of keys that don't count",
    connections: 8,
    act: async (line) => {
      const text = http1(LIST, { ...JSON_TYPE, authorization: "Bearer nothing", "content-length": 2 });
      for (let calls = 0; calls < 50 && !line.isOver; calls++) {
        await line.send(`${text}{}`);
        await delay(10, undefined, { signal: line.signal }).catch(() => {});
      }
    },
  },
  {
    name: "connections that come and go",
    connections: 20,
    act: async (line) => {
      await line.send("GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n");
    },
  },
];

/** One body that is to cost more than it weighs. */
function bomb(name: string, headers: Readonly<Record<string, string>>, body: Buffer): Attack {
  return {
    name,
    connections: 1,
    act: async (line, target) => {
      await line.send(http1(PUBLISH, { ...headers, ...bearer(target), "content-length": body.length }));
      await line.send(body);
      await delay(500, undefined, { signal: line.signal }).catch(() => {});
    },
  };
}

const MIB = 1024 * 1024;

const bombs: readonly Attack[] = [
  bomb("gzip bomb", { ...JSON_TYPE, "content-encoding": "gzip" }, gzipSync(Buffer.alloc(256 * MIB))),
  bomb("JSON nested without end", JSON_TYPE, Buffer.from("[".repeat(MIB))),
  bomb(
    "JSON of a million keys",
    JSON_TYPE,
    Buffer.from(`{${Array.from({ length: 200_000 }, (_, at) => `"k${at}":0`)}}`),
  ),
  bomb("body beyond the limit, without a key", { ...JSON_TYPE, authorization: "none" }, Buffer.alloc(8 * MIB)),
];

const CHECK = "/grpc.health.v1.Health/Check";
const WATCH_DELIVERIES = "/passbus.v1.DeliveryService/WatchDeliveries";
const NEST = Buffer.from(`{"service":${"[".repeat(4 * MIB - 64)}`);

/** A message of a stream or of gRPC. */
const enveloped = (flags: number, message: Buffer) =>
  Buffer.concat([Buffer.of(flags), uint32(message.length), message]);

/** One body after the other. */
function bodies(name: string, path: string, headers: Readonly<Record<string, string>>, body: Buffer): Attack {
  return {
    name,
    connections: 2,
    act: async (line, target) => {
      const key = path === CHECK ? {} : bearer(target);
      await line.send(http1(path, { ...headers, ...key, "content-length": body.length }));
      await line.send(body);
      await delay(500, undefined, { signal: line.signal }).catch(() => {});
    },
  };
}

/** Many bodies that stop before their last KiB, of who needs no key. */
function halves(name: string, path: string, bytes: number, chunked: boolean): Attack {
  const length = chunked ? { "transfer-encoding": "chunked" } : { "content-length": bytes };
  const head = Buffer.from(http1(path, { ...JSON_TYPE, ...length }) + (chunked ? `${bytes.toString(16)}\r\n` : ""));
  const half = Buffer.concat([head, Buffer.alloc(bytes - 1_024, " ")]);
  return {
    name,
    connections: 20,
    act: async (line) => {
      await line.send(half);
      await line.hold();
    },
  };
}

const byAnybody: readonly Attack[] = [
  bodies("JSON bombs over gRPC, without a key", CHECK, { "content-type": "application/grpc+json" }, enveloped(0, NEST)),
  bodies(
    "packed JSON bombs of streams",
    WATCH_DELIVERIES,
    { "content-type": "application/connect+json", "connect-content-encoding": "gzip" },
    enveloped(1, gzipSync(NEST)),
  ),
  halves("half bodies without a key", CHECK, 4 * MIB, false),
  halves("half bodies without a key, in parts", CHECK, 4 * MIB, true),
  halves("half bodies to no bin", `/bins/bin_${"0".repeat(32)}`, 256 * 1_024, false),
];

export const ATTACKS: readonly Attack[] = [...slow, ...floods, ...bombs, ...byAnybody];
