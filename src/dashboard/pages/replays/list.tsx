/** The replays, newest first. */
import { useInfiniteQuery } from "@connectrpc/connect-query";
import { useState } from "react";
import { Link } from "wouter";
import { ChangeKind, DeliveryService, type Replay } from "../../../../gen/passbus/v1/delivery_service_pb.js";
import { useChanges } from "../../changes.tsx";
import { count } from "../../numbers.ts";
import { Badge } from "../../parts/badge.tsx";
import { Button } from "../../parts/button.tsx";
import { Empty, Loading } from "../../parts/empty.tsx";
import { Failure } from "../../parts/failure.tsx";
import { Page } from "../../parts/page.tsx";
import { useSubscriptionNames } from "../../parts/subscriptions.ts";
import { type Column, More, Table } from "../../parts/table.tsx";
import { Ago } from "../../parts/time.tsx";
import { PAGING } from "../../rpc.ts";
import { NewReplay } from "./create.tsx";
import { REPLAY_STATE } from "./state.ts";

/** While no stream tells. */
const READ_EVERY_MS = 3_000;

export function ReplayList() {
  const [isCreating, setCreating] = useState(false);
  const { nameOf } = useSubscriptionNames();
  const { listReplays } = DeliveryService.method;
  const refetchInterval = useChanges([ChangeKind.REPLAYS], [listReplays], { everyMs: READ_EVERY_MS });
  const { data, error, refetch, hasNextPage, fetchNextPage, isFetchingNextPage } = useInfiniteQuery(
    listReplays,
    { pageToken: "" },
    {
      ...PAGING,
      refetchInterval: ({ state }) => (state.error === null ? refetchInterval : false),
    },
  );
  const replays = data?.pages.flatMap((page) => page.replays);
  return (
    <Page
      title="Replays"
      lead={<p>Jobs that send again what was sent before.</p>}
      actions={
        <Button kind="primary" needs={DeliveryService.method.createReplay} onPress={() => setCreating(true)}>
          New replay …
        </Button>
      }
    >
      {error !== null ? <Failure error={error} doing="list the replays" onRetry={() => void refetch()} /> : null}
      {replays === undefined && error === null ? <Loading what="the replays" /> : null}
      {replays?.length === 0 ? (
        <Empty title="No replays yet">
          <p>After an outage at a receiver, a replay sends it again what it missed, at a pace that it can take.</p>
          <Button needs={DeliveryService.method.createReplay} onPress={() => setCreating(true)}>
            Make the first
          </Button>
        </Empty>
      ) : null}
      {replays === undefined || replays.length === 0 ? null : (
        <Table caption="Replays" columns={columnsFor(nameOf)} rows={replays} keyOf={({ id }) => id} />
      )}
      <More hasMore={hasNextPage} busy={isFetchingNextPage} onMore={() => void fetchNextPage()} what="replays" />
      {isCreating ? <NewReplay filters={NO_FILTERS} onClose={() => setCreating(false)} /> : null}
    </Page>
  );
}

const NO_FILTERS = { subscription: "", status: "", type: "", pass: "", event: "", since: "", from: "", to: "" };

function columnsFor(nameOf: (id: string) => string): readonly Column<Replay>[] {
  return [
    {
      title: "Replay",
      naming: true,
      cell: ({ id }) => (
        <Link href={`/replays/${id}`}>
          <code>{id}</code>
        </Link>
      ),
    },
    {
      title: "State",
      cell: ({ state }) => <Badge tone={REPLAY_STATE[state][1]}>{REPLAY_STATE[state][0]}</Badge>,
    },
    {
      title: "Of",
      cell: ({ filter }) => ((filter?.subscriptionId ?? "") === "" ? "all" : nameOf(filter?.subscriptionId ?? "")),
    },
    {
      title: "To",
      cell: ({ targetSubscriptionId }) => (targetSubscriptionId === "" ? "the same" : nameOf(targetSubscriptionId)),
    },
    {
      title: "Sent",
      numeric: true,
      cell: ({ sent, skipped, matched, matchedAtLeast }) =>
        `${count(sent + skipped)} of ${count(matched)}${matchedAtLeast ? "+" : ""}`,
    },
    { title: "Made", cell: ({ createdAt }) => <Ago at={createdAt} /> },
    { title: "Ended", cell: ({ finishedAt }) => <Ago at={finishedAt} none="not yet" /> },
  ];
}
