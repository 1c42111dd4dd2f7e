import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { useLocation, useSearchParams } from "wouter";
import { SubscriptionService } from "../../../../gen/passbus/v1/subscription_service_pb.js";
import { Button } from "../../parts/button.tsx";
import { Failure, refusalOf } from "../../parts/failure.tsx";
import { CheckField } from "../../parts/field.tsx";
import { Page } from "../../parts/page.tsx";
import { SecretOnce } from "../../parts/secret-once.tsx";
import { useAction } from "../../parts/use-action.ts";
import { useDebounced } from "../../parts/use-debounced.ts";
import { useFocusInvalid } from "../../parts/use-focus-invalid.ts";
import { useClient } from "../../rpc.ts";
import { type Draft, keptMessageOf, NEW_DRAFT } from "./draft.ts";
import { SubscriptionFields } from "./form.tsx";
import { FilterVerdicts, Preview, useDraftErrors } from "./preview.tsx";

interface Made {
  readonly id: string;
  readonly secret: string;
}

/** The form's state, and what its button does. */
function useCreation() {
  const [params] = useSearchParams();
  // The inspector's "subscribe this bin" brings a URL along.
  const [draft, setDraft] = useState<Draft>(() => ({ ...NEW_DRAFT, url: params.get("url") ?? "" }));
  const [verify, setVerify] = useState(false);
  const { busy, failure, act, forget } = useAction();
  const [made, setMade] = useState<Made>();
  const client = useClient(SubscriptionService);
  const queries = useQueryClient();
  const change = (next: Draft) => {
    setDraft(next);
    forget();
  };
  const create = () =>
    act(async () => {
      const { subscription, secret } = await client.createSubscription({
        subscription: keptMessageOf(draft),
        verifyEndpoint: verify,
      });
      setMade({ id: subscription?.id ?? "", secret });
      await queries.invalidateQueries();
    });
  const onSubmit = (event: FormEvent) => {
    event.preventDefault();
    void create();
  };
  return { draft, change, verify, setVerify, busy, failure, made, onSubmit };
}

export function CreateSubscription() {
  const { draft, change, verify, setVerify, busy, failure, made, onSubmit } = useCreation();
  const form = useFocusInvalid(failure);
  const [, navigate] = useLocation();
  const settled = useDebounced(draft);
  const live = useDraftErrors(settled, false);
  const errors = new Map([...live, ...(failure === undefined ? [] : refusalOf(failure).fields)]);
  return (
    <Page title="New subscription" lead={<p>An endpoint of yours, and the events that it is to get.</p>}>
      <div className="with-preview">
        <form ref={form} className="stack" onSubmit={onSubmit} noValidate>
          <SubscriptionFields
            draft={draft}
            onChange={change}
            errors={errors}
            isStored={false}
            filterVerdicts={<FilterVerdicts draft={settled} isStored={false} />}
          />
          <CheckField
            label="The endpoint must answer a challenge first"
            checked={verify}
            onChange={(on) => setVerify(on)}
          />
          {failure === undefined ? null : <Failure error={failure} doing="create the subscription" />}
          <div className="actions">
            <Button type="submit" kind="primary" busy={busy}>
              Create the subscription
            </Button>
          </div>
        </form>
        <aside aria-label="Preview">
          <Preview draft={settled} isStored={false} />
        </aside>
      </div>
      {made === undefined ? null : (
        <SecretOnce
          title="The subscription is made"
          secret={made.secret}
          what="the signing secret"
          hint="Your endpoint checks with it that a webhook is ours. The subscription’s page has code for that."
          onClose={() => navigate(`/subscriptions/${made.id}`)}
        />
      )}
    </Page>
  );
}
