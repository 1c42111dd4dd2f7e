/** One replay as it gets on, with pause, resume and cancel. */
import { useQuery } from "@connectrpc/connect-query";
import { useState } from "react";
import { Link } from "wouter";
import { DeliveryStatus } from "../../../../gen/passbus/v1/delivery_pb.js";
import { DeliveryService, type Replay, ReplayState } from "../../../../gen/passbus/v1/delivery_service_pb.js";
import { NotLive } from "../../changes.tsx";
import { nowMs } from "../../clock.ts";
import { count } from "../../numbers.ts";
import { passAddress } from "../../parts/address.ts";
import { useAnnounce } from "../../parts/announcer.tsx";
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
import { isDown, useClient, useLive } from "../../rpc.ts";
import { EVENT_TYPE, STATUS } from "../../words.ts";
import { REPLAY_STATE } from "./state.ts";

const GET = DeliveryService.method.getReplay;

export function ReplayDetail({ id }: { readonly id: string }) {
  const { data, error, refetch, dataUpdatedAt } = useQuery(GET, { id });
  const [told, setTold] = useState<{ readonly replay: Replay; readonly atMs: number }>();
  const tell = (replay: Replay | undefined) => setTold(replay && { replay, atMs: nowMs() });
  const live = useLive(DeliveryService.method.watchReplay, {
    input: { id },
    onMessage: ({ replay }) => tell(replay),
    on: data !== undefined,
  });
  useWhileDown(live, useReadAgain([GET]));
  const isReadNewer = isDown(live) && told !== undefined && told.atMs < dataUpdatedAt;
  const replay = (isReadNewer ? undefined : told?.replay) ?? data?.replay;
  return (
    <Page
      title="Replay"
      lead={<CopyText text={id} what="the replay’s id" />}
      actions={replay === undefined ? undefined : <Actions replay={replay} onChange={tell} />}
    >
      {error !== null ? <Failure error={error} doing={`read the replay ${id}`} onRetry={() => void refetch()} /> : null}
      {replay === undefined && error === null ? <Loading what="the replay" /> : null}
      <NotLive live={live} />
      {replay === undefined ? null : (
        <>
          <Progress replay={replay} />
          <Facts replay={replay} />
        </>
      )}
    </Page>
  );
}

interface ActionsProps {
  readonly replay: Replay;
  readonly onChange: (replay: Replay | undefined) => void;
}

function Actions({ replay: { id, state }, onChange }: ActionsProps) {
  const client = useClient(DeliveryService);
  const announce = useAnnounce();
  const [isCancelling, setCancelling] = useState(false);
  const [failure, setFailure] = useState<unknown>();
  const isRunning = state === ReplayState.RUNNING;
  if (!isRunning && state !== ReplayState.PAUSED) return null;
  const toggle = async () => {
    setFailure(undefined);
    try {
      const { replay } = await (isRunning ? client.pauseReplay({ id }) : client.resumeReplay({ id }));
      onChange(replay);
      announce(isRunning ? `Paused ${id}.` : `${id} goes on.`);
    } catch (error) {
      setFailure(error);
    }
  };
  return (
    <>
      <Button
        needs={isRunning ? DeliveryService.method.pauseReplay : DeliveryService.method.resumeReplay}
        onPress={() => void toggle()}
      >
        {isRunning ? "Pause" : "Resume"}
      </Button>
      <Button kind="danger" needs={DeliveryService.method.cancelReplay} onPress={() => setCancelling(true)}>
        Cancel the replay
      </Button>
      {failure === undefined ? null : <Failure error={failure} doing="change the replay" />}
      {isCancelling ? (
        <Confirm
          title="Cancel this replay?"
          action="Cancel it for good"
          doing="cancel the replay"
          done={`Cancelled ${id}.`}
          danger
          onConfirm={async () => onChange((await client.cancelReplay({ id })).replay)}
          onClose={() => setCancelling(false)}
        >
          <p>
            <code>{id}</code> makes nothing more due, and can’t go on later. What is due already, 1,000 at most, is
            sent.
          </p>
        </Confirm>
      ) : null}
    </>
  );
}

function Progress({ replay }: { readonly replay: Replay }) {
  const { sent, skipped, matched, matchedAtLeast, pending, delivered, failed } = replay;
  const [word, tone] = REPLAY_STATE[replay.state];
  const done = sent + skipped;
  return (
    <Section title="Progress">
      <p>
        <Badge tone={tone}>{word}</Badge> {count(done)} of {count(matched)}
        {matchedAtLeast ? " or more" : ""} gone through
      </p>
      <progress aria-label="Gone through" max={Math.max(1, Number(matched))} value={Number(done)} />
      <dl className="tiles">
        <Tile name="Sent" value={sent} />
        <Tile name="Delivered" value={delivered} />
        <Tile name="Failed" value={failed} />
        <Tile name="Not ended yet" value={pending} />
        <Tile name="Left alone" value={skipped} />
      </dl>
    </Section>
  );
}

function Tile({ name, value }: { readonly name: string; readonly value: bigint }) {
  return (
    <div className="tile">
      <dt>{name}</dt>
      <dd>{count(value)}</dd>
    </div>
  );
}

function Facts({ replay }: { readonly replay: Replay }) {
  const { nameOf } = useSubscriptionNames();
  const { filter, targetSubscriptionId, ratePerSecond, freshIds } = replay;
  const types = filter?.eventTypes.map((type) => EVENT_TYPE[type]) ?? [];
  const status = filter?.status ?? DeliveryStatus.UNSPECIFIED;
  const link = (id: string) => <Link href={`/subscriptions/${id}`}>{nameOf(id)}</Link>;
  return (
    <Section title="What it sends again">
      <dl className="facts">
        <dt>Deliveries of</dt>
        <dd>
          {filter === undefined || filter.subscriptionId === "" ? "all subscriptions" : link(filter.subscriptionId)}
        </dd>
        <dt>To</dt>
        <dd>{targetSubscriptionId === "" ? "where each was for" : link(targetSubscriptionId)}</dd>
        <dt>Status</dt>
        <dd>{status === DeliveryStatus.UNSPECIFIED ? "delivered or failed" : STATUS[status][0]}</dd>
        <dt>Event types</dt>
        <dd>{types.length === 0 ? "all" : types.join(", ")}</dd>
        {filter === undefined || filter.passId === "" ? null : (
          <>
            <dt>Pass</dt>
            <dd>
              <Link href={passAddress(filter.passId)}>{filter.passId}</Link>
            </dd>
          </>
        )}
        <dt>Created from</dt>
        <dd>
          <Exact at={filter?.startTime} none="the beginning" />
        </dd>
        <dt>Created before</dt>
        <dd>
          <Exact at={filter?.endTime} none="the replay was made" />
        </dd>
        <dt>Rate</dt>
        <dd>{count(ratePerSecond === 0 ? 50 : ratePerSecond)}/s</dd>
        <dt>Webhook ids</dt>
        <dd>{freshIds ? "new ones" : "the same as before"}</dd>
        <dt>Made</dt>
        <dd>
          <Exact at={replay.createdAt} />
        </dd>
        <dt>Ended</dt>
        <dd>
          <Exact at={replay.finishedAt} none="not yet" />
        </dd>
      </dl>
    </Section>
  );
}
