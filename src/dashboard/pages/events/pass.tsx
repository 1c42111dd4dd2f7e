/** A pass's whole story: what happened to it, what was sent of that, and what came back. */
import { useInfiniteQuery } from "@connectrpc/connect-query";
import { useState } from "react";
import { Link } from "wouter";
import { type Delivery, DeliveryStatus } from "../../../../gen/passbus/v1/delivery_pb.js";
import { DeliveryService } from "../../../../gen/passbus/v1/delivery_service_pb.js";
import { EventService } from "../../../../gen/passbus/v1/event_service_pb.js";
import { OperationalEventType } from "../../../../gen/passbus/v1/operational_event_pb.js";
import { PassEventType } from "../../../../gen/passbus/v1/pass_event_pb.js";
import { NotLive } from "../../changes.tsx";
import { useNowMs } from "../../clock.ts";
import { exactTime, relativeTime } from "../../numbers.ts";
import { addressOf, eventAddress, useIdInPath } from "../../parts/address.ts";
import { Badge } from "../../parts/badge.tsx";
import { CopyText } from "../../parts/copy.tsx";
import { Empty, Loading } from "../../parts/empty.tsx";
import { Failure } from "../../parts/failure.tsx";
import { SelectField } from "../../parts/field.tsx";
import { Page } from "../../parts/page.tsx";
import { useSubscriptionAsked, useSubscriptionNames } from "../../parts/subscriptions.ts";
import { More } from "../../parts/table.tsx";
import { Due } from "../../parts/time.tsx";
import { useReadAgain, useWhileDown } from "../../read-again.ts";
import { isDown, PAGING, useLive } from "../../rpc.ts";
import { useSession } from "../../session.tsx";
import { eventName, STATUS } from "../../words.ts";
import { answerOf } from "../deliveries/row.ts";
import { type Moment, storyOf } from "./story.ts";

const PAGE_ROWS = 100;
const LIST_EVENTS = EventService.method.listEvents;
const LIST_DELIVERIES = DeliveryService.method.listDeliveries;

/** Events and deliveries of the pass, read page by page and kept alive; undefined until the first pages are there. */
function useStory(passId: string, subscriptionId: string | undefined) {
  const { isPortal } = useSession();
  const hasDeliveries = subscriptionId !== undefined && !(isPortal && subscriptionId === "");
  const asked = { passId, pageSize: PAGE_ROWS, pageToken: "" };
  const events = useInfiniteQuery(LIST_EVENTS, asked, PAGING);
  const deliveries = useInfiniteQuery(
    LIST_DELIVERIES,
    { ...asked, subscriptionId: subscriptionId ?? "" },
    { ...PAGING, enabled: hasDeliveries },
  );
  const refetch = () => {
    void events.refetch();
    if (hasDeliveries) void deliveries.refetch();
  };
  const readEvents = useReadAgain([LIST_EVENTS]);
  const readDeliveries = useReadAgain([LIST_DELIVERIES]);
  const live = useLive(EventService.method.tailEvents, {
    input: { passId },
    onMessage: ({ event, skipped }) => {
      if (event === undefined && skipped === 0n) return;
      readEvents();
      readDeliveries();
    },
    onBegin: readEvents,
  });
  const liveDeliveries = useLive(DeliveryService.method.watchDeliveries, {
    input: { subscriptionId: subscriptionId ?? "" },
    onMessage: ({ delivery, skipped }) => {
      if (delivery?.passId === passId || skipped > 0n) readDeliveries();
    },
    onBegin: readDeliveries,
    on: hasDeliveries,
  });
  useWhileDown(live, readEvents);
  useWhileDown(liveDeliveries, readDeliveries);
  const isLoaded = events.data !== undefined && (deliveries.data !== undefined || !hasDeliveries);
  const story = storyOf({
    events: events.data?.pages.flatMap((page) => page.events) ?? [],
    deliveries: deliveries.data?.pages.flatMap((page) => page.deliveries) ?? [],
    hasMoreEvents: events.hasNextPage,
    hasMoreDeliveries: deliveries.hasNextPage,
  });
  return {
    story: isLoaded ? story : undefined,
    live: isDown(live) ? live : liveDeliveries,
    error: events.error ?? deliveries.error,
    refetch,
    hasMore: events.hasNextPage || deliveries.hasNextPage,
    isReading: events.isFetchingNextPage || deliveries.isFetchingNextPage,
    more: () => {
      if (events.hasNextPage) void events.fetchNextPage();
      if (deliveries.hasNextPage) void deliveries.fetchNextPage();
    },
  };
}

