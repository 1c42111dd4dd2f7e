/** "Why is there no webhook?", answered for every subscription, or for one. */
import { Code, ConnectError } from "@connectrpc/connect";
import { useQuery } from "@connectrpc/connect-query";
import { useState } from "react";
import { Link } from "wouter";
import { EventService, type Explanation } from "../../../../gen/passbus/v1/event_service_pb.js";
import { Badge } from "../../parts/badge.tsx";
import { Empty, Loading } from "../../parts/empty.tsx";
import { Failure } from "../../parts/failure.tsx";
import { SelectField } from "../../parts/field.tsx";
import { Section } from "../../parts/page.tsx";
import { type Names, useSubscriptionAsked, useSubscriptionNames } from "../../parts/subscriptions.ts";
import { type Column, Table } from "../../parts/table.tsx";
import { useSession } from "../../session.tsx";

export function Explain({ eventId }: { readonly eventId: string }) {
  const [chosen, setChosen] = useState("");
  const { isPortal } = useSession();
  const subscriptionId = useSubscriptionAsked(chosen);
  const names = useSubscriptionNames();
  const isNone = isPortal && subscriptionId === "";
  const { data, error, refetch } = useQuery(
    EventService.method.explainEvent,
    { eventId, subscriptionId: subscriptionId ?? "" },
    { enabled: subscriptionId !== undefined && !isNone },
  );
  const isUnknown = error !== null && ConnectError.from(error).code === Code.NotFound;
  return (
    <Section title="Why a webhook, or why none">
      <div className="filters">
        <SelectField
          label="For the subscription"
          value={subscriptionId ?? ""}
          onChange={setChosen}
          options={names.options(isPortal ? undefined : "Every one", subscriptionId ?? "")}
        />
      </div>
      {isUnknown ? (
        <Empty title="Nothing is known of this event">
          <p>Neither the stored events nor the newest dead letters have it. Is the id right?</p>
        </Empty>
      ) : null}
      {error !== null && !isUnknown ? (
        <Failure error={error} doing="explain the event" onRetry={() => void refetch()} />
      ) : null}
      {data === undefined && error === null && !isNone ? <Loading what="the reasons" /> : null}
      {isNone || data?.explanations.length === 0 ? (
        <Empty title="There is no subscription">
          <p>So nobody gets it. One that is made now gets what comes from now on.</p>
          <Link href="/subscriptions/new" className="button primary">
            New subscription
          </Link>
        </Empty>
      ) : null}
      {data === undefined || data.explanations.length === 0 ? null : (
        <Table
          caption="Why each subscription got the event, or did not"
          columns={columnsFor(names)}
          rows={data.explanations}
          keyOf={({ subscriptionId: id, deliveryId, message }) => `${id} ${deliveryId} ${message}`}
        />
      )}
      {data?.truncated === true ? <p className="hint">There are more: choose a subscription above.</p> : null}
    </Section>
  );
}

function columnsFor({ nameOf }: Names): readonly Column<Explanation>[] {
  return [
    {
      title: "Subscription",
      naming: true,
      cell: ({ subscriptionId }) =>
        subscriptionId === "" ? (
          <Link href="/dead-letters">the event itself: a dead letter</Link>
        ) : (
          <Link href={`/subscriptions/${subscriptionId}`}>{nameOf(subscriptionId)}</Link>
        ),
    },
    {
      title: "Webhook",
      cell: ({ deliveryId }) =>
        deliveryId === "" ? (
          <Badge tone="calm">none</Badge>
        ) : (
          <Link href={`/deliveries/${deliveryId}`} className="nowrap">
            a delivery
          </Link>
        ),
    },
    {
      title: "Because",
      cell: ({ reason, message }) => (
        <span>
          {message} <code>{reason}</code>
        </span>
      ),
    },
  ];
}
