/** The fields of a subscription, for a new one and for a change. */
import type { ReactNode } from "react";
import { CloudEventsMode, Format, Ordering, WhileDisabled } from "../../../../gen/passbus/v1/subscription_pb.js";
import { CheckField, SelectField, TextField } from "../../parts/field.tsx";
import { Section } from "../../parts/page.tsx";
import { Pairs } from "../../parts/pairs.tsx";
import { EVENT_TYPE, FORMAT, OPERATIONAL, OPERATIONAL_TYPES, protocolOptions, SAYABLE } from "../../words.ts";
import { type Draft, saysOperational } from "./draft.ts";
import { PassKitOptions, ProtocolEvents } from "./passkit.tsx";

export interface FormProps {
  readonly draft: Draft;
  readonly onChange: (draft: Draft) => void;
  /** By the path of the field, as in "subscription.url". */
  readonly errors: ReadonlyMap<string, string>;
  /** Its scope can't be changed, and a stored authorization is not shown. */
  readonly isStored: boolean;
  /** Beside the filter: what it says of recent events. */
  readonly filterVerdicts: ReactNode;
}

type Change = (change: Partial<Draft>) => void;

interface PartProps extends FormProps {
  readonly change: Change;
  readonly error: (field: string) => string | undefined;
}

export function SubscriptionFields(props: FormProps) {
  const { draft, onChange, errors } = props;
  const change: Change = (part) => onChange({ ...draft, ...part });
  const error = (field: string) => errors.get(`subscription.${field}`);
  const parts = { ...props, change, error };
  return (
    <>
      <Endpoint {...parts} />
      <Events {...parts} />
      <Policy {...parts} />
      <Extras {...parts} />
    </>
  );
}

const FORMATS = [Format.STANDARD, Format.CLOUDEVENTS, Format.PASSKIT, Format.PASSENTRY, Format.ETHPASS].map(
  (format) => [format, FORMAT[format]] as const,
);

function Endpoint({ draft, change, error, isStored }: PartProps) {
  return (
    <Section title="Endpoint">
      <TextField
        label="URL"
        type="url"
        code
        value={draft.url}
        error={error("url")}
        placeholder="https://hooks.example.com/passes"
        hint="Gets a request for each event. https, unless whoever runs passbus allows more."
        onChange={(url) => change({ url })}
      />
      <TextField
        label="Description"
        value={draft.description}
        error={error("description")}
        hint="For people: whose endpoint it is, and what for."
        onChange={(description) => change({ description })}
      />
      {isStored ? null : (
        <TextField
          label="Entity"
          code
          value={draft.entityId}
          error={error("entity_id")}
          hint="Only events of this entity. Empty: all of the organisation. It can’t be changed later."
          onChange={(entityId) => change({ entityId })}
        />
      )}
      <SelectField
        label="Format"
        value={draft.format}
        options={FORMATS}
        error={error("format")}
        hint="How the request’s body and headers look. The preview shows it."
        onChange={(format) =>
          change({ format, eventTypes: draft.eventTypes.filter((type) => SAYABLE[format].includes(type)) })
        }
      />
      <FormatOptions draft={draft} change={change} error={error} isStored={isStored} />
    </Section>
  );
}

function FormatOptions({ draft, change, error, isStored }: Pick<PartProps, "draft" | "change" | "error" | "isStored">) {
  switch (draft.format) {
    case Format.ETHPASS:
      return (
        <TextField
          label="Authorization header"
          type="password"
          value={draft.ethpassAuthorization}
          error={error("format_options.ethpass_authorization")}
          hint={`Sent with each webhook as it stands here, and never shown again.${isStored ? " Empty: the stored one stays." : ""}`}
          onChange={(ethpassAuthorization) => change({ ethpassAuthorization })}
        />
      );
    case Format.CLOUDEVENTS:
      return (
        <SelectField
          label="Mode"
          value={draft.cloudeventsMode}
          options={[
            [CloudEventsMode.STRUCTURED, "Structured: all in the body"],
            [CloudEventsMode.BINARY, "Binary: attributes in ce-… headers"],
          ]}
          onChange={(cloudeventsMode) => change({ cloudeventsMode })}
        />
      );
    case Format.PASSKIT:
      return <PassKitOptions draft={draft} change={change} error={error} />;
    default:
      return null;
  }
}

