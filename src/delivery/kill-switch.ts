/**
 * The kill switch: while an organisation's deliveries, or all, are stopped, events are taken and recorded as always and
 * nothing leaves. First attempts go to the store as waiting; claims leave them there.
 *
 * Whoever may send has a KillSwitch, which looks at the store twice a second.
 */
import { type Clock, sleep } from "../kernel/clock.ts";
import type { Log } from "../kernel/log.ts";

/** That deliveries are stopped. */
export interface Stop {
  /** Absent: those of every organisation. */
  readonly organisation?: string;
  /** For people; may be empty. */
  readonly reason: string;
  readonly sinceMs: number;
  /** The id of the key that did it. */
  readonly by: string;
}

/** Where it is kept which deliveries are stopped. */
export interface SwitchStore {
  /** All that are stopped, the service first, then by organisation. */
  stops(): Promise<readonly Stop[]>;
  /** Durable when it resolves. What is stopped already keeps its time, and gets the reason and the key. */
  stop(stop: Stop): Promise<void>;
  /** Undefined: the service. Durable when it resolves. */
  start(organisation: string | undefined): Promise<void>;
}

/** Whom nothing may be sent for. */
export interface Stopped {
  isStopped(organisation: string): boolean;
  /** True: nothing may be sent at all. */
  readonly all: boolean;
  readonly organisations: readonly string[];
}

/** For places where nobody can stop anything. */
export const NOTHING_STOPPED: Stopped = { isStopped: () => false, all: false, organisations: [] };

export interface KillSwitchDeps {
  readonly store: Pick<SwitchStore, "stops">;
  readonly clock: Clock;
  readonly log: Log;
  /** Deliveries were started again: what waits may be due. */
  readonly onStarted: () => void;
}

/** Changes are seen everywhere within a second. */
const LOOK_EVERY_MS = 500;

const nameOf = (stop: Stop): string => stop.organisation ?? "";

export class KillSwitch implements Stopped {
  readonly #deps: KillSwitchDeps;
  readonly #stopping = new AbortController();
  #stops = new Map<string, Stop>();
  #loop: Promise<void> | undefined;
  #looking: Promise<void> = Promise.resolve();

  constructor(deps: KillSwitchDeps) {
    this.#deps = deps;
  }

  /** Resolves when it is known what is stopped: nothing may be sent before. Rejects where the store doesn't answer. */
  async start(): Promise<void> {
    await this.look();
    this.#loop ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
  }

  get all(): boolean {
    return this.#stops.has("");
  }

  get organisations(): readonly string[] {
    return [...this.#stops.keys()].filter((name) => name !== "");
  }

  get stops(): readonly Stop[] {
    return [...this.#stops.values()];
  }

  isStopped(organisation: string): boolean {
    return this.#stops.size > 0 && (this.all || this.#stops.has(organisation));
  }

  /** Asks the store now; one question after the other, so that an older answer never overtakes a newer one. */
  look(): Promise<void> {
    this.#looking = this.#looking.catch(() => {}).then(() => this.#look());
    return this.#looking;
  }

  async #look(): Promise<void> {
    const before = this.#stops;
    const now = new Map((await this.#deps.store.stops()).map((stop) => [nameOf(stop), stop]));
    this.#stops = now;
    const stopped = [...now.values()].filter((stop) => !before.has(nameOf(stop)));
    const started = [...before.values()].filter((stop) => !now.has(nameOf(stop)));
    for (const stop of stopped) this.#deps.log.warn("delivery.stopped", { ...fieldsOf(stop), reason: stop.reason });
    for (const stop of started) this.#deps.log.info("delivery.started", fieldsOf(stop));
    if (started.length > 0) this.#deps.onStarted();
  }

  async #run(): Promise<void> {
    const { clock, log } = this.#deps;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await sleep(clock, LOOK_EVERY_MS, signal);
      // While the store doesn't answer, what was known holds.
      await this.look().catch((err: unknown) => log.error("delivery.switch_unknown", { err }));
    }
  }
}

function fieldsOf({ organisation, by, sinceMs }: Stop) {
  const scope = organisation === undefined ? { scope: "service" } : { scope: "organisation", organisation };
  return { ...scope, by, sinceMs };
}

/** What is said to people, by whoever is asked why nothing is sent. */
export function stopText({ organisation, reason }: Stop): string {
  const whose = organisation === undefined ? "all deliveries are stopped" : `deliveries of ${organisation} are stopped`;
  return reason === "" ? whose : `${whose}: ${reason}`;
}
