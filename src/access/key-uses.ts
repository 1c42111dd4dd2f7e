import type { Clock } from "../kernel/clock.ts";
import type { Log } from "../kernel/log.ts";
import type { KeyStore } from "./access-store.ts";

/** Between two writes for one key. */
const EVERY_MS = 60_000;
/** What comes in between shares a write. */
const GATHER_MS = 1_000;
const REMEMBERED = 10_000;

export interface KeyUsesDeps {
  readonly store: Pick<KeyStore, "noteKeyUses">;
  readonly clock: Clock;
  readonly log: Log;
}

/** When each key was last used, written in bulk and at most once a minute a key. A write that fails is left. */
export class KeyUses {
  readonly #deps: KeyUsesDeps;
  /** When a use of the key was last noted, by the monotonic clock; those noted last stand last. */
  readonly #notedAtMs = new Map<string, number>();
  #waiting = new Map<string, number>();
  #cancel: (() => void) | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(deps: KeyUsesDeps) {
    this.#deps = deps;
  }

  note(id: string): void {
    const { clock } = this.#deps;
    const nowMs = clock.monotonic();
    const noted = this.#notedAtMs.get(id);
    if (noted !== undefined && nowMs - noted < EVERY_MS) return;
    this.#notedAtMs.delete(id);
    this.#notedAtMs.set(id, nowMs);
    const [oldest] = this.#notedAtMs.keys();
    if (this.#notedAtMs.size > REMEMBERED && oldest !== undefined) this.#notedAtMs.delete(oldest);
    this.#waiting.set(id, clock.now());
    this.#cancel ??= clock.after(GATHER_MS, () => this.#flush());
  }

  /** Writes what waits. */
  async stop(): Promise<void> {
    if (this.#cancel !== undefined) this.#flush();
    await this.#writing;
  }

  #flush(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    const uses = [...this.#waiting].map(([id, atMs]) => ({ id, atMs }));
    this.#waiting = new Map();
    const { store, log } = this.#deps;
    const write = async () => {
      await store
        .noteKeyUses(uses)
        .catch((err: unknown) => log.warn("access.key_uses_lost", { keys: uses.length, err }));
    };
    this.#writing = this.#writing.then(write);
  }
}
