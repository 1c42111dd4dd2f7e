/** A new replay: what it takes in, counted before anything is sent; then on to its page. */
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useLocation } from "wouter";
import { DeliveryStatus } from "../../../../gen/passbus/v1/delivery_pb.js";
import { DeliveryService, type Replay } from "../../../../gen/passbus/v1/delivery_service_pb.js";
import type { PassEventType } from "../../../../gen/passbus/v1/pass_event_pb.js";
import { count, duration } from "../../numbers.ts";
import { Button } from "../../parts/button.tsx";
import { Dialog } from "../../parts/dialog.tsx";
import { Failure, refusalOf } from "../../parts/failure.tsx";
import { CheckField, SelectField, TextField } from "../../parts/field.tsx";
import { useSubscriptionNames } from "../../parts/subscriptions.ts";
import { type TimeFilter, TimeRange, timesOf } from "../../parts/time-range.tsx";
import { useClient } from "../../rpc.ts";
import { EVENT_TYPE, EVENT_TYPES, STATUS } from "../../words.ts";
import { type DeliveryFilters, statusOf } from "../deliveries/filters.tsx";

interface Draft extends TimeFilter {
  readonly subscription: string;
  readonly pass: string;
  readonly status: DeliveryStatus;
  readonly types: readonly PassEventType[];
  readonly target: string;
  /** A number's text; empty is 50. */
  readonly rate: string;
  readonly freshIds: boolean;
}

const REPLAYABLE = [DeliveryStatus.DELIVERED, DeliveryStatus.FAILED, DeliveryStatus.CANCELLED] as const;
const STATUS_OPTIONS: readonly (readonly [DeliveryStatus, string])[] = [
  [DeliveryStatus.UNSPECIFIED, "delivered or failed"],
  ...REPLAYABLE.map((status) => [status, STATUS[status][0]] as const),
];
const DEFAULT_RATE = 50;

function draftOf(filters: DeliveryFilters): Draft {
  const status = statusOf(filters.status);
  const { subscription, pass, since, from, to } = filters;
  return {
    ...{ subscription, pass, since, from, to },
    status: REPLAYABLE.find((each) => each === status) ?? DeliveryStatus.UNSPECIFIED,
    types: [],
    target: "",
    rate: "",
    freshIds: false,
  };
}

function replayOf(draft: Draft) {
  const { subscription: subscriptionId, status, types } = draft;
  return {
    filter: { subscriptionId, passId: draft.pass.trim(), status, eventTypes: [...types], ...timesOf(draft) },
    targetSubscriptionId: draft.target,
    ratePerSecond: Number(draft.rate),
    freshIds: draft.freshIds,
  };
}

interface NewReplayProps {
  readonly filters: DeliveryFilters;
  readonly onClose: () => void;
}

export function NewReplay({ filters, onClose }: NewReplayProps) {
  const client = useClient(DeliveryService);
  const queries = useQueryClient();
  const [, navigate] = useLocation();
  const [draft, setDraft] = useState(() => draftOf(filters));
  const [counted, setCounted] = useState<Replay>();
  const [busy, setBusy] = useState<"count" | "start">();
  const [failure, setFailure] = useState<unknown>();
  const change = (part: Partial<Draft>) => {
    setDraft((before) => ({ ...before, ...part }));
    setCounted(undefined);
    setFailure(undefined);
  };
  const call = async (dryRun: boolean) => {
    setBusy(dryRun ? "count" : "start");
    setFailure(undefined);
    try {
      const { replay } = await client.createReplay({ replay: replayOf(draft), dryRun });
      if (dryRun || replay === undefined) return setCounted(replay);
      await queries.invalidateQueries();
      navigate(`/replays/${replay.id}`);
    } catch (error) {
      setFailure(error);
    } finally {
      setBusy(undefined);
    }
  };
  const fields = failure === undefined ? new Map<string, string>() : refusalOf(failure).fields;
  return (
    <Dialog title="Replay deliveries" onClose={onClose}>
      <p>Sends again what was sent before. Receivers see webhook-replay: true and the same webhook-id.</p>
      <DraftFields draft={draft} onChange={change} fields={fields} />
      {failure === undefined ? null : <Failure error={failure} doing={busy === "start" ? "start" : "count"} />}
      <p role="status">{counted === undefined ? "" : countText(counted, draft)}</p>
      <div className="actions end">
        <Button onPress={onClose}>Close</Button>
        <Button busy={busy === "count"} onPress={() => void call(true)}>
          Count without sending
        </Button>
        <Button
          kind="primary"
          busy={busy === "start"}
          isDisabled={counted?.matched === 0n}
          onPress={() => void call(false)}
        >
          {counted === undefined ? "Start the replay" : `Replay ${count(counted.matched)}`}
        </Button>
      </div>
    </Dialog>
  );
}

function countText({ matched, matchedAtLeast }: Replay, draft: Draft): string {
  if (matched === 0n) return "None fits: widen the filter.";
  const rate = Number(draft.rate) || DEFAULT_RATE;
  const takes = duration(Math.ceil((Number(matched) / rate) * 1_000));
  return `${count(matched)}${matchedAtLeast ? " or more" : ""} fit: about ${takes} at ${count(rate)}/s. Nothing was sent yet.`;
}

interface DraftFieldsProps {
  readonly draft: Draft;
  readonly onChange: (part: Partial<Draft>) => void;
  /** What passbus says of single fields. */
  readonly fields: ReadonlyMap<string, string>;
}

function DraftFields({ draft, onChange, fields }: DraftFieldsProps) {
  const names = useSubscriptionNames();
  const toggle = (type: PassEventType, on: boolean) =>
    onChange({ types: on ? [...draft.types, type] : draft.types.filter((each) => each !== type) });
  return (
    <>
      <div className="filters">
        <SelectField
          label="Subscription"
          value={draft.subscription}
          onChange={(subscription) => onChange({ subscription })}
          options={names.options("All", draft.subscription)}
        />
        <SelectField
          label="Status"
          value={draft.status}
          onChange={(status) => onChange({ status })}
          options={STATUS_OPTIONS}
        />
        <TextField label="Pass id" value={draft.pass} onChange={(pass) => onChange({ pass })} />
        <TimeRange label="Created" value={draft} onChange={onChange} />
      </div>
      <fieldset>
        <legend>Event types</legend>
        <div className="checks">
          {EVENT_TYPES.map((type) => (
            <CheckField
              key={type}
              label={EVENT_TYPE[type]}
              checked={draft.types.includes(type)}
              onChange={(on) => toggle(type, on)}
            />
          ))}
        </div>
        <p className="hint">None ticked: all.</p>
      </fieldset>
      <SelectField
        label="Send to"
        value={draft.target}
        onChange={(target) => onChange({ target })}
        options={names.options("Where each was for", draft.target)}
        hint="Another subscription gets what it wants of them, as it is now."
        error={fields.get("replay.target_subscription_id")}
      />
      <TextField
        label="Rate, a second"
        type="number"
        value={draft.rate}
        onChange={(rate) => onChange({ rate })}
        placeholder={String(DEFAULT_RATE)}
        hint="0.01 to 10,000. The endpoint’s own limits hold too."
        error={fields.get("replay.rate_per_second")}
      />
      <CheckField
        label="Under new webhook ids, so that receivers that skip known ones take them"
        checked={draft.freshIds}
        onChange={(freshIds) => onChange({ freshIds })}
      />
    </>
  );
}
