/** A passbus that asks the test's own name server, and no other. It takes root. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type NameAnswer, type NameServer, nameServer } from "./name-server.ts";

export class OwnNames implements AsyncDisposable {
  /** What becomes of each question. */
  answer: (name: string) => NameAnswer = () => undefined;
  readonly #folder: string;
  #server: NameServer | undefined;

  private constructor() {
    this.#folder = mkdtempSync(join(tmpdir(), "passbus-names-"));
  }

  static async start(): Promise<OwnNames> {
    const names = new OwnNames();
    // On a loopback address of this process's own, since resolv.conf knows no port but 53.
    const address = `127.53.${(process.pid >> 8) & 0xff}.${process.pid & 0xff}`;
    names.#server = await nameServer((name) => names.answer(name), { address, port: 53 });
    writeFileSync(join(names.#folder, "resolv.conf"), `nameserver ${address}\n`);
    return names;
  }

  /** Starts a program so that it asks this server: in a mount namespace where /etc/resolv.conf is another. */
  get launcher(): readonly string[] {
    const script = 'mount --bind "$0" /etc/resolv.conf && exec "$@"';
    return ["unshare", "--mount", "sh", "-c", script, join(this.#folder, "resolv.conf")];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server?.[Symbol.asyncDispose]();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
