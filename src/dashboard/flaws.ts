/** What a form can see by itself to be wrong, before passbus is asked. */
import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema } from "../../gen/google/rpc/error_details_pb.js";

export type NumberKind = "number" | "whole number";

/** What is wrong with a number's text, or undefined. An empty text stands for the default. */
export function numberFlaw(text: string, kind: NumberKind): string | undefined {
  if (text.trim() === "") return undefined;
  const number = Number(text);
  const isOfKind = number > 0 && (kind === "number" ? Number.isFinite(number) : Number.isInteger(number));
  return isOfKind ? undefined : `must be a ${kind} above 0, or empty for the default`;
}

/** What is wrong with several numbers' texts, by the path of the field, as passbus names it. */
export function numberFlaws(
  fields: readonly (readonly [path: string, text: string, kind: NumberKind])[],
): Map<string, string> {
  const flaws = new Map<string, string>();
  for (const [path, text, kind] of fields) {
    const flaw = numberFlaw(text, kind);
    if (flaw !== undefined) flaws.set(path, flaw);
  }
  return flaws;
}

/**
 * Refuses in the way in which passbus refuses, unless there is nothing to refuse: a text that can't be read would be
 * kept as the default. The keys are paths of fields, as passbus names them.
 */
export function refuseFlaws(flaws: ReadonlyMap<string, string>): void {
  if (flaws.size === 0) return;
  const fieldViolations = [...flaws].map(([field, description]) => ({ field, description }));
  throw new ConnectError("What is marked can’t be read, so nothing was sent.", Code.InvalidArgument, undefined, [
    { desc: BadRequestSchema, value: { fieldViolations } },
  ]);
}