function Events({ draft, change, errors, error, filterVerdicts }: PartProps) {
  const all = draft.eventTypes.length === 0;
  const sayable = SAYABLE[draft.format];
  const wrongOf = (list: string) =>
    [...errors].filter(([field]) => field.startsWith(`subscription.${list}`)).map(([, text]) => text);
  const wrong = wrongOf("event_types");
  const protocolError = (list: string) => wrongOf(list)[0];
  return (
    <Section title="Events">
      <fieldset className="stack">
        <legend>Types</legend>
        <p className="hint">
          {draft.format === Format.ETHPASS
            ? "ethpass endpoints get all five that the format can say."
            : all && namesOthers(draft)
              ? "None: only the events below that are ticked. Tick some here to get these too."
              : all
                ? `All that ${FORMAT[draft.format]} can say, those of later versions too. Tick some to get only these.`
                : "Only those that are ticked."}
        </p>
        <div className="checks">
          {sayable.map((type) => (
            <CheckField
              key={type}
              label={EVENT_TYPE[type]}
              isDisabled={draft.format === Format.ETHPASS}
              checked={draft.format === Format.ETHPASS || draft.eventTypes.includes(type)}
              onChange={(on) =>
                change({
                  eventTypes: sayable.filter((each) => (each === type ? on : draft.eventTypes.includes(each))),
                })
              }
            />
          ))}
        </div>
        {wrong.map((text) => (
          <p key={text} className="field-error">
            {text}
          </p>
        ))}
      </fieldset>
      {saysOperational(draft.format) ? <OfPassbus draft={draft} change={change} /> : null}
      {draft.format === Format.PASSKIT ? <ProtocolEvents draft={draft} change={change} error={protocolError} /> : null}
      <SelectField
        label="Of passes of"
        value={draft.protocol}
        options={protocolOptions(draft.protocol)}
        error={error("protocol")}
        hint="PassKit’s protocols. Events of passes of another one don’t come."
        onChange={(protocol) => change({ protocol })}
      />
      <TextField
        label="Filter"
        code
        lines={3}
        value={draft.filter}
        error={error("filter")}
        placeholder={'event.pass.id.startsWith("gold-")'}
        hint="A condition in CEL (cel.dev) over the event; empty lets everything through. Fields go by their names in PassEvent, enums by their values’ names, as in event.type == 'SCANNED' && event.pass.classId != ''."
        onChange={(filter) => change({ filter })}
      />
      {filterVerdicts}
    </Section>
  );
}

/** Without types of its own a subscription gets nothing else than these. */
function namesOthers({ format, operationalEvents, membershipEvents, couponEvents }: Draft): boolean {
  if (saysOperational(format)) return operationalEvents.length > 0;
  return format === Format.PASSKIT && membershipEvents.length + couponEvents.length > 0;
}

function OfPassbus({ draft, change }: Pick<PartProps, "draft" | "change">) {
  return (
    <fieldset>
      <legend>Of passbus itself</legend>
      <div className="checks">
        {OPERATIONAL_TYPES.map((type) => (
          <CheckField
            key={type}
            label={OPERATIONAL[type]}
            checked={draft.operationalEvents.includes(type)}
            onChange={(on) =>
              change({
                operationalEvents: OPERATIONAL_TYPES.filter((each) =>
                  each === type ? on : draft.operationalEvents.includes(each),
                ),
              })
            }
          />
        ))}
      </div>
    </fieldset>
  );
}

function Policy({ draft, change, error }: PartProps) {
  return (
    <Section title="Delivery">
      <TextField
        label="Waits between attempts"
        code
        value={draft.retrySchedule}
        error={error("policy.retry_schedule")}
        placeholder="5s, 1m, 5m, 30m, 2h, 5h, 10h, 14h, 20h, 1d"
        hint="After the last one the delivery has failed. Empty: ten attempts more over three days."
        onChange={(retrySchedule) => change({ retrySchedule })}
      />
      <div className="filters">
        <TextField
          label="Requests a second"
          type="number"
          value={draft.ratePerSecond}
          error={error("policy.rate_per_second")}
          hint="Empty: as many as there are."
          onChange={(ratePerSecond) => change({ ratePerSecond })}
        />
        <TextField
          label="At once after a rest"
          type="number"
          value={draft.burst}
          error={error("policy.burst")}
          hint="Where there is a rate; empty: what it has in a second."
          onChange={(burst) => change({ burst })}
        />
        <TextField
          label="At the same time"
          type="number"
          value={draft.maxInFlight}
          error={error("policy.max_in_flight")}
          hint="1 to 256; empty: 64."
          onChange={(maxInFlight) => change({ maxInFlight })}
        />
        <TextField
          label="Timeout, seconds"
          type="number"
          value={draft.timeoutSeconds}
          error={error("policy.attempt_timeout")}
          hint="1 to 30; empty: 15."
          onChange={(timeoutSeconds) => change({ timeoutSeconds })}
        />
      </div>
      <SelectField
        label="Events while it is paused"
        value={draft.whileDisabled}
        options={[
          [WhileDisabled.DROP, "They are skipped"],
          [WhileDisabled.HOLD, "They are held until it is resumed"],
        ]}
        onChange={(whileDisabled) => change({ whileDisabled })}
      />
      <CheckField
        label="Keep the order of each pass’s events: the next leaves when the one before has ended"
        checked={draft.ordering === Ordering.PER_PASS}
        onChange={(on) => change({ ordering: on ? Ordering.PER_PASS : Ordering.NONE })}
      />
      <CheckField
        label="While it is behind, send only the newest of several updates of a pass"
        checked={draft.conflate}
        onChange={(conflate) => change({ conflate })}
      />
    </Section>
  );
}

function Extras({ draft, change, errors }: PartProps) {
  const of = (field: string) =>
    [...errors].filter(([path]) => path.startsWith(`subscription.${field}`)).map(([path, text]) => `${path}: ${text}`);
  return (
    <Section title="Headers, labels, signature">
      <Pairs
        what="Header"
        pairs={draft.headers}
        errors={of("headers")}
        hint="Sent with every webhook. Those of the transport, the signature and the format are passbus’s own."
        onChange={(headers) => change({ headers })}
      />
      <Pairs
        what="Label"
        pairs={draft.labels}
        errors={of("labels")}
        hint="For finding it again in the list."
        onChange={(labels) => change({ labels })}
      />
      <CheckField
        label="Sign with ed25519 too (v1a): receivers check with public keys instead of a secret"
        checked={draft.ed25519Signature}
        onChange={(ed25519Signature) => change({ ed25519Signature })}
      />
    </Section>
  );
}
