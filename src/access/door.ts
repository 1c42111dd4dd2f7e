/**
 * Whom passbus lets in: every call goes through here once. Those whose key counts go on, and their key's use is noted;
 * those who are refused are counted, slowed down and left in the audit log.
 */
import { type Clock, sleep } from "../kernel/clock.ts";
import { CodedError } from "../kernel/errors.ts";
import type { AuditLog } from "./audit.ts";
import type { Authenticate, Judge, Refused } from "./authenticate.ts";
import type { FailedAttempts } from "./failed-attempts.ts";
import type { KeyUses } from "./key-uses.ts";
import { peerNetwork } from "./peer.ts";

export interface DoorDeps {
  readonly judge: Judge;
  readonly attempts: FailedAttempts;
  readonly uses: Pick<KeyUses, "note">;
  readonly audit: Pick<AuditLog, "refused">;
  readonly clock: Clock;
}

/** Answers that are held back at the same time; beyond them a call is refused at once. */
const HELD_BACK = 256;

/** Throws what `Authenticate` says and, for those who failed too often, `limit.authentication`. */
export function door(deps: DoorDeps): Authenticate {
  const { attempts, uses, audit, clock } = deps;
  let heldBack = 0;
  const slowDown = async (refused: Refused, peer: string): Promise<CodedError> => {
    const names = [
      ...(peer === "" ? [] : [`peer ${peerNetwork(peer)}`]),
      ...(refused.namedId === undefined ? [] : [`key ${refused.namedId}`]),
    ];
    const verdict = attempts.failed(names);
    const isCrowded = verdict.kind === "answer" && verdict.delayMs > 0 && heldBack >= HELD_BACK;
    if (verdict.kind === "refuse" || isCrowded) {
      const retryAfterMs = verdict.kind === "refuse" ? verdict.retryAfterMs : 1_000;
      const message = "too many calls came with keys that don't count; one that counts is taken all the same";
      return new CodedError("limit.authentication", message, { retryAfterMs });
    }
    if (verdict.delayMs > 0) {
      heldBack += 1;
      await sleep(clock, verdict.delayMs);
      heldBack -= 1;
    }
    return new CodedError(refused.code, refused.message);
  };
  return async (authorization, peer = "", certificate?: string) => {
    const { principal, refused } = await deps.judge(authorization, certificate);
    if (refused === undefined) {
      if (principal.keyId.startsWith("key_")) uses.note(principal.keyId);
      return principal;
    }
    // A caller without any key tries none.
    const error =
      refused.code === "auth.missing" ? new CodedError(refused.code, refused.message) : await slowDown(refused, peer);
    // Of a text that names no record nothing is kept: it may be anything.
    const actor = refused.tenant === undefined ? undefined : refused.namedId;
    audit.refused({ tenant: refused.tenant, actor, peer, code: error.code });
    throw error;
  };
}
