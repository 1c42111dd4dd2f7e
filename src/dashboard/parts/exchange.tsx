/** A request or a response as it was on the wire: data to be read, never rendered. */
import { useState } from "react";
import { bytes } from "../numbers.ts";
import { Copy } from "./copy.tsx";

/** The body's text; undefined where the bytes are none in UTF-8. */
export function textOf(body: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(body);
  } catch {
    return undefined;
  }
}

/** JSON over several lines; anything else as it is. */
export function prettyJson(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), undefined, 2);
  } catch {
    return text;
  }
}

export function Headers({
  headers,
  caption,
}: {
  readonly headers: Readonly<Record<string, string>>;
  readonly caption: string;
}) {
  const names = Object.keys(headers).sort();
  if (names.length === 0) return <p className="hint">No headers.</p>;
  return (
    <table className="headers">
      <caption className="visually-hidden">{caption}</caption>
      <tbody>
        {names.map((name) => (
          <tr key={name}>
            <th scope="row">
              <code>{name}</code>
            </th>
            <td>{headers[name] === "" ? <em>kept secret</em> : <code>{headers[name]}</code>}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Scrolling({ what, text }: { readonly what: string; readonly text: string }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard (WCAG 2.1.1).
    <section className="scrolling" aria-label={what} tabIndex={0}>
      <pre>{text}</pre>
    </section>
  );
}

interface BodyProps {
  readonly body: Uint8Array;
  /** Whose body, as in "the request's body". */
  readonly what: string;
  readonly truncated?: boolean;
}

/** The body laid out for reading, or exactly as it is. */
export function Body({ body, what, truncated = false }: BodyProps) {
  const [exact, setExact] = useState(false);
  if (body.length === 0) return <p className="hint">No body.</p>;
  const text = textOf(body);
  const size = `${bytes(body.length)}${truncated ? ", the first of more" : ""}`;
  if (text === undefined) return <p className="hint">{size} that are no text.</p>;
  const pretty = prettyJson(text);
  return (
    <div className="body">
      <div className="body-head">
        <span className="hint">{size}</span>
        {pretty === text ? null : (
          <label className="check">
            <input type="checkbox" checked={exact} onChange={(event) => setExact(event.target.checked)} />
            <span>Exactly as sent</span>
          </label>
        )}
        <Copy text={text} what={what} />
      </div>
      <Scrolling what={what} text={exact ? text : pretty} />
    </div>
  );
}

/** Code or JSON to read and to copy. */
export function CodeBlock({ text, what }: { readonly text: string; readonly what: string }) {
  return (
    <div className="body">
      <div className="body-head">
        <Copy text={text} what={what} />
      </div>
      <Scrolling what={what} text={text} />
    </div>
  );
}
