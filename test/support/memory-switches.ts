import type { Stop, SwitchStore } from "../../src/delivery/kill-switch.ts";

/** Which deliveries are stopped, in memory. */
export class MemorySwitches implements SwitchStore {
  readonly #stops = new Map<string, Stop>();
  /** Set, every look rejects with it. */
  error: Error | undefined;

  async stops(): Promise<readonly Stop[]> {
    if (this.error !== undefined) throw this.error;
    return [...this.#stops].sort(([left], [right]) => (left < right ? -1 : 1)).map(([, stop]) => stop);
  }

  async stop(stop: Stop): Promise<void> {
    const name = stop.organisation ?? "";
    this.#stops.set(name, { ...stop, sinceMs: this.#stops.get(name)?.sinceMs ?? stop.sinceMs });
  }

  async start(organisation: string | undefined): Promise<void> {
    this.#stops.delete(organisation ?? "");
  }
}
