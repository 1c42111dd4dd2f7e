import type { DescEnum } from "@bufbuild/protobuf";
import { type FieldViolation, invalidFields } from "../kernel/errors.ts";
import { LIMITS } from "../kernel/limits.ts";

/** Gathers what is wrong with a request, so that one answer names all of it, or as much as an answer may. */
export class Violations {
  readonly #root: string;
  readonly #found: FieldViolation[] = [];

  /** `root` is the path of the message that the fields belong to. */
  constructor(root: string) {
    this.#root = root;
  }

  add(field: string, description: string): void {
    if (this.#found.length < LIMITS.namedViolations) this.#found.push({ field: `${this.#root}.${field}`, description });
  }

  /** Throws a `request.invalid` with all that was found, if anything was. */
  throwIfAny(): void {
    if (this.#found.length > 0) throw invalidFields(this.#found);
  }
}

/** proto3's enums are open: a number that has no name arrives like any other. */
export function isKnown(type: DescEnum, number: number): boolean {
  return type.value[number] !== undefined;
}
