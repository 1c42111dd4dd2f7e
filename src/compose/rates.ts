/** How much the settings let callers ask of one process. */
import type { Config } from "../config/config.ts";
import type { ServiceRates } from "../domain/rates.ts";

export function serviceRates({ callsPerSecond, eventsPerSecond }: Config): ServiceRates {
  return { callsPerSecond, eventsPerSecond };
}
