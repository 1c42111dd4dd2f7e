import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { useInfiniteQuery } from "@connectrpc/connect-query";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { AccessService, type Key, Role } from "../../../../gen/passbus/v1/access_service_pb.js";
import { ChangeKind } from "../../../../gen/passbus/v1/delivery_service_pb.js";
import { useChanges } from "../../changes.tsx";
import { nowMs, useNowMs } from "../../clock.ts";
import { Badge } from "../../parts/badge.tsx";
import { Button } from "../../parts/button.tsx";
import { Empty } from "../../parts/empty.tsx";
import { Failure } from "../../parts/failure.tsx";
import { SelectField, TextField } from "../../parts/field.tsx";
import { Section } from "../../parts/page.tsx";
import { SecretOnce } from "../../parts/secret-once.tsx";
import type { Column } from "../../parts/table.tsx";
import { Ago } from "../../parts/time.tsx";
import { useAction } from "../../parts/use-action.ts";
import { PAGING, useClient } from "../../rpc.ts";
import { Revocables } from "./revocable.tsx";

const ROLES: readonly (readonly [Role, string, string])[] = [
  [Role.VIEWER, "viewer", "reads subscriptions, events, deliveries, replays, limits"],
  [Role.SUBSCRIBER, "subscriber", "manages subscriptions, sends again, replays"],
  [Role.PUBLISHER, "publisher", "publishes events"],
  [Role.OPERATOR, "operator", "all but keys and the audit log"],
  [Role.ADMIN, "admin", "everything"],
];

const DAY_MS = 86_400_000;

const LIFETIMES = [
  [0, "until it is revoked"],
  [DAY_MS, "1 day"],
  [30 * DAY_MS, "30 days"],
  [90 * DAY_MS, "90 days"],
  [365 * DAY_MS, "1 year"],
] as const;

/** How often the list is read anew while no stream tells: keys are made and revoked elsewhere too. */
const READ_EVERY_MS = 5_000;

function roleName(role: Role): string {
  return ROLES.find(([each]) => each === role)?.[1] ?? "unknown";
}

export function Keys() {
  const client = useClient(AccessService);
  const { listKeys } = AccessService.method;
  const refetchInterval = useChanges([ChangeKind.KEYS], [listKeys], { everyMs: READ_EVERY_MS });
  const reading = useInfiniteQuery(listKeys, { pageToken: "" }, { ...PAGING, refetchInterval });
  const columns: readonly Column<Key>[] = [
    { title: "Key", naming: true, cell: ({ id }) => <code>{id}</code> },
    { title: "Role", cell: ({ role }) => roleName(role) },
    { title: "For", cell: ({ description }) => description || "–" },
    { title: "State", cell: (key) => <KeyState of={key} /> },
    { title: "Last used", cell: ({ lastUsedAt }) => <Ago at={lastUsedAt} none="never" /> },
    { title: "Made", cell: ({ createdAt }) => <Ago at={createdAt} /> },
  ];
  return (
    <>
      <NewKey />
      <Revocables
        {...{ what: "keys", one: "key", caption: "Keys", more: "keys", reading, columns }}
        rows={reading.data?.pages.flatMap(({ keys }) => keys) ?? []}
        empty={
          <Empty title="No keys yet">
            <p>The configuration’s bootstrap key is not listed. Make a key for each service and each person.</p>
          </Empty>
        }
        needs={AccessService.method.revokeKey}
        revoke={({ id }) => client.revokeKey({ id })}
        warning={({ description }) =>
          `Whoever calls with ${description || "it"} is refused within a second. It can’t be undone.`
        }
      />
    </>
  );
}

function KeyState({ of: { revokedAt, expiresAt } }: { readonly of: Pick<Key, "revokedAt" | "expiresAt"> }) {
  const now = useNowMs(1_000);
  if (revokedAt !== undefined) return <Badge tone="calm">revoked</Badge>;
  if (expiresAt === undefined) return <Badge tone="good">valid</Badge>;
  if (timestampMs(expiresAt) <= now) return <Badge tone="calm">expired</Badge>;
  return (
    <span>
      <Badge tone="good">valid</Badge> ends <Ago at={expiresAt} />
    </span>
  );
}

function NewKey() {
  const [role, setRole] = useState<Role>(Role.VIEWER);
  const [description, setDescription] = useState("");
  const [lifetimeMs, setLifetimeMs] = useState<number>(90 * DAY_MS);
  const { busy, failure, act } = useAction();
  const [secret, setSecret] = useState<string>();
  const client = useClient(AccessService);
  const queries = useQueryClient();
  const make = () =>
    act(async () => {
      const expiresAt = lifetimeMs === 0 ? {} : { expiresAt: timestampFromMs(nowMs() + lifetimeMs) };
      const answer = await client.createKey({ key: { role, description, ...expiresAt } });
      setSecret(answer.secret);
      setDescription("");
      await queries.invalidateQueries();
    });
  return (
    <Section title="New key">
      <div className="filters">
        <SelectField
          label="Role"
          value={role}
          options={ROLES.map(([value, name]) => [value, name] as const)}
          hint={ROLES.find(([each]) => each === role)?.[2]}
          onChange={setRole}
        />
        <SelectField
          label="Valid for"
          value={lifetimeMs}
          options={LIFETIMES}
          onChange={(value) => setLifetimeMs(value)}
        />
        <TextField label="For" value={description} hint="Who or what calls with it." onChange={setDescription} />
      </div>
      {failure === undefined ? null : <Failure error={failure} doing="make the key" />}
      <div>
        <Button kind="primary" busy={busy} needs={AccessService.method.createKey} onPress={() => void make()}>
          Make the key
        </Button>
      </div>
      {secret === undefined ? null : (
        <SecretOnce
          title="The key is made"
          secret={secret}
          what="the key"
          hint="Calls carry it in the header: authorization: Bearer …"
          onClose={() => setSecret(undefined)}
        />
      )}
    </Section>
  );
}
