/** What a row of the table of settings (settings.ts) is. */
import type { Shape } from "./shapes.ts";

/** A setting that may be absent has no default; its value is then undefined. */
export interface Setting<T> {
  readonly variable: `PASSBUS_${string}`;
  readonly shape: Shape<T>;
  /** As a person would write it. */
  readonly fallback?: string;
  readonly about: string;
  /** Its value is shown to nobody. */
  readonly secret?: true;
}

interface SettingWithDefault<T> extends Setting<T> {
  readonly fallback: string;
}

export function setting<T>(row: SettingWithDefault<T>): SettingWithDefault<T> {
  return row;
}

export function optional<T>(row: Setting<T>): Setting<T> {
  return row;
}
