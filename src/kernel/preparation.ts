/** What must be there outside of passbus before it can run: topics, indexes. `passbus init` makes it, `serve` only looks. */

/** One such thing, as it was found. */
export interface PreparationStep {
  /** For people, for example "topic pass.events, 12 partitions, 3 replicas". */
  readonly what: string;
  /** `wrong`: it is there, and not as passbus needs it. */
  readonly state: "present" | "missing" | "wrong";
  /** What is wrong with it, and how to mend it. */
  readonly detail?: string;
  /** Makes or mends it; safe to repeat, and beside another that does the same. Absent where passbus can't. */
  readonly make?: () => Promise<void>;
}

export interface Preparation {
  /** Looks, and changes nothing. Rejects where it can't look at all. */
  survey(): Promise<readonly PreparationStep[]>;
}
