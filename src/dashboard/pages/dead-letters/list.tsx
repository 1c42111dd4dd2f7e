/** Records that could not become events: why, what they were, and sending them again. */

import { useInfiniteQuery } from "@connectrpc/connect-query";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { ChangeKind } from "../../../../gen/passbus/v1/delivery_service_pb.js";
import { type DeadLetter, EventService } from "../../../../gen/passbus/v1/event_service_pb.js";
import { useChanges } from "../../changes.tsx";
import { bytes } from "../../numbers.ts";
import { useFilters } from "../../parts/address.ts";
import { Badge } from "../../parts/badge.tsx";
import { Button } from "../../parts/button.tsx";
import { Confirm, Dialog } from "../../parts/dialog.tsx";
import { Empty, Loading } from "../../parts/empty.tsx";
import { Body, Headers } from "../../parts/exchange.tsx";
import { Failure } from "../../parts/failure.tsx";
import { SelectField } from "../../parts/field.tsx";
import { Page } from "../../parts/page.tsx";
import { type Column, More, Table } from "../../parts/table.tsx";
import { Ago, Exact } from "../../parts/time.tsx";
import { PAGING, useClient } from "../../rpc.ts";
import { obstacleOf } from "./redrive.ts";
import { RedriveAll } from "./redrive-all.tsx";

const PAGE_ROWS = 50;
/** Codes of docs/errors.md; test/browser/events.test.ts holds them against what passbus takes. */
const REASONS = [
  "event.empty",
  "event.unreadable",
  "event.invalid",
  "event.conflict",
  "tenant.forbidden",
  "limit.event_bytes",
] as const;
const REASON_OPTIONS: readonly (readonly [string, string])[] = [
  ["", "Any"],
  ...REASONS.map((reason) => [reason, reason] as const),
];

/** While no stream tells. */
const READ_EVERY_MS = 3_000;

export function DeadLetterList() {
  const [filters, change] = useFilters(["reason"]);
  const reason = REASONS.find((each) => each === filters.reason) ?? "";
  const [shown, setShown] = useState<DeadLetter>();
  const [redriven, setRedriven] = useState<DeadLetter>();
  const [isAll, setAll] = useState(false);
  const { listDeadLetters } = EventService.method;
  const refetchInterval = useChanges([ChangeKind.DEAD_LETTERS], [listDeadLetters], { everyMs: READ_EVERY_MS });
  const { data, error, refetch, hasNextPage, fetchNextPage, isFetchingNextPage } = useInfiniteQuery(
    listDeadLetters,
    { reason, pageSize: PAGE_ROWS, pageToken: "" },
    {
      ...PAGING,
      refetchInterval: ({ state }) => (state.error === null ? refetchInterval : false),
    },
  );
  const letters = data?.pages.flatMap((page) => page.deadLetters);
  const some = letters !== undefined && letters.length > 0;
  return (
    <Page
      title="Dead letters"
      lead={<p>Records that could not become events. Mend what was wrong, then send them again: none is lost.</p>}
      actions={
        some ? (
          <Button needs={EventService.method.redriveDeadLetters} onPress={() => setAll(true)}>
            Send all again …
          </Button>
        ) : undefined
      }
    >
      <search className="filters">
        <SelectField
          label="Reason"
          value={reason}
          onChange={(chosen) => change({ reason: chosen })}
          options={REASON_OPTIONS}
        />
      </search>
      {error !== null ? <Failure error={error} doing="list the dead letters" onRetry={() => void refetch()} /> : null}
      {letters === undefined && error === null ? <Loading what="the dead letters" /> : null}
      {letters?.length === 0 ? <NoLetters reason={reason} onClear={() => change({ reason: "" })} /> : null}
      {some ? (
        <Table
          caption="Dead letters"
          columns={columnsFor(setShown, setRedriven)}
          rows={letters}
          keyOf={({ id }) => id}
        />
      ) : null}
      <More hasMore={hasNextPage} busy={isFetchingNextPage} onMore={() => void fetchNextPage()} what="dead letters" />
      {shown === undefined ? null : <Letter letter={shown} onClose={() => setShown(undefined)} />}
      {redriven === undefined ? null : <RedriveOne letter={redriven} onClose={() => setRedriven(undefined)} />}
      {isAll ? <RedriveAll reason={reason} onClose={() => setAll(false)} /> : null}
    </Page>
  );
}

