/** Every delivery, newest first and live: filtered, read, chosen to be sent again or not sent. */
import { useCallback, useMemo, useState } from "react";
import { Link } from "wouter";
import { DeliveryService } from "../../../../gen/passbus/v1/delivery_service_pb.js";
import { SubscriptionService } from "../../../../gen/passbus/v1/subscription_service_pb.js";
import { passAddress, useFilters } from "../../parts/address.ts";
import { Badge } from "../../parts/badge.tsx";
import { Button, ButtonLink } from "../../parts/button.tsx";
import { Empty, Loading } from "../../parts/empty.tsx";
import { type LogColumn, LogView } from "../../parts/log-view.tsx";
import { Page } from "../../parts/page.tsx";
import { type Names, useSubscriptionAsked, useSubscriptionNames } from "../../parts/subscriptions.ts";
import { Ago, Due } from "../../parts/time.tsx";
import { timesOf } from "../../parts/time-range.tsx";
import { useDebounced } from "../../parts/use-debounced.ts";
import { useLog } from "../../parts/use-log.ts";
import { useClient } from "../../rpc.ts";
import { useSession } from "../../session.tsx";
import { STATUS } from "../../words.ts";
import { NewReplay } from "../replays/create.tsx";
import type { Choice } from "./choice.ts";
import { ChosenBar } from "./chosen.tsx";
import { accepts, type DeliveryFilters, eventTypesOf, FILTERS, FilterFields, statusOf } from "./filters.tsx";
import { type DeliveryRow, rowOf } from "./row.ts";

const PAGE_ROWS = 100;

export function DeliveryLog() {
  const [filters, change] = useFilters(FILTERS);
  const { isPortal } = useSession();
  const subscription = useSubscriptionAsked(filters.subscription);
  if (subscription === undefined) return <Loading what="the subscriptions" />;
  if (isPortal && subscription === "") {
    return (
      <Page title="Deliveries">
        <NoDeliveries isFiltered={false} onClear={() => {}} />
      </Page>
    );
  }
  return <FilteredLog filters={{ ...filters, subscription }} change={change} />;
}

interface FilteredLogProps {
  readonly filters: DeliveryFilters;
  readonly change: (change: Partial<DeliveryFilters>) => void;
}

function FilteredLog({ filters, change }: FilteredLogProps) {
  const { isPortal } = useSession();
  const settled = useSettled(filters);
  const [chosen, setChosen] = useState<Choice>(new Set());
  const [replaying, setReplaying] = useState(false);
  const names = useSubscriptionNames();
  const columns = useMemo(() => columnsFor(names), [names]);
  const log = useDeliveries(settled);
  const isFiltered = FILTERS.some((name) => filters[name] !== "" && !(isPortal && name === "subscription"));
  const [chosenIn, setChosenIn] = useState(log.rows);
  if (chosenIn !== log.rows) {
    // Of another log: nobody sees what was chosen in the one before.
    setChosenIn(log.rows);
    setChosen(new Set());
  }
  const onToggle = useCallback(
    (id: string) =>
      setChosen((before) => {
        const after = new Set(before);
        if (!after.delete(id)) after.add(id);
        return after;
      }),
    [],
  );
  const replayActions = (
    <>
      <ButtonLink href="/replays" needs={DeliveryService.method.listReplays}>
        Replays
      </ButtonLink>
      <Button needs={DeliveryService.method.createReplay} onPress={() => setReplaying(true)}>
        Replay …
      </Button>
    </>
  );
  return (
    <Page
      title="Deliveries"
      lead={<p>What was sent, to whom, and what came back. One delivery is one event for one subscription.</p>}
      actions={replayActions}
    >
      <FilterFields filters={filters} onChange={change} />
      <ChosenBar chosen={chosen} shown={() => log.rows.rows()} onChoose={setChosen} />
      <LogView
        log={log}
        what="deliveries"
        columns={columns}
        selection={{ chosen, onToggle }}
        empty={<NoDeliveries isFiltered={isFiltered} onClear={() => change(NO_FILTERS)} />}
      />
      {replaying ? <NewReplay filters={filters} onClose={() => setReplaying(false)} /> : null}
    </Page>
  );
}

