/** How long the settings say that things are kept. */
import type { Config } from "../config/config.ts";
import type { UpkeepRetention } from "../delivery/upkeep.ts";
import type { ServiceRetention } from "../domain/retention.ts";

export function serviceRetention(config: Config): ServiceRetention {
  const { eventRetentionMs, deliveryRetentionMs, payloadRetentionMs } = config;
  const payload = payloadRetentionMs === undefined ? {} : { payloadRetentionMs };
  return { eventRetentionMs, deliveryRetentionMs, ...payload };
}

export function upkeepRetention(config: Config): UpkeepRetention {
  const { deadLetterRetentionMs, holdRetentionMs, auditRetentionMs } = config;
  return { ...serviceRetention(config), deadLetterRetentionMs, holdRetentionMs, auditRetentionMs };
}
