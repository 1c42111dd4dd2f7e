/** Whether passbus is well, at a glance. */
import { Code, ConnectError } from "@connectrpc/connect";
import { useQuery } from "@connectrpc/connect-query";
import { type ReactNode, useState } from "react";
import { Link } from "wouter";
import {
  DeliveryService,
  type FailingEndpoint,
  type GetOverviewResponse,
  type ServiceOverview,
  type WorkerOverview,
} from "../../../../gen/passbus/v1/delivery_service_pb.js";
import { EndpointCondition } from "../../../../gen/passbus/v1/subscription_pb.js";
import { SubscriptionService } from "../../../../gen/passbus/v1/subscription_service_pb.js";
import { NotLive, useIsLive, useIsSeen } from "../../changes.tsx";
import { count, duration, durationToMs, percent, rate } from "../../numbers.ts";
import { Badge } from "../../parts/badge.tsx";
import { ButtonLink } from "../../parts/button.tsx";
import { Empty, Loading } from "../../parts/empty.tsx";
import { Failure } from "../../parts/failure.tsx";
import { Page, Section } from "../../parts/page.tsx";
import { type Column, Table } from "../../parts/table.tsx";
import { Ago } from "../../parts/time.tsx";
import { isDown, useLive } from "../../rpc.ts";
import { CONDITION } from "../../words.ts";
import { StatsCharts } from "./stats-charts.tsx";
import { SwitchNotice } from "./switch-notice.tsx";

const READ_EVERY_MS = 2_000;

/** As it is told; while it isn't, as it is read every few seconds. */
function useOverview() {
  const [told, setTold] = useState<GetOverviewResponse>();
  const live = useLive(DeliveryService.method.watchOverview, {
    input: {},
    on: useIsSeen(),
    onMessage: ({ overview }) => setTold(overview),
  });
  const isUntold = isDown(live);
  const { data, error, refetch } = useQuery(
    DeliveryService.method.getOverview,
    {},
    { enabled: isUntold, refetchInterval: READ_EVERY_MS, retry: false },
  );
  const isNewer = told === undefined || (isUntold && data !== undefined && secondsOf(data) > secondsOf(told));
  return { live, data: isNewer ? (data ?? told) : told, error: isUntold ? error : null, refetch };
}

const secondsOf = ({ time }: GetOverviewResponse): bigint => time?.seconds ?? 0n;

export function Overview() {
  const { live, data, error, refetch } = useOverview();
  const isTold = useIsLive();
  const isOld = error !== null && ConnectError.from(error).code === Code.Unimplemented;
  return (
    <Page title="Overview">
      {isTold ? <NotLive live={live} /> : null}
      <SwitchNotice />
      {error === null || isOld ? null : (
        <Failure error={error} doing="read the overview" onRetry={() => void refetch()} />
      )}
      {data === undefined && error === null ? <Loading what="the overview" /> : null}
      {data === undefined ? null : <Glance overview={data} />}
      <Section title="Over time">
        <StatsCharts />
      </Section>
      {data === undefined ? isOld && <FailingOfList /> : <Failing overview={data} />}
      {data?.service === undefined ? null : <Workers service={data.service} />}
    </Page>
  );
}

function Tile({ name, value, hint }: { readonly name: string; readonly value: string; readonly hint: ReactNode }) {
  return (
    <div className="panel tile">
      <dt>{name}</dt>
      <dd>
        {value} <div className="hint">{hint}</div>
      </dd>
    </div>
  );
}

function Glance({ overview }: { readonly overview: GetOverviewResponse }) {
  const { lastHour, backlog, breakers, subscriptionsEnabled, subscriptionsDisabled } = overview;
  const ended = Number((lastHour?.delivered ?? 0n) + (lastHour?.failed ?? 0n));
  const attempts = Number(lastHour?.attempts ?? 0n);
  const failedAttempts = Number(lastHour?.failedAttempts ?? 0n);
  const stopped = (breakers?.open ?? 0) + (breakers?.halfOpen ?? 0);
  const p99 = lastHour?.p99;
  return (
    <dl className="tiles">
      <Tile
        name="Events"
        value={rate(overview.eventsPerSecond)}
        hint={`${count(lastHour?.events ?? 0n)} in the last hour`}
      />
      <Tile
        name="Deliveries"
        value={rate(overview.deliveriesPerSecond)}
        hint={`${count(lastHour?.delivered ?? 0n)} in the last hour`}
      />
      <Tile
        name="Delivered"
        value={percent(Number(lastHour?.delivered ?? 0n), ended)}
        hint={`of ${count(ended)} that ended in the last hour`}
      />
      <Tile
        name="Attempts that worked"
        value={percent(attempts - failedAttempts, attempts)}
        hint={`of ${count(attempts)} in the last hour`}
      />
      <Tile
        name="An attempt takes"
        value={lastHour?.p50 === undefined ? "–" : duration(durationToMs(lastHour.p50))}
        hint={p99 === undefined ? "median of the last hour" : `median; 99 of 100 within ${duration(durationToMs(p99))}`}
      />
      <Tile
        name="Due now"
        value={count(backlog?.due ?? 0n)}
        hint={
          backlog?.oldestDueAge === undefined
            ? "nothing is late"
            : `the oldest for ${duration(durationToMs(backlog.oldestDueAge))}`
        }
      />
      <Tile
        name="Waiting"
        value={count((backlog?.waiting ?? 0n) + (backlog?.attempting ?? 0n))}
        hint={`and ${count(backlog?.held ?? 0n)} held`}
      />
      <Tile
        name="Endpoints stopped"
        value={count(stopped)}
        hint={`breakers open; of ${count(subscriptionsEnabled)} enabled, ${count(subscriptionsDisabled)} disabled`}
      />
    </dl>
  );
}

