/** How this room says no: to a URL, to a second one of its kind, to an id that isn't there. */
import { CodedError } from "../kernel/errors.ts";
import { scopeName } from "./limits.ts";

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
