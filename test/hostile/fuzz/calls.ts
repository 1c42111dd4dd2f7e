/** Calls made of bytes, in each of the three protocols, and what they came to. */

import { type ClientHttp2Session, connect, constants } from "node:http2";
import type { DescMethod } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";

export const PROTOCOLS = ["gRPC", "gRPC-Web", "Connect"] as const;
export type Protocol = (typeof PROTOCOLS)[number];

export interface RawCall {
  readonly method: DescMethod;
  readonly protocol: Protocol;
  /** One message each; as many as one for what is unary. */
  readonly messages: readonly Buffer[];
  readonly encoding: "binary" | "json";
  readonly key: string;
}

export interface RawAnswer {
  /** "ok" is 0. -1 where the answer names none, and the text says what came instead. */
  readonly code: number;
  readonly text: string;
  /** All that came, headers too. */
  readonly all: string;
}

/** What streams is ended by its deadline. */
const STREAM_MS = 30;
/** No call takes longer, on however slow a machine: it hangs. */
const HANG_MS = 60_000;

export class RawCaller implements Disposable {
  readonly #url: string;
  #session: ClientHttp2Session;

  constructor(url: string) {
    this.#url = url;
    this.#session = this.#connect();
  }

  #connect(): ClientHttp2Session {
    const session = connect(this.#url);
    session.on("error", () => {});
    return session;
  }

  async call(call: RawCall): Promise<RawAnswer> {
    if (this.#session.closed || this.#session.destroyed) this.#session = this.#connect();
    const { promise, resolve, reject } = Promise.withResolvers<RawAnswer>();
    const name = `${call.method.parent.typeName}/${call.method.name}`;
    const stream = this.#session.request({ ":method": "POST", ":path": `/${name}`, ...headersOf(call) });
    const timer = setTimeout(() => reject(new Error(`it was not answered within ${HANG_MS} ms`)), HANG_MS);
    let [status, head, tail] = [0, "", ""];
    let grpcStatus: string | undefined;
    const parts: Buffer[] = [];
    const note = (headers: Readonly<Record<string, unknown>>) => {
      const found = headers["grpc-status"];
      if (typeof found === "string") grpcStatus = found;
      return JSON.stringify(headers);
    };
    stream.on("response", (headers) => {
      status = Number(headers[":status"]);
      head = note(headers);
    });
    stream.on("trailers", (headers) => {
      tail = note(headers);
    });
    stream.on("data", (chunk: Buffer) => parts.push(chunk));
    stream.on("error", () => {});
    stream.once("close", () => {
      clearTimeout(timer);
      const body = Buffer.concat(parts).toString("latin1");
      const all = `${head}\n${body}\n${tail}`;
      // Streams without a key beyond `keylessStreamsPerSecond` are refused by a reset alone.
      const isRefused = !isUnary(call) && stream.rstCode === constants.NGHTTP2_REFUSED_STREAM;
      const coded = isRefused ? { code: Code.ResourceExhausted, text: "" } : codeOf(call, status, grpcStatus, body);
      resolve({ ...coded, all });
    });
    stream.end(bodyOf(call));
    return await promise;
  }

  [Symbol.dispose](): void {
    this.#session.destroy();
  }
}

const isUnary = ({ method }: RawCall) => method.methodKind === "unary";

function headersOf(call: RawCall): Record<string, string> {
  const { protocol, encoding, key } = call;
  const authorization = `Bearer ${key}`;
  const ms = isUnary(call) ? HANG_MS : STREAM_MS;
  const suffix = encoding === "binary" ? "proto" : "json";
  switch (protocol) {
    case "gRPC":
      return { authorization, te: "trailers", "content-type": `application/grpc+${suffix}`, "grpc-timeout": `${ms}m` };
    case "gRPC-Web":
      return { authorization, "content-type": `application/grpc-web+${suffix}`, "grpc-timeout": `${ms}m` };
    case "Connect": {
      const type = isUnary(call) ? `application/${suffix}` : `application/connect+${suffix}`;
      return { authorization, "content-type": type, "connect-protocol-version": "1", "connect-timeout-ms": String(ms) };
    }
  }
}

function bodyOf(call: RawCall): Buffer {
  if (call.protocol === "Connect" && isUnary(call)) return call.messages[0] ?? Buffer.alloc(0);
  return Buffer.concat(
    call.messages.flatMap((message) => {
      const head = Buffer.alloc(5);
      head.writeUInt32BE(message.length, 1);
      return [head, message];
    }),
  );
}

type Coded = Pick<RawAnswer, "code" | "text">;

function codeOf(call: RawCall, status: number, grpcStatus: string | undefined, body: string): Coded {
  const inBody = /grpc-status: *(\d+)/i.exec(body)?.[1];
  const grpc = grpcStatus ?? (call.protocol === "gRPC-Web" ? inBody : undefined);
  if (grpc !== undefined) return { code: Number(grpc), text: body };
  if (call.protocol === "Connect") {
    if (isUnary(call) && status === 200) return { code: 0, text: "" };
    const named = /"code":"([a-z_]+)"/.exec(body)?.[1];
    if (named !== undefined) return { code: numberOf(named), text: body };
    if (status === 200 && body.includes("\x02")) return { code: 0, text: "" };
  }
  return { code: -1, text: `HTTP ${status}: ${body.slice(0, 200)}` };
}

function numberOf(name: string): number {
  const camel = name.replaceAll(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase());
  const found = Reflect.get(Code, camel);
  return typeof found === "number" ? found : -1;
}
