import type { FormatName } from "../domain/subscription.ts";
import { cloudevents } from "./cloudevents.ts";
import { ethpass } from "./ethpass.ts";
import type { Format } from "./format.ts";
import { passentry } from "./passentry.ts";
import { passkit } from "./passkit.ts";
import { standard } from "./standard.ts";

/** To add one: a file beside this, and a line here. */
const BY_NAME: Readonly<Record<FormatName, Format>> = {
  STANDARD: standard,
  PASSKIT: passkit,
  PASSENTRY: passentry,
  ETHPASS: ethpass,
  CLOUDEVENTS: cloudevents,
};

export const FORMATS: readonly Format[] = Object.values(BY_NAME);

export function formatOf(name: FormatName): Format {
  return BY_NAME[name];
}
