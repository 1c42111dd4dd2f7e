/** Is a server ready? Asked in its own protocol, and not through the clients that the suites are about. */
import { createConnection } from "node:net";

/** An answer that takes longer than this is none: the servers are near, and are asked again. */
const ANSWER_LIMIT_MS = 2_000;

/** The whole length of an answer, from its first four bytes. */
type LengthOf = (answer: Buffer) => number;

/** Sends `request` to `host:port`; its answer, or undefined where there is none. */
async function ask(address: string, request: Buffer, lengthOf: LengthOf): Promise<Buffer | undefined> {
  const at = address.lastIndexOf(":");
  const signal = AbortSignal.timeout(ANSWER_LIMIT_MS);
  const socket = createConnection({ host: address.slice(0, at), port: Number(address.slice(at + 1)), signal });
  try {
    socket.write(request);
    let answer = Buffer.alloc(0);
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      answer = Buffer.concat([answer, chunk]);
      if (answer.length >= 4 && answer.length >= lengthOf(answer)) return answer;
    }
  } catch {
    // Refused, reset or too late: it is not ready.
  } finally {
    socket.destroy();
  }
  return undefined;
}

/** Metadata v1 for no topic, correlation id 1, no client id (Kafka protocol guide, Metadata request). */
const METADATA_REQUEST = Buffer.from([0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 0]);

/** How many live brokers the broker at `host:port` knows; 0 where it does not answer. */
export async function liveBrokers(address: string): Promise<number> {
  // Length, correlation id, then the number of brokers; 4 bytes each.
  const answer = await ask(address, METADATA_REQUEST, (bytes) => bytes.readInt32BE() + 4);
  return answer?.readInt32BE(8) ?? 0;
}

/** `{ hello: 1, $db: "admin" }` as OP_MSG (MongoDB wire protocol). */
function helloRequest(): Buffer {
  const command = Buffer.concat([
    Buffer.from("\x10hello\0\x01\0\0\0", "latin1"),
    Buffer.from("\x02$db\0\x06\0\0\0admin\0", "latin1"),
  ]);
  const document = Buffer.alloc(command.length + 5);
  document.writeInt32LE(document.length);
  command.copy(document, 4);
  const head = Buffer.alloc(21);
  head.writeInt32LE(head.length + document.length, 0);
  head.writeInt32LE(1, 4);
  head.writeInt32LE(2013, 12);
  return Buffer.concat([head, document]);
}

/** BSON of `isWritablePrimary: true`. */
const WRITABLE_PRIMARY = Buffer.from("\x08isWritablePrimary\0\x01", "latin1");

/** Does the server at `host:port` call itself a primary that takes writes? */
export async function isPrimary(address: string): Promise<boolean> {
  const answer = await ask(address, helloRequest(), (bytes) => bytes.readInt32LE());
  return answer?.includes(WRITABLE_PRIMARY) ?? false;
}
