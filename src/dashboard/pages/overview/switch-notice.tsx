import { useQuery } from "@connectrpc/connect-query";
import { Link } from "wouter";
import { AccessService, DeliverySwitchScope } from "../../../../gen/passbus/v1/access_service_pb.js";
import { ChangeKind } from "../../../../gen/passbus/v1/delivery_service_pb.js";
import { useChanges } from "../../changes.tsx";
import { Ago } from "../../parts/time.tsx";

/** Says so where deliveries are stopped: nothing else on the page would make sense. */
export function SwitchNotice() {
  const { getDeliverySwitch } = AccessService.method;
  const refetchInterval = useChanges([ChangeKind.DELIVERY_SWITCH], [getDeliverySwitch], { everyMs: 5_000 });
  const { data } = useQuery(getDeliverySwitch, {}, { refetchInterval, retry: false });
  const stopped = data?.switches.filter((each) => each.stopped) ?? [];
  if (stopped.length === 0) return null;
  return (
    <div className="notice" role="alert">
      {stopped.map(({ scope, reason, stoppedAt }) => (
        <p key={scope}>
          <strong>
            All deliveries {scope === DeliverySwitchScope.SERVICE ? "of every organisation " : ""}are stopped
          </strong>
          , <Ago at={stoppedAt} />
          {reason === "" ? null : `: ${reason}`}. Events are taken and wait.{" "}
          <Link href="/access/limits">The switch</Link>
        </p>
      ))}
    </div>
  );
}
