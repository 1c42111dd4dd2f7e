import { createHash } from "node:crypto";
import { once } from "node:events";
import { request as requestHttp1 } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { afterEach, describe, expect, it } from "vitest";
import { systemClock } from "../kernel/clock.ts";
import { ManualClock } from "../kernel/manual-clock.ts";
import { nextTurn } from "../kernel/next-turn.ts";
import { StrangersTurns } from "./paced-socket.ts";
import { openPort, type Port, type PortOptions } from "./port.ts";

const LIMITS = { portPieceBytes: 10, portTurnBytes: 40, portTurnMs: 1 };

interface Sender {
  readonly network?: string;
  readonly isNewcomer?: boolean;
  /** What reading a piece brings about. */
  readonly took?: () => void;
}

/** Someone who sent so many bytes; each piece that is read of them is noted. */
function sender(name: string, bytes: number, read: string[], { network, isNewcomer, took }: Sender = {}) {
  let left = bytes;
  return {
    network: network ?? name,
    isNewcomer: () => isNewcomer === true,
    give: (mostBytes: number) => {
      const given = Math.min(left, mostBytes);
      left -= given;
      read.push(name);
      took?.();
      return given;
    },
    hasMore: () => left > 0,
  };
}

/**
 * What was read in the turn that is under way, and in the one that follows at once where nothing was used up.
 */
async function readNow(read: string[]): Promise<string> {
  await nextTurn();
  return read.splice(0).join("");
}

describe("strangers' turns", () => {
  it("go round, piece by piece, as far as one turn goes, and rest after it", async () => {
    const clock = new ManualClock();
    const turns = new StrangersTurns(clock, LIMITS);
    const read: string[] = [];
    turns.read(sender("a", 1_000, read));
    turns.read(sender("b", 15, read));
    expect(await readNow(read)).toBe("ababa");
    expect(await readNow(read)).toBe("");
    clock.advance(LIMITS.portTurnMs);
    expect(await readNow(read)).toBe("aaaa");
  });

  it("end when their time is over", async () => {
    const clock = new ManualClock();
    const turns = new StrangersTurns(clock, LIMITS);
    const read: string[] = [];
    // What is done because of it, later in the same turn, counts too.
    const took = () => queueMicrotask(() => process.nextTick(() => clock.advance(0.5)));
    turns.read(sender("a", 1_000, read, { took }));
    expect(await readNow(read)).toBe("aa");
    clock.advance(LIMITS.portTurnMs);
    expect(await readNow(read)).toBe("aa");
  });

  it("end with a request, which has to be answered, and rest after it", async () => {
    const clock = new ManualClock();
    const turns = new StrangersTurns(clock, LIMITS);
    const read: string[] = [];
    turns.read(sender("a", 1_000, read, { took: () => turns.end(false) }));
    turns.read(sender("b", 10, read));
    expect(await readNow(read)).toBe("a");
    clock.advance(LIMITS.portTurnMs);
    expect(await readNow(read)).toBe("ba");
    clock.advance(LIMITS.portTurnMs);
    expect(await readNow(read)).toBe("a");
  });

  it("go round by network, and in each by connection", async () => {
    const turns = new StrangersTurns(new ManualClock(), LIMITS);
    const read: string[] = [];
    turns.read(sender("a", 5, read, { took: () => turns.end(true) }));
    for (const name of ["b", "c", "d"]) turns.read(sender(name, 1_000, read, { network: "many" }));
    turns.read(sender("e", 20, read));
    expect(await readNow(read)).toBe("a" + "bece");
  });

  it("leave everybody his place, however often he says that he waits", async () => {
    const turns = new StrangersTurns(new ManualClock(), LIMITS);
    const read: string[] = [];
    turns.read(sender("a", 5, read, { took: () => turns.end(true) }));
    const [first, second] = ["b", "c"].map((name) => sender(name, 15, read));
    for (const each of [first, second, first]) if (each !== undefined) turns.read(each);
    expect(await readNow(read)).toBe("a" + "bcbc");
  });

  it("come to newcomers first, who don't rest with the others", async () => {
    const turns = new StrangersTurns(new ManualClock(), LIMITS);
    const read: string[] = [];
    turns.read(sender("a", 1_000, read, { took: () => turns.end(false) }));
    turns.read(sender("b", 1_000, read));
    expect(await readNow(read)).toBe("a");
    turns.read(sender("c", 15, read, { isNewcomer: true }));
    turns.read(sender("d", 5, read, { isNewcomer: true, took: () => turns.end(true) }));
    turns.read(sender("e", 5, read, { isNewcomer: true }));
    expect(await readNow(read)).toBe("cdec");
    expect(await readNow(read)).toBe("");
  });

  it("come no more to who is gone", async () => {
    const clock = new ManualClock();
    const turns = new StrangersTurns(clock, LIMITS);
    const read: string[] = [];
    const gone = sender("a", 1_000, read);
    turns.read(gone);
    expect(await readNow(read)).toBe("aaaa");
    turns.forget(gone);
    clock.advance(LIMITS.portTurnMs);
    expect(await readNow(read)).toBe("");
  });
});

