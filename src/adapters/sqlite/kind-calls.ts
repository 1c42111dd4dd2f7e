/** The store's calls about what has changed by its kind. */
import type { ChangeKind } from "../../delivery/kind-feed.ts";
import type { TenantRow } from "./calls.ts";

export interface KindCalls {
  /** Answers the reader's number. */
  watchKind(asked: { readonly tenant: TenantRow; readonly kind: ChangeKind }): number;
  changedIds(reader: number): { readonly ids: readonly string[]; readonly more: boolean };
  unwatchKind(reader: number): null;
}
