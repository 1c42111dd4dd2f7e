/** Sending again all that were not yet, in the order in which they came. */
import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { EventService } from "../../../../gen/passbus/v1/event_service_pb.js";
import { count } from "../../numbers.ts";
import { Confirm } from "../../parts/dialog.tsx";
import { useClient } from "../../rpc.ts";

const PAGE_ROWS = 500;

interface RedriveAllProps {
  /** Empty: whatever the reason. */
  readonly reason: string;
  readonly onClose: () => void;
}

export function RedriveAll({ reason, onClose }: RedriveAllProps) {
  const client = useClient(EventService);
  const queries = useQueryClient();
  const [sent, setSent] = useState(0);
  const stop = useRef(new AbortController());
  useEffect(() => {
    stop.current = new AbortController();
    return () => stop.current.abort();
  }, []);
  const run = async () => {
    const { signal } = stop.current;
    const ids: string[] = [];
    let pageToken = "";
    do {
      const page = await client.listDeadLetters(
        { reason, pageSize: PAGE_ROWS, pageToken, omitValues: true },
        { signal },
      );
      const open = page.deadLetters.filter(({ truncated, redrivenAt }) => !truncated && redrivenAt === undefined);
      ids.push(...open.map(({ id }) => id));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    // They were listed newest first.
    ids.reverse();
    for (let at = 0; at < ids.length; at += PAGE_ROWS) {
      const { redriven } = await client.redriveDeadLetters({ ids: ids.slice(at, at + PAGE_ROWS) }, { signal });
      setSent((before) => before + redriven);
    }
    await queries.invalidateQueries();
  };
  return (
    <Confirm
      title={reason === "" ? "Send all dead letters again?" : `Send all with ${reason} again?`}
      action="Send all again"
      doing="send them all again"
      done="All were sent again."
      onConfirm={run}
      onClose={onClose}
    >
      <p>
        Those that were not sent again yet go back to where they came from, as they came. Each becomes an event, or a
        new dead letter if what was wrong still is. Those that were cut can’t be sent.
      </p>
      <p role="status">{sent === 0 ? "" : `${count(sent)} sent so far.`}</p>
    </Confirm>
  );
}
