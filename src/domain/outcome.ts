import type { CodedError, ErrorCode } from "../kernel/errors.ts";

/** Why there was no usable answer. A subset of the error codes, so that it can be stored with the attempt as it is. */
export type UnreachableReason = Extract<
  ErrorCode,
  | "dns.failed"
  | "connect.refused"
  | "connect.timeout"
  | "connect.failed"
  | "tls.failed"
  | "attempt.timeout"
  | "connection.closed"
  | "response.invalid"
  | "guard.refused"
  | "url.invalid"
>;

/** What one HTTP attempt came to. The retry policy reads nothing else. */
export type Outcome =
  | { readonly kind: "delivered"; readonly status: number }
  | { readonly kind: "rejected"; readonly status: number; readonly retryAfterMs?: number }
  | { readonly kind: "unreachable"; readonly reason: UnreachableReason }
  | { readonly kind: "ourFault"; readonly error: CodedError }
  | { readonly kind: "cancelled" };
