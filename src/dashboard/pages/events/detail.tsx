/** One event: as it is stored, its deliveries, and why each subscription got it or did not. */
import { toJson } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { useQuery } from "@connectrpc/connect-query";
import { Link } from "wouter";
import { DeliveryService } from "../../../../gen/passbus/v1/delivery_service_pb.js";
import { EventService, type StoredEvent } from "../../../../gen/passbus/v1/event_service_pb.js";
import { OperationalEventType } from "../../../../gen/passbus/v1/operational_event_pb.js";
import { PassEventSchema } from "../../../../gen/passbus/v1/pass_event_pb.js";
import { NotLive } from "../../changes.tsx";
import { addressOf, passAddress, useIdInPath } from "../../parts/address.ts";
import { Badge } from "../../parts/badge.tsx";
import { CopyText } from "../../parts/copy.tsx";
import { Empty, Loading } from "../../parts/empty.tsx";
import { CodeBlock } from "../../parts/exchange.tsx";
import { Failure } from "../../parts/failure.tsx";
import { Page, Section } from "../../parts/page.tsx";
import { useSubscriptionNames } from "../../parts/subscriptions.ts";
import { type Column, Table } from "../../parts/table.tsx";
import { Due, Exact } from "../../parts/time.tsx";
import { useReadAgain, useWhileDown } from "../../read-again.ts";
import { useLive } from "../../rpc.ts";
import { useSession } from "../../session.tsx";
import { eventName, STATUS } from "../../words.ts";
import { type DeliveryRow, rowOf } from "../deliveries/row.ts";
import { Explain } from "./explain.tsx";

export function EventDetail() {
  const id = useIdInPath();
  const { isPortal } = useSession();
  const { data, error, refetch } = useQuery(EventService.method.getEvent, { id });
  const stored = data?.event;
  const isUnknown = error !== null && ConnectError.from(error).code === Code.NotFound;
  return (
    <Page title="Event" lead={<CopyText text={id} what="the event’s id" />}>
      {isUnknown ? (
        <Empty title="No such event is stored">
          <p>It was never accepted, is kept no longer, or became a dead letter: what is known of it is below.</p>
        </Empty>
      ) : null}
      {error !== null && !isUnknown ? (
        <Failure error={error} doing={`read the event ${id}`} onRetry={() => void refetch()} />
      ) : null}
      {stored === undefined && error === null ? <Loading what="the event" /> : null}
      {stored === undefined ? null : (
        <>
          <Facts stored={stored} />
          {isPortal ? null : <Deliveries eventId={id} />}
        </>
      )}
      <Explain key={id} eventId={id} />
      {stored?.event === undefined ? null : (
        <Section title="As it is stored">
          <CodeBlock text={JSON.stringify(toJson(PassEventSchema, stored.event), undefined, 2)} what="the event" />
        </Section>
      )}
    </Page>
  );
}

function Facts({ stored: { event, acceptedAt, payloadDroppedAt } }: { readonly stored: StoredEvent }) {
  if (event === undefined) return null;
  const operational = event.operationalEvent?.type ?? OperationalEventType.UNSPECIFIED;
  const passId = event.pass?.id ?? "";
  return (
    <Section title="What happened">
      <dl className="facts">
        <dt>Type</dt>
        <dd>{eventName(event.type, operational)}</dd>
        {passId === "" ? null : (
          <>
            <dt>Pass</dt>
            <dd>
              <Link href={passAddress(passId)}>{passId}</Link>: its whole story
            </dd>
          </>
        )}
        <dt>Entity</dt>
        <dd>{event.entityId || "–"}</dd>
        <dt>Happened</dt>
        <dd>
          <Exact at={event.occurredAt} />
        </dd>
        <dt>Accepted</dt>
        <dd>
          <Exact at={acceptedAt} />
        </dd>
        {payloadDroppedAt === undefined ? null : (
          <>
            <dt>Payload</dt>
            <dd>
              kept no longer, since <Exact at={payloadDroppedAt} />
            </dd>
          </>
        )}
      </dl>
    </Section>
  );
}

/** Shown here; the rest is in the log. */
const SHOWN = 50;
const LIST = DeliveryService.method.listDeliveries;

function Deliveries({ eventId }: { readonly eventId: string }) {
  const { nameOf } = useSubscriptionNames();
  const { data, error, refetch } = useQuery(LIST, { eventId, pageSize: SHOWN });
  const readAgain = useReadAgain([LIST]);
  const live = useLive(DeliveryService.method.watchDeliveries, {
    input: {},
    onMessage: ({ delivery, skipped }) => {
      if (delivery?.eventId === eventId || skipped > 0n) readAgain();
    },
    onBegin: readAgain,
  });
  useWhileDown(live, readAgain);
  const rows = data?.deliveries.map(rowOf);
  return (
    <Section title="Its deliveries">
      <NotLive live={live} />
      {error !== null ? <Failure error={error} doing="list its deliveries" onRetry={() => void refetch()} /> : null}
      {rows === undefined && error === null ? <Loading what="its deliveries" /> : null}
      {rows?.length === 0 ? (
        <Empty title="No delivery">
          <p>No subscription got it: below is why, for each.</p>
        </Empty>
      ) : null}
      {rows === undefined || rows.length === 0 ? null : (
        <Table caption="Deliveries of the event" columns={columnsFor(nameOf)} rows={rows} keyOf={({ id }) => id} />
      )}
      {data === undefined || data.nextPageToken === "" ? null : (
        <Link href={addressOf("/deliveries", { event: eventId })}>All of its deliveries</Link>
      )}
    </Section>
  );
}

function columnsFor(nameOf: (id: string) => string): readonly Column<DeliveryRow>[] {
  return [
    {
      title: "Delivery",
      naming: true,
      cell: ({ id }) => (
        <Link href={`/deliveries/${id}`}>
          <code>{id}</code>
        </Link>
      ),
    },
    { title: "Status", cell: ({ status }) => <Badge tone={STATUS[status][1]}>{STATUS[status][0]}</Badge> },
    {
      title: "Subscription",
      cell: ({ subscriptionId }) => <Link href={`/subscriptions/${subscriptionId}`}>{nameOf(subscriptionId)}</Link>,
    },
    { title: "Last answer", cell: ({ answer }) => answer || "–" },
    { title: "Next attempt", cell: ({ nextAttemptAt }) => <Due at={nextAttemptAt} /> },
  ];
}
