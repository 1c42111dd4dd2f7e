/**
 * Tokens of a configured issuer (JWT, RFC 7519; signed as RFC 7515 says): which count, and whom they speak for. The
 * algorithms are the settings', never the token's choice; the keys are the issuer's public ones, so that nothing
 * symmetric can be meant by them. Why one was refused is for the log: the caller is told the same whatever it was.
 */
import { hash } from "node:crypto";
import { errors, type JWTHeaderParameters, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from "jose";
import type { Clock } from "../kernel/clock.ts";
import { LIMITS } from "../kernel/limits.ts";
import type { Log } from "../kernel/log.ts";
import { DEFAULT_ENVIRONMENT, isTenantName } from "../kernel/tenant.ts";
import type { Role } from "./access-store.ts";
import type { Principal } from "./authenticate.ts";
import { ROLES } from "./roles.ts";

/** What the settings say of tokens. */
export interface TokenRules {
  readonly issuer: string;
  readonly audience: string;
  /** Names of JWA (RFC 7518), asymmetric ones alone. */
  readonly algorithms: readonly string[];
  /** A claim's name, or a path into it with dots. */
  readonly organisationClaim: string;
  /** Undefined: every token is of `production`. */
  readonly environmentClaim: string | undefined;
  readonly roleClaim: string;
  /** What values of the role's claim mean. Empty: the roles' own names. */
  readonly roles: readonly { readonly value: string; readonly role: Role }[];
  /** From `iat` to `exp`, no longer. */
  readonly maxLifetimeMs: number;
}

export interface TokensDeps {
  readonly rules: TokenRules;
  /** The issuer's keys (issuer-keys.ts). */
  readonly find: JWTVerifyGetKey;
  readonly clock: Clock;
  readonly log: Log;
}

/** The principal; undefined where the token doesn't count. Throws `issuer.unavailable`, and what else the keys threw. */
export type JudgeToken = (text: string) => Promise<Principal | undefined>;

/** Clocks may differ by so much. */
const TOLERANCE_MS = 30_000;
/** For so long a token that counted is not verified again. */
const BELIEVED_MS = 10_000;
const REMEMBERED = 10_000;
/** Of one reason, one line in so long. */
const LOG_EVERY_MS = 10_000;
/** Access tokens, or those that don't say: others (a logout's, say) are signed with the same keys. */
const TYPES: readonly unknown[] = [undefined, "JWT", "jwt", "at+jwt", "application/at+jwt"];

/** Three parts in base64url, the last of which is empty where nobody signed. */
const SHAPE = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*$/;

export function looksLikeToken(text: string): boolean {
  return SHAPE.test(text);
}

/** Why a token doesn't count, in words that hold nothing of it. */
class Refusal extends Error {}

interface Believed {
  readonly principal: Principal;
  readonly untilMs: number;
  readonly expiresAtMs: number;
}

export function tokenJudge({ rules, find, clock, log }: TokensDeps): JudgeToken {
  const believed = new Map<string, Believed>();
  const note = refusalLog(log, clock);
  return async (text) => {
    if (text.length > LIMITS.tokenCharacters) return note("too long");
    const key = hash("sha256", text, "base64url");
    const known = believed.get(key);
    const nowMs = clock.now();
    if (known !== undefined && known.untilMs > clock.monotonic() && known.expiresAtMs > nowMs) return known.principal;
    believed.delete(key);
    try {
      const { payload, protectedHeader } = await jwtVerify(text, find, {
        algorithms: [...rules.algorithms],
        issuer: rules.issuer,
        audience: rules.audience,
        requiredClaims: ["exp", "iat", "sub"],
        clockTolerance: TOLERANCE_MS / 1_000,
        currentDate: new Date(nowMs),
      });
      const principal = principalOf(payload, protectedHeader, rules, nowMs);
      const expiresAtMs = Number(payload.exp) * 1_000 + TOLERANCE_MS;
      believed.set(key, { principal, untilMs: clock.monotonic() + BELIEVED_MS, expiresAtMs });
      const [oldest] = believed.keys();
      if (believed.size > REMEMBERED && oldest !== undefined) believed.delete(oldest);
      return principal;
    } catch (error) {
      const reason = reasonOf(error);
      if (reason === undefined) throw error;
      return note(reason);
    }
  };
}

/** One line for each reason in a while, with how many there were since the last. */
function refusalLog(log: Log, clock: Clock): (reason: string) => undefined {
  const counts = new Map<string, { atMs: number; unsaid: number }>();
  return (reason) => {
    const nowMs = clock.monotonic();
    const last = counts.get(reason);
    if (last !== undefined && nowMs - last.atMs < LOG_EVERY_MS) {
      last.unsaid += 1;
      return undefined;
    }
    counts.set(reason, { atMs: nowMs, unsaid: 0 });
    log.warn("access.token_refused", { reason, before: last?.unsaid ?? 0 });
    return undefined;
  };
}

/** Undefined where it isn't the token's fault. Of `jose`'s errors only what is ours to say: never a value of the token. */
function reasonOf(error: unknown): string | undefined {
  if (error instanceof Refusal) return error.message;
  if (!(error instanceof errors.JOSEError)) return undefined;
  if (error instanceof errors.JWTExpired) return "expired";
  if (error instanceof errors.JWTClaimValidationFailed) {
    return error.claim === "nbf" ? "not valid yet" : `claim ${error.claim}: ${error.reason}`;
  }
  return REASONS[error.code] ?? "malformed";
}

const REASONS: Readonly<Record<string, string>> = {
  ERR_JOSE_ALG_NOT_ALLOWED: "algorithm not allowed",
  ERR_JOSE_NOT_SUPPORTED: "not supported",
  ERR_JWS_SIGNATURE_VERIFICATION_FAILED: "signature",
  ERR_JWKS_NO_MATCHING_KEY: "no such key",
  ERR_JWKS_MULTIPLE_MATCHING_KEYS: "names no key, and the issuer has several",
};

function principalOf(payload: JWTPayload, { typ }: JWTHeaderParameters, rules: TokenRules, nowMs: number): Principal {
  if (!TYPES.includes(typ)) throw new Refusal("not an access token");
  const issuedAtMs = Number(payload.iat) * 1_000;
  if (!(issuedAtMs <= nowMs + TOLERANCE_MS)) throw new Refusal("issued in the future");
  if (!(Number(payload.exp) * 1_000 - issuedAtMs <= rules.maxLifetimeMs)) throw new Refusal("lives too long");
  const organisation = nameAt(payload, rules.organisationClaim);
  const environment =
    rules.environmentClaim === undefined ? DEFAULT_ENVIRONMENT : nameAt(payload, rules.environmentClaim);
  const role = roleAt(payload, rules);
  if (payload.sub === undefined || payload.sub === "") throw new Refusal("claim sub: empty");
  const tenant = Object.freeze({ organisation, environment });
  const expiresAtMs = Number(payload.exp) * 1_000;
  return Object.freeze({ tenant, role, keyId: subjectId(rules.issuer, payload.sub), expiresAtMs });
}

/** Who a token's holder is in the audit log: a subject may be somebody's name, which is not to stand there. */
export function subjectId(issuer: string, subject: string): string {
  return `jwt_${hash("sha256", `${issuer}\n${subject}`, "base64url").slice(0, 22)}`;
}

function nameAt(payload: JWTPayload, claim: string): string {
  const value = valueAt(payload, claim);
  if (typeof value !== "string" || !isTenantName(value)) throw new Refusal(`claim ${claim}: missing, or no name`);
  return value;
}

/** Of a list, the strongest role of those that mean one. */
function roleAt(payload: JWTPayload, { roleClaim, roles }: TokenRules): Role {
  const value = valueAt(payload, roleClaim);
  const values: readonly unknown[] = Array.isArray(value) ? value : [value];
  const meanings = roles.length > 0 ? roles : ROLES.map((role) => ({ value: role, role }));
  const meant = new Set(meanings.filter((meaning) => values.includes(meaning.value)).map(({ role }) => role));
  const strongest = ROLES.find((role) => meant.has(role));
  if (strongest === undefined) throw new Refusal(`claim ${roleClaim}: missing, or no role`);
  return strongest;
}

/** A claim of that whole name (`https://acme.example/roles`), else the path's steps. */
function valueAt(payload: JWTPayload, claim: string): unknown {
  if (Object.hasOwn(payload, claim)) return payload[claim];
  let at: unknown = payload;
  for (const step of claim.split(".")) {
    if (typeof at !== "object" || at === null || !Object.hasOwn(at, step)) return undefined;
    at = Reflect.get(at, step);
  }
  return at;
}
