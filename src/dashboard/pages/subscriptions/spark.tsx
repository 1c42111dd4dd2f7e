/** How an endpoint did over the last day, hour by hour: a bar for what was delivered, and what of the attempts failed. */
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { useQuery } from "@connectrpc/connect-query";
import { keepPreviousData } from "@tanstack/react-query";
import { DeliveryService, type DeliveryStats } from "../../../../gen/passbus/v1/delivery_service_pb.js";
import { useNowMs } from "../../clock.ts";
import { count } from "../../numbers.ts";

const HOUR_MS = 3_600_000;
const HOURS = 24;
/** One call for each row: seldom. Where passbus says that there is something new, the list has them read sooner. */
const READ_EVERY_MS = 60_000;

const BAR = 4;
const HEIGHT = 22;

export function Spark({ subscriptionId }: { readonly subscriptionId: string }) {
  const nowMs = useNowMs(READ_EVERY_MS);
  const { data } = useQuery(
    DeliveryService.method.getDeliveryStats,
    {
      subscriptionId,
      startTime: timestampFromMs(nowMs - (HOURS - 1) * HOUR_MS),
      endTime: timestampFromMs(nowMs + READ_EVERY_MS),
      step: durationFromMs(HOUR_MS),
    },
    { placeholderData: keepPreviousData, retry: false, staleTime: READ_EVERY_MS },
  );
  const { total, points = [] } = data ?? {};
  if (total === undefined || total.attempts === 0n) return <span>–</span>;
  const label = `${count(total.delivered)} delivered, ${count(total.failedAttempts)} attempts failed`;
  return <Bars points={points} label={label} />;
}

function Bars({ points, label }: { readonly points: readonly DeliveryStats[]; readonly label: string }) {
  const highest = Math.max(1, ...points.map((point) => Number(point.delivered + point.failedAttempts)));
  const heightOf = (value: bigint) => (value === 0n ? 0 : Math.max(1.5, (Number(value) / highest) * HEIGHT));
  const bars = points.map((point, at) => {
    const [good, bad] = [heightOf(point.delivered), heightOf(point.failedAttempts)];
    return { x: at * BAR, good, bad };
  });
  const shape = { width: BAR - 1 };
  return (
    <svg
      className="spark"
      role="img"
      aria-label={label}
      width={points.length * BAR}
      height={HEIGHT}
      viewBox={`0 0 ${points.length * BAR} ${HEIGHT}`}
    >
      <title>{label}</title>
      {bars.map(({ x, good, bad }) => (
        <g key={x}>
          <rect {...shape} x={x} y={HEIGHT - good} height={good} fill="var(--good)" />
          <rect {...shape} x={x} y={Math.max(0, HEIGHT - good - bad)} height={bad} fill="var(--bad)" />
        </g>
      ))}
    </svg>
  );
}
