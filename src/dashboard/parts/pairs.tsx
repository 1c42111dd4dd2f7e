import { Button } from "./button.tsx";

type Pair = readonly [name: string, value: string];

interface PairsProps {
  /** What one of them is, as in "Header". */
  readonly what: string;
  readonly pairs: readonly Pair[];
  readonly onChange: (pairs: readonly Pair[]) => void;
  readonly hint: string;
  readonly errors: readonly string[];
}

/** Names with values: headers, labels. */
export function Pairs({ what, pairs, onChange, hint, errors }: PairsProps) {
  const replace = (at: number, pair: Pair) => onChange(pairs.map((each, index) => (index === at ? pair : each)));
  return (
    <fieldset className="stack">
      <legend>{what}s</legend>
      {pairs.map(([name, value], at) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a row is its place; its name is what is being typed.
        <div className="pair" key={at}>
          <input
            aria-label={`${what} ${at + 1}: name`}
            value={name}
            spellCheck={false}
            placeholder="name"
            onChange={(event) => replace(at, [event.target.value, value])}
          />
          <input
            aria-label={`${what} ${at + 1}: value`}
            value={value}
            spellCheck={false}
            placeholder="value"
            onChange={(event) => replace(at, [name, event.target.value])}
          />
          <Button
            kind="quiet"
            label={`Remove ${what.toLowerCase()} ${at + 1}`}
            onPress={() => onChange(pairs.filter((_, index) => index !== at))}
          >
            Remove
          </Button>
        </div>
      ))}
      {errors.map((error) => (
        <p key={error} className="field-error">
          {error}
        </p>
      ))}
      <p className="hint">{hint}</p>
      <div>
        <Button onPress={() => onChange([...pairs, ["", ""]])}>Add a {what.toLowerCase()}</Button>
      </div>
    </fieldset>
  );
}
