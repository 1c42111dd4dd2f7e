/**
 * The log on the process's output: one JSON object a line, with the event's name under `event`. What must not stand in
 * a log is taken out by name, as a net under the rule that nobody puts it in.
 */
import { type DestinationStream, pino, stdTimeFunctions } from "pino";
import { CodedError } from "../kernel/errors.ts";
import type { Log, LogFields, LogLevel } from "../kernel/log.ts";

export interface LogOptions {
  readonly level: LogLevel;
  /** Fields of every line, for example which thread writes it. */
  readonly fields?: LogFields;
  /** Where the lines go; the standard error, where the command's own words on the standard output are not in their way. */
  readonly destination?: DestinationStream;
}

/** Fields whose values are left out, at the top of a line, in an object there, and in an object in that. */
const CENSORED_NAMES = [
  "authorization",
  "cookie",
  "secret",
  "secrets",
  "sealed",
  "password",
  "token",
  "key",
  "apiKey",
  "bootstrapKey",
  "clientKey",
  "encryptionKeys",
  "signingSeeds",
  "payload",
  "body",
  "value",
  "responseExcerpt",
  '["set-cookie"]',
  '["webhook-signature"]',
  '["x-passkit-signature"]',
  '["x-webhook-signature"]',
] as const;

const CENSORED_PATHS = ["", "*", "*.*"].flatMap((parent) =>
  CENSORED_NAMES.map((name) => (parent === "" || name.startsWith("[") ? `${parent}${name}` : `${parent}.${name}`)),
);

/** Lines are written at once, so that none is lost when the process ends, and whole, so that threads can share an output. */
export function jsonLog(options: LogOptions): Log {
  const { level, fields = {}, destination = pino.destination({ dest: 2, sync: true }) } = options;
  const lines = pino(
    {
      level,
      base: fields,
      messageKey: "event",
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: errorFields },
      redact: { paths: CENSORED_PATHS, censor: "[left out]" },
    },
    destination,
  );
  return {
    debug: (event, given) => lines.debug(given ?? {}, event),
    info: (event, given) => lines.info(given ?? {}, event),
    warn: (event, given) => lines.warn(given ?? {}, event),
    error: (event, given) => lines.error(given ?? {}, event),
  };
}

/** Of a cause no more than its words: what else hangs on an error may be a request, or somebody's data. */
function errorFields(error: unknown): LogFields {
  if (!(error instanceof Error)) return { message: String(error) };
  const { name, message, stack, cause } = error;
  return {
    name,
    message,
    ...(error instanceof CodedError ? { code: error.code } : systemCode(error)),
    ...(stack === undefined ? {} : { stack }),
    ...(cause === undefined ? {} : { cause: cause instanceof Error ? cause.message : String(cause) }),
  };
}

/** Node's own errors have a code, for example ECONNREFUSED. */
function systemCode(error: Error): LogFields {
  return "code" in error && typeof error.code === "string" ? { code: error.code } : {};
}
