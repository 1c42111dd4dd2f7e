import { LIMITS } from "./limits.ts";

/** What sort of trouble it is; the API maps each to one gRPC code. */
export type ErrorKind =
  | "unauthenticated"
  | "forbidden"
  | "notFound"
  | "alreadyExists"
  | "exhausted"
  | "invalid"
  | "precondition"
  | "unavailable"
  | "unimplemented"
  | "internal";

interface ErrorRow {
  readonly kind: ErrorKind;
  readonly meaning: string;
}

/** Every code that passbus answers, logs or stores with an attempt or a dead letter. docs/errors.md is written from it. */
export const ERRORS = {
  "auth.missing": { kind: "unauthenticated", meaning: "The call carries no key." },
  "auth.invalid": {
    kind: "unauthenticated",
    meaning: "The key, token or certificate is unknown, expired or revoked.",
  },
  "issuer.unavailable": {
    kind: "unavailable",
    meaning: "The issuer of tokens does not answer, so that nobody can say whether a token counts; try again later.",
  },
  "limit.authentication": {
    kind: "exhausted",
    meaning:
      "Too many calls came from this address, or for this key, with keys that don't count; one that counts is taken.",
  },
  "role.insufficient": { kind: "forbidden", meaning: "The key's role, or its environment, may not do this." },
  "portal.entity": { kind: "forbidden", meaning: "A portal session is limited to its own entity." },
  "tenant.forbidden": {
    kind: "forbidden",
    meaning: "The event names an organisation or environment that its sender may not speak for.",
  },
  "resource.not_found": { kind: "notFound", meaning: "There is no such thing in this organisation and environment." },
  "subscription.duplicate_url": {
    kind: "alreadyExists",
    meaning: "Another subscription of the scope has this URL.",
  },
  "subscription.not_passkit": {
    kind: "precondition",
    meaning: "PassKit's API has no words for the subscription: it is in another format than FORMAT_PASSKIT.",
  },
  "certificate.taken": { kind: "alreadyExists", meaning: "The certificate is another key's, or another tenant's." },
  "key.ended": { kind: "precondition", meaning: "The key was revoked, or has expired." },
  "limit.subscriptions": { kind: "exhausted", meaning: "The scope has as many subscriptions as it may." },
  "limit.direct_sends": {
    kind: "exhausted",
    meaning:
      "As many test sends and challenges are in flight as may be, of the organisation, its portal or in all; try again later.",
  },
  "limit.request_bytes": { kind: "exhausted", meaning: "The request is too large." },
  "limit.event_bytes": { kind: "exhausted", meaning: "The event is too large." },
  "limit.streams": {
    kind: "exhausted",
    meaning:
      "The key, its organisation, or a portal session's entity has as many streams open as it may, or passbus has.",
  },
  "limit.bodies": {
    kind: "exhausted",
    meaning:
      "More bytes of half-read bodies are held than may be, of the organisation, its portal or in all; try again.",
  },
  "limit.call_rate": {
    kind: "exhausted",
    meaning:
      "The key, its organisation, or a portal session's entity made more calls a second than it may; wait, and try again.",
  },
  "limit.event_rate": {
    kind: "exhausted",
    meaning: "The organisation published more events a second than it may; wait, and try again.",
  },
  "limit.keys": { kind: "exhausted", meaning: "There are as many keys as may be." },
  "limit.key_certificates": { kind: "exhausted", meaning: "The key has as many certificates as it may." },
  "limit.portal_sessions": { kind: "exhausted", meaning: "There are as many portal sessions as may be." },
  "limit.bins": { kind: "exhausted", meaning: "The organisation has as many request bins as it may." },
  "limit.replays": { kind: "exhausted", meaning: "As many replays are running, paused or being counted as may be." },
  "limit.backlog": { kind: "exhausted", meaning: "The log takes no more for now; try again later." },
  "request.invalid": { kind: "invalid", meaning: "A field of the request is wrong; the answer names it." },
  "endpoint.unverified": {
    kind: "precondition",
    meaning: "The endpoint did not answer the challenge; the message says what came back.",
  },
  "deliveries.stopped": {
    kind: "precondition",
    meaning: "Somebody stopped all deliveries, of the organisation or of the service: nothing is sent.",
  },
  "event.payload_dropped": {
    kind: "precondition",
    meaning: "The event's payload is kept no longer, so that it can't be sent again.",
  },
  "hold.expired": {
    kind: "unavailable",
    meaning: "The delivery was held for longer than it may be, and so it ended.",
  },
  "delivery.attempting": { kind: "precondition", meaning: "The delivery is being attempted right now." },
  "delivery.finished": { kind: "precondition", meaning: "The delivery has ended already, so it can't be cancelled." },
  "replay.state": { kind: "precondition", meaning: "The replay is in a state that does not allow it." },
  "version.changed": { kind: "precondition", meaning: "Somebody else changed it meanwhile; read it and try again." },
  "dead_letter.incomplete": {
    kind: "precondition",
    meaning: "The dead letter can't be sent again: its value was cut, or there never was one.",
  },
  "log.unavailable": { kind: "unavailable", meaning: "The event log did not take the records." },
  "store.unavailable": { kind: "unavailable", meaning: "The store did not answer." },
  "server.stopping": { kind: "unavailable", meaning: "passbus is stopping; call again, and another may answer." },
  "feature.unavailable": { kind: "unimplemented", meaning: "This version of passbus cannot do it yet." },
  "config.invalid": {
    kind: "invalid",
    meaning: "A setting does not parse, or the machine does not allow what it asks for.",
  },
  "setup.missing": {
    kind: "precondition",
    meaning: "Something that `passbus init` makes is missing, or is not as passbus needs it.",
  },
  "data_dir.locked": { kind: "precondition", meaning: "Another passbus has this data directory open." },
  "data_dir.newer": { kind: "precondition", meaning: "The data directory was written by a newer passbus." },
  "keyring.unknown_key": { kind: "internal", meaning: "A secret is encrypted under a key that the keyring lacks." },
  "keyring.damaged": { kind: "internal", meaning: "A sealed secret was changed, or belongs to something else." },
  internal: { kind: "internal", meaning: "A mistake of passbus's own." },

  "event.empty": { kind: "invalid", meaning: "The record has no value." },
  "event.unreadable": { kind: "invalid", meaning: "The record's value does not decode." },
  "event.invalid": { kind: "invalid", meaning: "The event breaks a rule; the message names the field." },
  "event.conflict": { kind: "invalid", meaning: "An event of this id and other content was there first." },

  "http.status": { kind: "unavailable", meaning: "The receiver answered something other than 2xx." },
  "http.redirect": { kind: "unavailable", meaning: "The receiver answered a redirect, which is never followed." },
  "http.gone": { kind: "unavailable", meaning: "The receiver answered 410: its subscription was disabled." },
  "dns.failed": { kind: "unavailable", meaning: "The endpoint's host name does not resolve." },
  "connect.refused": { kind: "unavailable", meaning: "Nobody listens at the endpoint." },
  "connect.timeout": { kind: "unavailable", meaning: "The connection was not made in time." },
  "connect.failed": { kind: "unavailable", meaning: "The connection could not be made." },
  "tls.failed": { kind: "unavailable", meaning: "The TLS handshake failed, or the certificate is not valid." },
  "attempt.timeout": { kind: "unavailable", meaning: "The whole attempt took longer than its deadline." },
  "connection.closed": { kind: "unavailable", meaning: "The connection ended before the response did." },
  "response.invalid": { kind: "unavailable", meaning: "The response is not HTTP, or its header is too large." },
  "guard.refused": { kind: "unavailable", meaning: "The endpoint lies at an address that webhooks may not go to." },
  "url.invalid": { kind: "invalid", meaning: "The endpoint's URL is not one that webhooks may go to." },
  "filter.failed": {
    kind: "invalid",
    meaning: "A subscription's filter gives an error on the event, which was delivered all the same.",
  },
  "filter.cost": {
    kind: "exhausted",
    meaning: "A subscription's filter costs too much on the event, which was delivered all the same.",
  },
  "format.failed": { kind: "internal", meaning: "The event could not be written in the subscription's format." },
  "attempt.cancelled": { kind: "unavailable", meaning: "passbus stopped while the attempt ran." },
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof ERRORS;

/** A field that is wrong: its path as the caller wrote it (`events[3].pass.id`) and what would be right. */
export interface FieldViolation {
  readonly field: string;
  readonly description: string;
}

/** The one error type that crosses rooms. Told apart by `code`, never by its message. */
export class CodedError extends Error {
  override readonly name = "CodedError";
  readonly code: ErrorCode;
  readonly violations: readonly FieldViolation[];
  /** How long the caller should wait before it tries again; absent where nobody can say. */
  readonly retryAfterMs: number | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    options: {
      readonly violations?: readonly FieldViolation[];
      readonly retryAfterMs?: number;
      readonly cause?: unknown;
    } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.violations = options.violations ?? [];
    this.retryAfterMs = options.retryAfterMs;
  }

  get kind(): ErrorKind {
    return ERRORS[this.code].kind;
  }
}

/** An INVALID_ARGUMENT for one field: the message names it too, for people who see nothing else. */
export function invalidField(field: string, description: string): CodedError {
  return invalidFields([{ field, description }]);
}

/** Names as many as LIMITS.namedViolations. */
export function invalidFields(all: readonly FieldViolation[]): CodedError {
  const violations = all.slice(0, LIMITS.namedViolations);
  const message = violations.map((violation) => `${violation.field}: ${violation.description}`).join("; ");
  return new CodedError("request.invalid", message, { violations });
}

/** For a place that a closed union makes unreachable; the type checker proves it. */
export function unreachable(value: never): never {
  throw new CodedError("internal", `unexpected value ${JSON.stringify(value)}`);
}
