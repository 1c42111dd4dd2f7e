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
import { streamOpened } from "./open-streams.ts";

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

/** Nobody tells of what changes. */
export function isDown({ kind }: LiveState): boolean {
  return kind === "waiting" || kind === "failed";
}

const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 15_000;
/** passbus says something on every stream each 15 s: where three times of that bring nothing, the connection is gone. */
const SILENT_MS = 45_000;
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
  /** The stream has begun, for the first time or again after it was down: nobody told what came since the page was read. */
  readonly onBegin?: (again: boolean) => void;
  /** False closes it. */
  readonly on?: boolean;
  /** False where it is none of the page itself (open-streams.ts). */
  readonly isPages?: boolean;
}

/**
 * Keeps a server stream open while the component is there. A browser has six connections to a server over HTTP/1.1 and
 * each stream holds one, so a page has one stream open, two at most.
 */
export function useLive<I extends DescMessage, O extends DescMessage>(
  method: DescMethodServerStreaming<I, O>,
  { input, onMessage, onBegin, on = true, isPages = true }: LiveOptions<I, O>,
): LiveState {
  const transport = useTransport();
  const [state, setState] = useState<LiveState>({ kind: "connecting" });
  const tell = useEffectEvent(onMessage);
  const begun = useEffectEvent((again: boolean) => onBegin?.(again));
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
      let first = true;
      for await (const message of heard(transport, method, currentInput(), stop.signal)) {
        if (first) {
          setState({ kind: "live" });
          begun(wasLive);
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
    const closed = isPages ? streamOpened() : () => {};
    setState({ kind: "connecting" });
    keep();
    return () => {
      closed();
      stop.abort();
      cancelRetry();
    };
  }, [transport, method, on, inputText]);
  return state;
}

/** What the stream tells. Throws `unavailable` where it is silent for too long; no browser says that by itself. */
async function* heard<I extends DescMessage, O extends DescMessage>(
  transport: Transport,
  method: DescMethodServerStreaming<I, O>,
  input: MessageInitShape<I>,
  signal: AbortSignal,
): AsyncIterable<MessageShape<O>> {
  const silent = new AbortController();
  const listen = () => after(SILENT_MS, () => silent.abort(new ConnectError("nothing is heard", Code.Unavailable)));
  let cancel = listen();
  const asked = (async function* () {
    yield input;
  })();
  try {
    const both = AbortSignal.any([signal, silent.signal]);
    const response = await transport.stream(method, both, undefined, undefined, asked);
    for await (const message of response.message) {
      cancel();
      cancel = listen();
      yield message;
    }
  } finally {
    cancel();
  }
}
