import { useQuery } from "@connectrpc/connect-query";
import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useMemo, useState } from "react";
import { Link, useLocation } from "wouter";
import type { Subscription } from "../../../../gen/passbus/v1/subscription_pb.js";
import { SubscriptionService } from "../../../../gen/passbus/v1/subscription_service_pb.js";
import { useAnnounce } from "../../parts/announcer.tsx";
import { Button } from "../../parts/button.tsx";
import { Loading } from "../../parts/empty.tsx";
import { Failure, refusalOf } from "../../parts/failure.tsx";
import { Page } from "../../parts/page.tsx";
import { useDebounced } from "../../parts/use-debounced.ts";
import { useFocusInvalid } from "../../parts/use-focus-invalid.ts";
import { useClient } from "../../rpc.ts";
import { changedPaths, type Draft, draftOf, keptMessageOf } from "./draft.ts";
import { SubscriptionFields } from "./form.tsx";
import { FilterVerdicts, Preview, useDraftErrors } from "./preview.tsx";

export function EditSubscription({ id }: { readonly id: string }) {
  // Read once: what somebody types is not to change under his hands.
  const { data, error, refetch } = useQuery(
    SubscriptionService.method.getSubscription,
    { id },
    { staleTime: Number.POSITIVE_INFINITY, gcTime: 0 },
  );
  return (
    <Page title="Change the subscription" lead={<Link href={`/subscriptions/${id}`}>Back to {id}</Link>}>
      {error === null ? null : <Failure error={error} doing="read the subscription" onRetry={() => void refetch()} />}
      {data?.subscription === undefined ? (
        error === null && <Loading what="the subscription" />
      ) : (
        <EditForm subscription={data.subscription} />
      )}
    </Page>
  );
}

function EditForm({ subscription }: { readonly subscription: Subscription }) {
  const before = useMemo(() => draftOf(subscription), [subscription]);
  const [draft, setDraft] = useState<Draft>(before);
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<unknown>();
  const form = useFocusInvalid(failure);
  const [, navigate] = useLocation();
  const client = useClient(SubscriptionService);
  const queries = useQueryClient();
  const announce = useAnnounce();
  const settled = useDebounced(draft);
  const live = useDraftErrors(settled, true);
  const errors = new Map([...live, ...(failure === undefined ? [] : refusalOf(failure).fields)]);
  const paths = changedPaths(before, draft);
  const { id } = subscription;

  const save = async () => {
    setBusy(true);
    setFailure(undefined);
    try {
      await client.updateSubscription({
        subscription: { ...keptMessageOf(draft), id },
        updateMask: { paths: [...paths] },
      });
      await queries.invalidateQueries();
      announce(`Changed ${id}.`);
      navigate(`/subscriptions/${id}`);
    } catch (reason) {
      setFailure(reason);
      setBusy(false);
    }
  };
  const onSubmit = (event: FormEvent) => {
    event.preventDefault();
    void save();
  };
  return (
    <div className="with-preview">
      <form ref={form} className="stack" onSubmit={onSubmit} noValidate>
        <SubscriptionFields
          draft={draft}
          onChange={(next) => {
            setDraft(next);
            setFailure(undefined);
          }}
          errors={errors}
          isStored
          filterVerdicts={<FilterVerdicts draft={settled} isStored />}
        />
        {failure === undefined ? null : <Failure error={failure} doing="change the subscription" />}
        <div className="actions">
          <Button type="submit" kind="primary" busy={busy} isDisabled={paths.length === 0}>
            Save the changes
          </Button>
          <Link href={`/subscriptions/${id}`} className="button plain">
            Leave it as it is
          </Link>
        </div>
      </form>
      <aside aria-label="Preview">
        <Preview draft={settled} isStored />
      </aside>
    </div>
  );
}
