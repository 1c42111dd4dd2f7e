/** What can be done with the deliveries that were chosen in the log. */
import { useState } from "react";
import { DeliveryStatus } from "../../../../gen/passbus/v1/delivery_pb.js";
import { DeliveryService } from "../../../../gen/passbus/v1/delivery_service_pb.js";
import { count } from "../../numbers.ts";
import { Button } from "../../parts/button.tsx";
import { Confirm } from "../../parts/dialog.tsx";
import { refusalOf } from "../../parts/failure.tsx";
import { useClient } from "../../rpc.ts";
import type { DeliveryRow } from "./row.ts";

/** At the same time. */
const CALLS = 4;
const CHOOSE_LIMIT = 1_000;

type Chosen = ReadonlyMap<string, DeliveryRow>;

interface Refused {
  readonly id: string;
  readonly message: string;
}

/** Calls for each, a few at a time; what was refused. */
async function forEach(ids: readonly string[], call: (id: string) => Promise<unknown>): Promise<readonly Refused[]> {
  const refused: Refused[] = [];
  const rest = [...ids];
  const work = async () => {
    for (let id = rest.shift(); id !== undefined; id = rest.shift()) {
      const here = id;
      await call(here).catch((error: unknown) => refused.push({ id: here, message: refusalOf(error).message }));
    }
  };
  await Promise.all(Array.from({ length: CALLS }, work));
  return refused;
}

const CANCELLABLE = new Set([DeliveryStatus.WAITING, DeliveryStatus.HELD]);

interface ChosenBarProps {
  readonly chosen: Chosen;
  /** The rows that the log holds now. */
  readonly shown: () => readonly DeliveryRow[];
  readonly onChoose: (chosen: Chosen) => void;
}

export function ChosenBar({ chosen, shown, onChoose }: ChosenBarProps) {
  const client = useClient(DeliveryService);
  const [asking, setAsking] = useState<"retry" | "cancel">();
  const [refused, setRefused] = useState<readonly Refused[]>([]);
  const ids = [...chosen.keys()];
  const cancellable = [...chosen.values()].filter(({ status }) => CANCELLABLE.has(status)).map(({ id }) => id);
  const chooseShown = () =>
    onChoose(
      new Map(
        shown()
          .slice(0, CHOOSE_LIMIT)
          .map((row) => [row.id, row]),
      ),
    );
  const named = asking === "cancel" ? cancellable : ids;
  const run = async () => {
    const call = asking === "cancel" ? client.cancelDelivery : client.retryDelivery;
    setRefused(await forEach(named, (id) => call({ id })));
    onChoose(new Map());
  };
  return (
    <div className="stack">
      <div className="actions">
        <span>{ids.length === 0 ? "None chosen" : `${count(ids.length)} chosen`}</span>
        <Button kind="quiet" onPress={chooseShown}>
          Choose all that are loaded
        </Button>
        {ids.length === 0 ? null : (
          <>
            <Button kind="quiet" onPress={() => onChoose(new Map())}>
              Choose none
            </Button>
            <Button needs={DeliveryService.method.retryDelivery} onPress={() => setAsking("retry")}>
              Send again
            </Button>
            <Button
              kind="danger"
              needs={DeliveryService.method.cancelDelivery}
              isDisabled={cancellable.length === 0}
              onPress={() => setAsking("cancel")}
            >
              Cancel
            </Button>
          </>
        )}
      </div>
      <Refusals refused={refused} onClose={() => setRefused([])} />
      {asking === undefined ? null : (
        <Confirm
          title={asking === "retry" ? `Send ${count(named.length)} again?` : `Cancel ${count(named.length)}?`}
          action={asking === "retry" ? "Send them again" : "Cancel the deliveries"}
          doing={asking === "retry" ? "send them again" : "cancel them"}
          done={`Asked to ${asking === "retry" ? "send" : "cancel"} ${count(named.length)}.`}
          danger={asking === "cancel"}
          onConfirm={run}
          onClose={() => setAsking(undefined)}
        >
          <p>
            {asking === "retry"
              ? "Each becomes due at once, also those that were delivered: their receivers get them a second time, under the same webhook-id."
              : "They are not sent. Only those that wait or are held can be cancelled."}
          </p>
          <NamedIds ids={named} />
        </Confirm>
      )}
    </div>
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
