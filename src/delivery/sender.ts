import type { UnreachableReason } from "../domain/outcome.ts";

/** One HTTP request, complete: nothing is added but what HTTP itself asks for. */
export interface OutboundRequest {
  readonly method: string;
  readonly url: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** From connecting to the response's last byte; a slow drip can't stretch it. */
  readonly timeoutMs: number;
}

/** What came back. */
export type Exchange =
  | {
      readonly kind: "response";
      readonly status: number;
      /** Names in lower case; the values are the receiver's and bounded. */
      readonly headers: Readonly<Record<string, string>>;
      /** The body's first bytes (`LIMITS.responseExcerptBytes`). */
      readonly excerpt: Uint8Array;
      readonly durationMs: number;
    }
  | {
      readonly kind: "failure";
      readonly reason: UnreachableReason | "attempt.cancelled";
      readonly message: string;
      readonly durationMs: number;
    };

/** Sends webhooks. Behind it stands the guard: no request leaves for an address that isn't allowed. */
export interface Sender {
  /** Never rejects: what goes wrong is a failure. */
  send(request: OutboundRequest): Promise<Exchange>;
  /** Cuts what is in flight and closes all connections. */
  close(): Promise<void>;
}
