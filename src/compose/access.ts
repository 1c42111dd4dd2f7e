/** Who may call, and what is kept of it: the parts that the API's thread needs of the room access. */
import type { AccessStore } from "../access/access-store.ts";
import { AuditLog } from "../access/audit.ts";
import { type Authenticate, judge } from "../access/authenticate.ts";
import { Certificates } from "../access/certificates.ts";
import { Credentials } from "../access/credentials.ts";
import { door } from "../access/door.ts";
import { FailedAttempts } from "../access/failed-attempts.ts";
import { KeyUses } from "../access/key-uses.ts";
import type { Config } from "../config/config.ts";
import type { Log } from "../kernel/log.ts";
import { DEFAULT_ENVIRONMENT } from "../kernel/tenant.ts";
import { clock, ids, random } from "./parts.ts";
import { composeTokens } from "./tokens.ts";

export interface Access {
  readonly authenticate: Authenticate;
  readonly audit: AuditLog;
  readonly credentials: Credentials;
  readonly certificates: Certificates;
  readonly auditRecords: AccessStore;
  /** Writes what waits. */
  stop(): Promise<void>;
}

export function composeAccess(config: Config, store: AccessStore, log: Log): Access {
  const { bootstrapKey, bootstrapOrganisation: organisation } = config;
  const bootstrap = bootstrapKey === undefined ? undefined : { text: bootstrapKey, organisation };
  const operator = { organisation, environment: DEFAULT_ENVIRONMENT };
  const audit = new AuditLog({ store, clock, ids, log, operator });
  const uses = new KeyUses({ store, clock, log });
  const attempts = new FailedAttempts(clock);
  const tokens = composeTokens(config, log);
  const judged = judge({ store, clock, bootstrap, judgeToken: tokens?.judgeToken });
  return {
    authenticate: door({ judge: judged, attempts, uses, audit, clock }),
    audit,
    certificates: new Certificates({ store, clock }),
    credentials: new Credentials({ store, clock, ids, random }),
    auditRecords: store,
    async stop() {
      await Promise.all([audit.stop(), uses.stop(), tokens?.stop()]);
    },
  };
}