const FAILING_COLUMNS: readonly Column<FailingEndpoint>[] = [
  {
    title: "Endpoint",
    naming: true,
    cell: ({ subscriptionId, url, description }) => (
      <span>
        <Link href={`/subscriptions/${subscriptionId}`}>{description || url}</Link>{" "}
        {description === "" ? null : <span className="hint">{url}</span>}
      </span>
    ),
  },
  {
    title: "Health",
    cell: ({ health }) => {
      const [name, tone] = CONDITION[health?.condition ?? EndpointCondition.UNSPECIFIED];
      return <Badge tone={tone}>{name}</Badge>;
    },
  },
  { title: "Failing since", cell: ({ health }) => <Ago at={health?.failingSince} /> },
  { title: "In a row", numeric: true, cell: ({ health }) => count(health?.consecutiveFailures ?? 0) },
  { title: "Last error", cell: ({ health }) => <code>{health?.lastError}</code> },
];

function Failing({ overview }: { readonly overview: GetOverviewResponse }) {
  const { failing, failingCount, subscriptionsEnabled } = overview;
  return (
    <Section title={failingCount === 0 ? "Failing endpoints" : `Failing endpoints: ${count(failingCount)}`}>
      {failing.length > 0 ? (
        <Table
          caption="Failing endpoints"
          columns={FAILING_COLUMNS}
          rows={failing}
          keyOf={({ subscriptionId }) => subscriptionId}
        />
      ) : subscriptionsEnabled === 0 ? (
        <Empty title="No endpoints yet">
          <ButtonLink href="/subscriptions/new" kind="primary" needs={SubscriptionService.method.createSubscription}>
            Make a subscription
          </ButtonLink>
        </Empty>
      ) : (
        <p>None: the newest attempt at each endpoint worked.</p>
      )}
    </Section>
  );
}

/** Of a passbus that has no overview: what the list of subscriptions says. */
function FailingOfList() {
  const failing = useQuery(SubscriptionService.method.listSubscriptions, { health: EndpointCondition.FAILING });
  const open = useQuery(SubscriptionService.method.listSubscriptions, { health: EndpointCondition.OPEN });
  const rows = [...(open.data?.subscriptions ?? []), ...(failing.data?.subscriptions ?? [])];
  return (
    <Section title="Failing endpoints">
      {rows.length === 0 ? (
        <p>None is failing.</p>
      ) : (
        <ul>
          {rows.map(({ id, url }) => (
            <li key={id}>
              <Link href={`/subscriptions/${id}`}>{url}</Link>
            </li>
          ))}
        </ul>
      )}
    </Section>
  );
}

const WORKER_COLUMNS: readonly Column<WorkerOverview>[] = [
  { title: "Worker", naming: true, cell: ({ id }) => <code>{id}</code> },
  {
    title: "State",
    cell: ({ stalled }) => (
      <Badge tone={stalled ? "bad" : "good"}>{stalled ? "store takes no writes" : "at work"}</Badge>
    ),
  },
  { title: "In flight", numeric: true, cell: ({ inFlight }) => count(inFlight) },
  { title: "Queued", numeric: true, cell: ({ queued }) => count(queued) },
  { title: "Unwritten", numeric: true, cell: ({ unflushed }) => count(unflushed) },
  { title: "Open records", numeric: true, cell: ({ openRecords }) => count(openRecords) },
  {
    title: "Loop delay",
    numeric: true,
    cell: ({ eventLoopDelayP99: delay }) => (delay === undefined ? "–" : duration(durationToMs(delay))),
  },
  { title: "Told", cell: ({ reportedAt }) => <Ago at={reportedAt} /> },
  { title: "Started", cell: ({ startedAt }) => <Ago at={startedAt} /> },
];

function Workers({ service }: { readonly service: ServiceOverview }) {
  const { workers, lagRecords } = service;
  return (
    <Section title="Workers">
      <p>
        {lagRecords < 0n
          ? "How far they are behind the log isn’t known."
          : `Records of the log that are not read yet: ${count(lagRecords)}.`}
      </p>
      {workers.length === 0 ? (
        <p className="failure">No worker has said anything within 30 seconds: nothing is being delivered.</p>
      ) : (
        <Table caption="Workers" columns={WORKER_COLUMNS} rows={workers} keyOf={({ id }) => id} />
      )}
    </Section>
  );
}
