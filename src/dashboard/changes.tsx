/**
 * What changes elsewhere comes onto the page by one stream: a page says which kinds it shows and with which calls it reads
 * them, and is read again when passbus says that something of a kind has changed, and each time the stream begins, since
 * nobody told what came before. While the stream is down pages are read every few seconds, and say so.
 */
import {
  createContext,
  type ReactNode,
  use,
  useCallback,
  useEffect,
  useMemo,
  useState,
  useSyncExternalStore,
} from "react";
import { ChangeKind, DeliveryService } from "../../gen/passbus/v1/delivery_service_pb.js";
import { SubscriptionService } from "../../gen/passbus/v1/subscription_service_pb.js";
import { useHasStream } from "./open-streams.ts";
import { type UnaryMethod, useReadAgain } from "./read-again.ts";
import { isDown, type LiveState, useLive } from "./rpc.ts";
import { useSession } from "./session.tsx";

/** After each reading: who is told faster is read once. */
const REST_MS = 500;

interface Watch {
  readonly kinds: readonly ChangeKind[];
  /** Reads it again, now or as soon as it may. */
  readonly tell: () => void;
}

interface Changed {
  readonly isLive: boolean;
  /** The returned function takes it away. */
  readonly add: (watch: Watch) => () => void;
}

const ChangesContext = createContext<Changed>({ isLive: false, add: () => () => {} });

/** Keeps the stream of all that is on the page inside. */
export function Changes({ children }: { readonly children: ReactNode }) {
  const [watches, setWatches] = useState<readonly Watch[]>([]);
  const isSeen = useIsSeen();
  const kinds = [...new Set(watches.flatMap((watch) => watch.kinds))].sort((one, other) => one - other);
  const lookout = useLookout();
  const asked = kinds.length === 0 ? [...lookout] : kinds;
  const live = useLive(DeliveryService.method.watchChanges, {
    input: { kinds: asked },
    on: asked.length > 0 && isSeen,
    isPages: false,
    onBegin: () => {
      for (const { tell } of watches) tell();
    },
    onMessage: ({ kinds: told }) => {
      for (const watch of watches) if (watch.kinds.some((kind) => told.includes(kind))) watch.tell();
    },
  });
  const add = useCallback((watch: Watch) => {
    setWatches((before) => [...before, watch]);
    return () => setWatches((before) => before.filter((each) => each !== watch));
  }, []);
  const isLive = live.kind === "live";
  const value = useMemo(() => ({ isLive, add }), [isLive, add]);
  return (
    <ChangesContext value={value}>
      {kinds.length === 0 ? null : <NotLive live={live} />}
      {children}
    </ChangesContext>
  );
}

/** A page that watches nothing keeps a stream all the same, which ends with its session: it is to notice that. */
function useLookout(): readonly ChangeKind[] {
  const { may } = useSession();
  const hasStream = useHasStream();
  const mayWatch = may(DeliveryService.method.watchChanges) && may(SubscriptionService.method.listSubscriptions);
  return hasStream || !mayWatch ? [] : [ChangeKind.SUBSCRIPTIONS];
}

/** Says so where a stream is down, and nothing else. */
export function NotLive({ live }: { readonly live: LiveState }) {
  return (
    <div role="status">
      {isDown(live) ? <p className="notice">Not live: what is shown here is read again every few seconds.</p> : null}
    </div>
  );
}

interface ChangesOptions {
  /** How often to read it while the stream is down. */
  readonly everyMs: number;
  /** The least time between two readings. */
  readonly restMs?: number;
}

/**
 * Has the calls' answers on this page read again when something of the kinds changes. Answers the `refetchInterval` of
 * their queries: false while the stream tells.
 */
export function useChanges(
  kinds: readonly ChangeKind[],
  methods: readonly UnaryMethod[],
  { everyMs, restMs = REST_MS }: ChangesOptions,
): number | false {
  const { isLive, add } = use(ChangesContext);
  const tell = useReadAgain(methods, restMs);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the names stand for the kinds, which are made anew.
  useEffect(() => add({ kinds, tell }), [add, tell, kinds.join()]);
  return isLive ? false : everyMs;
}

/** Whether the tab is in front: one that isn't holds no stream, of which a browser has few to a server. */
export function useIsSeen(): boolean {
  return useSyncExternalStore(subscribeToSight, () => document.visibilityState === "visible");
}

function subscribeToSight(listener: () => void): () => void {
  document.addEventListener("visibilitychange", listener);
  return () => document.removeEventListener("visibilitychange", listener);
}

/** Whether the stream tells now. */
export function useIsLive(): boolean {
  return use(ChangesContext).isLive;
}