const ports: Port[] = [];
afterEach(async () => {
  await Promise.all(ports.splice(0).map((port) => port.stop(0)));
});

async function open(options: Partial<PortOptions>): Promise<Port> {
  const listen = { host: "127.0.0.1", port: 0 };
  const port = await openPort({ listen, clock: systemClock, serve: () => {}, ...options });
  ports.push(port);
  return port;
}

/** How many requests were served in the same turn of the event loop, of 200 that were sent at once. */
async function mostAtOnce(isTrusted: boolean): Promise<number> {
  const all = Promise.withResolvers<void>();
  let [served, inTurn, most] = [0, 0, 0];
  const port = await open({
    limits: { portPipelined: 1_000 },
    serve: (_, response, connection) => {
      if (isTrusted) connection.trust();
      if (inTurn === 0) {
        setImmediate(() => {
          inTurn = 0;
        });
      }
      served += 1;
      inTurn += 1;
      // The first comes alone: by then nobody is trusted.
      if (served > 1) most = Math.max(most, inTurn);
      response.end();
      if (served === 201) all.resolve();
    },
  });
  const socket = connect(port.address.port, port.address.host);
  const one = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
  socket.write(one);
  await once(socket, "data");
  socket.resume();
  socket.write(one.repeat(200));
  await all.promise;
  socket.destroy();
  return most;
}

/** As a call with a key is answered: it counts before the body is read. */
const sizeOfBody: PortOptions["serve"] = async (request, response, connection) => {
  if (request.url === "/trusted") connection.trust();
  let bytes = 0;
  for await (const chunk of request) bytes += chunk.length;
  response.end(String(bytes));
};

describe("a connection", () => {
  it("of a stranger is read a piece at a time, however much it sends", async () => {
    // As many as have their end in one piece of 256 bytes.
    expect(await mostAtOnce(false)).toBeLessThanOrEqual(10);
  });

  it("that was used with a key that counts is not", async () => {
    expect(await mostAtOnce(true)).toBeGreaterThan(20);
  });

  it("that was used with such a key is read on, whatever the others wait for", async () => {
    // Who rests, rests for longer than the test.
    const port = await open({ limits: { portTurnMs: 60_000 }, serve: sizeOfBody });
    const strangers = Array.from({ length: 5 }, () => connect(port.address.port, port.address.host));
    for (const stranger of strangers) stranger.write(`GET /${"x".repeat(300)} HTTP/1.1\r\nhost: a\r\n\r\n`.repeat(5));
    await Promise.all(strangers.map((stranger) => once(stranger, "data")));
    const session = connectHttp2(`http://${port.address.host}:${port.address.port}`);
    for (const bytes of [1, 200_000, 1_000_000]) {
      const stream = session.request({ ":method": "POST", ":path": "/trusted" });
      stream.end(Buffer.alloc(bytes));
      expect(await text(stream)).toBe(String(bytes));
    }
    session.destroy();
    for (const stranger of strangers) stranger.destroy();
  });

  const body = Buffer.alloc(300_000, "what comes in pieces comes whole, ");
  const digest = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
  const echo = () =>
    open({
      serve: async (request, response) => {
        const chunks: Buffer[] = [];
        for await (const chunk of request) chunks.push(chunk);
        response.end(digest(Buffer.concat(chunks)));
      },
    });

  it("of HTTP/1.1 brings all that was sent, in its order", async () => {
    const port = await echo();
    const sent = requestHttp1({ port: port.address.port, host: port.address.host, method: "POST", agent: false });
    const [response] = await once(sent.end(body), "response");
    expect(await text(response)).toBe(digest(body));
  });

  it("of HTTP/2 brings all that was sent, in its order", async () => {
    const port = await echo();
    const session = connectHttp2(`http://127.0.0.1:${port.address.port}`);
    const stream = session.request({ ":method": "POST", ":path": "/" });
    expect(await text(stream.end(body))).toBe(digest(body));
    session.close();
  });
});
