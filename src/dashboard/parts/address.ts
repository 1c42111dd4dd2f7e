/** What the address says: filters behind the "?", an id in the path. */
import { useCallback, useMemo } from "react";
import { useLocation, useSearch } from "wouter";

export type Filters<N extends string> = Readonly<Record<N, string>>;

/**
 * The filters in the address, "" where there is none, and the way to change some of them. Read from the address itself:
 * wouter's own reading decodes a "%" twice.
 */
export function useFilters<N extends string>(
  names: readonly N[],
): readonly [Filters<N>, (change: Partial<Filters<N>>) => void] {
  const search = useSearch();
  const [, navigate] = useLocation();
  // biome-ignore lint/correctness/useExhaustiveDependencies: `search` says that the address changed; names are constants.
  const filters = useMemo(() => {
    const params = new URLSearchParams(globalThis.location.search);
    return Object.fromEntries(names.map((name) => [name, params.get(name) ?? ""])) as Filters<N>;
  }, [search]);
  const change = useCallback(
    (changed: Partial<Filters<N>>) => {
      const params = new URLSearchParams(globalThis.location.search);
      for (const [name, value] of Object.entries<string | undefined>(changed)) {
        if (value === undefined || value === "") params.delete(name);
        else params.set(name, value);
      }
      const text = params.toString();
      const { pathname } = globalThis.location;
      navigate(text === "" ? pathname : `${pathname}?${text}`, { replace: true });
    },
    [navigate],
  );
  return [filters, change];
}

/** An address with a query of those that are not empty. */
export function addressOf(path: string, filters: Readonly<Record<string, string>> = {}): string {
  const params = new URLSearchParams(Object.entries(filters).filter(([, value]) => value !== ""));
  const text = params.toString();
  return text === "" ? path : `${path}?${text}`;
}

/** The second part of the path, whatever characters it has. */
export function useIdInPath(): string {
  useLocation();
  return decodeURIComponent(globalThis.location.pathname.split("/")[2] ?? "");
}

export const eventAddress = (id: string): string => `/events/${encodeURIComponent(id)}`;
export const passAddress = (id: string): string => `/passes/${encodeURIComponent(id)}`;
