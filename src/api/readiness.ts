/** Whether calls can be answered well right now. */
export interface Readiness {
  readonly ready: boolean;
  /** Why not, for the operator; empty when ready. */
  readonly reasons: readonly string[];
  /** What else an operator should know, ready or not: that deliveries are stopped. */
  readonly notes?: readonly string[];
}

export type ReadReadiness = () => Readiness | Promise<Readiness>;
