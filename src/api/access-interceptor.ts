/**
 * What a call's message passes right before its handler, and its answer right after: the limits of portal sessions, and
 * the audit log. It stands innermost, so that a change which outlives its call's deadline is recorded all the same.
 */
import type { Message } from "@bufbuild/protobuf";
import { ConnectError, type Interceptor } from "@connectrpc/connect";
import type { AuditLog } from "../access/audit.ts";
import type { Principal } from "../access/authenticate.ts";
import { isAudited, isOpenToAnyone } from "../access/roles.ts";
import { CodedError, type ErrorCode } from "../kernel/errors.ts";
import { peerOf } from "./access-peer.ts";
import { type PortalDeps, type PortalRule, portalRules } from "./access-portal.ts";
import { targetOf } from "./audit-target.ts";
import { principalOf } from "./gate.ts";

export interface AccessDeps extends PortalDeps {
  readonly audit: Pick<AuditLog, "changed" | "refused">;
}

export function accessRules(deps: AccessDeps): Interceptor {
  const rules = portalRules(deps);
  return (next) => {
    const limited = limitPortals(rules, next);
    const audited = auditCalls(deps.audit, limited);
    return (request) => {
      const method = `${request.service.typeName}/${request.method.name}`;
      return isOpenToAnyone(method) ? next(request) : audited(request);
    };
  };
}

type Next = Parameters<Interceptor>[0];
type Request = Parameters<Next>[0];
type Response = Awaited<ReturnType<Next>>;

const nameOf = ({ service, method }: Request): string => `${service.typeName}/${method.name}`;
const callerOf = ({ contextValues }: Request): Principal => principalOf({ values: contextValues });

function limitPortals(rules: ReadonlyMap<string, PortalRule>, next: Next): Next {
  return async (request) => {
    const principal = callerOf(request);
    if (principal.role !== "portal") return next(request);
    const rule = rules.get(nameOf(request));
    if (rule === undefined) {
      throw new CodedError("role.insufficient", `a portal session may not call ${nameOf(request)}`);
    }
    const checked = request.stream
      ? { ...request, message: eachChecked(request.message, rule, principal) }
      : await checkedOne(request, rule, principal);
    const response = await next(checked as Request);
    if (response.stream) return { ...response, message: eachNarrowed(response.message, rule) } as Response;
    rule.narrow(response.message as Message);
    return response;
  };
}

async function checkedOne(request: Request, rule: PortalRule, principal: Principal): Promise<Request> {
  await rule.check(request.message as Message, principal);
  return request;
}

async function* eachChecked(messages: AsyncIterable<Message>, rule: PortalRule, principal: Principal) {
  for await (const message of messages) {
    await rule.check(message, principal);
    yield message;
  }
}

async function* eachNarrowed(messages: AsyncIterable<Message>, rule: PortalRule) {
  for await (const message of messages) {
    rule.narrow(message);
    yield message;
  }
}

/** It takes the audit log of the caller along, as far as the caller's own organisation goes. */
const DELETE_ORGANISATION = "passbus.v1.AccessService/DeleteOrganisation";

function auditCalls(audit: AccessDeps["audit"], next: Next): Next {
  return async (request) => {
    const { tenant, keyId: actor } = callerOf(request);
    const action = nameOf(request);
    const peer = peerOf({ values: request.contextValues });
    const base = { tenant, actor, action, peer };
    const about = (response: unknown) => targetOf({ action, tenant, request: request.message, response });
    const changed = (change: { readonly target: string; readonly code?: ErrorCode }) =>
      audit.changed({ ...base, ...change, forOperator: action === DELETE_ORGANISATION });
    try {
      const response = await next(request);
      if (isAudited(action) && hasDone(action, response)) await changed({ target: about(response.message) });
      return response;
    } catch (error) {
      const code = codeOf(error);
      const target = about(undefined);
      if (isRefusal(code)) audit.refused({ ...base, target, code });
      else if (isAudited(action) && mayHaveDone(code)) await changed({ target, code });
      throw error;
    }
  };
}

/** PassKit's get shows a secret to those who may manage subscriptions, and to nobody else. */
function hasDone(action: string, { message }: Response): boolean {
  if (action !== "io.Integrations/getSinkSubscription") return true;
  return /"signingSecret":/.test(String(Reflect.get(message, "configuration")));
}

function codeOf(error: unknown): ErrorCode {
  if (error instanceof CodedError) return error.code;
  if (error instanceof ConnectError && error.cause instanceof CodedError) return error.cause.code;
  return "internal";
}

const REFUSALS: readonly ErrorCode[] = ["role.insufficient", "portal.entity", "tenant.forbidden"];
const isRefusal = (code: ErrorCode): boolean => REFUSALS.includes(code);

/** It failed midway: part of it may be done. Any other error says that nothing was. */
function mayHaveDone(code: ErrorCode): boolean {
  return code === "internal" || code === "store.unavailable" || code === "log.unavailable";
}
