/** One delivery: where it stands, each attempt's request and response, and sending it again or not at all. */
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { useQuery } from "@connectrpc/connect-query";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "wouter";
import { type Delivery, DeliveryStatus } from "../../../../gen/passbus/v1/delivery_pb.js";
import { DeliveryService } from "../../../../gen/passbus/v1/delivery_service_pb.js";
import { NotLive } from "../../changes.tsx";
import { useNowMs } from "../../clock.ts";
import { addressOf, eventAddress, passAddress } from "../../parts/address.ts";
import { Badge } from "../../parts/badge.tsx";
import { Button } from "../../parts/button.tsx";
import { CopyText } from "../../parts/copy.tsx";
import { Confirm } from "../../parts/dialog.tsx";
import { Loading } from "../../parts/empty.tsx";
import { Failure } from "../../parts/failure.tsx";
import { Page, Section } from "../../parts/page.tsx";
import { useSubscriptionNames } from "../../parts/subscriptions.ts";
import { Exact } from "../../parts/time.tsx";
import { useReadAgain, useWhileDown } from "../../read-again.ts";
import { useClient, useLive } from "../../rpc.ts";
import { useSession } from "../../session.tsx";
import { eventName, STATUS } from "../../words.ts";
import { Attempts } from "./attempts.tsx";
import { BreakerNote, useOpenBreaker } from "./held-back.tsx";
import { SentBody } from "./sent-body.tsx";

const GET = DeliveryService.method.getDelivery;

export function DeliveryDetail({ id }: { readonly id: string }) {
  const { data, error, refetch } = useQuery(GET, { id });
  const readAgain = useReadAgain([GET]);
  const delivery = data?.delivery;
  const live = useLive(DeliveryService.method.watchDeliveries, {
    input: { subscriptionId: delivery?.subscriptionId ?? "" },
    onMessage: ({ delivery: told, skipped }) => {
      if (told?.id === id || skipped > 0n) readAgain();
    },
    onBegin: readAgain,
    on: delivery !== undefined,
  });
  useWhileDown(live, readAgain);
  const failure =
    error === null ? null : <Failure error={error} doing={`read the delivery ${id}`} onRetry={() => void refetch()} />;
  if (delivery === undefined) return <Page title="Delivery">{failure ?? <Loading what="the delivery" />}</Page>;
  return (
    <Page
      title="Delivery"
      lead={<CopyText text={id} what="the delivery’s id" />}
      actions={<Actions delivery={delivery} />}
    >
      {failure}
      <NotLive live={live} />
      <Section title="Where it stands">
        <Facts delivery={delivery} />
      </Section>
      <Section title="Attempts">
        <Attempts delivery={delivery} />
      </Section>
      {delivery.eventId === "" ? null : <SentBody delivery={delivery} />}
    </Page>
  );
}

function Actions({ delivery }: { readonly delivery: Delivery }) {
  const client = useClient(DeliveryService);
  const queries = useQueryClient();
  const [asking, setAsking] = useState<"retry" | "cancel">();
  const { id, status } = delivery;
  const isOpen = status === DeliveryStatus.WAITING || status === DeliveryStatus.HELD;
  const run = async () => {
    await (asking === "cancel" ? client.cancelDelivery({ id }) : client.retryDelivery({ id }));
    await queries.invalidateQueries();
  };
  return (
    <>
      <Button
        needs={DeliveryService.method.retryDelivery}
        isDisabled={status === DeliveryStatus.ATTEMPTING}
        onPress={() => setAsking("retry")}
      >
        {isOpen ? "Send now" : "Send again"}
      </Button>
      {isOpen ? (
        <Button kind="danger" needs={DeliveryService.method.cancelDelivery} onPress={() => setAsking("cancel")}>
          Cancel
        </Button>
      ) : null}
      {asking === undefined ? null : (
        <Confirm
          title={asking === "retry" ? "Send this delivery?" : "Cancel this delivery?"}
          action={asking === "retry" ? "Send it" : "Cancel the delivery"}
          doing={asking === "retry" ? "send it" : "cancel it"}
          done={asking === "retry" ? `Sending ${id}.` : `Cancelled ${id}.`}
          danger={asking === "cancel"}
          onConfirm={run}
          onClose={() => setAsking(undefined)}
        >
          <p>
            <code>{id}</code>{" "}
            {asking === "retry"
              ? "becomes due at once. Its receiver may have had it before: the webhook-id is the same."
              : "is not sent any more. It can still be sent again later."}
          </p>
        </Confirm>
      )}
    </>
  );
}

/** One that is due and doesn't come is held back by something. */
function NextAttempt({ delivery }: { readonly delivery: Delivery }) {
  const { nextAttemptAt: at, status } = delivery;
  const breaker = useOpenBreaker(delivery);
  const dueForMs = useNowMs() - (at === undefined ? Number.POSITIVE_INFINITY : timestampMs(at));
  if (status !== DeliveryStatus.WAITING || dueForMs < 0) return <Exact at={at} none="none is to come" />;
  return (
    <>
      due since <Exact at={at} />.{" "}
      {breaker !== undefined ? (
        <BreakerNote health={breaker} />
      ) : dueForMs > HELD_BACK_MS ? (
        "The endpoint’s breaker or limits hold it back, or deliveries are stopped."
      ) : null}
    </>
  );
}

/** A worker that is free takes what is due sooner than this. */
const HELD_BACK_MS = 2_000;

function Facts({ delivery }: { readonly delivery: Delivery }) {
  const { nameOf } = useSubscriptionNames();
  const { may } = useSession();
  const [word, tone] = STATUS[delivery.status];
  const { subscriptionId, eventId, passId, foldedInto, replayId } = delivery;
  return (
    <dl className="facts">
      <dt>Status</dt>
      <dd>
        <Badge tone={tone}>{word}</Badge>
      </dd>
      <dt>Event</dt>
      <dd>
        {eventName(delivery.eventType, delivery.operationalEventType)},{" "}
        <Link href={eventAddress(eventId)}>{eventId}</Link>
      </dd>
      {passId === "" ? null : (
        <>
          <dt>Pass</dt>
          <dd>
            <Link href={passAddress(passId)}>{passId}</Link>
          </dd>
        </>
      )}
      <dt>Subscription</dt>
      <dd>
        <Link href={`/subscriptions/${subscriptionId}`}>{nameOf(subscriptionId)}</Link> (
        <Link href={addressOf("/deliveries", { subscription: subscriptionId })}>its deliveries</Link>)
      </dd>
      <dt>Made</dt>
      <dd>
        <Exact at={delivery.createdAt} />
      </dd>
      <dt>Next attempt</dt>
      <dd>
        <NextAttempt delivery={delivery} />
      </dd>
      <dt>Ended</dt>
      <dd>
        <Exact at={delivery.finishedAt} none="not yet" />
      </dd>
      {delivery.run > 1 ? (
        <>
          <dt>Run</dt>
          <dd>{delivery.run}: it was sent again after it had ended</dd>
        </>
      ) : null}
      {replayId === "" ? null : (
        <>
          <dt>Replay</dt>
          <dd>
            {may(DeliveryService.method.getReplay) ? <Link href={`/replays/${replayId}`}>{replayId}</Link> : replayId}
          </dd>
        </>
      )}
      {foldedInto === "" ? null : (
        <>
          <dt>Folded into</dt>
          <dd>
            <Link href={`/deliveries/${foldedInto}`}>{foldedInto}</Link>, a newer one that says the same
          </dd>
        </>
      )}
    </dl>
  );
}