function NoLetters({ reason, onClear }: { readonly reason: string; readonly onClear: () => void }) {
  if (reason === "") {
    return (
      <Empty title="No dead letters">
        <p>All that came could become events. There is nothing to do.</p>
      </Empty>
    );
  }
  return (
    <Empty title={`No dead letter has the reason ${reason}`}>
      <p>There may be some of other reasons.</p>
      <Button onPress={onClear}>Show all reasons</Button>
    </Empty>
  );
}

function columnsFor(
  onShow: (letter: DeadLetter) => void,
  onRedrive: (letter: DeadLetter) => void,
): readonly Column<DeadLetter>[] {
  return [
    {
      title: "Dead letter",
      naming: true,
      cell: (letter) => (
        <Button kind="quiet" onPress={() => onShow(letter)} label={`Show ${letter.id}`}>
          <code>{letter.id}</code>
        </Button>
      ),
    },
    {
      title: "Reason",
      cell: ({ reason, message }) => (
        <span>
          <Badge tone="bad">{reason}</Badge> {message}
        </span>
      ),
    },
    { title: "Came", cell: ({ appendedAt }) => <Ago at={appendedAt} /> },
    { title: "Size", numeric: true, cell: ({ valueBytes }) => bytes(valueBytes) },
    { title: "Sent again", cell: ({ redrivenAt }) => <Ago at={redrivenAt} none="not yet" /> },
    {
      title: "Do",
      cell: (letter) => {
        const obstacle = obstacleOf(letter);
        return obstacle !== undefined ? (
          <span className="hint">{obstacle}</span>
        ) : (
          <Button
            label={`Send again: ${letter.id}`}
            needs={EventService.method.redriveDeadLetters}
            onPress={() => onRedrive(letter)}
          >
            Send again
          </Button>
        );
      },
    },
  ];
}

function Letter({ letter, onClose }: { readonly letter: DeadLetter; readonly onClose: () => void }) {
  return (
    <Dialog title={`Dead letter ${letter.id}`} onClose={onClose}>
      <dl className="facts">
        <dt>Reason</dt>
        <dd>
          {letter.message} <code>{letter.reason}</code>
        </dd>
        <dt>Where</dt>
        <dd>
          topic {letter.topic}, partition {letter.partition}, offset {String(letter.offset)}
        </dd>
        <dt>Came</dt>
        <dd>
          <Exact at={letter.appendedAt} />
        </dd>
        <dt>Sent again</dt>
        <dd>
          <Exact at={letter.redrivenAt} none="not yet" />
        </dd>
      </dl>
      <h3>Headers</h3>
      <Headers headers={letter.headers} caption="The record’s headers" />
      <h3>Value</h3>
      <Body body={letter.value} what="the record’s value" truncated={letter.truncated} />
      <div className="actions end">
        <Button onPress={onClose}>Close</Button>
      </div>
    </Dialog>
  );
}

function RedriveOne({
  letter: { id, redrivenAt },
  onClose,
}: {
  readonly letter: DeadLetter;
  readonly onClose: () => void;
}) {
  const client = useClient(EventService);
  const queries = useQueryClient();
  const run = async () => {
    await client.redriveDeadLetters({ ids: [id] });
    await queries.invalidateQueries();
  };
  return (
    <Confirm
      title="Send this dead letter again?"
      action="Send it again"
      doing="send it again"
      done={`Sent ${id} again.`}
      onConfirm={run}
      onClose={onClose}
    >
      <p>
        <code>{id}</code> goes back to where it came from, as it came. It becomes an event, or a new dead letter if what
        was wrong still is.
      </p>
      {redrivenAt === undefined ? null : (
        <p>
          It was sent again <Ago at={redrivenAt} /> already.
        </p>
      )}
    </Confirm>
  );
}
