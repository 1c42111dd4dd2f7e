/** What can be done with the deliveries that were chosen in the log. */
import { type Dispatch, type SetStateAction, useState } from "react";
import { DeliveryService } from "../../../../gen/passbus/v1/delivery_service_pb.js";
import { count } from "../../numbers.ts";
import { Button } from "../../parts/button.tsx";
import { Confirm, Dialog } from "../../parts/dialog.tsx";
import { useClient } from "../../rpc.ts";
import { type CallsMade, type Choice, callForEach, callsText, cancellableOf, type Refused } from "./choice.ts";
import type { DeliveryRow } from "./row.ts";

const CHOOSE_LIMIT = 1_000;
const NONE: Choice = new Set();

/** What was asked of the chosen, as they were at the press. */
interface Asking {
  readonly what: "retry" | "cancel";
  readonly ids: readonly string[];
  /** Of the chosen: those that could not be cancelled then. */
  readonly leftOut: number;
}

interface ChosenBarProps {
  readonly chosen: Choice;
  /** The rows that the log holds now. */
  readonly shown: () => readonly DeliveryRow[];
  readonly onChoose: Dispatch<SetStateAction<Choice>>;
}

export function ChosenBar({ chosen, shown, onChoose }: ChosenBarProps) {
  const [asking, setAsking] = useState<Asking>();
  const [refused, setRefused] = useState<readonly Refused[]>([]);
  const chooseShown = () =>
    onChoose(
      new Set(
        shown()
          .slice(0, CHOOSE_LIMIT)
          .map(({ id }) => id),
      ),
    );
  const ask = (what: Asking["what"]) => {
    const ids = what === "cancel" ? cancellableOf(chosen, shown()) : [...chosen];
    setAsking({ what, ids, leftOut: chosen.size - ids.length });
  };
  const note = (made: CallsMade) => {
    setRefused(made.refused);
    // What was not done stays chosen.
    const done = new Set(made.done);
    onChoose((before) => new Set([...before].filter((id) => !done.has(id))));
  };
  return (
    <div className="stack">
      <div className="actions">
        <span>{chosen.size === 0 ? "None chosen" : `${count(chosen.size)} chosen`}</span>
        <Button kind="quiet" onPress={chooseShown}>
          Choose all that are loaded
        </Button>
        {chosen.size === 0 ? null : (
          <>
            <Button kind="quiet" onPress={() => onChoose(NONE)}>
              Choose none
            </Button>
            <Button needs={DeliveryService.method.retryDelivery} onPress={() => ask("retry")}>
              Send again
            </Button>
            <Button kind="danger" needs={DeliveryService.method.cancelDelivery} onPress={() => ask("cancel")}>
              Cancel
            </Button>
          </>
        )}
      </div>
      <Refusals refused={refused} onClose={() => setRefused([])} />
      {asking === undefined ? null : <Ask asking={asking} onMade={note} onClose={() => setAsking(undefined)} />}
    </div>
  );
}

interface AskProps {
  readonly asking: Asking;
  readonly onMade: (made: CallsMade) => void;
  readonly onClose: () => void;
}

function Ask({ asking: { what, ids, leftOut }, onMade, onClose }: AskProps) {
  const client = useClient(DeliveryService);
  const isRetry = what === "retry";
  const run = async (signal: AbortSignal) => {
    const call = isRetry ? client.retryDelivery : client.cancelDelivery;
    const made = await callForEach(ids, (id) => call({ id }), signal);
    onMade(made);
    return made;
  };
  if (ids.length === 0) {
    return (
      <Dialog title="Nothing to cancel" onClose={onClose}>
        <p>None of the chosen waits or is held: only those can be cancelled.</p>
        <div className="actions end">
          <Button onPress={onClose}>Close</Button>
        </div>
      </Dialog>
    );
  }
  return (
    <Confirm
      title={isRetry ? `Send ${count(ids.length)} again?` : `Cancel ${count(ids.length)}?`}
      action={isRetry ? "Send them again" : "Cancel the deliveries"}
      doing={isRetry ? "send them again" : "cancel them"}
      done={(made) => callsText(what, made)}
      danger={!isRetry}
      onConfirm={run}
      onClose={onClose}
      stoppable
    >
      <p>
        {isRetry
          ? "Each becomes due at once, also those that were delivered: their receivers get them a second time, under the same webhook-id."
          : "They are not sent. Only those that wait or are held can be cancelled."}
      </p>
      {leftOut === 0 ? null : (
        <p>{count(leftOut)} of the chosen neither wait nor are held: they are left as they are.</p>
      )}
      <NamedIds ids={ids} />
    </Confirm>
  );
}

const NAMED_LIMIT = 5;

function NamedIds({ ids }: { readonly ids: readonly string[] }) {
  return (
    <ul>
      {ids.slice(0, NAMED_LIMIT).map((id) => (
        <li key={id}>
          <code>{id}</code>
        </li>
      ))}
      {ids.length > NAMED_LIMIT ? <li>and {count(ids.length - NAMED_LIMIT)} more</li> : null}
    </ul>
  );
}

function Refusals({ refused, onClose }: { readonly refused: readonly Refused[]; readonly onClose: () => void }) {
  if (refused.length === 0) return null;
  return (
    <div className="failure" role="alert">
      <p>
        <strong>{count(refused.length)} could not be changed.</strong>
      </p>
      <ul>
        {refused.slice(0, NAMED_LIMIT).map(({ id, message }) => (
          <li key={id}>{message}</li>
        ))}
      </ul>
      <Button onPress={onClose}>Close</Button>
    </div>
  );
}
