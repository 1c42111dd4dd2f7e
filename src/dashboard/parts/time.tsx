import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { useNowMs } from "../clock.ts";
import { exactTime, relativeTime } from "../numbers.ts";

interface AgoProps {
  /** Unset times show `none`. */
  readonly at: Timestamp | undefined;
  readonly none?: string;
}

/** "3 min ago", "in 12 s": moves by itself; the exact time is its title, and its text for screen readers to read out. */
export function Ago({ at, none = "–" }: AgoProps) {
  const nowMs = useNowMs();
  if (at === undefined) return <span>{none}</span>;
  const ms = timestampMs(at);
  return (
    <time dateTime={new Date(ms).toISOString()} title={exactTime(ms)}>
      {relativeTime(ms, nowMs)}
    </time>
  );
}

/** When something is to come: "in 12 s", and "due" once that time has come. */
export function Due({ at }: { readonly at: Timestamp | undefined }) {
  const nowMs = useNowMs();
  if (at === undefined) return <span>–</span>;
  const ms = timestampMs(at);
  return (
    <time dateTime={new Date(ms).toISOString()} title={exactTime(ms)}>
      {ms > nowMs ? relativeTime(ms, nowMs) : "due"}
    </time>
  );
}

/** The exact time with the relative one behind it: for details. */
export function Exact({ at, none = "–" }: AgoProps) {
  if (at === undefined) return <span>{none}</span>;
  return (
    <span>
      {exactTime(timestampMs(at))} (<Ago at={at} />)
    </span>
  );
}
