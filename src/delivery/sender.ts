import type { ConnectionTls } from "../domain/connection-tls.ts";
import type { ConnectionPhases } from "../domain/delivery.ts";
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
  /** What its connection trusts and shows. Absent: the public authorities, and nothing. */
  readonly tls?: ConnectionTls;
}

/** Milliseconds since an exchange began; absent where it wasn't reached. */
export interface ExchangeMoments {
  /** The request went out. */
  readonly sentAfterMs?: number;
  /** The response's first byte came. */
  readonly firstByteAfterMs?: number;
  /** Of the connection that was made for the request, or was to be. Absent where one was open already. */
  readonly connection?: ConnectionPhases;
}

/** What came back. */
export type Exchange = ExchangeMoments &
  (
    | {
        readonly kind: "response";
        readonly status: number;
        /** Names in lower case; the values are the receiver's and bounded. */
        readonly headers: Readonly<Record<string, string>>;
        /** The body's first bytes (`LIMITS.responseExcerptBytes`). */
        readonly excerpt: Uint8Array;
        /** The body had more. */
        readonly isCut?: true;
        readonly durationMs: number;
      }
    | {
        readonly kind: "failure";
        readonly reason: UnreachableReason | "attempt.cancelled";
        readonly message: string;
        readonly durationMs: number;
      }
  );

/** Sends webhooks. Behind it stands the guard: no request leaves for an address that isn't allowed. */
export interface Sender {
  /** Never rejects: what goes wrong is a failure. */
  send(request: OutboundRequest): Promise<Exchange>;
  /** Cuts what is in flight and closes all connections. */
  close(): Promise<void>;
}

/** How long each phase of a request took, in milliseconds with fractions. Absent: not reached, or there was none. */
export interface RequestPhases extends ConnectionPhases {
  /** From the request's first byte to the response's. */
  readonly firstByteMs?: number;
  /** From the beginning to the response's last byte, or to the failure. */
  readonly totalMs: number;
}

/** Sends single requests, each over a connection of its own, and says where the time went. The guard holds here too. */
export interface DirectSender {
  /** Never rejects: what goes wrong is a failure. */
  send(request: OutboundRequest): Promise<{ readonly exchange: Exchange; readonly phases: RequestPhases }>;
  /** Cuts what is in flight. */
  close(): void;
}
