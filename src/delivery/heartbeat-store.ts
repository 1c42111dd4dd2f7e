/** The last beat of a worker that the store has. */
export interface Pulse {
  /** A name that no other worker has or had. */
  readonly holder: string;
  readonly beats: number;
  /** It was taken for dead. Whoever did may have died before its leases were ended. */
  readonly isDead: boolean;
}

/**
 * The beats of the workers that share a store, and whose leases are whose (docs/decisions/heartbeats.md). A connection is
 * one worker: all that it leases, by a claim, a fold or a first write, is under the name under which it beats.
 */
export interface HeartbeatStore {
  /**
   * One beat more. Where others had taken this worker for dead it begins another life, under another name, and leases
   * under that. The number of its life, from 1.
   */
  beat(): Promise<number>;
  /** Of all other workers. */
  pulses(): Promise<readonly Pulse[]>;
  /**
   * Takes a worker for dead, where it has not beaten since: each of its leases that ends later than `nowMs` ends then,
   * under the fence that it has. The number ended. It is forgotten once there was none to end: until then, and after a
   * failure, it is to be buried again.
   */
  bury(pulse: Pick<Pulse, "holder" | "beats">, nowMs: number): Promise<number>;
  /** This worker ends: its own leases, alike. */
  leave(nowMs: number): Promise<number>;
}
