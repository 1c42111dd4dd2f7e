/** Calls that connect-query has no hook for: clients, and server streams that are kept open. */
import type {
  DescMessage,
  DescMethodServerStreaming,
  DescService,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import { type Client, Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { useTransport } from "@connectrpc/connect-query";
import { useEffect, useEffectEvent, useMemo, useState } from "react";
import { after } from "./clock.ts";

/** How lists are read on, for `useInfiniteQuery`: all of the API's page alike. */
export const PAGING = {
  pageParamKey: "pageToken",
  getNextPageParam: ({ nextPageToken }: { readonly nextPageToken: string }) => nextPageToken || undefined,
} as const;

export function clientFor<S extends DescService>(service: S, transport: Transport): Client<S> {
  return createClient(service, transport);
}

/** A client of the service, as whoever is signed in. */
export function useClient<S extends DescService>(service: S): Client<S> {
  const transport = useTransport();
  return useMemo(() => clientFor(service, transport), [service, transport]);
}

/**
 * `connecting` until the first answer; `live`; `waiting` while the stream is down and tried again; `failed` where
 * trying again can't help; `ended` where the server said all that there is.
 */
export type LiveState =
  | { readonly kind: "connecting" | "live" | "waiting" | "ended" | "off" }
  | { readonly kind: "failed"; readonly error: ConnectError };

const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 15_000;
const HOPELESS = new Set([
  Code.Unauthenticated,
  Code.PermissionDenied,
  Code.Unimplemented,
  Code.NotFound,
  Code.InvalidArgument,
]);

interface LiveOptions<I extends DescMessage, O extends DescMessage> {
  readonly input: MessageInitShape<I>;
  readonly onMessage: (message: MessageShape<O>) => void;
  /** The stream has begun, for the first time or again: nobody told what came before. */
  readonly onBegin?: () => void;
  /** The stream was down and is back: what came in between was missed. */
  readonly onReconnect?: () => void;
  /** False closes it. */
  readonly on?: boolean;
}

/**
 * Keeps a server stream open while the component is there. A browser has six connections to a server over HTTP/1.1 and
 * each stream holds one, so a page has one stream open, two at most.
 */
export function useLive<I extends DescMessage, O extends DescMessage>(
  method: DescMethodServerStreaming<I, O>,
  { input, onMessage, onBegin, onReconnect, on = true }: LiveOptions<I, O>,
): LiveState {
  const transport = useTransport();
  const [state, setState] = useState<LiveState>({ kind: "connecting" });
  const tell = useEffectEvent(onMessage);
  const begun = useEffectEvent(() => onBegin?.());
  const reconnected = useEffectEvent(() => onReconnect?.());
  const inputText = JSON.stringify(input, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value));
  const currentInput = useEffectEvent(() => input);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the input's text stands for the input, an object made anew.
  useEffect(() => {
    if (!on) return setState({ kind: "off" });
    const stop = new AbortController();
    let cancelRetry = () => {};
    let retryMs = FIRST_RETRY_MS;
    let wasLive = false;
    const run = async () => {
      const asked = (async function* () {
        yield currentInput();
      })();
      const response = await transport.stream(method, stop.signal, undefined, undefined, asked);
      let first = true;
      for await (const message of response.message) {
        if (first) {
          setState({ kind: "live" });
          begun();
          if (wasLive) reconnected();
          wasLive = true;
          first = false;
          retryMs = FIRST_RETRY_MS;
        }
        tell(message);
      }
      if (!stop.signal.aborted) setState({ kind: "ended" });
    };
    const keep = () => {
      run().catch((reason: unknown) => {
        if (stop.signal.aborted) return;
        const error = ConnectError.from(reason);
        if (HOPELESS.has(error.code)) return setState({ kind: "failed", error });
        setState({ kind: "waiting" });
        cancelRetry = after(retryMs, keep);
        retryMs = Math.min(retryMs * 2, LONGEST_RETRY_MS);
      });
    };
    setState({ kind: "connecting" });
    keep();
    return () => {
      stop.abort();
      cancelRetry();
    };
  }, [transport, method, on, inputText]);
  return state;
}
