/** Every change and every refusal, newest first; filters in the address. */

import { useInfiniteQuery } from "@connectrpc/connect-query";
import { keepPreviousData } from "@tanstack/react-query";
import { Fragment } from "react";
import { useSearchParams } from "wouter";
import { AccessService, type AuditRecord } from "../../../../gen/passbus/v1/access_service_pb.js";
import { ChangeKind } from "../../../../gen/passbus/v1/delivery_service_pb.js";
import { useChanges } from "../../changes.tsx";
import { count } from "../../numbers.ts";
import { Badge } from "../../parts/badge.tsx";
import { Empty, Loading } from "../../parts/empty.tsx";
import { Failure } from "../../parts/failure.tsx";
import { SelectField, TextField } from "../../parts/field.tsx";
import { type Column, More, Table } from "../../parts/table.tsx";
import { Ago } from "../../parts/time.tsx";
import { useDebounced } from "../../parts/use-debounced.ts";
import { PAGING } from "../../rpc.ts";
import { actionOf, SHORT_ACTIONS, shortAction } from "./action.ts";

const COLUMNS: readonly Column<AuditRecord>[] = [
  { title: "When", naming: true, cell: ({ time }) => <Ago at={time} /> },
  { title: "Who", cell: ({ actor }) => (actor === "" ? "nobody known" : <Name text={actor} />) },
  {
    title: "What",
    cell: ({ action }) => (action === "" ? "several calls" : <Name text={shortAction(action)} />),
  },
  { title: "Of", cell: ({ target }) => (target === "" ? "–" : <code>{target}</code>) },
  {
    title: "Outcome",
    cell: ({ refused, code, count: times }) =>
      refused ? (
        <span>
          <Badge tone="bad">refused</Badge> <code>{code}</code> {times > 1n ? `${count(times)} times` : null}
        </span>
      ) : (
        <Badge tone="good">done</Badge>
      ),
  },
  { title: "From", cell: ({ peer }) => <Name text={peer} /> },
];

/** Wider than this it must break wherever it has to. */
const UNBROKEN_CHARACTERS = 34;

/** Breaks behind its separators, and not within a word. */
function Name({ text }: { readonly text: string }) {
  const parts = [...text.matchAll(/[^/:@]*[/:@]*/g)].map(([part]) => part).filter((part) => part !== "");
  const isUnbroken = parts.every(({ length }) => length <= UNBROKEN_CHARACTERS);
  return (
    <code className={isUnbroken ? "unbroken" : undefined}>
      {parts.map((part, at) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: parts of one text have no other name.
        <Fragment key={at}>
          {part}
          <wbr />
        </Fragment>
      ))}
    </code>
  );
}

/** How often the list is read anew while no stream tells: others act too. */
const READ_EVERY_MS = 5_000;

const OUTCOMES = [
  ["", "All"],
  ["refused", "Refusals"],
  ["done", "Changes"],
] as const;

export function AuditLog() {
  const [params, setParams] = useSearchParams();
  const settled = new URLSearchParams(useDebounced(params.toString()));
  const [actor, target, action, outcome] = ["actor", "target", "action", "outcome"].map(
    (name) => settled.get(name) ?? "",
  );
  const { listAuditRecords } = AccessService.method;
  const refetchInterval = useChanges([ChangeKind.AUDIT_RECORDS], [listAuditRecords], { everyMs: READ_EVERY_MS });
  const { data, error, refetch, hasNextPage, fetchNextPage, isFetchingNextPage } = useInfiniteQuery(
    listAuditRecords,
    {
      actor: actor ?? "",
      target: target ?? "",
      action: actionOf(action ?? ""),
      ...(outcome !== "" && { refused: outcome === "refused" }),
      pageToken: "",
    },
    {
      ...PAGING,
      placeholderData: keepPreviousData,
      refetchInterval,
    },
  );
  const rows = data?.pages.flatMap(({ records }) => records) ?? [];
  const set = (name: string) => (value: string) =>
    setParams(
      (before) => {
        const after = new URLSearchParams(before);
        if (value === "") after.delete(name);
        else after.set(name, value);
        return after;
      },
      { replace: true },
    );
  const text = (name: string) => params.get(name) ?? "";
  return (
    <>
      <search className="filters">
        <TextField label="Who" code value={text("actor")} placeholder="key_…" onChange={set("actor")} />
        <TextField label="Of" code value={text("target")} placeholder="sub_…" onChange={set("target")} />
        <TextField
          label="What"
          code
          value={text("action")}
          placeholder="CreateKey"
          suggestions={SHORT_ACTIONS}
          onChange={set("action")}
        />
        <SelectField label="Outcome" value={text("outcome")} options={OUTCOMES} onChange={set("outcome")} />
      </search>
      {error === null ? null : <Failure error={error} doing="read the audit log" onRetry={() => void refetch()} />}
      {data === undefined && error === null ? <Loading what="the audit log" /> : null}
      {rows.length > 0 ? <Table caption="Audit log" columns={COLUMNS} rows={rows} keyOf={({ id }) => id} /> : null}
      {data !== undefined && rows.length === 0 && !hasNextPage ? (
        <Empty title="No records">
          <p>Changes and refusals are recorded here. Where filters are set, none fits them.</p>
        </Empty>
      ) : null}
      <More hasMore={hasNextPage} busy={isFetchingNextPage} onMore={() => void fetchNextPage()} what="records" />
    </>
  );
}
