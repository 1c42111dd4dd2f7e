/** Deliveries and latencies over a range of time, of one subscription or of all. */
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { useQuery } from "@connectrpc/connect-query";
import { keepPreviousData } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { DeliveryService } from "../../../../gen/passbus/v1/delivery_service_pb.js";
import { useNowMs } from "../../clock.ts";
import { Chart } from "../../parts/chart.tsx";
import { Loading } from "../../parts/empty.tsx";
import { Failure } from "../../parts/failure.tsx";
import { SelectField } from "../../parts/field.tsx";
import { countSeries, latencySeries, RANGES, summaryOf, timesOf } from "./stats.ts";

/** The workers' counts are here within 10 seconds. */
const READ_EVERY_MS = 10_000;

export function StatsCharts({ subscriptionId = "" }: { readonly subscriptionId?: string }) {
  const [rangeMs, setRangeMs] = useState<number>(RANGES[0][0]);
  const nowMs = useNowMs(READ_EVERY_MS);
  const { data, error, refetch } = useQuery(
    DeliveryService.method.getDeliveryStats,
    { subscriptionId, startTime: timestampFromMs(nowMs - rangeMs), endTime: timestampFromMs(nowMs) },
    { placeholderData: keepPreviousData },
  );
  const points = data?.points;
  const charts = useMemo(
    () =>
      points === undefined
        ? undefined
        : { timesMs: timesOf(points), counts: countSeries(points), latencies: latencySeries(points) },
    [points],
  );
  if (error !== null && ConnectError.from(error).code === Code.Unimplemented) {
    return <p className="hint">This passbus keeps no counts over time. The deliveries themselves are all there.</p>;
  }
  return (
    <div className="stack">
      <div className="filters">
        <SelectField label="Time" value={rangeMs} options={RANGES} onChange={(value) => setRangeMs(value)} />
        {data?.total === undefined ? null : <p className="hint">{summaryOf(data.total)}</p>}
      </div>
      {error === null ? null : <Failure error={error} doing="read the statistics" onRetry={() => void refetch()} />}
      {charts === undefined ? (
        error === null && <Loading what="the statistics" />
      ) : (
        <div className="columns">
          <Chart title="Deliveries" timesMs={charts.timesMs} series={charts.counts} />
          <Chart title="How long it took" timesMs={charts.timesMs} series={charts.latencies} />
        </div>
      )}
    </div>
  );
}
