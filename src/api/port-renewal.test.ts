/** What happens to connections that are open when the revocation lists of clients' certificates change. */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect as connectHttp2 } from "node:http2";
import { connect as connectTcp, Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { afterEach, expect, it } from "vitest";
import { systemClock } from "../kernel/clock.ts";
import { LIMITS } from "../kernel/limits.ts";
import { Connections } from "./connections.ts";
import { type HttpResponse, openPort, type Port } from "./port.ts";

const text = (name: string) => readFileSync(new URL(`../../test/support/tls/${name}`, import.meta.url), "utf8");
const withoutLists = { cert: text("cert.pem"), key: text("key.pem"), clientCa: text("revoked/authority.pem") };
const tlsWith = (list: string) => ({ ...withoutLists, clientCrls: [text(`revoked/${list}.crl`)] });
const certificate = (name: string) => ({ cert: text(`revoked/${name}.pem`), key: text("clients/key.pem") });
const CA = { ca: text("cert.pem") };
const REQUEST = (path: string) => `GET ${path} HTTP/1.1\r\nhost: a\r\n\r\n`;

const ports: Port[] = [];
afterEach(() => Promise.all(ports.splice(0).map((port) => port.stop(0))));

/** Answers at once, but for /later, whose answers wait in `later`. */
async function open(portRenewMs = 30_000) {
  const later: HttpResponse[] = [];
  const port = await openPort({
    listen: { host: "127.0.0.1", port: 0 },
    clock: systemClock,
    tls: tlsWith("none"),
    limits: { portRenewMs },
    serve: (request, response) => {
      if (request.url === "/later") later.push(response);
      else response.end("now");
    },
  });
  ports.push(port);
  return { port, later, at: { host: port.address.host, port: port.address.port } };
}

/** All that comes until the connection ends. */
async function rest(socket: Socket): Promise<string> {
  let came = "";
  try {
    for await (const chunk of socket) came += chunk;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ECONNRESET") throw error;
  }
  return came;
}

async function answered(socket: Socket): Promise<void> {
  socket.write(REQUEST("/"));
  await once(socket, "data");
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
}

it("an idle one with a certificate ends, and is judged anew when it comes back; one without goes on", async () => {
  const { port, at } = await open();
  const good = connectTls({ ...at, ...CA, ...certificate("good") });
  const nobody = connectTls({ ...at, ...CA });
  const revoked = connectTls({ ...at, ...CA, ...certificate("revoked") });
  for (const socket of [good, nobody, revoked]) await answered(socket);
  port.replaceTls(tlsWith("revoked"));
  expect(await Promise.all([rest(good), rest(revoked)])).toEqual(["", ""]);
  await answered(nobody);
  nobody.destroy();
  const again = connectTls({ ...at, ...CA, ...certificate("good") });
  await answered(again);
  again.destroy();
  const refused = connectTls({ ...at, ...CA, ...certificate("revoked") });
  refused.write(REQUEST("/"));
  expect(await rest(refused)).toBe("");
});

it("a call under way over HTTP/1.1 has its whole answer, and the next needs another connection", async () => {
  const { port, at, later } = await open();
  const socket = connectTls({ ...at, ...CA, ...certificate("good") });
  socket.write(REQUEST("/later"));
  await until(() => later.length === 1);
  port.replaceTls(tlsWith("revoked"));
  // Not served: nobody would have its answer.
  socket.write(REQUEST("/later"));
  const body = "x".repeat(3_000_000);
  later[0]?.end(body);
  const [head, ...answers] = (await rest(socket)).split("\r\n\r\n");
  expect(head?.toLowerCase()).toContain("\r\nconnection: close");
  expect(answers.length).toBe(1);
  expect(answers[0] === body).toBe(true);
  expect(later.length).toBe(1);
});

it("a call under way over HTTP/2 has its answer, and its client is told to go", async () => {
  const { port, at, later } = await open();
  const session = connectHttp2(`https://127.0.0.1:${at.port}`, { ...CA, ...certificate("good") });
  const call = session.request({ ":path": "/later" }).end();
  await until(() => later.length === 1);
  const goaway = once(session, "goaway");
  port.replaceTls(tlsWith("revoked"));
  await goaway;
  later[0]?.end("late");
  let came = "";
  for await (const chunk of call) came += chunk;
  expect(came).toBe("late");
  if (!session.destroyed) await once(session, "close");
});

it.each(["HTTP/1.1", "HTTP/2"])("a call over %s that goes on for longer is cut", async (version) => {
  const { port, at, later } = await open(200);
  const options = { ...CA, ...certificate("revoked") };
  let ended: Promise<unknown>;
  if (version === "HTTP/2") {
    const session = connectHttp2(`https://127.0.0.1:${at.port}`, options);
    const call = session.request({ ":path": "/later" }).end();
    session.on("error", () => {});
    ended = new Promise((resolve) => call.on("error", () => {}).once("close", () => resolve("")));
  } else {
    const socket = connectTls({ ...at, ...options });
    socket.write(REQUEST("/later"));
    ended = rest(socket);
  }
  await until(() => later.length === 1);
  port.replaceTls(tlsWith("revoked"));
  expect(await ended).toBe("");
});

it("one whose handshake is under way meanwhile ends too", async () => {
  const { port, at } = await open();
  const begun = async () => {
    const socket = connectTcp(at);
    await once(socket, "connect");
    return socket;
  };
  const [one, other, older] = [await begun(), await begun(), connectTls({ ...at, ...CA })];
  // Taken in by the port after these.
  await answered(older);
  older.destroy();
  port.replaceTls(tlsWith("revoked"));
  const revoked = connectTls({ socket: one, ...CA, ...certificate("revoked") });
  revoked.write(REQUEST("/"));
  expect(await rest(revoked)).toBe("");
  const nobody = connectTls({ socket: other, ...CA });
  await answered(nobody);
  nobody.destroy();
});

it("a certificate is shown at the handshake or never: TLS 1.2 is not negotiated again", async () => {
  const { at } = await open();
  const socket = connectTls({ ...at, ...CA, ...certificate("good"), maxVersion: "TLSv1.2" });
  await answered(socket);
  const refused = await new Promise((resolve) => {
    socket.on("error", resolve);
    socket.renegotiate({}, (error) => resolve(error));
  });
  expect(String(refused)).toMatch(/no renegotiation/);
  socket.destroy();
});

it("one that is gone when its handshake is over is not remembered", () => {
  const connections = new Connections(systemClock, { ...LIMITS, portRenewMs: 0 });
  const gone = new Socket();
  connections.certified(gone, gone);
  expect(gone.destroyed).toBe(true);
});

it("two connections from one port to two addresses of ours are two", () => {
  const connections = new Connections(systemClock, LIMITS);
  const to = (localAddress: string) => {
    const ends = { remoteAddress: "192.0.2.1", remotePort: 4_000, localAddress, localPort: 443 };
    const values = Object.entries(ends).map(([name, value]) => [name, { value }]);
    return Object.defineProperties(new Socket(), Object.fromEntries(values)) as Socket;
  };
  const [one, other] = [to("198.51.100.1"), to("198.51.100.2")];
  for (const socket of [one, other]) connections.connected(socket);
  // What TLS lays over each has the ends of its connection.
  expect([connections.of(to("198.51.100.1")) === one, connections.of(to("198.51.100.2")) === other]).toEqual([
    true,
    true,
  ]);
});
