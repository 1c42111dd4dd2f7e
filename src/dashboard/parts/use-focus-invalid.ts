import { type RefObject, useEffect, useRef } from "react";

/** Of a form: what was refused takes the focus to the first field that is wrong. */
export function useFocusInvalid(failure: unknown): RefObject<HTMLFormElement | null> {
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => {
    if (failure !== undefined) form.current?.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus();
  }, [failure]);
  return form;
}
