import { durationFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { useInfiniteQuery } from "@connectrpc/connect-query";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { AccessService, type PortalSession } from "../../../../gen/passbus/v1/access_service_pb.js";
import { useNowMs } from "../../clock.ts";
import { Badge } from "../../parts/badge.tsx";
import { Button } from "../../parts/button.tsx";
import { Confirm } from "../../parts/dialog.tsx";
import { Empty, Loading } from "../../parts/empty.tsx";
import { Failure, refusalOf } from "../../parts/failure.tsx";
import { SelectField, TextField } from "../../parts/field.tsx";
import { Section } from "../../parts/page.tsx";
import { SecretOnce } from "../../parts/secret-once.tsx";
import { type Column, More, Table } from "../../parts/table.tsx";
import { Ago } from "../../parts/time.tsx";
import { useClient } from "../../rpc.ts";

const MINUTE_MS = 60_000;

const LIFETIMES = [
  [15 * MINUTE_MS, "15 minutes"],
  [60 * MINUTE_MS, "1 hour"],
  [8 * 60 * MINUTE_MS, "8 hours"],
  [24 * 60 * MINUTE_MS, "24 hours"],
] as const;

export function Sessions() {
  const [revoking, setRevoking] = useState<PortalSession>();
  const client = useClient(AccessService);
  const queries = useQueryClient();
  const { data, error, refetch, hasNextPage, fetchNextPage, isFetchingNextPage } = useInfiniteQuery(
    AccessService.method.listPortalSessions,
    { pageToken: "" },
    {
      pageParamKey: "pageToken",
      getNextPageParam: (last) => (last.nextPageToken === "" ? undefined : last.nextPageToken),
    },
  );
  const rows = data?.pages.flatMap(({ sessions }) => sessions) ?? [];
  const columns: readonly Column<PortalSession>[] = [
    { title: "Session", naming: true, cell: ({ id }) => <code>{id}</code> },
    { title: "Entity", cell: ({ entityId }) => <code>{entityId}</code> },
    { title: "State", cell: (session) => <SessionState session={session} /> },
    { title: "Made", cell: ({ createdAt }) => <Ago at={createdAt} /> },
    { title: "Ends", cell: ({ expiresAt }) => <Ago at={expiresAt} /> },
    {
      title: "Do",
      cell: (session) =>
        session.revokedAt === undefined ? (
          <Button kind="quiet" label={`Revoke ${session.id}`} onPress={() => setRevoking(session)}>
            Revoke
          </Button>
        ) : (
          "–"
        ),
    },
  ];
  return (
    <>
      <NewSession />
      {error === null ? null : (
        <Failure error={error} doing="list the portal sessions" onRetry={() => void refetch()} />
      )}
      {data === undefined && error === null ? <Loading what="the portal sessions" /> : null}
      {data !== undefined && rows.length === 0 ? (
        <Empty title="No portal sessions">
          <p>A session is a token for a customer’s browser. It sees one entity, and ends by itself.</p>
        </Empty>
      ) : null}
      {rows.length > 0 ? (
        <Table caption="Portal sessions" columns={columns} rows={rows} keyOf={({ id }) => id} />
      ) : null}
      <More hasMore={hasNextPage} busy={isFetchingNextPage} onMore={() => void fetchNextPage()} what="sessions" />
      {revoking === undefined ? null : (
        <Confirm
          title="Revoke the session?"
          action="Revoke it"
          doing="revoke the session"
          done={`Revoked ${revoking.id}.`}
          danger
          onConfirm={async () => {
            await client.revokePortalSession({ id: revoking.id });
            await queries.invalidateQueries();
          }}
          onClose={() => setRevoking(undefined)}
        >
          <p>The customer’s page of {revoking.entityId} is refused within a second.</p>
        </Confirm>
      )}
    </>
  );
}

function SessionState({ session }: { readonly session: PortalSession }) {
  const now = useNowMs(1_000);
  if (session.revokedAt !== undefined) return <Badge tone="calm">revoked</Badge>;
  const ended = session.expiresAt !== undefined && timestampMs(session.expiresAt) <= now;
  return <Badge tone={ended ? "calm" : "good"}>{ended ? "ended" : "valid"}</Badge>;
}

function NewSession() {
  const [entityId, setEntityId] = useState("");
  const [lifetimeMs, setLifetimeMs] = useState<number>(60 * MINUTE_MS);
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<unknown>();
  const [token, setToken] = useState<string>();
  const client = useClient(AccessService);
  const queries = useQueryClient();
  const make = async () => {
    setBusy(true);
    setFailure(undefined);
    try {
      const answer = await client.createPortalSession({
        entityId: entityId.trim(),
        lifetime: durationFromMs(lifetimeMs),
      });
      setToken(answer.token);
      await queries.invalidateQueries();
    } catch (reason) {
      setFailure(reason);
    } finally {
      setBusy(false);
    }
  };
  const fieldError = failure === undefined ? undefined : refusalOf(failure).fields.get("entity_id");
  return (
    <Section title="New portal session">
      <div className="filters">
        <TextField label="Entity" code value={entityId} error={fieldError} onChange={setEntityId} />
        <SelectField
          label="Ends after"
          value={lifetimeMs}
          options={LIFETIMES}
          onChange={(value) => setLifetimeMs(value)}
        />
      </div>
      {failure === undefined || fieldError !== undefined ? null : <Failure error={failure} doing="make the session" />}
      <div>
        <Button kind="primary" busy={busy} onPress={() => void make()}>
          Make the session
        </Button>
      </div>
      {token === undefined ? null : (
        <SecretOnce
          title="The session is made"
          secret={token}
          what="the session’s token"
          hint="Hand it to the customer’s page; it signs in with it as with a key."
          onClose={() => setToken(undefined)}
        />
      )}
    </Section>
  );
}
