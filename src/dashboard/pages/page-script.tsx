/**
 * A page's script: loaded when the page is first opened, or before that. Where it can't be, the page is tried again when
 * somebody asks for that; `lazy` would keep the failure for good.
 */
import { type ComponentType, type ReactNode, use } from "react";

export interface PageScript<P extends object> {
  (props: P): ReactNode;
  /** Loads it, so that opening the page needs no connection. */
  readonly prefetch: () => Promise<void>;
}

/** The page's script could not be loaded. */
export class ScriptFailed extends Error {
  /** passbus answers, and has no such script: it is another version than the one that this tab was loaded from. */
  readonly isGone: boolean;

  constructor(isGone: boolean, cause: unknown) {
    super("the page's script could not be loaded", { cause });
    this.isGone = isGone;
  }
}

const failed = new Set<() => void>();

/** What failed is loaded anew when it is rendered next. */
export function forgetFailures(): void {
  for (const forget of failed) forget();
  failed.clear();
}

export function pageScript<P extends object>(load: () => Promise<ComponentType<P>>): PageScript<P> {
  let loaded: ComponentType<P> | undefined;
  let loading: Promise<ComponentType<P>> | undefined;
  const forget = () => {
    loading = undefined;
  };
  const wanted = () => {
    loading ??= load().catch(async (reason: unknown) => {
      failed.add(forget);
      throw new ScriptFailed(await isGone(reason), reason);
    });
    return loading;
  };
  function Opened(props: P) {
    const Loaded = loaded ?? use(wanted());
    return <Loaded {...props} />;
  }
  return Object.assign(Opened, {
    prefetch: async () => {
      loaded ??= await load();
    },
  });
}

/** Loads one after the other, so that the page in front keeps its connections. The first that fails ends it. */
export async function prefetch(scripts: readonly PageScript<never>[], signal: AbortSignal): Promise<void> {
  for (const script of scripts) {
    if (signal.aborted) return;
    await script.prefetch();
  }
}

/** A browser says which script it could not load, or at least that of the tab itself is gone after an upgrade too. */
async function isGone(reason: unknown): Promise<boolean> {
  const named = /https?:\/\/\S+\.js/.exec(String(reason))?.[0];
  const address = named ?? document.querySelector<HTMLScriptElement>("script[type=module]")?.src;
  if (address === undefined) return false;
  return fetch(address, { cache: "no-store" }).then(
    ({ status }) => status === 404,
    () => false,
  );
}
