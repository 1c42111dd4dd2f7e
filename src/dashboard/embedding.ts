/**
 * The portal inside of a customer's page: the page that frames passbus hands over a portal session's token by message, so
 * that it is in no address. Who may frame it at all is said by PASSBUS_FRAME_ANCESTORS (src/api/page-headers.ts).
 *
 *     frame → page    { type: "passbus.ready" }                      it waits for a token; also when a session has ended
 *     page → frame    { type: "passbus.token", token: "pbs_…" }
 */
import { useEffect, useEffectEvent } from "react";

/** Calls back with the token that the embedding page gives. Keys are not taken this way: they are no customer's. */
export function useEmbeddingToken(onToken: (token: string) => void): void {
  const given = useEffectEvent(onToken);
  useEffect(() => {
    const { parent } = globalThis;
    if (parent === globalThis.window) return;
    const listen = (event: MessageEvent<unknown>) => {
      if (event.source !== parent) return;
      const token = tokenIn(event.data);
      if (token !== undefined) given(token);
    };
    globalThis.addEventListener("message", listen);
    parent.postMessage({ type: "passbus.ready" }, "*");
    return () => globalThis.removeEventListener("message", listen);
  }, []);
}

/** The message's token; undefined where it is none of ours. */
export function tokenIn(data: unknown): string | undefined {
  if (typeof data !== "object" || data === null) return undefined;
  const { type, token } = data as { readonly type?: unknown; readonly token?: unknown };
  return type === "passbus.token" && typeof token === "string" && token.startsWith("pbs_") ? token : undefined;
}
