/** Bodies that stop before their last byte, or are larger than they need be: what is held of them, of whom. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { gzipSync } from "node:zlib";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ServerReflection } from "../../gen/grpc/reflection/v1/reflection_pb.js";
import { InspectorService } from "../../gen/passbus/v1/inspector_service_pb.js";
import { isOpenToAnyone } from "../../src/access/roles.ts";
import { mostBytesOf } from "../../src/api/bodies.ts";
import { LIMITS } from "../../src/kernel/limits.ts";
import { ManualClock } from "../../src/kernel/manual-clock.ts";
import { type TestApi, testApi } from "../support/api.ts";
import { METHODS, nameOf } from "../support/everyone.ts";
import { grpcWithKey } from "../support/grpc.ts";
import { eventually, within } from "../support/within.ts";

const CHECK = "/grpc.health.v1.Health/Check";
const CREATE = "/passbus.v1.SubscriptionService/CreateSubscription";
const PUBLISH = "/passbus.v1.EventService/PublishEvents";
const WAIT_MS = 30_000;

let api: TestApi;
beforeAll(async () => {
  api = await testApi();
});
afterAll(() => api.stop(0));

/** Sends no more than it is given, and reads the head of the answer. */
class Line implements Disposable {
  readonly #socket: Socket;
  #text = "";

