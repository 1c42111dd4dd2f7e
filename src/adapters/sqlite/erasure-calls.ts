/** What goes between the store's thread and its callers about erasures. All of it is plain values. */
import type { ErasureRead, ErasureRequest, ErasureRow, ErasureStep } from "../../delivery/erasure.ts";

export interface ErasureCalls {
  putErasure(row: ErasureRow): null;
  dueErasures(asked: { readonly nowMs: number; readonly limit: number }): readonly ErasureRow[];
  postponeErasure(asked: { readonly read: ErasureRead; readonly nextAtMs: number }): null;
  resealErasure(asked: { readonly id: string; readonly sealed: string }): null;
  removeErasure(read: ErasureRead): null;
  erase(request: ErasureRequest): ErasureStep;
  settleErased(none: null): null;
}