/** The filters as they are once they have not changed for a while. */
function useSettled(filters: DeliveryFilters): DeliveryFilters {
  const text = useDebounced(JSON.stringify(filters));
  return useMemo(() => JSON.parse(text) as DeliveryFilters, [text]);
}

const NO_FILTERS = Object.fromEntries(FILTERS.map((name) => [name, ""]));

function useDeliveries(filters: DeliveryFilters) {
  const client = useClient(DeliveryService);
  return useLog<DeliveryRow, typeof WATCH.input, typeof WATCH.output>({
    filter: JSON.stringify(filters),
    list: async (pageToken, signal) => {
      const { subscription: subscriptionId, pass, event, status } = filters;
      const asked = { subscriptionId, passId: pass.trim(), eventId: event.trim(), status: statusOf(status) };
      const { deliveries, nextPageToken } = await client.listDeliveries(
        { ...asked, ...eventTypesOf(filters.type), ...timesOf(filters), pageSize: PAGE_ROWS, pageToken },
        { signal },
      );
      return { rows: deliveries.map(rowOf), next: nextPageToken };
    },
    accepts: accepts(filters),
    method: WATCH,
    // In whatever state: one that leaves the state that was asked for is to leave the log.
    input: { subscriptionId: filters.subscription, ...eventTypesOf(filters.type) },
    read: ({ delivery, skipped }) => ({ row: delivery === undefined ? undefined : rowOf(delivery), skipped }),
  });
}

const WATCH = DeliveryService.method.watchDeliveries;

function columnsFor({ nameOf }: Names): readonly LogColumn<DeliveryRow>[] {
  return [
    { title: "Created", width: "7rem", cell: ({ createdAt }) => <Ago at={createdAt} /> },
    {
      title: "Status",
      width: "7rem",
      cell: ({ status }) => <Badge tone={STATUS[status][1]}>{STATUS[status][0]}</Badge>,
    },
    {
      title: "Delivery",
      width: "minmax(9rem, 1fr)",
      cell: ({ id }) => (
        <Link href={`/deliveries/${id}`}>
          <code>{id}</code>
        </Link>
      ),
    },
    { title: "Event", width: "minmax(6rem, 0.6fr)", cell: ({ event }) => event },
    {
      title: "Pass",
      width: "minmax(7rem, 0.8fr)",
      cell: ({ passId }) => (passId === "" ? "–" : <Link href={passAddress(passId)}>{passId}</Link>),
    },
    {
      title: "Subscription",
      width: "minmax(9rem, 1.2fr)",
      cell: ({ subscriptionId }) => <Link href={`/subscriptions/${subscriptionId}`}>{nameOf(subscriptionId)}</Link>,
    },
    {
      title: "Last answer",
      width: "minmax(9rem, 1fr)",
      cell: ({ answer, nextAttemptAt, attemptCount }) => (
        <>
          {answer || "–"}
          {attemptCount > 1 ? ` (attempt ${attemptCount})` : ""}
          {nextAttemptAt === undefined || answer === "" ? null : (
            <>
              , next <Due at={nextAttemptAt} />
            </>
          )}
        </>
      ),
    },
  ];
}

function NoDeliveries({ isFiltered, onClear }: { readonly isFiltered: boolean; readonly onClear: () => void }) {
  if (isFiltered) {
    return (
      <Empty title="No delivery fits these filters">
        <p>Widen them, or look at all: what is delivered from now on and fits appears by itself.</p>
        <Button onPress={onClear}>Clear the filters</Button>
      </Empty>
    );
  }
  return (
    <Empty title="No deliveries yet">
      <p>
        A delivery is made when an event comes that a subscription wants. Make a subscription, then publish an event: it
        appears here by itself.
      </p>
      <ButtonLink href="/subscriptions/new" kind="primary" needs={SubscriptionService.method.createSubscription}>
        New subscription
      </ButtonLink>
    </Empty>
  );
}
