/** Tokens of the issuer that the settings name. */
import { IssuerKeys } from "../access/issuer-keys.ts";
import { type JudgeToken, tokenJudge } from "../access/tokens.ts";
import { issuerAt } from "../adapters/http/issuer.ts";
import type { Config } from "../config/config.ts";
import type { Log } from "../kernel/log.ts";
import { clock } from "./parts.ts";

export interface Tokens {
  readonly judgeToken: JudgeToken;
  stop(): Promise<void>;
}

/** Undefined where the settings name no issuer. */
export function composeTokens(config: Config, log: Log): Tokens | undefined {
  const { jwtIssuer: issuer, jwtAudience: audience } = config;
  if (issuer === undefined || audience === undefined) return undefined;
  const at = issuerAt({ issuer, jwksUrl: config.jwtJwksUrl });
  const keys = new IssuerKeys({ read: at.read, clock, log });
  const rules = {
    issuer,
    audience,
    algorithms: config.jwtAlgorithms,
    organisationClaim: config.jwtOrganisationClaim,
    environmentClaim: config.jwtEnvironmentClaim,
    roleClaim: config.jwtRoleClaim,
    roles: config.jwtRoles,
    maxLifetimeMs: config.jwtMaxLifetimeMs,
  };
  return { judgeToken: tokenJudge({ rules, find: keys.find, clock, log }), stop: () => at.close() };
}
