/** The list of what somebody may call with, each to be revoked: keys and portal sessions. */
import type { DescMethod } from "@bufbuild/protobuf";
import { useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import type { Key, PortalSession } from "../../../../gen/passbus/v1/access_service_pb.js";
import { Button } from "../../parts/button.tsx";
import { Confirm } from "../../parts/dialog.tsx";
import { Loading } from "../../parts/empty.tsx";
import { Failure } from "../../parts/failure.tsx";
import { type Column, More, Table } from "../../parts/table.tsx";

/** What `useInfiniteQuery` answers, as far as a list needs it. */
interface Reading {
  readonly data: unknown;
  readonly error: Error | null;
  readonly refetch: () => Promise<unknown>;
  readonly hasNextPage: boolean;
  readonly fetchNextPage: () => Promise<unknown>;
  readonly isFetchingNextPage: boolean;
}

interface RevocablesProps<T extends Key | PortalSession> {
  /** "keys", after "list the" and "more". */
  readonly what: string;
  /** "key", after "Revoke the". */
  readonly one: string;
  readonly caption: string;
  readonly more: string;
  readonly empty: ReactNode;
  readonly reading: Reading;
  readonly rows: readonly T[];
  readonly columns: readonly Column<T>[];
  readonly revoke: (row: T) => Promise<unknown>;
  /** What follows of it. */
  readonly warning: (row: T) => string;
  /** The call that revokes. */
  readonly needs: DescMethod;
}

export function Revocables<T extends Key | PortalSession>(props: RevocablesProps<T>) {
  const { what, one, caption, more, empty, reading, rows, columns, revoke, warning, needs } = props;
  const { data, error, refetch, hasNextPage, fetchNextPage, isFetchingNextPage } = reading;
  const [revoking, setRevoking] = useState<T>();
  const queries = useQueryClient();
  const withRevoke: readonly Column<T>[] = [
    ...columns,
    {
      title: "Do",
      cell: (row) =>
        row.revokedAt === undefined ? (
          <Button kind="quiet" label={`Revoke ${row.id}`} needs={needs} onPress={() => setRevoking(row)}>
            Revoke
          </Button>
        ) : (
          "–"
        ),
    },
  ];
  return (
    <>
      {error === null ? null : <Failure error={error} doing={`list the ${what}`} onRetry={() => void refetch()} />}
      {data === undefined && error === null ? <Loading what={`the ${what}`} /> : null}
      {data !== undefined && rows.length === 0 ? empty : null}
      {rows.length > 0 ? <Table caption={caption} columns={withRevoke} rows={rows} keyOf={({ id }) => id} /> : null}
      <More hasMore={hasNextPage} busy={isFetchingNextPage} onMore={() => void fetchNextPage()} what={more} />
      {revoking === undefined ? null : (
        <Confirm
          title={`Revoke the ${one}?`}
          action="Revoke it"
          doing={`revoke the ${one}`}
          done={`Revoked ${revoking.id}.`}
          typed={revoking.id}
          danger
          onConfirm={async () => {
            await revoke(revoking);
            await queries.invalidateQueries();
          }}
          onClose={() => setRevoking(undefined)}
        >
          <p>{warning(revoking)}</p>
        </Confirm>
      )}
    </>
  );
}
