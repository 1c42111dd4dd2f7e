/** All endpoints with how they are doing; search and filters in the address. */

import { useInfiniteQuery } from "@connectrpc/connect-query";
import { keepPreviousData } from "@tanstack/react-query";
import { Link, useSearchParams } from "wouter";
import { ChangeKind, DeliveryService } from "../../../../gen/passbus/v1/delivery_service_pb.js";
import { InspectorService } from "../../../../gen/passbus/v1/inspector_service_pb.js";
import { EndpointCondition, Format, State, type Subscription } from "../../../../gen/passbus/v1/subscription_pb.js";
import { SubscriptionService } from "../../../../gen/passbus/v1/subscription_service_pb.js";
import { useChanges } from "../../changes.tsx";
import { ButtonLink } from "../../parts/button.tsx";
import { Empty, Loading } from "../../parts/empty.tsx";
import { Failure } from "../../parts/failure.tsx";
import { SelectField, TextField } from "../../parts/field.tsx";
import { Page } from "../../parts/page.tsx";
import { type Column, More, Table } from "../../parts/table.tsx";
import { Ago } from "../../parts/time.tsx";
import { useDebounced } from "../../parts/use-debounced.ts";
import { PAGING } from "../../rpc.ts";
import { useSession } from "../../session.tsx";
import { CONDITION, EVENT_TYPE, FORMAT } from "../../words.ts";
import { Health } from "./health.tsx";
import { Spark } from "./spark.tsx";

/** How often the list is read anew: health changes without anybody's doing. */
const READ_EVERY_MS = 5_000;

const STATES = [
  [State.UNSPECIFIED, "Any"],
  [State.ENABLED, "Enabled"],
  [State.DISABLED, "Paused or disabled"],
] as const;

const FORMATS = [
  [Format.UNSPECIFIED, "Any"],
  ...[Format.STANDARD, Format.CLOUDEVENTS, Format.PASSKIT, Format.PASSENTRY, Format.ETHPASS].map(
    (format) => [format, FORMAT[format]] as const,
  ),
] as const;

const CONDITIONS = [
  [EndpointCondition.UNSPECIFIED, "Any"],
  ...[EndpointCondition.HEALTHY, EndpointCondition.FAILING, EndpointCondition.OPEN].map(
    (condition) => [condition, CONDITION[condition][0]] as const,
  ),
] as const;

const COLUMNS: readonly Column<Subscription>[] = [
  {
    title: "Endpoint",
    naming: true,
    cell: ({ id, url, description }) => (
      <span>
        <Link href={`/subscriptions/${id}`}>{description || url}</Link>
        {description === "" ? null : <span className="hint"> {url}</span>}
      </span>
    ),
  },
  { title: "Health", cell: (subscription) => <Health subscription={subscription} /> },
  { title: "Last 24 h", cell: ({ id }) => <Spark subscriptionId={id} /> },
  { title: "Format", cell: ({ format }) => FORMAT[format] },
  {
    title: "Events",
    cell: ({ eventTypes, operationalEvents, membershipEvents, couponEvents }) =>
      eventsText(
        eventTypes.map((type) => EVENT_TYPE[type]),
        operationalEvents.length,
        membershipEvents.length + couponEvents.length,
      ),
  },
  { title: "Entity", cell: ({ entityId }) => (entityId === "" ? "all" : <code>{entityId}</code>) },
  { title: "Made", cell: ({ createdAt }) => <Ago at={createdAt} /> },
];

function eventsText(types: readonly string[], operational: number, ofProtocols: number): string {
  const own = operational === 0 ? "" : `${operational} of passbus`;
  const protocol = ofProtocols === 0 ? "" : `${ofProtocols} of a protocol`;
  return [types.join(", "), own, protocol].filter((text) => text !== "").join(", ") || "all";
}

/** One call for each row: seldom. */
const SPARKS = { everyMs: 60_000, restMs: 10_000 };
const SHOWN = [ChangeKind.SUBSCRIPTIONS, ChangeKind.HEALTH] as const;

