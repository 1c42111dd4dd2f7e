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

function OneSwitch({ state: { scope, stopped, reason, stoppedAt, stoppedBy } }: { readonly state: DeliverySwitch }) {
  const { caller } = useSession();
  const [asking, setAsking] = useState(false);
  const [why, setWhy] = useState("");
  const client = useClient(AccessService);
  const queries = useQueryClient();
  const turn = async () => {
    await client.setDeliverySwitch({ scope, stopped: !stopped, reason: stopped ? "" : why });
    await queries.invalidateQueries();
  };
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
          onPress={() => setAsking(true)}
        >
          {stopped ? "Start" : "Stop"}
        </Button>
      )}
      {asking ? (
        <Confirm
          title={`${stopped ? "Start" : "Stop"} ${what}?`}
          action={stopped ? "Start them" : "Stop them"}
          doing={stopped ? "start them" : "stop them"}
          done={stopped ? "Deliveries run." : "Deliveries are stopped."}
          danger={!stopped}
          {...(!stopped && { typed: "stop" })}
          onConfirm={turn}
          onClose={() => setAsking(false)}
        >
          <p>
            {stopped
              ? "What waits is sent, the oldest first."
              : "Events are taken and recorded as always, and every webhook waits. Attempts in flight end."}
          </p>
          {stopped ? null : <TextField label="Why" value={why} hint="Shown to everyone who looks." onChange={setWhy} />}
        </Confirm>
      ) : null}
    </div>
  );
}
