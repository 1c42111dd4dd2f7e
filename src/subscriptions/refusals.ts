/** How this room says no: to a URL, to a second one of its kind, to an id that isn't there. */
import type { Subscription as SubscriptionMessage } from "../../gen/passbus/v1/subscription_pb.js";
import { CodedError, invalidField, invalidFields } from "../kernel/errors.ts";
import type { Tenant } from "../kernel/tenant.ts";
import { scopeName } from "./limits.ts";
import type { Violations } from "./violations.ts";

/** The endpoint check's no, as against a failure of the check itself. */
export function isRefusal(error: unknown): error is CodedError {
  if (!(error instanceof CodedError)) return false;
  return error.code === "url.invalid" || error.code === "guard.refused";
}

/** To whoever registers it, any refusal is a wrong field. */
export function refusedUrl(error: CodedError): CodedError {
  const violation = { field: "subscription.url", description: error.message };
  return new CodedError("url.invalid", `${violation.field}: ${error.message}`, {
    violations: [violation],
    cause: error,
  });
}

export function duplicateUrl(entityId: string): CodedError {
  const field = "subscription.url";
  const description = `another subscription of ${scopeName(entityId)} has this URL`;
  return new CodedError("subscription.duplicate_url", `${field}: ${description}`, {
    violations: [{ field, description }],
  });
}

export function unknownSubscription(id: string): CodedError {
  return new CodedError("resource.not_found", `id: there is no subscription ${JSON.stringify(id.slice(0, 64))}`);
}

/** What was read may be written back; what is another's is a mistake that someone should hear of. */
export function refuseForeignTenant(tenant: Tenant, message: SubscriptionMessage, wrong: Violations): void {
  const description = "is not the key's own; leave it empty";
  if (message.organisationId !== "" && message.organisationId !== tenant.organisation) {
    wrong.add("organisation_id", description);
  }
  if (message.environment !== "" && message.environment !== tenant.environment) wrong.add("environment", description);
}

export function required(message: SubscriptionMessage | undefined): SubscriptionMessage {
  if (message === undefined) throw invalidField("subscription", "is required");
  return message;
}

/** What `read` answers. Where it finds fields that are wrong, what `checkUrl` rejects with is said with them, in one go. */
export async function withUrlFlaws<T>(read: () => T, checkUrl: () => Promise<unknown>): Promise<T> {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof CodedError) || error.violations.length === 0) throw error;
    const ofUrl = await checkUrl().then(
      () => [],
      (reason: unknown) => (reason instanceof CodedError ? reason.violations : []),
    );
    throw ofUrl.length === 0 ? error : invalidFields([...ofUrl, ...error.violations]);
  }
}