export function SubscriptionList() {
  const [params, setParams] = useSearchParams();
  const text = useDebounced(params.get("text") ?? "");
  const number = (name: string) => Number(params.get(name) ?? 0);
  const filters = { state: number("state"), format: number("format"), health: number("health"), text };
  const isFiltered = [...params.keys()].length > 0;
  const { listSubscriptions } = SubscriptionService.method;
  const refetchInterval = useChanges(SHOWN, [listSubscriptions], { everyMs: READ_EVERY_MS });
  useChanges([ChangeKind.STATISTICS], [DeliveryService.method.getDeliveryStats], SPARKS);
  const { data, error, refetch, hasNextPage, fetchNextPage, isFetchingNextPage } = useInfiniteQuery(
    listSubscriptions,
    { ...filters, pageToken: "" },
    {
      ...PAGING,
      placeholderData: keepPreviousData,
      refetchInterval,
    },
  );
  const rows = data?.pages.flatMap(({ subscriptions }) => subscriptions) ?? [];
  const set = (name: string, value: string | number) =>
    setParams(
      (before) => {
        const after = new URLSearchParams(before);
        if (value === "" || value === 0) after.delete(name);
        else after.set(name, String(value));
        return after;
      },
      { replace: true },
    );
  return (
    <Page
      title="Subscriptions"
      actions={
        <ButtonLink href="/subscriptions/new" kind="primary" needs={SubscriptionService.method.createSubscription}>
          New subscription
        </ButtonLink>
      }
    >
      <Filters
        text={params.get("text") ?? ""}
        state={filters.state}
        format={filters.format}
        health={filters.health}
        onSet={set}
      />
      {error === null ? null : <Failure error={error} doing="list the subscriptions" onRetry={() => void refetch()} />}
      {data === undefined && error === null ? <Loading what="the subscriptions" /> : null}
      {rows.length > 0 ? <Table caption="Subscriptions" columns={COLUMNS} rows={rows} keyOf={({ id }) => id} /> : null}
      {data !== undefined && rows.length === 0 && !hasNextPage ? <Nothing isFiltered={isFiltered} /> : null}
      <More hasMore={hasNextPage} busy={isFetchingNextPage} onMore={() => void fetchNextPage()} what="subscriptions" />
    </Page>
  );
}

interface FiltersProps {
  readonly text: string;
  readonly state: number;
  readonly format: number;
  readonly health: number;
  readonly onSet: (name: string, value: string | number) => void;
}

function Filters({ text, state, format, health, onSet }: FiltersProps) {
  return (
    <search className="filters">
      <TextField
        label="Search"
        type="search"
        value={text}
        placeholder="URL, id, entity, label"
        onChange={(value) => onSet("text", value)}
      />
      <SelectField label="State" value={state as State} options={STATES} onChange={(value) => onSet("state", value)} />
      <SelectField
        label="Format"
        value={format as Format}
        options={FORMATS}
        onChange={(value) => onSet("format", value)}
      />
      <SelectField
        label="Health"
        value={health as EndpointCondition}
        options={CONDITIONS}
        onChange={(value) => onSet("health", value)}
      />
    </search>
  );
}

function Nothing({ isFiltered }: { readonly isFiltered: boolean }) {
  const { may } = useSession();
  if (isFiltered) {
    return (
      <Empty title="No subscription fits">
        <Link href="/subscriptions">Show all of them</Link>
      </Empty>
    );
  }
  return (
    <Empty title="No subscriptions yet">
      <p>A subscription is an endpoint of yours and the events that it is to get.</p>
      <ButtonLink href="/subscriptions/new" kind="primary" needs={SubscriptionService.method.createSubscription}>
        Make the first one
      </ButtonLink>
      {!may(InspectorService.method.createBin) ? null : (
        <p className="hint">
          No endpoint at hand? <Link href="/inspector">The inspector</Link> makes one that shows what arrives.
        </p>
      )}
    </Empty>
  );
}
