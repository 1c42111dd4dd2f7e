/** What stands in a SinkSubscription's `configuration`: `io.WebhookConfig` as JSON text. */
import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import {
  ActionMethodSchema,
  DataTypeSchema,
  type FieldMapping as FieldMappingMessage,
  type WebhookConfig,
  WebhookConfigSchema,
} from "../../gen/io/integrations_pb.js";
import type { FieldMapping, Subscription } from "../domain/subscription.ts";
import { goObject, messageMember, numberMember, stringMember } from "../formats/go-json.ts";
import type { FieldViolation } from "../kernel/errors.ts";
import { LIMITS } from "../kernel/limits.ts";
import { wrongValue } from "./passkit-events.ts";

const EXAMPLE = `{"targetUrl":"https://host/path"}`;

/** As PassKit's own server writes JSON: integer enums, zero values absent, keys in the order of the field numbers. */
export function configurationOf({ url, formatOptions }: Subscription, signingSecret: string): string {
  return goObject(
    stringMember("targetUrl", url) +
      numberMember("actionMethod", formatOptions.passkitMethod) +
      messageMember("fieldMapping", formatOptions.passkitFieldMapping, mappingMembers) +
      stringMember("signingSecret", signingSecret),
  );
}

function mappingMembers(mapping: FieldMapping): string {
  return (
    stringMember("destinationFieldKey", mapping.destinationFieldKey) +
    numberMember("destinationFieldDataType", mapping.destinationFieldDataType) +
    (mapping.isRequired ? `,"isRequired":true` : "") +
    stringMember("sourceFieldUniqueName", mapping.sourceFieldUniqueName)
  );
}

/** Undefined, and said in `wrong`, where the text is not one. Enums may be numbers or names, as in every proto3 JSON. */
export function readConfiguration(text: string, wrong: FieldViolation[]): WebhookConfig | undefined {
  const say = (description: string, field = "configuration") => void wrong.push({ field, description });
  const trimmed = text.trim();
  if (trimmed === "") return say(`is required: JSON as ${EXAMPLE}`);
  if (text.length > LIMITS.passkitConfigurationCharacters) {
    return say(`must have at most ${LIMITS.passkitConfigurationCharacters} characters`);
  }
  const json = parsed(trimmed);
  if (json === undefined) return say(`must be JSON, as ${EXAMPLE}`);
  try {
    const config = fromJson(WebhookConfigSchema, json, { recursionLimit: LIMITS.messageDepth });
    judge(config, say);
    return isEmpty(config.fieldMapping) ? { ...config, fieldMapping: undefined } : config;
  } catch (error) {
    return say(error instanceof Error ? error.message : "is not an io.WebhookConfig");
  }
}

function judge(config: WebhookConfig, say: (description: string, field: string) => void): void {
  if (config.targetUrl === "") say("is required", "configuration.targetUrl");
  if (ActionMethodSchema.value[config.actionMethod] === undefined) {
    say(wrongValue(ActionMethodSchema, config.actionMethod), "configuration.actionMethod");
  }
  const type = config.fieldMapping?.destinationFieldDataType ?? 0;
  if (DataTypeSchema.value[type] === undefined) {
    say(wrongValue(DataTypeSchema, type), "configuration.fieldMapping.destinationFieldDataType");
  }
}

/** Go writes an unset struct as `{}` where it isn't a pointer. */
function isEmpty(mapping: FieldMappingMessage | undefined): boolean {
  if (mapping === undefined) return true;
  const { destinationFieldKey, destinationFieldDataType, isRequired, sourceFieldUniqueName } = mapping;
  return `${destinationFieldKey}${sourceFieldUniqueName}` === "" && destinationFieldDataType === 0 && !isRequired;
}

function parsed(text: string): JsonValue | undefined {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
