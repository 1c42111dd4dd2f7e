/** Errors on their way out: each becomes one ConnectError with a code of the design (section 8) and details for programs. */
import type { DescMessage } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { CodedError, ERRORS, type ErrorCode, type ErrorKind, type FieldViolation } from "../kernel/errors.ts";
import { LIMITS } from "../kernel/limits.ts";
import { withoutValues } from "../kernel/without-values.ts";

const CODES: Readonly<Record<ErrorKind, Code>> = {
  unauthenticated: Code.Unauthenticated,
  forbidden: Code.PermissionDenied,
  notFound: Code.NotFound,
  alreadyExists: Code.AlreadyExists,
  exhausted: Code.ResourceExhausted,
  invalid: Code.InvalidArgument,
  precondition: Code.FailedPrecondition,
  unavailable: Code.Unavailable,
  unimplemented: Code.Unimplemented,
  internal: Code.Internal,
};

type Detail = Extract<ConnectError["details"][number], { readonly desc: DescMessage }>;

/** `google.rpc.ErrorInfo` with our code as the reason, and `google.rpc.BadRequest` where fields are named. */
function detailsOf(code: ErrorCode, violations: readonly FieldViolation[]): Detail[] {
  const info: Detail = { desc: ErrorInfoSchema, value: { reason: code, domain: "passbus" } };
  if (violations.length === 0) return [info];
  const fieldViolations = violations.map(({ field, description }) => ({
    field: sayable(field),
    description: sayable(description),
  }));
  return [info, { desc: BadRequestSchema, value: { fieldViolations } }];
}

/** The words for the caller. What broke inside passbus is for the log, not for the wire. */
export function messageOf(error: CodedError): string {
  if (error.kind === "internal" || error.kind === "unavailable") return ERRORS[error.code].meaning;
  return sayable(error.message);
}

/**
 * A message as it can be sent: in gRPC it is a header, where a lone surrogate has no form and clients take some KB. What
 * is too long or malformed in it is what a caller sent.
 */
function sayable(text: string): string {
  const whole = text.toWellFormed();
  return whole.length <= LIMITS.messageCharacters
    ? whole
    : `${whole.slice(0, LIMITS.messageCharacters)}…`.toWellFormed();
}

/** `details` go out beside those that every error has. */
export function connectError(error: CodedError, details: readonly Detail[] = []): ConnectError {
  const { retryAfterMs } = error;
  const retry: Detail[] =
    retryAfterMs === undefined ? [] : [{ desc: RetryInfoSchema, value: { retryDelay: durationFromMs(retryAfterMs) } }];
  const outgoing = [...detailsOf(error.code, error.violations), ...retry, ...details];
  return new ConnectError(messageOf(error), CODES[error.kind], undefined, outgoing, error);
}

/** The caller's connection or stream ended before its request did: nobody's fault here, and nobody reads the answer. */
function isCutOff(reason: unknown): boolean {
  return reason instanceof Error && "code" in reason && reason.code === "ERR_STREAM_PREMATURE_CLOSE";
}

/** What a handler threw, as the caller may see it. `report` gets what is passbus's own fault. */
export function outgoingError(reason: unknown, report: (cause: unknown) => void): ConnectError {
  if (reason instanceof ConnectError) return reason;
  if (reason instanceof CodedError) {
    if (reason.kind === "internal") report(reason);
    return connectError(reason);
  }
  if (isCutOff(reason)) return new ConnectError("the caller went away", Code.Canceled, undefined, undefined, reason);
  report(reason);
  return connectError(new CodedError("internal", ERRORS.internal.meaning, { cause: reason }));
}

/**
 * Gives the protocol library's own errors, about a body that is too large or does not parse, the code, the words and
 * the details of the design. They come up outside of every interceptor, so they are changed in place, just before the
 * library writes them (see gate.ts). Errors that carry details already are ours and stay as they are. `mostBytes` is what the request may weigh; `locate` finds
 * the field that a JSON body does not parse at; undefined where there is none to name.
 */
export function refineProtocolError(
  error: ConnectError,
  mostBytes: number,
  locate: () => FieldViolation | undefined,
): void {
  if (error.details.length > 0) return;
  Object.assign(error, { rawMessage: sayable(withoutValues(error.rawMessage)) });
  if (error.code === Code.ResourceExhausted) {
    const message = `the request is larger than the ${mostBytes} bytes that it may have`;
    rewrite(error, "limit.request_bytes", message, []);
  } else if (isBinaryParseError(error)) {
    rewrite(error, "request.invalid", `the request's body does not parse: ${error.rawMessage}`, []);
  } else if (error.code === Code.InvalidArgument) {
    const violation = locate();
    if (violation === undefined) rewrite(error, "request.invalid", error.rawMessage, []);
    else rewrite(error, "request.invalid", `${violation.field}: ${violation.description}`, [violation]);
  }
}

/** The library answers a binary body that doesn't parse with INTERNAL; nothing but the message tells it apart. */
function isBinaryParseError(error: ConnectError): boolean {
  return error.code === Code.Internal && error.rawMessage.startsWith("parse binary: ");
}

function rewrite(error: ConnectError, code: ErrorCode, message: string, violations: readonly FieldViolation[]): void {
  Object.assign(error, { code: CODES[ERRORS[code].kind], rawMessage: sayable(message) });
  error.details.push(...detailsOf(code, violations));
}
