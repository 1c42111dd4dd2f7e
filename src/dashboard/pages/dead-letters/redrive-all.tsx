/** Sending again all that were not yet, in the order in which they came. */
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { EventService } from "../../../../gen/passbus/v1/event_service_pb.js";
import { count } from "../../numbers.ts";
import { Confirm } from "../../parts/dialog.tsx";
import { useClient } from "../../rpc.ts";
import { redriveAll, redrivenText } from "./redrive.ts";

interface RedriveAllProps {
  /** Empty: whatever the reason. */
  readonly reason: string;
  readonly onClose: () => void;
}

export function RedriveAll({ reason, onClose }: RedriveAllProps) {
  const client = useClient(EventService);
  const queries = useQueryClient();
  const [sent, setSent] = useState(0);
  const run = async (signal: AbortSignal) => {
    setSent(0);
    try {
      return await redriveAll(client, { reason, signal, onSent: setSent });
    } finally {
      // Some may have been sent before one was refused.
      await queries.invalidateQueries();
    }
  };
  return (
    <Confirm
      title={reason === "" ? "Send all dead letters again?" : `Send all with ${reason} again?`}
      action="Send all again"
      doing="send them all again"
      done={redrivenText}
      onConfirm={run}
      onClose={onClose}
      stoppable
    >
      <p>
        Those that were not sent again yet go back to where they came from, as they came. Each becomes an event, or a
        new dead letter if what was wrong still is. Those that were cut, or have no value, can’t be sent.
      </p>
      <p role="status">{sent === 0 ? "" : `${count(sent)} sent so far.`}</p>
    </Confirm>
  );
}
