import { CodedError } from "../kernel/errors.ts";

const MAPPING = "format_options.passkit_field_mapping";

/** The fields of passbus.v1's Subscription, and where PassKit's message says the same. */
const PASSKITS_NAMES: ReadonlyMap<string, string> = new Map([
  ["subscription.entity_id", "classId"],
  ["subscription.url", "configuration.targetUrl"],
  [`subscription.${MAPPING}.destinationFieldKey`, "configuration.fieldMapping.destinationFieldKey"],
  [`subscription.${MAPPING}.sourceFieldUniqueName`, "configuration.fieldMapping.sourceFieldUniqueName"],
]);

/** What the room of subscriptions refuses, with its fields under the names that the caller used. */
export async function inPassKitsWords<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw reworded(error);
  }
}

function reworded(error: unknown): unknown {
  if (!(error instanceof CodedError) || error.violations.length === 0) return error;
  const violations = error.violations.map(({ field, description }) => ({
    field: PASSKITS_NAMES.get(field) ?? field,
    description,
  }));
  const message = violations.map(({ field, description }) => `${field}: ${description}`).join("; ");
  return new CodedError(error.code, message, { violations, cause: error });
}
