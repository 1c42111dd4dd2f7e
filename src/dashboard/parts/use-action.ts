import { useState } from "react";

export interface Action {
  /** It is under way. */
  readonly busy: boolean;
  /** What the last one failed with; undefined while another is under way. */
  readonly failure: unknown;
  /** Never rejects: what goes wrong is the failure. */
  readonly act: (action: () => Promise<void>) => Promise<void>;
  /** What is shown of the last one no longer fits. */
  readonly forget: () => void;
}

/** What a press begins: whether it is under way, and what went wrong. */
export function useAction(): Action {
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<unknown>();
  const forget = () => setFailure(undefined);
  const act = async (action: () => Promise<void>) => {
    setBusy(true);
    forget();
    try {
      await action();
    } catch (reason) {
      setFailure(reason);
    } finally {
      setBusy(false);
    }
  };
  return { busy, failure, act, forget };
}
