/** Entries of PASSBUS_KAFKA_TENANTS: which topic may speak for which organisation and environment. */
import { isTenantName } from "./tenant.ts";

/** One entry. An absent part is "any". */
export interface TenantBinding {
  readonly topic?: string;
  readonly organisation?: string;
  readonly environment?: string;
}

/**
 * Reads one entry: `topic=organisation/environment`, where the organisation and the environment may each be `*`;
 * `topic=*` for both, and `*` alone for every topic. Undefined where it is none of these.
 */
export function readTenantBinding(text: string): TenantBinding | undefined {
  if (text === "*") return {};
  const [, topic, organisation = "*", environment = "*"] = /^([^=/]+)=([^=/]+)(?:\/([^=/]+))?$/.exec(text) ?? [];
  if (topic === undefined || !isTopicName(topic)) return undefined;
  // An organisation needs its environment beside it; only "any" stands alone.
  if (!text.includes("/") && organisation !== "*") return undefined;
  for (const name of [organisation, environment]) if (name !== "*" && !isTenantName(name)) return undefined;
  if (organisation === "*" && environment !== "*") return undefined;
  return {
    topic,
    ...(organisation !== "*" && { organisation }),
    ...(environment !== "*" && { environment }),
  };
}

/** What Kafka takes as a topic's name. */
export function isTopicName(name: string): boolean {
  return /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}$/.test(name);
}
