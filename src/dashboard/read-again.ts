/** The answers of calls on the page, read again when passbus says that they may have changed. */
import type { DescMessage, DescMethodUnary } from "@bufbuild/protobuf";
import { createConnectQueryKey } from "@connectrpc/connect-query";
import { type Query, type QueryClient, useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useRef } from "react";
import { after } from "./clock.ts";
import { isDown, type LiveState } from "./rpc.ts";

/** Between two readings of what a page's own stream tells of. */
const REST_MS = 100;
/** Of a page whose stream is down. */
const READ_EVERY_MS = 5_000;

export type UnaryMethod = DescMethodUnary<DescMessage, DescMessage>;

/**
 * Answers what has the page's answers to these calls read again. It may be called as often as one likes: they are read at
 * once, and once more after `restMs` for all that was told meanwhile.
 */
export function useReadAgain(methods: readonly UnaryMethod[], restMs = REST_MS): () => void {
  const queries = useQueryClient();
  const reader = useRef<Reader>(undefined);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the names stand for the calls, a list made anew.
  useEffect(() => {
    const current = new Reader(() => readAgain(queries, methods), restMs);
    reader.current = current;
    return () => current.stop();
  }, [queries, restMs, methods.map(({ name }) => name).join()]);
  return useCallback(() => reader.current?.tell(), []);
}

/** Calls it every few seconds while nobody tells. */
export function useWhileDown(live: LiveState, readAgain: () => void): void {
  const isUntold = isDown(live);
  useEffect(() => {
    if (!isUntold) return;
    let cancel = () => {};
    const read = () => {
      readAgain();
      cancel = after(READ_EVERY_MS, read);
    };
    cancel = after(READ_EVERY_MS, read);
    return () => cancel();
  }, [isUntold, readAgain]);
}

/**
 * A first reading, and a next page that somebody asked for, go on: they may have begun before the change, and one more
 * reading follows. Any other is begun anew.
 */
export async function readAgain(queries: QueryClient, methods: readonly UnaryMethod[]): Promise<void> {
  await Promise.all(
    methods.map(async (schema) => {
      const filters = { queryKey: createConnectQueryKey({ schema, cardinality: undefined }) };
      const shown = () =>
        queries
          .getQueryCache()
          .findAll({ ...filters, type: "active" })
          .filter((query) => !query.isDisabled());
      do {
        const going = shown().filter((query) => query.state.fetchStatus === "fetching" && isToGoOn(query));
        const predicate = (query: Query) => going.includes(query);
        if (going.length > 0) await queries.refetchQueries({ ...filters, predicate }, { cancelRefetch: false });
        await queries.invalidateQueries(filters);
        // Where a next page was asked for meanwhile, that has broken it off.
      } while (shown().some(isOfNextPage));
    }),
  );
}

function isToGoOn(query: Query): boolean {
  return query.state.data === undefined || isOfNextPage(query);
}

/** Its last reading, or the one that is under way. */
function isOfNextPage({ state }: Query): boolean {
  return state.fetchMeta?.fetchMore !== undefined;
}

/** One reading at a time, and one more after it for all that was told meanwhile. */
class Reader {
  readonly #read: () => Promise<void>;
  readonly #restMs: number;
  #isBusy = false;
  #isToldAgain = false;
  #isStopped = false;
  #cancelRest = () => {};

  constructor(read: () => Promise<void>, restMs: number) {
    this.#read = read;
    this.#restMs = restMs;
  }

  tell(): void {
    if (this.#isStopped) return;
    this.#isToldAgain = this.#isBusy;
    if (this.#isBusy) return;
    this.#isBusy = true;
    // A query keeps its error for the page.
    void this.#read()
      .catch(() => {})
      .then(() => {
        this.#cancelRest = after(this.#restMs, () => this.#rested());
      });
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancelRest();
  }

  #rested(): void {
    this.#isBusy = false;
    if (this.#isToldAgain) this.tell();
  }
}
