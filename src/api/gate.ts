/**
 * What every call passes before its body is read: who calls, and whether their role may. Default deny: a method without
 * a row in access/roles.ts is reached by nobody.
 */
import { ConnectError, type ContextValues, createContextKey, type HandlerContext } from "@connectrpc/connect";
import type { AuditLog } from "../access/audit.ts";
import type { Authenticate, Principal } from "../access/authenticate.ts";
import type { Rates } from "../access/rates.ts";
import { isOpenToAnyone, METHOD_ACCESS, refusalFor } from "../access/roles.ts";
import type { Clock } from "../kernel/clock.ts";
import { CodedError } from "../kernel/errors.ts";
import type { Log } from "../kernel/log.ts";
import { connectionKey, peerOf } from "./access-peer.ts";
import { mostBytesOf } from "./bodies.ts";
import { certificateOf } from "./client-certificate.ts";
import { outgoingError, refineProtocolError } from "./errors.ts";
import { bodyText, unreadableField } from "./json-body.ts";
import { KeylessStreams } from "./keyless.ts";

const principalKey = createContextKey<Principal | undefined>(undefined, { description: "principal" });

/** Who calls. Every query takes its tenant from here. */
export function principalOf(context: { readonly values: ContextValues }): Principal {
  const principal = context.values.get(principalKey);
  if (principal === undefined) throw new CodedError("internal", "a call without a principal came through the gate");
  return principal;
}

/** Whose call it is, once it has passed the gate; undefined where it needs no key. */
export function organisationOf(values: ContextValues): string | undefined {
  return values.get(principalKey)?.tenant.organisation;
}

export interface GateDeps {
  readonly authenticate: Authenticate;
  readonly audit: Pick<AuditLog, "refused">;
  readonly rates: Pick<Rates, "call">;
  readonly clock: Clock;
  readonly log: Log;
}

export function requestGate(deps: GateDeps): (context: HandlerContext) => Promise<void> {
  const keyless = new KeylessStreams();
  return async (context) => {
    refineOnAbort(context);
    const method = `${context.service.typeName}/${context.method.name}`;
    try {
      if (isOpenToAnyone(method)) {
        if (context.method.methodKind !== "unary") keyless.take(peerOf(context), context.signal);
        return;
      }
      const authorization = context.requestHeader.get("authorization");
      const principal = await deps.authenticate(
        authorization,
        peerOf(context),
        certificateOf(context, deps.clock.now()),
      );
      deps.rates.call(principal);
      if (!METHOD_ACCESS.has(method)) {
        throw new CodedError("feature.unavailable", `this version of passbus does not serve ${method}`);
      }
      const refusal = refusalFor(principal.role, principal.tenant.environment, method);
      if (refusal !== undefined) {
        const { tenant, keyId: actor } = principal;
        deps.audit.refused({ tenant, actor, action: method, peer: peerOf(context), code: "role.insufficient" });
        throw new CodedError("role.insufficient", refusal);
      }
      context.values.set(principalKey, principal);
      context.values.get(connectionKey)?.trust();
    } catch (reason) {
      throw outgoingError(reason, (cause) => deps.log.error("api.authentication_failed", { method, err: cause }));
    }
  };
}

/**
 * The protocol library aborts a failed call's context with its error before it writes the error. That is the one moment
 * at which its own errors (a body that is too large, or does not parse) can be given our words: they pass no interceptor.
 */
function refineOnAbort({ signal, method, values }: HandlerContext): void {
  const refine = () => {
    if (!(signal.reason instanceof ConnectError)) return;
    const locate = () => unreadableField(method.input, bodyText(values));
    refineProtocolError(signal.reason, mostBytesOf(method.parent), locate);
  };
  signal.addEventListener("abort", refine, { once: true });
}
