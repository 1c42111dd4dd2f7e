/** A new replay: what it takes in, counted before anything is sent; then on to its page. */
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useLocation } from "wouter";
import { DeliveryStatus } from "../../../../gen/passbus/v1/delivery_pb.js";
import { DeliveryService, type Replay } from "../../../../gen/passbus/v1/delivery_service_pb.js";
import type { PassEventType } from "../../../../gen/passbus/v1/pass_event_pb.js";
import { count, roughDuration } from "../../numbers.ts";
import { Button } from "../../parts/button.tsx";
import { Dialog } from "../../parts/dialog.tsx";
import { Failure, refusalOf } from "../../parts/failure.tsx";
import { CheckField, SelectField, TextField } from "../../parts/field.tsx";
import { useSubscriptionNames } from "../../parts/subscriptions.ts";
import { TimeRange } from "../../parts/time-range.tsx";
import { useClient } from "../../rpc.ts";
import { EVENT_TYPE, EVENT_TYPES, STATUS } from "../../words.ts";
import type { DeliveryFilters } from "../deliveries/filters.tsx";
import { type Draft, draftOf, leftOut, REPLAYABLE, replayOf } from "./draft.ts";

const STATUS_OPTIONS: readonly (readonly [DeliveryStatus, string])[] = [
  [DeliveryStatus.UNSPECIFIED, "delivered or failed"],
  ...REPLAYABLE.map((status) => [status, STATUS[status][0]] as const),
];
const DEFAULT_RATE = 50;

interface NewReplayProps {
  readonly filters: DeliveryFilters;
  readonly onClose: () => void;
}

export function NewReplay({ filters, onClose }: NewReplayProps) {
  const [dropped] = useState(() => leftOut(filters));
  const [goesOn, setGoesOn] = useState(dropped.length === 0);
  return (
    <Dialog title="Replay deliveries" onClose={onClose}>
      {goesOn ? (
        <ReplayForm filters={filters} dropped={dropped} onClose={onClose} />
      ) : (
        <>
          <p>A replay can’t go by all that the log is filtered by. It would leave out</p>
          <ul>
            {dropped.map((each) => (
              <li key={each}>{each}</li>
            ))}
          </ul>
          <p>and so take in more than the log shows. To send only these again, choose them in the log.</p>
          <div className="actions end">
            <Button kind="primary" onPress={onClose}>
              Back to the log
            </Button>
            <Button onPress={() => setGoesOn(true)}>Go on without</Button>
          </div>
        </>
      )}
    </Dialog>
  );
}

interface ReplayFormProps extends NewReplayProps {
  readonly dropped: readonly string[];
}

function ReplayForm({ filters, dropped, onClose }: ReplayFormProps) {
  const client = useClient(DeliveryService);
  const queries = useQueryClient();
  const [, navigate] = useLocation();
  const [draft, setDraft] = useState(() => draftOf(filters));
  const [answer, setAnswer] = useState<{ readonly of: Draft; readonly replay: Replay }>();
  const [busy, setBusy] = useState<Doing>();
  const [failure, setFailure] = useState<{ readonly doing: Doing; readonly error: unknown }>();
  // An answer that comes after the draft was changed is none.
  const counted = answer?.of === draft ? answer.replay : undefined;
  const change = (part: Partial<Draft>) => {
    setDraft((before) => ({ ...before, ...part }));
    setFailure(undefined);
  };
  const run = async (doing: Doing, call: () => Promise<void>) => {
    setBusy(doing);
    setFailure(undefined);
    try {
      await call();
    } catch (error) {
      setFailure({ doing, error });
    } finally {
      setBusy(undefined);
    }
  };
  const countIt = async () => {
    const { replay } = await client.createReplay({ replay: replayOf(draft), dryRun: true });
    if (replay !== undefined) setAnswer({ of: draft, replay });
  };
  const start = async ({ filter, targetSubscriptionId, ratePerSecond, freshIds }: Replay) => {
    // As it was counted: its times are fixed, where the draft's "last hour" has moved on.
    const counted = { ...(filter !== undefined && { filter }), targetSubscriptionId, ratePerSecond, freshIds };
    const { replay } = await client.createReplay({ replay: counted });
    await queries.invalidateQueries();
    navigate(`/replays/${replay?.id ?? ""}`);
  };
  const fields = failure === undefined ? new Map<string, string>() : refusalOf(failure.error).fields;
  return (
    <>
      <p>Sends again what was sent before. Receivers see webhook-replay: true and the same webhook-id.</p>
      {dropped.length === 0 ? null : <p className="hint">Left out of the log’s filters: {dropped.join("; ")}.</p>}
      <DraftFields draft={draft} onChange={change} fields={fields} />
      {failure === undefined ? null : <Failure error={failure.error} doing={failure.doing} />}
      <p role="status">{counted === undefined ? "Count first: then it can be started." : countText(counted)}</p>
      <div className="actions end">
        <Button onPress={onClose}>Close</Button>
        <Button
          kind={counted === undefined ? "primary" : "plain"}
          busy={busy === "count"}
          onPress={() => void run("count", countIt)}
        >
          Count without sending
        </Button>
        <Button
          kind={counted === undefined ? "plain" : "primary"}
          busy={busy === "start"}
          isDisabled={counted === undefined || counted.matched === 0n}
          onPress={() => void (counted === undefined ? undefined : run("start", () => start(counted)))}
        >
          {counted === undefined ? "Start the replay" : `Replay ${count(counted.matched)}`}
        </Button>
      </div>
    </>
  );
}

/** What is tried, as its failure is called. */
type Doing = "count" | "start";

function countText({ matched, matchedAtLeast, ratePerSecond }: Replay): string {
  if (matched === 0n) return "None fits: widen the filter.";
  const takes = roughDuration((Number(matched) / ratePerSecond) * 1_000);
  return `${count(matched)}${matchedAtLeast ? " or more" : ""} fit: about ${takes} at ${count(ratePerSecond)}/s. Nothing was sent yet.`;
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
