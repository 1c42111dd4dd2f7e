/** Ports for the servers of tests. */
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";

/**
 * Below the range that Linux and others give to outgoing connections (from 32768, or 49152): while a server is
 * down for a test, a client's next connection could otherwise get the server's own port, and even connect to
 * itself there, and the server could not come back.
 */
const FIRST = 20_000;
const END = 32_000;

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    return true;
  } catch {
    return false;
  } finally {
    server.close();
  }
}

/** Different ports of this machine that nobody listens on. Taken at random, so that two runs hardly meet. */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = randomInt(FIRST, END);
    if (await isFree(port)) ports.add(port);
  }
  return [...ports];
}
