/** Sending dead letters again: which can be, and all of them in the order in which they came. */
import type { Client } from "@connectrpc/connect";
import type { DeadLetter, EventService } from "../../../../gen/passbus/v1/event_service_pb.js";
import { count } from "../../numbers.ts";

/** In a list and in a call. */
const BATCH = 500;

/** Why passbus would refuse it, and all that are sent with it; undefined where nothing stands in the way. */
export function obstacleOf({ truncated, valueBytes }: Pick<DeadLetter, "truncated" | "valueBytes">) {
  if (truncated) return "It was cut: it can’t be sent again";
  if (valueBytes === 0) return "It has no value: it can’t be sent again";
  return undefined;
}

/** What came of sending all again. */
interface AllRedriven {
  readonly sent: number;
  /** That have an obstacle. */
  readonly leftOut: number;
  /** Somebody asked to stop before all were sent. */
  readonly stopped: boolean;
}

interface RedriveAsked {
  /** Empty: whatever the reason. */
  readonly reason: string;
  /** Asks to stop: after the call that is under way, of which else nobody would know what it sent. */
  readonly signal: AbortSignal;
  readonly onSent: (sent: number) => void;
}

type Events = Pick<Client<typeof EventService>, "listDeadLetters" | "redriveDeadLetters">;

/** Those that were not sent again yet. All are listed before the first is sent, or what dies again goes in a circle. */
export async function redriveAll(events: Events, { reason, signal, onSent }: RedriveAsked): Promise<AllRedriven> {
  const ids: string[] = [];
  let sent = 0;
  let leftOut = 0;
  let pageToken = "";
  do {
    if (signal.aborted) return { sent, leftOut, stopped: true };
    const page = await events.listDeadLetters({ reason, pageSize: BATCH, pageToken, omitValues: true });
    const open = page.deadLetters.filter(({ redrivenAt }) => redrivenAt === undefined);
    const sendable = open.filter((letter) => obstacleOf(letter) === undefined);
    leftOut += open.length - sendable.length;
    ids.push(...sendable.map(({ id }) => id));
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  // They were listed newest first.
  ids.reverse();
  for (let at = 0; at < ids.length; at += BATCH) {
    if (signal.aborted) return { sent, leftOut, stopped: true };
    const { redriven } = await events.redriveDeadLetters({ ids: ids.slice(at, at + BATCH) });
    sent += redriven;
    onSent(sent);
  }
  return { sent, leftOut, stopped: false };
}

/** As it is announced. */
export function redrivenText({ sent, leftOut, stopped }: AllRedriven): string {
  if (!stopped && leftOut === 0) return "All were sent again.";
  const told = [
    ...(stopped ? ["Stopped."] : []),
    `Sent again: ${count(sent)}.`,
    ...(leftOut > 0 ? [`Left out, cut or without a value: ${count(leftOut)}.`] : []),
  ];
  return told.join(" ");
}
