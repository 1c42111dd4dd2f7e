/** What only a subscription of PassKit's format has: events of a protocol, one method for all, a field's other name. */
import { ActionMethod, DataType } from "../../../../gen/io/integrations_pb.js";
import { PassKitUninstalledEventName } from "../../../../gen/passbus/v1/subscription_pb.js";
import { CheckField, SelectField, TextField } from "../../parts/field.tsx";
import { COUPON_EVENT, MEMBERSHIP_EVENT } from "../../words.ts";
import type { Draft } from "./draft.ts";

interface PassKitProps {
  readonly draft: Draft;
  readonly change: (change: Partial<Draft>) => void;
  /** By the path behind "subscription.". */
  readonly error: (field: string) => string | undefined;
}

const METHODS = [
  [ActionMethod.METHOD_NONE, "Each event’s own"],
  [ActionMethod.METHOD_POST, "POST"],
  [ActionMethod.METHOD_PUT, "PUT"],
  [ActionMethod.METHOD_DELETE, "DELETE"],
] as const;

/** As PassKit's enum has them: the type is kept and shown, and changes nothing that is sent. */
const DATA_TYPES = Object.values(DataType)
  .filter((value): value is DataType => typeof value === "number")
  .map((type) => [type, type === DataType.DATA_TYPE_NONE ? "Not said" : DataType[type]] as const);

export function PassKitOptions({ draft, change, error }: PassKitProps) {
  const of = (field: string) => error(`format_options.${field}`);
  const { mapping } = draft;
  const map = (part: Partial<Draft["mapping"]>) => change({ mapping: { ...mapping, ...part } });
  return (
    <>
      <SelectField
        label="Name of “uninstalled”"
        value={draft.uninstalledName}
        options={[
          [PassKitUninstalledEventName.DOCUMENTED, "PASS_EVENT_RECORD_UPDATED, as PassKit documents it"],
          [PassKitUninstalledEventName.ENUM, "PASS_EVENT_UNINSTALLED, as PassKit’s enum has it"],
        ]}
        onChange={(uninstalledName) => change({ uninstalledName })}
      />
      <SelectField
        label="Method"
        value={draft.passkitMethod}
        options={METHODS}
        error={of("passkit_method")}
        onChange={(passkitMethod) => change({ passkitMethod })}
      />
      <fieldset className="stack">
        <legend>A field under another name</legend>
        <div className="filters">
          <TextField
            label="Field of the pass"
            code
            value={mapping.source}
            error={of("passkit_field_mapping.sourceFieldUniqueName")}
            placeholder="meta.tier"
            onChange={(source) => map({ source })}
          />
          <TextField
            label="Name in the webhook"
            code
            value={mapping.destination}
            error={of("passkit_field_mapping.destinationFieldKey")}
            placeholder="tier"
            onChange={(destination) => map({ destination })}
          />
          <SelectField
            label="Its type"
            value={mapping.dataType}
            options={DATA_TYPES}
            error={of("passkit_field_mapping.destinationFieldDataType")}
            onChange={(dataType) => map({ dataType })}
          />
        </div>
        <CheckField
          label="It is there, empty, also where the pass has none"
          checked={mapping.isRequired}
          onChange={(isRequired) => map({ isRequired })}
        />
        <p className="hint">
          Of the entries of recordData. The value stays text; the type is kept for those who read it. Empty: every field
          keeps its name.
        </p>
      </fieldset>
    </>
  );
}

/** Of one protocol, passbus says: it refuses those of both. */
export function ProtocolEvents({ draft, change, error }: PassKitProps) {
  return (
    <>
      <Choice
        legend="Of memberships"
        names={MEMBERSHIP_EVENT}
        chosen={draft.membershipEvents}
        error={error("membership_events")}
        onChange={(membershipEvents) => change({ membershipEvents })}
      />
      <Choice
        legend="Of coupons"
        names={COUPON_EVENT}
        chosen={draft.couponEvents}
        error={error("coupon_events")}
        onChange={(couponEvents) => change({ couponEvents })}
      />
    </>
  );
}

interface ChoiceProps<T extends number> {
  readonly legend: string;
  readonly names: ReadonlyMap<T, string>;
  readonly chosen: readonly T[];
  readonly error: string | undefined;
  readonly onChange: (chosen: readonly T[]) => void;
}

function Choice<T extends number>({ legend, names, chosen, error, onChange }: ChoiceProps<T>) {
  const all = [...names.keys()];
  return (
    <fieldset>
      <legend>{legend}</legend>
      <div className="checks">
        {[...names].map(([id, name]) => (
          <CheckField
            key={id}
            label={name}
            checked={chosen.includes(id)}
            onChange={(on) => onChange(all.filter((each) => (each === id ? on : chosen.includes(each))))}
          />
        ))}
      </div>
      {error === undefined ? null : <p className="field-error">{error}</p>}
    </fieldset>
  );
}
