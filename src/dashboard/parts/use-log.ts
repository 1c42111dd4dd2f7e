/** A log on a page: its rows, kept alive by a stream whose messages are shown together a few times a second. */
import type { DescMessage, DescMethodServerStreaming, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { useCallback, useEffect, useEffectEvent, useMemo, useRef, useState } from "react";
import { after, nowMs } from "../clock.ts";
import { type LiveState, useLive } from "../rpc.ts";
import { type LogPage, type LogRow, LogRows } from "./log-rows.ts";

/** At least this long lies between two showings: what is told in between is shown together. */
const GATHER_MS = 150;

interface LogOptions<R extends LogRow, I extends DescMessage, O extends DescMessage> {
  /** Another one is another log. */
  readonly filter: string;
  readonly list: (pageToken: string, signal: AbortSignal) => Promise<LogPage<R>>;
  readonly accepts: (row: R) => boolean;
  readonly method: DescMethodServerStreaming<I, O>;
  readonly input: MessageInitShape<I>;
  /** The row in a message, where it has one, and how many were left out before it. */
  readonly read: (message: MessageShape<O>) => { readonly row: R | undefined; readonly skipped: bigint };
}

export interface Log<R extends LogRow> {
  /** What shows them subscribes to them: the page around does not render with each page of rows. */
  readonly rows: LogRows<R>;
  readonly live: LiveState;
  /** The reader asked for quiet: what is new is counted only. */
  readonly isPaused: boolean;
  readonly setPaused: (paused: boolean) => void;
  /** The view says whether new rows may push the others down. */
  readonly setSteady: (steady: boolean) => void;
}

export function useLog<R extends LogRow, I extends DescMessage, O extends DescMessage>({
  filter,
  list,
  accepts,
  method,
  input,
  read,
}: LogOptions<R, I, O>): Log<R> {
  // biome-ignore lint/correctness/useExhaustiveDependencies: the filter's text stands for what list and accepts close over.
  const rows = useMemo(() => new LogRows<R>({ list, accepts }), [filter]);
  useEffect(() => rows.start(), [rows]);
  const [isPaused, showPaused] = useState(false);
  const quiet = useRef({ paused: false, steady: false });
  // Asked again when an answer has come: the reader may have scrolled on meanwhile.
  const follows = useCallback(() => !quiet.current.paused && !quiet.current.steady, []);
  const gathered = useRef<R[]>([]);
  const shownAtMs = useRef(0);
  const cancel = useRef<(() => void) | undefined>(undefined);
  const show = useEffectEvent(() => {
    cancel.current = undefined;
    shownAtMs.current = nowMs();
    const told = gathered.current;
    gathered.current = [];
    rows.tell(told, follows());
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: what was told for one log is not told to the next.
  useEffect(
    () => () => {
      cancel.current?.();
      cancel.current = undefined;
      gathered.current = [];
    },
    [rows],
  );
  const live = useLive(method, {
    input,
    onMessage: (message) => {
      const { row, skipped } = read(message);
      if (skipped > 0n) rows.missed(follows);
      if (row === undefined) return;
      gathered.current.push(row);
      cancel.current ??= after(Math.max(0, shownAtMs.current + GATHER_MS - nowMs()), show);
    },
    onBegin: (again) => (again ? rows.missed(follows) : rows.catchUp(follows)),
  });
  const setSteady = useCallback((value: boolean) => {
    quiet.current.steady = value;
  }, []);
  const setPaused = useCallback((value: boolean) => {
    quiet.current.paused = value;
    showPaused(value);
  }, []);
  return { rows, live, isPaused, setPaused, setSteady };
}
