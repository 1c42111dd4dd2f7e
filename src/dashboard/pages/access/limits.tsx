/** What the organisation may have and for how long it is kept; and the switch that stops all deliveries. */

import type { Duration } from "@bufbuild/protobuf/wkt";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { useQuery } from "@connectrpc/connect-query";
import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { AccessService, type OrganisationLimits } from "../../../../gen/passbus/v1/access_service_pb.js";
import { ChangeKind } from "../../../../gen/passbus/v1/delivery_service_pb.js";
import { useChanges } from "../../changes.tsx";
import { type NumberKind, numberFlaws, refuseFlaws } from "../../flaws.ts";
import { durationToMs } from "../../numbers.ts";
import { useAnnounce } from "../../parts/announcer.tsx";
import { Button } from "../../parts/button.tsx";
import { Loading } from "../../parts/empty.tsx";
import { Failure, refusalOf } from "../../parts/failure.tsx";
import { TextField } from "../../parts/field.tsx";
import { Section } from "../../parts/page.tsx";
import { useAction } from "../../parts/use-action.ts";
import { useClient } from "../../rpc.ts";
import { DeliverySwitches } from "./switches.tsx";

const DAY_MS = 86_400_000;

/** How often they are read anew while no stream tells. */
const READ_EVERY_MS = 10_000;

export function Limits() {
  const { getLimits } = AccessService.method;
  const refetchInterval = useChanges([ChangeKind.LIMITS], [getLimits], { everyMs: READ_EVERY_MS });
  const { data, error, refetch } = useQuery(getLimits, {}, { refetchInterval });
  return (
    <>
      <DeliverySwitches />
      <Section title="Limits">
        {error === null ? null : <Failure error={error} doing="read the limits" onRetry={() => void refetch()} />}
        {data?.limits === undefined ? (
          error === null && <Loading what="the limits" />
        ) : (
          <LimitsForm limits={data.limits} />
        )}
      </Section>
    </>
  );
}

interface Texts {
  readonly organisation: string;
  readonly entity: string;
  readonly eventDays: string;
  readonly deliveryDays: string;
  readonly payloadDays: string;
}

/** Days, to the hour; empty where the service's own default holds. */
function daysText(duration: Duration | undefined): string {
  const ms = duration === undefined ? 0 : durationToMs(duration);
  return ms === 0 ? "" : String(Number((ms / DAY_MS).toFixed(3)));
}

function daysToDuration(text: string): Duration {
  // Whole seconds: passbus takes no others.
  return durationFromMs(Math.round((Number(text) * DAY_MS) / 1_000) * 1_000);
}

function textsOf(limits: OrganisationLimits): Texts {
  return {
    organisation: String(limits.organisationSubscriptions),
    entity: String(limits.entitySubscriptions),
    eventDays: daysText(limits.eventRetention),
    deliveryDays: daysText(limits.deliveryRetention),
    payloadDays: daysText(limits.payloadRetention),
  };
}

interface LimitField {
  readonly name: keyof Texts;
  /** In the API's message. */
  readonly path: string;
  readonly kind: NumberKind;
  readonly label: string;
  readonly hint: string;
}

const FIELDS: readonly LimitField[] = [
  {
    name: "organisation",
    path: "organisation_subscriptions",
    kind: "whole number",
    label: "Subscriptions of the organisation",
    hint: "In each environment, up to 10,000.",
  },
  {
    name: "entity",
    path: "entity_subscriptions",
    kind: "whole number",
    label: "Subscriptions of each entity",
    hint: "Up to 10,000.",
  },
  {
    name: "eventDays",
    path: "event_retention",
    kind: "number",
    label: "Events are kept, days",
    hint: "After all their deliveries have ended. Empty: as the service has it.",
  },
  {
    name: "deliveryDays",
    path: "delivery_retention",
    kind: "number",
    label: "Deliveries are kept, days",
    hint: "After they have ended. Empty: as the service has it.",
  },
  {
    name: "payloadDays",
    path: "payload_retention",
    kind: "number",
    label: "Payloads are kept, days",
    hint: "Then nothing can be sent again. Empty: as long as the event.",
  },
];

function LimitsForm({ limits }: { readonly limits: OrganisationLimits }) {
  const before = textsOf(limits);
  const [changes, setChanges] = useState<Partial<Texts>>({});
  const { busy, failure, act } = useAction();
  const client = useClient(AccessService);
  const queries = useQueryClient();
  const announce = useAnnounce();
  const texts = { ...before, ...changes };
  const paths = FIELDS.filter(({ name }) => texts[name] !== before[name]).map(({ path }) => path);
  const refused = failure === undefined ? undefined : refusalOf(failure);
  const save = () =>
    act(async () => {
      refuseFlaws(numberFlaws(FIELDS.map(({ name, path, kind }) => [`limits.${path}`, texts[name], kind])));
      await client.setLimits({
        limits: {
          organisationSubscriptions: Number(texts.organisation),
          entitySubscriptions: Number(texts.entity),
          eventRetention: daysToDuration(texts.eventDays),
          deliveryRetention: daysToDuration(texts.deliveryDays),
          payloadRetention: daysToDuration(texts.payloadDays),
        },
        updateMask: { paths },
      });
      await queries.invalidateQueries();
      setChanges({});
      announce("The limits are set.");
    });
  const onSubmit = (event: FormEvent) => {
    event.preventDefault();
    void save();
  };
  return (
    <form className="stack" onSubmit={onSubmit} noValidate>
      <div className="filters">
        {FIELDS.map(({ name, path, label, hint }) => (
          <TextField
            key={name}
            label={label}
            type="number"
            value={texts[name]}
            hint={hint}
            error={refused?.fields.get(`limits.${path}`)}
            onChange={(value) => setChanges({ ...changes, [name]: value })}
          />
        ))}
      </div>
      <p className="hint">What is there already stays, also beyond a new limit.</p>
      {failure === undefined ? null : <Failure error={failure} doing="set the limits" />}
      <div>
        <Button
          type="submit"
          kind="primary"
          needs={AccessService.method.setLimits}
          busy={busy}
          isDisabled={paths.length === 0}
        >
          Set the limits
        </Button>
      </div>
    </form>
  );
}
