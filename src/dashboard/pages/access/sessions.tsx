import { durationFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { useInfiniteQuery } from "@connectrpc/connect-query";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { AccessService, type PortalSession } from "../../../../gen/passbus/v1/access_service_pb.js";
import { ChangeKind } from "../../../../gen/passbus/v1/delivery_service_pb.js";
import { useChanges } from "../../changes.tsx";
import { useNowMs } from "../../clock.ts";
import { Badge } from "../../parts/badge.tsx";
import { Button } from "../../parts/button.tsx";
import { Empty } from "../../parts/empty.tsx";
import { Failure, refusalOf } from "../../parts/failure.tsx";
import { SelectField, TextField } from "../../parts/field.tsx";
import { Section } from "../../parts/page.tsx";
import { SecretOnce } from "../../parts/secret-once.tsx";
import type { Column } from "../../parts/table.tsx";
import { Ago } from "../../parts/time.tsx";
import { useAction } from "../../parts/use-action.ts";
import { PAGING, useClient } from "../../rpc.ts";
import { Revocables } from "./revocable.tsx";

const MINUTE_MS = 60_000;

const LIFETIMES = [
  [15 * MINUTE_MS, "15 minutes"],
  [60 * MINUTE_MS, "1 hour"],
  [8 * 60 * MINUTE_MS, "8 hours"],
  [24 * 60 * MINUTE_MS, "24 hours"],
] as const;

/** How often the list is read anew while no stream tells. */
const READ_EVERY_MS = 5_000;

export function Sessions() {
  const client = useClient(AccessService);
  const { listPortalSessions } = AccessService.method;
  const refetchInterval = useChanges([ChangeKind.PORTAL_SESSIONS], [listPortalSessions], { everyMs: READ_EVERY_MS });
  const reading = useInfiniteQuery(listPortalSessions, { pageToken: "" }, { ...PAGING, refetchInterval });
  const columns: readonly Column<PortalSession>[] = [
    { title: "Session", naming: true, cell: ({ id }) => <code>{id}</code> },
    { title: "Entity", cell: ({ entityId }) => <code>{entityId}</code> },
    { title: "State", cell: (session) => <SessionState session={session} /> },
    { title: "Made", cell: ({ createdAt }) => <Ago at={createdAt} /> },
    { title: "Ends", cell: ({ expiresAt }) => <Ago at={expiresAt} /> },
  ];
  return (
    <>
      <NewSession />
      <Revocables
        {...{ what: "portal sessions", one: "session", caption: "Portal sessions", more: "sessions", reading, columns }}
        rows={reading.data?.pages.flatMap(({ sessions }) => sessions) ?? []}
        empty={
          <Empty title="No portal sessions">
            <p>A session is a token for a customer’s browser. It sees one entity, and ends by itself.</p>
          </Empty>
        }
        needs={AccessService.method.revokePortalSession}
        revoke={({ id }) => client.revokePortalSession({ id })}
        warning={({ entityId }) => `The customer’s page of ${entityId} is refused within a second.`}
      />
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
  const { busy, failure, act } = useAction();
  const [token, setToken] = useState<string>();
  const client = useClient(AccessService);
  const queries = useQueryClient();
  const make = () =>
    act(async () => {
      const answer = await client.createPortalSession({
        entityId: entityId.trim(),
        lifetime: durationFromMs(lifetimeMs),
      });
      setToken(answer.token);
      await queries.invalidateQueries();
    });
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
        <Button kind="primary" busy={busy} needs={AccessService.method.createPortalSession} onPress={() => void make()}>
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
