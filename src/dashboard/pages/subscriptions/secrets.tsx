/** The signing secrets: never their text, but what there is, and a rotation. */
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import type { SecretInfo, Subscription } from "../../../../gen/passbus/v1/subscription_pb.js";
import { SubscriptionService } from "../../../../gen/passbus/v1/subscription_service_pb.js";
import { Button } from "../../parts/button.tsx";
import { Confirm } from "../../parts/dialog.tsx";
import { SelectField } from "../../parts/field.tsx";
import { Section } from "../../parts/page.tsx";
import { SecretOnce } from "../../parts/secret-once.tsx";
import { type Column, Table } from "../../parts/table.tsx";
import { Ago } from "../../parts/time.tsx";
import { useClient } from "../../rpc.ts";

const HOUR_MS = 3_600_000;

const OVERLAPS = [
  [24 * HOUR_MS, "24 hours"],
  [HOUR_MS, "1 hour"],
  [7 * 24 * HOUR_MS, "7 days"],
  [0, "none: the old one ends at once"],
] as const;

const COLUMNS: readonly Column<SecretInfo>[] = [
  { title: "Secret", naming: true, cell: ({ id }) => <code>{id}</code> },
  { title: "Made", cell: ({ createdAt }) => <Ago at={createdAt} /> },
  { title: "Signs until", cell: ({ expiresAt }) => <Ago at={expiresAt} none="it is rotated" /> },
];

export function Secrets({ subscription }: { readonly subscription: Subscription }) {
  const [asking, setAsking] = useState(false);
  const [overlapMs, setOverlapMs] = useState<number>(24 * HOUR_MS);
  const [secret, setSecret] = useState<string>();
  const client = useClient(SubscriptionService);
  const queries = useQueryClient();
  const rotate = async () => {
    const answer = await client.rotateSecret({ id: subscription.id, overlap: durationFromMs(overlapMs) });
    setSecret(answer.secret);
    await queries.invalidateQueries();
  };
  return (
    <Section
      title="Signing secrets"
      actions={
        <Button needs={SubscriptionService.method.rotateSecret} onPress={() => setAsking(true)}>
          Rotate the secret
        </Button>
      }
    >
      <Table caption="Signing secrets" columns={COLUMNS} rows={subscription.secrets} keyOf={({ id }) => id} />
      {asking ? (
        <Confirm
          title="Rotate the signing secret?"
          action="Make a new secret"
          doing="rotate the secret"
          done="There is a new secret."
          onConfirm={rotate}
          onClose={() => setAsking(false)}
        >
          <p>A new secret is made, and shown once. Webhooks carry the signatures of both during the overlap.</p>
          <SelectField
            label="The old one goes on signing for"
            value={overlapMs}
            options={OVERLAPS}
            onChange={(value) => setOverlapMs(value)}
          />
        </Confirm>
      ) : null}
      {secret === undefined ? null : (
        <SecretOnce
          title="The new secret"
          secret={secret}
          what="the new signing secret"
          hint="Give it to your endpoint before the old one ends."
          onClose={() => setSecret(undefined)}
        />
      )}
    </Section>
  );
}
