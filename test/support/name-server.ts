/** A name server of the tests' own (RFC 1035, over UDP), which knows what a test tells it. */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { isIPv4, isIPv6 } from "node:net";

/**
 * What it makes of a name: its addresses of both families; undefined, there is no such name (NXDOMAIN); "failure", it
 * has trouble of its own (SERVFAIL); "silent", no answer.
 */
export type NameAnswer = readonly string[] | "failure" | "silent" | undefined;

export interface NameServer extends AsyncDisposable {
  /** As `address:port`. */
  readonly address: string;
  /** The names asked for so far, once for each question: A and AAAA are two. */
  readonly asked: readonly string[];
}

const TYPE_A = 1;
const TYPE_AAAA = 28;
/** Response, recursion desired and available. */
const FLAGS = 0x8180;
const SERVFAIL = 2;
const NXDOMAIN = 3;
/** A resolver that keeps answers is to ask again. */
const LIVES_SECONDS = 0;

/** @param where default: any free port of 127.0.0.1. */
export async function nameServer(
  answer: (name: string) => NameAnswer,
  where: { readonly address: string; readonly port: number } = { address: "127.0.0.1", port: 0 },
): Promise<NameServer> {
  const asked: string[] = [];
  const socket = createSocket("udp4");
  socket.on("message", (query, from) => {
    const { name, type, end } = questionOf(query);
    asked.push(name);
    const answered = answer(name);
    if (answered === "silent") return;
    socket.send(answerTo(query.subarray(0, end), answered, type), from.port, from.address);
  });
  socket.bind(where.port, where.address);
  await once(socket, "listening");
  const { address, port } = socket.address();
  return {
    address: `${address}:${port}`,
    asked,
    async [Symbol.asyncDispose]() {
      const closed = once(socket, "close");
      socket.close();
      await closed;
    },
  };
}

/** RFC 1035 §4.1.2: labels, each with its length before it, then the type and the class. */
function questionOf(query: Buffer): { readonly name: string; readonly type: number; readonly end: number } {
  const labels: string[] = [];
  let at = 12;
  for (let length = query.readUInt8(at); length > 0; length = query.readUInt8(at)) {
    labels.push(query.toString("latin1", at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join("."), type: query.readUInt16BE(at + 1), end: at + 5 };
}

/** RFC 1035 §4.1.1: the question again, with its answers behind it. */
function answerTo(question: Buffer, answer: Exclude<NameAnswer, "silent">, type: number): Buffer {
  const code = answer === undefined ? NXDOMAIN : answer === "failure" ? SERVFAIL : 0;
  const addresses = Array.isArray(answer) ? (answer as readonly string[]) : [];
  const records = addresses.flatMap((address) => {
    if (type === TYPE_A && isIPv4(address)) return [recordOf(type, Buffer.from(address.split(".").map(Number)))];
    if (type === TYPE_AAAA && isIPv6(address)) return [recordOf(type, ipv6Bytes(address))];
    return [];
  });
  const header = Buffer.from(question);
  header.writeUInt16BE(FLAGS | code, 2);
  header.writeUInt16BE(records.length, 6);
  header.writeUInt32BE(0, 8);
  return Buffer.concat([header, ...records]);
}

/** A pointer to the question's name, type, class IN, time to live, length, address. */
function recordOf(type: number, address: Buffer): Buffer {
  const head = Buffer.from([0xc0, 12, 0, type, 0, 1, 0, 0, 0, LIVES_SECONDS, 0, address.length]);
  return Buffer.concat([head, address]);
}

/** The URL parser writes an address in groups of hex, with its last four bytes so too; `::` is as many zeros as fit. */
function ipv6Bytes(address: string): Buffer {
  const plain = new URL(`http://[${address}]/`).hostname.slice(1, -1);
  const [head = "", tail] = plain.split("::");
  const groups = (text: string) => (text === "" ? [] : text.split(":"));
  const [front, back] = [groups(head), groups(tail ?? "")];
  const all = [...front, ...Array<string>(8 - front.length - back.length).fill("0"), ...back];
  return Buffer.from(all.map((group) => group.padStart(4, "0")).join(""), "hex");
}
