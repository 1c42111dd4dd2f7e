/** What kafkajs throws, read once: it wraps what happened in errors that say that it tried often enough. */
import { CodedError } from "../../kernel/errors.ts";

export interface KafkaFailure {
  /** A code of the Kafka protocol (`MESSAGE_TOO_LARGE`), or the name of kafkajs' own error. */
  readonly code: string;
  readonly message: string;
}

/** The innermost cause that is the protocol's or kafkajs' own. */
export function readFailure(error: unknown): KafkaFailure {
  let innermost: unknown = error;
  for (let depth = 0; depth < 10; depth += 1) {
    const next = innermost instanceof Error ? (innermost.cause ?? firstOf(innermost)) : undefined;
    if (!(next instanceof Error) || next === innermost) break;
    innermost = next;
  }
  if (!(innermost instanceof Error)) return { code: "unknown", message: String(innermost) };
  const { name, message } = innermost;
  const type = "type" in innermost && typeof innermost.type === "string" ? innermost.type : undefined;
  return { code: type ?? systemCode(innermost) ?? name, message };
}

/** The topics of one call fail together, each with an error of its own. */
function firstOf(error: Error): unknown {
  return "errors" in error && Array.isArray(error.errors) ? error.errors[0] : undefined;
}

/** ECONNREFUSED and its like; a protocol error's `code` is a number, which its `type` says better. */
function systemCode(error: Error): string | undefined {
  return "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/** What whoever called is told. */
export function unavailable(what: string, cause: unknown): CodedError {
  const { code, message } = readFailure(cause);
  return new CodedError("log.unavailable", `${what} (${code}: ${message})`, { cause });
}

/** The member's place in the group is over, or about to be: what it wanted to commit is another's to do. */
const PASSED = new Set([
  "ILLEGAL_GENERATION",
  "UNKNOWN_MEMBER_ID",
  "REBALANCE_IN_PROGRESS",
  "NOT_COORDINATOR_FOR_GROUP",
  "FENCED_INSTANCE_ID",
]);

export const isGenerationPassed = ({ code }: KafkaFailure): boolean => PASSED.has(code);

/** What no second try mends: a permission, a credential, a setting. */
const FINAL = new Set([
  "TOPIC_AUTHORIZATION_FAILED",
  "GROUP_AUTHORIZATION_FAILED",
  "CLUSTER_AUTHORIZATION_FAILED",
  "SASL_AUTHENTICATION_FAILED",
  "UNSUPPORTED_SASL_MECHANISM",
  "KafkaJSSASLAuthenticationError",
  "KafkaJSNotImplemented",
  "INVALID_TOPIC_EXCEPTION",
  "INVALID_GROUP_ID",
  "INVALID_SESSION_TIMEOUT",
  "INCONSISTENT_GROUP_PROTOCOL",
  "GROUP_MAX_SIZE_REACHED",
  "UNSUPPORTED_VERSION",
  "UNSUPPORTED_COMPRESSION_TYPE",
  "INVALID_REQUIRED_ACKS",
  "POLICY_VIOLATION",
]);

export const isFinal = ({ code }: KafkaFailure): boolean => FINAL.has(code);

export const isUnknownTopic = ({ code }: KafkaFailure): boolean => code === "UNKNOWN_TOPIC_OR_PARTITION";

/** A topic that was made a moment ago is not known to every broker yet, or has no leader: both pass. */
const UNSETTLED = new Set(["UNKNOWN_TOPIC_OR_PARTITION", "LEADER_NOT_AVAILABLE", "NOT_LEADER_FOR_PARTITION"]);

export const isUnsettled = ({ code }: KafkaFailure): boolean => UNSETTLED.has(code);

/** The broker refuses a batch for one record in it; alone, the others would be taken. */
const REFUSED = new Set(["MESSAGE_TOO_LARGE", "RECORD_LIST_TOO_LARGE", "INVALID_RECORD", "INVALID_TIMESTAMP"]);

export const isRefused = ({ code }: KafkaFailure): boolean => REFUSED.has(code);

export const isTooLarge = ({ code }: KafkaFailure): boolean =>
  code === "MESSAGE_TOO_LARGE" || code === "RECORD_LIST_TOO_LARGE";

/** After these the records may be in the log all the same: the answer was lost, or says so. */
const UNCERTAIN = new Set([
  "REQUEST_TIMED_OUT",
  "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
  "NETWORK_EXCEPTION",
  "UNKNOWN",
  "KafkaJSRequestTimeoutError",
  "KafkaJSConnectionClosedError",
  "ECONNRESET",
  "EPIPE",
  "ETIMEDOUT",
  "AnswerWithoutPartition",
]);

export const isUncertain = ({ code }: KafkaFailure): boolean => UNCERTAIN.has(code);

/** What people do about a topic that isn't there. */
export function missingTopic(topic: string): string {
  return `topic ${topic} does not exist: \`passbus init\` makes it`;
}
