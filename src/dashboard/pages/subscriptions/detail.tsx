/** One subscription: what it is, how it does, and all that can be done with it. */

import { useQuery } from "@connectrpc/connect-query";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Link, useLocation } from "wouter";
import { PassProtocol } from "../../../../gen/io/pass_pb.js";
import { ChangeKind } from "../../../../gen/passbus/v1/delivery_service_pb.js";
import { BreakerState, State, type Subscription } from "../../../../gen/passbus/v1/subscription_pb.js";
import { SubscriptionService } from "../../../../gen/passbus/v1/subscription_service_pb.js";
import { useChanges } from "../../changes.tsx";
import { count } from "../../numbers.ts";
import { useAnnounce } from "../../parts/announcer.tsx";
import { Button, ButtonLink } from "../../parts/button.tsx";
import { CopyText } from "../../parts/copy.tsx";
import { Confirm } from "../../parts/dialog.tsx";
import { Loading } from "../../parts/empty.tsx";
import { CodeBlock } from "../../parts/exchange.tsx";
import { Failure, refusalOf } from "../../parts/failure.tsx";
import { Page, Section } from "../../parts/page.tsx";
import { Ago, Exact } from "../../parts/time.tsx";
import { useClient } from "../../rpc.ts";
import { COUPON_EVENT, EVENT_TYPE, FORMAT, MEMBERSHIP_EVENT, OPERATIONAL, protocolName } from "../../words.ts";
import { DeliveryChart } from "./delivery-chart.tsx";
import { Health } from "./health.tsx";
import { Secrets } from "./secrets.tsx";
import { TestSend } from "./test-send.tsx";
import { Verification } from "./verification.tsx";

/** While no stream tells. */
const READ_EVERY_MS = 5_000;
const SHOWN = [ChangeKind.SUBSCRIPTIONS, ChangeKind.HEALTH] as const;

export function SubscriptionDetail({ id }: { readonly id: string }) {
  const { getSubscription } = SubscriptionService.method;
  const refetchInterval = useChanges(SHOWN, [getSubscription], { everyMs: READ_EVERY_MS });
  const { data, error, refetch } = useQuery(getSubscription, { id }, { refetchInterval });
  const subscription = data?.subscription;
  if (subscription === undefined) {
    return (
      <Page title="Subscription">
        {error === null ? (
          <Loading what="the subscription" />
        ) : (
          <Failure error={error} doing={`read ${id}`} onRetry={() => void refetch()} />
        )}
      </Page>
    );
  }
  const name = subscription.description === "" ? subscription.url : subscription.description;
  return (
    <Page title={name} actions={<Actions subscription={subscription} />} lead={<Lead subscription={subscription} />}>
      {error === null ? null : <Failure error={error} doing="read it anew" onRetry={() => void refetch()} />}
      <div className="columns">
        <Facts subscription={subscription} />
        <Endpoint subscription={subscription} />
      </div>
      <DeliveryChart subscriptionId={id} />
      <TestSend subscription={subscription} />
      <Secrets subscription={subscription} />
      <Verification subscription={subscription} />
    </Page>
  );
}

function Lead({ subscription }: { readonly subscription: Subscription }) {
  return (
    <p>
      <Health subscription={subscription} /> <CopyText text={subscription.url} what="the URL" />
    </p>
  );
}

function Actions({ subscription }: { readonly subscription: Subscription }) {
  const { id, url, description, state } = subscription;
  const [asking, setAsking] = useState(false);
  const [busy, setBusy] = useState(false);
  const client = useClient(SubscriptionService);
  const queries = useQueryClient();
  const announce = useAnnounce();
  const [, navigate] = useLocation();
  const paused = state === State.DISABLED;

  const setState = async (next: State) => {
    setBusy(true);
    try {
      await client.updateSubscription({ subscription: { id, state: next }, updateMask: { paths: ["state"] } });
      await queries.invalidateQueries();
      announce(next === State.ENABLED ? "Resumed: it gets its events again." : "Paused: it gets no events.");
    } catch (reason) {
      announce(`It could not be changed: ${refusalOf(reason).message}`);
    } finally {
      setBusy(false);
    }
  };
  const remove = async () => {
    await client.deleteSubscription({ id });
    queries.removeQueries();
    navigate("/subscriptions");
  };
  return (
    <>
      <Link href={`/deliveries?subscription=${id}`} className="button plain">
        Its deliveries
      </Link>
      <ButtonLink href={`/subscriptions/${id}/edit`} needs={SubscriptionService.method.updateSubscription}>
        Change
      </ButtonLink>
      <Button
        busy={busy}
        needs={SubscriptionService.method.updateSubscription}
        onPress={() => void setState(paused ? State.ENABLED : State.DISABLED)}
      >
        {paused ? "Resume" : "Pause"}
      </Button>
      <Button kind="danger" needs={SubscriptionService.method.deleteSubscription} onPress={() => setAsking(true)}>
        Delete
      </Button>
      {asking ? (
        <Confirm
          title="Delete the subscription?"
          action="Delete it"
          doing="delete the subscription"
          done={`Deleted ${id}.`}
          typed={nameToType(id, description)}
          danger
          onConfirm={remove}
          onClose={() => setAsking(false)}
        >
          <p>
            {url} gets no webhooks any more, and those that wait are cancelled. It can’t be undone; the log of what was
            sent stays.
          </p>
        </Confirm>
      ) : null}
    </>
  );
}

