/** The settings in effect as a person may see them: where each comes from, and nothing of a secret. */
import { CodedError, type FieldViolation } from "../kernel/errors.ts";
import { adviceOn } from "./advice.ts";
import { type Config, readConfig, type UnknownSetting, unknownSettings } from "./config.ts";
import type { Setting } from "./setting.ts";
import { SETTINGS } from "./settings.ts";

export type SettingSource = "environment" | "default" | "unset";

export interface DescribedSetting {
  readonly variable: string;
  /** Of a secret its length alone; empty where there is none. */
  readonly value: string;
  readonly from: SettingSource;
  readonly secret: boolean;
  /** What is wrong with it. */
  readonly wrong?: string;
}

export interface DescribedSettings {
  readonly settings: readonly DescribedSetting[];
  /** Undefined where something is wrong. */
  readonly config: Config | undefined;
  /** Variables that nothing reads. */
  readonly unknown: readonly UnknownSetting[];
  /** What is allowed, and hardly meant. */
  readonly advice: readonly FieldViolation[];
}

type Environment = Readonly<Record<string, string | undefined>>;

export function describeSettings(environment: Environment = process.env): DescribedSettings {
  const { config, wrong } = tried(environment);
  const rows: readonly Setting<unknown>[] = Object.values(SETTINGS);
  const settings = rows.map((row): DescribedSetting => {
    const { variable, fallback, secret = false } = row;
    const given = environment[variable]?.trim() ?? "";
    const flaw = wrong.find(({ field }) => field === variable)?.description;
    return {
      variable,
      value: secret && given !== "" ? `(secret, ${given.length} characters)` : given || (fallback ?? ""),
      from: given !== "" ? "environment" : fallback === undefined || fallback === "" ? "unset" : "default",
      secret,
      ...(flaw !== undefined && { wrong: flaw }),
    };
  });
  const given = new Set(settings.filter(({ from }) => from === "environment").map(({ variable }) => variable));
  const advice = config === undefined ? [] : adviceOn(config, given);
  return { settings, config, unknown: unknownSettings(environment), advice };
}

function tried(environment: Environment): {
  readonly config: Config | undefined;
  readonly wrong: readonly FieldViolation[];
} {
  try {
    return { config: readConfig(environment), wrong: [] };
  } catch (error) {
    if (error instanceof CodedError && error.code === "config.invalid")
      return { config: undefined, wrong: error.violations };
    throw error;
  }
}
