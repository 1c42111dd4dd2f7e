/** Request bins: endpoints of passbus's own that show what arrives. Made with one click. */

import { useInfiniteQuery } from "@connectrpc/connect-query";
import { useState } from "react";
import { Link, useLocation } from "wouter";
import { ChangeKind } from "../../../../gen/passbus/v1/delivery_service_pb.js";
import { type Bin, InspectorService } from "../../../../gen/passbus/v1/inspector_service_pb.js";
import { useChanges } from "../../changes.tsx";
import { Button } from "../../parts/button.tsx";
import { CopyText } from "../../parts/copy.tsx";
import { Empty, Loading } from "../../parts/empty.tsx";
import { Failure } from "../../parts/failure.tsx";
import { SelectField } from "../../parts/field.tsx";
import { Page } from "../../parts/page.tsx";
import { type Column, More, Table } from "../../parts/table.tsx";
import { Ago } from "../../parts/time.tsx";
import { useAction } from "../../parts/use-action.ts";
import { PAGING, useClient } from "../../rpc.ts";

/** What a bin can answer with: success, and the failures that passbus treats each in its way. */
const ANSWERS: readonly (readonly [code: number, label: string])[] = [
  [200, "200: all is well"],
  [410, "410: gone, the subscription is disabled"],
  [429, "429: too many, tried again"],
  [500, "500: broken, tried again"],
  [503, "503: unavailable, tried again"],
];

/** `passbus listen` makes bins, and they expire. While no stream tells. */
const READ_EVERY_MS = 5_000;

export function BinList() {
  const client = useClient(InspectorService);
  const [, navigate] = useLocation();
  const [statusCode, setStatusCode] = useState(200);
  const { busy, failure, act } = useAction();
  const { listBins } = InspectorService.method;
  const refetchInterval = useChanges([ChangeKind.BINS], [listBins], { everyMs: READ_EVERY_MS });
  const { data, error, refetch, hasNextPage, fetchNextPage, isFetchingNextPage } = useInfiniteQuery(
    listBins,
    { pageToken: "" },
    {
      ...PAGING,
      refetchInterval: ({ state }) => (state.error === null ? refetchInterval : false),
    },
  );
  const bins = data?.pages.flatMap((page) => page.bins);
  const make = () =>
    act(async () => {
      const { bin } = await client.createBin({ statusCode });
      if (bin !== undefined) navigate(`/inspector/${bin.id}`);
    });
  const button = (
    <Button kind="primary" busy={busy} needs={InspectorService.method.createBin} onPress={() => void make()}>
      New bin
    </Button>
  );
  return (
    <Page
      title="Inspector"
      lead={<p>A bin is an endpoint that shows what arrives, and whether its signature holds. It ends by itself.</p>}
      actions={bins?.length === 0 ? undefined : button}
    >
      <div className="filters">
        <SelectField label="A new bin answers with" value={statusCode} onChange={setStatusCode} options={ANSWERS} />
      </div>
      {failure === undefined ? null : <Failure error={failure} doing="make a bin" />}
      {error !== null ? <Failure error={error} doing="list the bins" onRetry={() => void refetch()} /> : null}
      {bins === undefined && error === null ? <Loading what="the bins" /> : null}
      {bins?.length === 0 ? (
        <Empty title="No bins">
          <p>
            Make one, use its URL for a subscription, and see your webhooks arrive before you have written a receiver.
          </p>
          {button}
        </Empty>
      ) : null}
      {bins === undefined || bins.length === 0 ? null : (
        <Table caption="Bins" columns={COLUMNS} rows={bins} keyOf={({ id }) => id} />
      )}
      <More hasMore={hasNextPage} busy={isFetchingNextPage} onMore={() => void fetchNextPage()} what="bins" />
    </Page>
  );
}

const COLUMNS: readonly Column<Bin>[] = [
  {
    title: "Bin",
    naming: true,
    cell: ({ id, description }) => (
      <Link href={`/inspector/${id}`}>
        <code>{id}</code> {description}
      </Link>
    ),
  },
  { title: "URL", cell: ({ url }) => <CopyText text={url} what="the bin’s URL" /> },
  { title: "Answers", cell: ({ statusCode }) => String(statusCode) },
  { title: "Made", cell: ({ createdAt }) => <Ago at={createdAt} /> },
  { title: "Expires", cell: ({ expiresAt }) => <Ago at={expiresAt} /> },
];