  constructor(port: number) {
    this.#socket = connect(port, "127.0.0.1");
    this.#socket.on("error", () => {});
    this.#socket.on("data", (chunk: Buffer) => {
      this.#text += chunk.toString("latin1");
    });
  }

  static async post(path: string, headers: Readonly<Record<string, string | number>>, body: Buffer, to = api) {
    const line = new Line(to.port);
    await once(line.#socket, "connect");
    const lines = Object.entries({ host: "a", ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
    line.#socket.write(`POST ${path} HTTP/1.1\r\n${lines.join("")}\r\n`);
    line.#socket.write(body);
    return line;
  }

  /** "" until there is one, or where the connection was cut. */
  get status(): string {
    return /^HTTP\/1\.1 (\d+)/.exec(this.#text)?.[1] ?? "";
  }

  answer(): Promise<string> {
    return this.said("}");
  }

  said(part: string): Promise<string> {
    return eventually(WAIT_MS, part, async () => (this.#text.includes(part) ? this.#text : undefined));
  }

  async closed(): Promise<void> {
    if (!this.#socket.closed) await within(WAIT_MS, "the end", once(this.#socket, "close"));
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}

const JSON_TYPE = { "content-type": "application/json" };

describe("without a key", () => {
  test("no method takes more than it needs", () => {
    const open = METHODS.filter((method) => isOpenToAnyone(nameOf(method)));
    expect(open.length).toBeGreaterThan(3);
    for (const { parent } of open) expect(mostBytesOf(parent)).toBeLessThanOrEqual(LIMITS.reflectionBytes);
  });

  test.each([
    ["one that says so", { "content-length": LIMITS.requestBytes }, Buffer.alloc(0)],
    ["one in parts", { "transfer-encoding": "chunked" }, Buffer.from(`401\r\n${" ".repeat(0x401)}\r\n`)],
    [
      "one that is packed",
      { "content-encoding": "gzip", "content-length": gzipSync(Buffer.alloc(LIMITS.keylessBytes + 1, " ")).length },
      gzipSync(Buffer.alloc(LIMITS.keylessBytes + 1, " ")),
    ],
  ])("a larger body is refused before its end: %s", async (_, headers, body) => {
    for (const type of [JSON_TYPE, { "content-type": "application/proto" }]) {
      using line = await Line.post(CHECK, { ...type, ...headers }, body);
      expect(await line.answer()).toContain(`larger than the ${LIMITS.keylessBytes} bytes`);
    }
  });

  test("nobody waits long for the rest, nor reads on for long where it was refused", async () => {
    const clock = new ManualClock();
    await using still = await testApi({ clock });
    const headers = { ...JSON_TYPE, expect: "100-continue" };
    using half = await Line.post(CHECK, { ...headers, "content-length": 100 }, Buffer.from("{"), still);
    await half.said("100 Continue");
    clock.advance(LIMITS.keylessTimeoutMs);
    await half.closed();
    using large = await Line.post(CHECK, { ...headers, "content-length": 1e9 }, Buffer.alloc(0), still);
    // Strangers rest after each request: no more than that passes meanwhile.
    const rests = setInterval(() => clock.advance(LIMITS.portTurnMs), 10);
    await large.answer().finally(() => clearInterval(rests));
    await new Promise((resolve) => setImmediate(resolve));
    clock.advance(200);
    await large.closed();
    await still.stop(0);
  });

  test("reflection takes names, and nothing larger", async () => {
    const reflection = createClient(ServerReflection, createGrpcTransport({ baseUrl: api.url }));
    const ask = async (value: string) => {
      const requests = (async function* () {
        yield { messageRequest: { case: "fileContainingSymbol" as const, value } };
      })();
      const answers = reflection.serverReflectionInfo(requests)[Symbol.asyncIterator]();
      return (await answers.next()).value?.messageResponse.case;
    };
    expect(await ask("passbus.v1.EventService")).toBe("fileDescriptorResponse");
    await expect(ask("x".repeat(LIMITS.reflectionBytes))).rejects.toThrow(
      `larger than the ${LIMITS.reflectionBytes} bytes`,
    );
  });

  test("what goes to no bin is refused before its body", async () => {
    const headers = { "content-length": LIMITS.binBodyBytes };
    using line = await Line.post(`/bins/bin_${"0".repeat(32)}`, headers, Buffer.from("x"));
    expect(await line.answer()).toContain("there is no such bin");
    expect(line.status).toBe("410");
  });

  test("what is half-read of requests to bins has an end", { timeout: 60_000 }, async () => {
    const inspector = createClient(InspectorService, grpcWithKey(api.url, api.stage.key("admin")));
    const { bin } = await inspector.createBin({});
    const path = new URL(bin?.url ?? "").pathname;
    const headers = { "content-length": LIMITS.binBodyBytes };
    const half = Buffer.alloc(LIMITS.binBodyBytes - 1);
    const count = Math.ceil(LIMITS.binBodiesBytes / half.length) + 2;
    const lines = await Promise.all(Array.from({ length: count }, () => Line.post(path, headers, half)));
    const refused = () => lines.filter(({ status }) => status === "503").length;
    await eventually(WAIT_MS, "a refusal", async () => refused() > 0 || undefined);
    for (const line of lines) line[Symbol.dispose]();
    await eventually(WAIT_MS, "room", async () => {
      using line = await Line.post(path, { "content-length": 2 }, Buffer.from("{}"));
      return (await line.answer()).startsWith("HTTP/1.1 200") || undefined;
    });
  });
});

describe("with a key", () => {
  test("what is half-read of an organisation has an end, and others go on", { timeout: 60_000 }, async () => {
    const post = (organisation: string, length: number, body: Buffer) => {
      const key = api.stage.key("admin", { organisation, environment: "production" });
      return Line.post(PUBLISH, { ...JSON_TYPE, "content-length": length, authorization: `Bearer ${key}` }, body);
    };
    const half = Buffer.alloc(LIMITS.requestBytes - 1, " ");
    const count = LIMITS.bodyBytesPerOrganisation / LIMITS.requestBytes + 1;
    const lines = await Promise.all(Array.from({ length: count }, () => post("acme", half.length + 1, half)));
    const [refused] = await eventually(WAIT_MS, "a refusal", async () => {
      const answered = lines.filter(({ status }) => status !== "");
      return answered.length > 0 ? answered : undefined;
    });
    expect(refused?.status).toBe("429");
    expect(await refused?.answer()).toContain('"limit.bodies"');
    using other = await post("globex", 2, Buffer.from("{}"));
    expect(await other.answer()).not.toContain("limit.bodies");
    for (const line of lines) line[Symbol.dispose]();
    await eventually(WAIT_MS, "room", async () => {
      using line = await post("acme", half.length, half);
      return (await line.answer()).includes("limit.bodies") ? undefined : true;
    });
  });

  test("what a portal session has half-read takes nothing from the organisation's keys", {
    timeout: 60_000,
  }, async () => {
    const tenant = { organisation: "initech", environment: "production" };
    const post = (path: string, token: string, length: number, body: Buffer) =>
      Line.post(path, { ...JSON_TYPE, "content-length": length, authorization: `Bearer ${token}` }, body);
    const session = api.stage.session("shop", tenant);
    const attack = async (bytes: number, count: number) => {
      const body = Buffer.alloc(bytes - 1, " ");
      const lines = await Promise.all(Array.from({ length: count }, () => post(CREATE, session, bytes, body)));
      await eventually(WAIT_MS, "a refusal", async () => lines.some(({ status }) => status === "429") || undefined);
      return lines;
    };
    const large = await attack(LIMITS.requestBytes, LIMITS.bodyBytesPerOrganisation / LIMITS.requestBytes + 1);
    for (const line of large) expect(await line.answer()).toMatch(/"limit\.(request_bytes|bodies)"/);
    const count = LIMITS.bodyBytesPerSession / LIMITS.sessionRequestBytes + 1;
    const small = await attack(LIMITS.sessionRequestBytes, count);
    const refused = small.find(({ status }) => status === "429");
    expect(await refused?.answer()).toContain("of the portal session that have not come whole");
    using published = await post(PUBLISH, api.stage.key("admin", tenant), 2, Buffer.from("{}"));
    expect(await published.answer()).not.toContain("limit.");
    const half = Buffer.alloc(LIMITS.requestBytes - 1, " ");
    using batch = await post(PUBLISH, api.stage.key("admin", tenant), half.length, half);
    expect(await batch.answer()).not.toContain("limit.");
    for (const line of [...large, ...small]) line[Symbol.dispose]();
  });
});
