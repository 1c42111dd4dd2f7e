/** Labelled inputs with a hint and an error that screen readers read out with them. */
import { type ChangeEvent, type ReactNode, useId } from "react";

interface FieldProps {
  readonly label: string;
  readonly hint?: ReactNode;
  readonly error?: string | undefined;
}

interface InputProps {
  readonly id: string;
  readonly "aria-describedby": string;
  readonly "aria-invalid": boolean;
}

export function Field({
  label,
  hint,
  error,
  children,
}: FieldProps & { readonly children: (props: InputProps) => ReactNode }) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {children({ id, "aria-describedby": `${id}-error ${id}-hint`, "aria-invalid": error !== undefined })}
      <p id={`${id}-error`} className="field-error" aria-live="polite">
        {error}
      </p>
      <p id={`${id}-hint`} className="hint">
        {hint}
      </p>
    </div>
  );
}

interface TextFieldProps extends FieldProps {
  readonly value: string;
  readonly onChange: (value: string) => void;
  readonly type?: "text" | "url" | "search" | "number" | "password" | "datetime-local";
  readonly placeholder?: string;
  /** Lines of a text that may have several. */
  readonly lines?: number;
  readonly code?: boolean;
  /** Offered while one types; anything else may be typed too. */
  readonly suggestions?: readonly string[];
}

export function TextField({
  value,
  onChange,
  type = "text",
  placeholder,
  lines,
  code = false,
  suggestions,
  ...field
}: TextFieldProps) {
  const listId = useId();
  return (
    <Field {...field}>
      {(props) => {
        const shared = {
          ...props,
          value,
          placeholder,
          spellCheck: false,
          autoComplete: "off",
          className: code ? "code" : undefined,
        };
        if (lines !== undefined) {
          return <textarea {...shared} rows={lines} onChange={(event) => onChange(event.target.value)} />;
        }
        const input = {
          ...shared,
          // A browser's own field for numbers says "" of a text that it can't read, and turns with the mouse's wheel.
          ...(type === "number" ? { type: "text", inputMode: "decimal" as const } : { type }),
          onChange: (event: ChangeEvent<HTMLInputElement>) => onChange(event.target.value),
        };
        if (suggestions === undefined) return <input {...input} />;
        return (
          <>
            <input {...input} list={listId} />
            <datalist id={listId}>
              {suggestions.map((each) => (
                <option key={each} value={each} />
              ))}
            </datalist>
          </>
        );
      }}
    </Field>
  );
}

interface SelectFieldProps<V extends string | number> extends FieldProps {
  readonly value: V;
  readonly onChange: (value: V) => void;
  readonly options: readonly (readonly [value: V, label: string])[];
}

export function SelectField<V extends string | number>({ value, onChange, options, ...field }: SelectFieldProps<V>) {
  return (
    <Field {...field}>
      {(props) => (
        <select
          {...props}
          value={String(value)}
          onChange={(event) => {
            const chosen = options[event.target.selectedIndex];
            if (chosen !== undefined) onChange(chosen[0]);
          }}
        >
          {options.map(([option, text]) => (
            <option key={option} value={String(option)}>
              {text}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

interface CheckFieldProps {
  readonly label: string;
  readonly checked: boolean;
  readonly onChange: (checked: boolean) => void;
  readonly isDisabled?: boolean;
}

export function CheckField({ label, checked, onChange, isDisabled = false }: CheckFieldProps) {
  return (
    <label className="check">
      <input
        type="checkbox"
        checked={checked}
        disabled={isDisabled}
        onChange={(event) => onChange(event.target.checked)}
      />
      <span>{label}</span>
    </label>
  );
}
