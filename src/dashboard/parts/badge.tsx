import type { Tone } from "../words.ts";

/** A state in a word. The tone only adds to what the word says. */
export function Badge({ tone, children }: { readonly tone: Tone; readonly children: string }) {
  return <span className={`badge ${tone}`}>{children}</span>;
}
