/** Light, dark, or as the system has it. The choice is the one thing that is kept in the browser. */
import { useSyncExternalStore } from "react";

export type Theme = "system" | "light" | "dark";

const STORED_AS = "passbus.theme";
const listeners = new Set<() => void>();

function stored(): Theme {
  try {
    const value = globalThis.localStorage.getItem(STORED_AS);
    return value === "light" || value === "dark" ? value : "system";
  } catch {
    // A browser that refuses storage has the system's theme.
    return "system";
  }
}

let current: Theme = stored();

export function applyTheme(theme: Theme = current): void {
  current = theme;
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  for (const listener of listeners) listener();
}

export function chooseTheme(theme: Theme): void {
  applyTheme(theme);
  try {
    if (theme === "system") globalThis.localStorage.removeItem(STORED_AS);
    else globalThis.localStorage.setItem(STORED_AS, theme);
  } catch {
    // Not kept, then.
  }
}

export function useTheme(): Theme {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => current,
  );
}
