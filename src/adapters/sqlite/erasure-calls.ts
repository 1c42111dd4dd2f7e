/** What goes between the store's thread and its callers about erasures. All of it is plain values. */
import type { ErasureRequest, ErasureRow, ErasureStep } from "../../delivery/erasure.ts";

export interface ErasureCalls {
  putErasure(row: ErasureRow): null;
  dueErasures(asked: { readonly nowMs: number; readonly limit: number }): readonly ErasureRow[];
  removeErasure(id: string): null;
  erase(request: ErasureRequest): ErasureStep;
  settleErased(none: null): null;
}
