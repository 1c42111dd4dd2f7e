/**
 * What every call passes before its body is read: who calls, and whether their role may. Default deny: a method without
 * a row in access/roles.ts is reached by nobody.
 */
import {
  ConnectError,
  type ContextValues,
  createContextKey,
  type HandlerContext,
  type Interceptor,
} from "@connectrpc/connect";
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

/** When the caller was found to count, as the clock's `monotonic` says. */
const admittedKey = createContextKey<number | undefined>(undefined, { description: "admitted" });

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
      context.values.set(admittedKey, deps.clock.monotonic());
      context.values.get(connectionKey)?.trust();
    } catch (reason) {
      throw outgoingError(reason, (cause) => deps.log.error("api.authentication_failed", { method, err: cause }));
    }
  };
}

/** For so long nobody is asked again whether a key counts (access/credentials.ts remembers as long). */
const ADMITTED_MS = 500;

/**
 * A body may take a minute to come, and its key may be revoked meanwhile: what was let in then is judged again, right
 * before it takes effect. Streams are watched while they last (streams.ts).
 */
export function stillAdmitted({ authenticate, clock }: Pick<GateDeps, "authenticate" | "clock">): Interceptor {
  return (next) => async (request) => {
    const { contextValues: values } = request;
    const admittedMs = values.get(admittedKey);
    if (admittedMs !== undefined && clock.monotonic() - admittedMs > ADMITTED_MS) {
      const certificate = certificateOf({ values }, clock.now());
      const before = principalOf({ values });
      const now = await authenticate(request.header.get("authorization"), undefined, certificate);
      if (!isSame(now, before)) throw new CodedError("auth.invalid", "what the key may do has changed: call again");
    }
    return next(request);
  };
}

function isSame(one: Principal, other: Principal): boolean {
  const { tenant } = one;
  const isOfTenant =
    tenant.organisation === other.tenant.organisation && tenant.environment === other.tenant.environment;
  return isOfTenant && one.keyId === other.keyId && one.role === other.role && one.entityId === other.entityId;
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