export function PassStory() {
  const passId = useIdInPath();
  const [chosen, setChosen] = useState("");
  const { isPortal } = useSession();
  const subscriptionId = useSubscriptionAsked(chosen);
  const names = useSubscriptionNames();
  const { story, live, error, refetch, hasMore, isReading, more } = useStory(passId, subscriptionId);
  return (
    <Page
      title="Pass"
      lead={<CopyText text={passId} what="the pass’s id" />}
      actions={
        <Link href={addressOf("/deliveries", { pass: passId })} className="button plain">
          Its deliveries
        </Link>
      }
    >
      <div className="filters">
        <SelectField
          label="Webhooks to"
          value={subscriptionId ?? ""}
          onChange={setChosen}
          options={names.options(isPortal ? undefined : "Every subscription", subscriptionId ?? "")}
        />
      </div>
      <NotLive live={live} />
      {error === null ? null : <Failure error={error} doing={`read the pass ${passId}`} onRetry={refetch} />}
      {story === undefined && error === null ? <Loading what="the pass’s story" /> : null}
      {story?.length === 0 ? (
        <Empty title="Nothing is known of this pass">
          <p>No event of it is stored. Is the id right? What comes from now on appears by itself.</p>
          <Link href="/events">All events</Link>
        </Empty>
      ) : null}
      {story === undefined || story.length === 0 ? null : <Timeline story={story} />}
      <More hasMore={hasMore} busy={isReading} onMore={more} what="of the past" />
    </Page>
  );
}

function Timeline({ story }: { readonly story: readonly Moment[] }) {
  const { nameOf } = useSubscriptionNames();
  return (
    <ol className="timeline" aria-label="The pass’s story, the newest first">
      {story.map((moment) => (
        <li key={moment.key} data-kind={moment.kind}>
          <At ms={moment.atMs} />
          <div>
            <What moment={moment} nameOf={nameOf} />
          </div>
        </li>
      ))}
    </ol>
  );
}

function At({ ms }: { readonly ms: number }) {
  const nowMs = useNowMs();
  return (
    <time dateTime={new Date(ms).toISOString()} title={exactTime(ms)}>
      {relativeTime(ms, nowMs)}
    </time>
  );
}

function What({ moment, nameOf }: { readonly moment: Moment; readonly nameOf: (id: string) => string }) {
  switch (moment.kind) {
    case "event": {
      const { event } = moment.stored;
      const operational = event?.operationalEvent?.type ?? OperationalEventType.UNSPECIFIED;
      return (
        <>
          <strong>{eventName(event?.type ?? PassEventType.UNSPECIFIED, operational)}</strong>, event{" "}
          <Link href={eventAddress(event?.id ?? "")}>{event?.id}</Link>
        </>
      );
    }
    case "attempt": {
      const { delivery, attempt, number } = moment;
      const succeeded = attempt.errorCode === "";
      return (
        <>
          <Badge tone={succeeded ? "good" : "bad"}>{succeeded ? "delivered" : "attempt failed"}</Badge>{" "}
          <To delivery={delivery} nameOf={nameOf} />: {answerOf(attempt)}
          {number > 1 ? ` (attempt ${number})` : ""}
        </>
      );
    }
    case "delivery":
    case "end":
      return <Standing delivery={moment.delivery} nameOf={nameOf} />;
  }
}

function Standing({ delivery, nameOf }: { readonly delivery: Delivery; readonly nameOf: (id: string) => string }) {
  const [word, tone] = STATUS[delivery.status];
  const wasGivenUp = delivery.status === DeliveryStatus.FAILED;
  return (
    <>
      <Badge tone={tone}>{wasGivenUp ? "given up" : word}</Badge> <To delivery={delivery} nameOf={nameOf} />
      {delivery.nextAttemptAt === undefined ? null : (
        <>
          , next attempt <Due at={delivery.nextAttemptAt} />
        </>
      )}
    </>
  );
}

function To({ delivery, nameOf }: { readonly delivery: Delivery; readonly nameOf: (id: string) => string }) {
  return (
    <>
      <Link href={`/deliveries/${delivery.id}`}>
        the “{eventName(delivery.eventType, delivery.operationalEventType)}” webhook
      </Link>{" "}
      to {nameOf(delivery.subscriptionId)}
    </>
  );
}
