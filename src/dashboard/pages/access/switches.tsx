import { useQuery } from "@connectrpc/connect-query";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import {
  AccessService,
  type DeliverySwitch,
  DeliverySwitchScope,
} from "../../../../gen/passbus/v1/access_service_pb.js";
import { ChangeKind } from "../../../../gen/passbus/v1/delivery_service_pb.js";
import { useChanges } from "../../changes.tsx";
import { Badge } from "../../parts/badge.tsx";
import { Button } from "../../parts/button.tsx";
import { Confirm } from "../../parts/dialog.tsx";
import { Loading } from "../../parts/empty.tsx";
import { Failure } from "../../parts/failure.tsx";
import { TextField } from "../../parts/field.tsx";
import { Section } from "../../parts/page.tsx";
import { Ago } from "../../parts/time.tsx";
import { useClient } from "../../rpc.ts";
import { useSession } from "../../session.tsx";

const OF: Readonly<Record<DeliverySwitchScope, string>> = {
  [DeliverySwitchScope.UNSPECIFIED]: "Deliveries",
  [DeliverySwitchScope.ORGANISATION]: "Deliveries of this organisation",
  [DeliverySwitchScope.SERVICE]: "Deliveries of every organisation",
};

/** The kill switch: while it is off, events are taken and every webhook waits. */
export function DeliverySwitches() {
  const { getDeliverySwitch } = AccessService.method;
  const refetchInterval = useChanges([ChangeKind.DELIVERY_SWITCH], [getDeliverySwitch], { everyMs: 5_000 });
  const { data, error, refetch } = useQuery(getDeliverySwitch, {}, { refetchInterval });
  return (
    <Section title="Switch">
      {error === null ? null : <Failure error={error} doing="read the switch" onRetry={() => void refetch()} />}
      {data === undefined && error === null ? <Loading what="the switch" /> : null}
      {data?.switches.map((each) => (
        <OneSwitch key={each.scope} state={each} />
      ))}
    </Section>
  );
}

/** What a press asks for, whatever becomes of the switch until it is confirmed. */
type Turn = "stop" | "start";

function OneSwitch({ state }: { readonly state: DeliverySwitch }) {
  const { scope, stopped, reason, stoppedAt, stoppedBy } = state;
  const { caller } = useSession();
  const [asked, setAsked] = useState<Turn>();
  const what = OF[scope].toLowerCase();
  return (
    <div className="section-head">
      <p>
        {OF[scope]}: <Badge tone={stopped ? "bad" : "good"}>{stopped ? "stopped" : "run"}</Badge>
        {stopped ? (
          <>
            {" "}
            <Ago at={stoppedAt} /> {stoppedBy === "" ? null : <>by {stoppedBy}</>}
            {reason === "" ? null : `: ${reason}`}
          </>
        ) : null}
      </p>
      {scope === DeliverySwitchScope.SERVICE && !caller.operatesService ? null : (
        <Button
          kind={stopped ? "primary" : "danger"}
          label={`${stopped ? "Start" : "Stop"} ${what}`}
          needs={AccessService.method.setDeliverySwitch}
          onPress={() => setAsked(stopped ? "start" : "stop")}
        >
          {stopped ? "Start" : "Stop"}
        </Button>
      )}
      {asked === "stop" ? <StopThem state={state} onClose={() => setAsked(undefined)} /> : null}
      {asked === "start" ? <StartThem state={state} onClose={() => setAsked(undefined)} /> : null}
    </div>
  );
}

interface TurnProps {
  /** As it is now, which is read anew while the dialog is open. */
  readonly state: DeliverySwitch;
  readonly onClose: () => void;
}

/** Says in the dialog that somebody else was first; its own turn, which is told here too, is not meant. */
function useTurn({ state: { scope, stopped } }: TurnProps, turn: Turn) {
  const [isTurning, setTurning] = useState(false);
  const client = useClient(AccessService);
  const queries = useQueryClient();
  const set = async (reason: string) => {
    setTurning(true);
    try {
      await client.setDeliverySwitch({ scope, stopped: turn === "stop", reason });
      await queries.invalidateQueries();
    } finally {
      setTurning(false);
    }
  };
  return { isAlreadySo: !isTurning && stopped === (turn === "stop"), set };
}

function StopThem(props: TurnProps) {
  const { scope, reason, stoppedBy } = props.state;
  const [why, setWhy] = useState("");
  const { isAlreadySo, set } = useTurn(props, "stop");
  return (
    <Confirm
      title={`Stop ${OF[scope].toLowerCase()}?`}
      action="Stop them"
      doing="stop them"
      done="Deliveries are stopped."
      danger
      typed="stop"
      onConfirm={() => set(why)}
      onClose={props.onClose}
    >
      <p>Events are taken and recorded as always, and every webhook waits. Attempts in flight end.</p>
      <p role="status">
        {isAlreadySo
          ? `They are stopped already${stoppedBy === "" ? "" : `, by ${stoppedBy}`}${reason === "" ? "" : `: ${reason}`}.`
          : null}
      </p>
      <TextField label="Why" value={why} hint="Shown to everyone who looks." onChange={setWhy} />
    </Confirm>
  );
}

function StartThem(props: TurnProps) {
  const { isAlreadySo, set } = useTurn(props, "start");
  return (
    <Confirm
      title={`Start ${OF[props.state.scope].toLowerCase()}?`}
      action="Start them"
      doing="start them"
      done="Deliveries run."
      onConfirm={() => set("")}
      onClose={props.onClose}
    >
      <p>What waits is sent, the oldest first.</p>
      <p role="status">{isAlreadySo ? "They run already." : null}</p>
    </Confirm>
  );
}
