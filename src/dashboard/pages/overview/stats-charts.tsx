/** Deliveries and latencies over a range of time, of one subscription or of all. */
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { useQuery } from "@connectrpc/connect-query";
import { keepPreviousData } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import {
  ChangeKind,
  DeliveryService,
  type GetDeliveryStatsResponse,
} from "../../../../gen/passbus/v1/delivery_service_pb.js";
import { useChanges } from "../../changes.tsx";
import { nowMs, useNowMs } from "../../clock.ts";
import { durationToMs } from "../../numbers.ts";
import { Chart } from "../../parts/chart.tsx";
import { Loading } from "../../parts/empty.tsx";
import { Failure } from "../../parts/failure.tsx";
import { SelectField } from "../../parts/field.tsx";
import { countSeries, latencySeries, perStep, RANGES, rateSeries, summaryOf, timesOf } from "./stats.ts";

/** The workers' counts are here within 10 seconds. */
const READ_EVERY_MS = 10_000;
/** Where nothing is counted the range moves on all the same. */
const MOVE_EVERY_MS = 60_000;

function chartsOf({ points, step }: GetDeliveryStatsResponse) {
  const stepMs = step === undefined ? 0 : durationToMs(step);
  return {
    timesMs: timesOf(points),
    rates: rateSeries(points, stepMs, nowMs()),
    counts: countSeries(points),
    per: perStep(stepMs),
    latencies: latencySeries(points),
  };
}

export function StatsCharts({ subscriptionId = "" }: { readonly subscriptionId?: string }) {
  const [rangeMs, setRangeMs] = useState<number>(RANGES[0][0]);
  const { getDeliveryStats } = DeliveryService.method;
  const refetchInterval = useChanges([ChangeKind.STATISTICS], [getDeliveryStats], { everyMs: READ_EVERY_MS });
  // A step more than until now, so that what is told is read without asking for another range.
  const toMs = useNowMs(MOVE_EVERY_MS) + MOVE_EVERY_MS;
  const { data, error, refetch } = useQuery(
    getDeliveryStats,
    { subscriptionId, startTime: timestampFromMs(toMs - rangeMs), endTime: timestampFromMs(toMs) },
    { placeholderData: keepPreviousData, refetchInterval },
  );
  const charts = useMemo(() => (data === undefined ? undefined : chartsOf(data)), [data]);
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
          {subscriptionId === "" ? (
            <Chart title="Events and deliveries per second" timesMs={charts.timesMs} series={charts.rates} />
          ) : null}
          <Chart title={`Deliveries ${charts.per}`} timesMs={charts.timesMs} series={charts.counts} />
          <Chart title="How long it took" timesMs={charts.timesMs} series={charts.latencies} />
        </div>
      )}
    </div>
  );
}
