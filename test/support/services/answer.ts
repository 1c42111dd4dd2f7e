/** What a suite is told of a server: the form in which setup.ts answers services.ts. */

export type Answer =
  | { readonly address: string; readonly server: string; readonly slow: boolean }
  | { readonly missing: string };

export interface Answers {
  readonly kafka: Answer;
  readonly mongodb: Answer;
  /** Why a suite can't have servers of its own, to kill them; undefined where it can. */
  readonly ownKafkaMissing?: string | undefined;
  readonly ownMongodbMissing?: string | undefined;
}

declare module "vitest" {
  interface ProvidedContext {
    /** Where setup.ts answers; the first who asks waits until the servers are up. */
    servicesUrl: string;
    /** A line for each server that this run used, for the summary. */
    servicesUsed: readonly string[];
  }
}