/** Longer ones are nothing to type. */
const TYPED_CHARACTERS = 60;

/** What one types to delete it: its own, and in one line. */
function nameToType(id: string, description: string): string {
  const line = description.replace(/\s+/g, " ").trim();
  return line === "" || line.length > TYPED_CHARACTERS ? id : line;
}

function Facts({ subscription }: { readonly subscription: Subscription }) {
  const { id, entityId, eventTypes, operationalEvents, membershipEvents, couponEvents } = subscription;
  const { protocol, format, formatOptions, filter, headers, labels, createdAt, updatedAt } = subscription;
  const events = [
    ...eventTypes.map((type) => EVENT_TYPE[type]),
    ...operationalEvents.map((type) => OPERATIONAL[type]),
    ...membershipEvents.map((id) => MEMBERSHIP_EVENT.get(id) ?? String(id)),
    ...couponEvents.map((id) => COUPON_EVENT.get(id) ?? String(id)),
  ];
  const mapping = formatOptions?.passkitFieldMapping;
  return (
    <Section title="What it is">
      <dl className="facts">
        <dt>Id</dt>
        <dd>
          <CopyText text={id} what="the id" />
        </dd>
        <dt>Scope</dt>
        <dd>{entityId === "" ? "the whole organisation" : <code>{entityId}</code>}</dd>
        <dt>Format</dt>
        <dd>{FORMAT[format]}</dd>
        <dt>Events</dt>
        <dd>{events.length === 0 ? `all that ${FORMAT[format]} can say` : events.join(", ")}</dd>
        {protocol === PassProtocol.PASS_PROTOCOL_DO_NOT_USE ? null : (
          <>
            <dt>Of passes of</dt>
            <dd>{protocolName(protocol)}</dd>
          </>
        )}
        {mapping === undefined ? null : (
          <>
            <dt>Renamed field</dt>
            <dd>
              <code>{mapping.sourceFieldUniqueName}</code> is sent as <code>{mapping.destinationFieldKey}</code>
            </dd>
          </>
        )}
        <dt>Headers</dt>
        <dd>{Object.keys(headers).join(", ") || "none of its own"}</dd>
        <dt>Labels</dt>
        <dd>
          {Object.entries(labels)
            .map(([name, value]) => `${name}=${value}`)
            .join(", ") || "none"}
        </dd>
        <dt>Made</dt>
        <dd>
          <Exact at={createdAt} />
        </dd>
        <dt>Changed</dt>
        <dd>
          <Exact at={updatedAt} />
        </dd>
      </dl>
      {filter === "" ? null : <CodeBlock text={filter} what="the filter" />}
    </Section>
  );
}

const BREAKER: Readonly<Record<BreakerState, string>> = {
  [BreakerState.UNSPECIFIED]: "closed: it gets its deliveries",
  [BreakerState.CLOSED]: "closed: it gets its deliveries",
  [BreakerState.OPEN]: "open: its deliveries wait",
  [BreakerState.HALF_OPEN]: "half-open: one delivery is being tried",
};

function Endpoint({ subscription }: { readonly subscription: Subscription }) {
  const { health } = subscription;
  return (
    <Section title="How it does">
      <dl className="facts">
        <dt>Breaker</dt>
        <dd>{BREAKER[health?.breaker ?? BreakerState.UNSPECIFIED]}</dd>
        <dt>Last success</dt>
        <dd>
          <Ago at={health?.lastSuccessAt} none="none yet" />
        </dd>
        <dt>Last failure</dt>
        <dd>
          <Ago at={health?.lastFailureAt} none="none yet" />{" "}
          {health === undefined || health.lastError === "" ? null : <code>{health.lastError}</code>}
        </dd>
        <dt>Failing since</dt>
        <dd>
          <Ago at={health?.failingSince} none="not failing" />
        </dd>
        <dt>Failures in a row</dt>
        <dd>{count(health?.consecutiveFailures ?? 0)}</dd>
        {health?.nextProbeAt === undefined ? null : (
          <>
            <dt>Tried next</dt>
            <dd>
              <Ago at={health.nextProbeAt} />
            </dd>
          </>
        )}
      </dl>
    </Section>
  );
}
